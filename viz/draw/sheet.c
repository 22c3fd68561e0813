// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/sheet.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLS 128

/* As few columns as keep the map wider than high, so that cells are large; of
 * clusters a power of two, so that rows begin at round offsets. */
static void lay_out(struct qf_sheet_map *s)
{
	uint64_t clusters = s->scene->clusters;
	uint64_t most = MAX_COLS * MAX_COLS / 2;

	for (s->per_cell = 1; clusters / s->per_cell > most;)
		s->per_cell *= 2;
	s->cells = qf_mem_div_up(clusters, s->per_cell);
	for (s->cols = 32; s->cols < MAX_COLS; s->cols *= 2)
		if (s->cells <= (uint64_t)(s->cols * s->cols / 4))
			break;
	s->rows = (int)qf_mem_div_up(s->cells, (uint64_t)s->cols);
	if (!s->rows)
		s->rows = 1;
	s->px = QF_SHEET_WIDTH / s->cols;
}

static bool fill(struct qf_sheet_map *s)
{
	size_t n = (size_t)s->cols * (size_t)s->rows, i;
	struct qf_scene_cell *in_order = qf_mem_zalloc(n, sizeof(*in_order));
	struct qf_order order = { 0 };
	bool ok;

	s->cell = qf_mem_zalloc(n, sizeof(*s->cell));
	ok = in_order && s->cell &&
	     qf_order_make(&order, s->cols, s->rows, s->hilbert);
	if (ok) {
		qf_scene_cells(s->scene, 0, s->per_cell, n, in_order);
		for (i = 0; i < n; i++)
			s->cell[order.place[i]] = in_order[i];
	}
	qf_order_free(&order);
	free(in_order);
	return ok;
}

static bool make_map(struct qf_sheet_map *map, const struct qf_scene *scene,
		     bool hilbert)
{
	map->scene = scene;
	map->hilbert = hilbert;
	lay_out(map);
	return fill(map);
}

enum qf_err qf_sheet_make(const struct qf_model *m,
			  const struct qf_guestmap *disk, const char *name,
			  bool hilbert, struct qf_sheet *s, struct qf_why *why)
{
	memset(s, 0, sizeof(*s));
	s->model = m;
	s->disk = disk;
	s->name = name;
	s->bars = m->scene.n_holders < QF_SHEET_BARS ? m->scene.n_holders
						     : QF_SHEET_BARS;
	s->level = qf_mem_zalloc(s->bars, QF_SHEET_BAR_W);
	if (make_map(&s->file, &m->scene, hilbert) &&
	    make_map(&s->guest, &disk->scene, hilbert) && s->level &&
	    qf_scene_bars(&m->scene, QF_SHEET_BAR_W, 0, s->bars, s->level))
		return QF_OK;
	qf_sheet_free(s);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the picture");
}

void qf_sheet_free(struct qf_sheet *s)
{
	free(s->file.cell);
	free(s->guest.cell);
	free(s->level);
	s->file.cell = s->guest.cell = NULL;
	s->level = NULL;
}

int qf_sheet_run(const struct qf_sheet_map *s, int x, int y)
{
	const struct qf_scene_cell *row = s->cell + (size_t)y * (size_t)s->cols;
	int n = 1;

	while (x + n < s->cols && row[x + n].kind == row[x].kind)
		n++;
	return n;
}

int qf_sheet_minor(const struct qf_sheet_map *s, int x, int y, int kind)
{
	const struct qf_scene_cell *row = s->cell + (size_t)y * (size_t)s->cols;
	int n = 0;

	while (x + n < s->cols && row[x + n].minor == kind &&
	       row[x + n].kind != kind)
		n++;
	return n;
}

/* How much of the file is really there; nothing if all is. */
static void put_on_disk(const struct qf_io *io, char *buf, size_t room)
{
	char size[32];

	*buf = '\0';
	if (!io->block_dev && io->disk_bytes < io->size)
		snprintf(buf, room, " (%s on disk%s)",
			 qf_text_bytes(io->disk_bytes, size, sizeof(size)),
			 io->disk_bytes < io->size / 20
				 ? ", the rest holes: nearly empty"
				 : "");
}

/* How much of the disk the image maps, where that is little. */
static void put_mapped(const struct qf_report_figures *f, char *buf,
		       size_t room)
{
	*buf = '\0';
	if (f->total && f->allocated < f->total / 20)
		snprintf(buf, room, " (%.2g %% allocated: nearly empty)",
			 (double)f->allocated * 100 / (double)f->total);
}

bool qf_sheet_fact(const struct qf_sheet *s, int i, char *buf, size_t room)
{
	const struct qf_image *img = s->model->img;
	const struct qf_report *r = &s->model->report;
	char a[32], b[32], there[80], mapped[80];

	switch (i) {
	case 0:
		put_on_disk(img->io, there, sizeof(there));
		put_mapped(&r->fig, mapped, sizeof(mapped));
		snprintf(buf, room,
			 "file %s%s, virtual disk %s%s, qcow2 version %u",
			 qf_text_bytes(img->io->size, a, sizeof(a)), there,
			 qf_text_bytes(img->hdr.disk_bytes, b, sizeof(b)),
			 mapped, img->hdr.version);
		return true;
	case 1:
		snprintf(buf, room,
			 "%" PRIu64 " clusters of %s, %" PRIu64
			 " in use, %" PRIu64 " free inside, %u snapshot%s",
			 s->model->scene.clusters,
			 qf_text_bytes(img->geo.cluster_bytes, a, sizeof(a)),
			 r->fig.used, r->fig.free, img->snapshots.n,
			 img->snapshots.n == 1 ? "" : "s");
		return true;
	case 2:
		snprintf(
			buf, room,
			"one cell of the file's map is %" PRIu64
			" cluster%s (%s)%s",
			s->file.per_cell, s->file.per_cell == 1 ? "" : "s",
			qf_text_bytes(s->file.per_cell * img->geo.cluster_bytes,
				      a, sizeof(a)),
			s->file.hilbert ? ", along a Hilbert curve"
					: ", row by row");
		if (s->file.per_cell > 1)
			snprintf(buf + strlen(buf), room - strlen(buf),
				 "; it shows what most of it holds, in "
				 "its lower half what would vanish, and "
				 "always what is wrong");
		return true;
	default:
		return false;
	}
}
