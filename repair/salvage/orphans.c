// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/orphans.h"
#include "check/check.h"
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "repair/write/sink.h"
#include "repair/write/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE (1u << 20)
#define SECTOR 512u

struct work {
	struct qf_image *img;
	const char *dir;
	unsigned int mode; /* of new files */
	unsigned char *buf;
	struct qf_orphan_runs *runs;
	struct qf_sink map;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the clusters without an owner");
}

static enum qf_err note(struct work *w, uint64_t first, uint64_t n,
			struct qf_why *why)
{
	struct qf_orphan_runs *l = w->runs;
	struct qf_orphan_run *r;

	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*r)))
		return no_memory(why);
	r = &l->at[l->n];
	memset(r, 0, sizeof(*r));
	r->host_off = first << w->img->geo.cluster_bits;
	r->bytes = n << w->img->geo.cluster_bits;
	if (r->host_off >= w->img->io->size)
		return QF_OK;
	if (r->bytes > w->img->io->size - r->host_off)
		r->bytes = w->img->io->size - r->host_off;
	snprintf(r->name, sizeof(r->name), "0x%012" PRIx64 ".raw", r->host_off);
	if (l->n++ < QF_WHATIS_MAX)
		qf_whatis(w->img, r->host_off, r->kind, sizeof(r->kind));
	else
		qf_whatis_quick(w->img, r->host_off, r->kind, sizeof(r->kind));
	l->bytes += r->bytes;
	return QF_OK;
}

static enum qf_err find_runs(struct work *w, struct qf_why *why)
{
	struct qf_owners *o = NULL;
	struct qf_walk walk;
	enum qf_err err = qf_walk_gather(w->img, &walk, why);
	uint64_t at, end, n;
	uint32_t cls;

	if (err)
		return err;
	err = qf_owners_make(&walk, &o, why);
	n = err ? 0 : qf_owners_clusters(o);
	for (at = 0; !err && at < n; at = end) {
		cls = qf_owners_at(o, at, n, &end);
		if (qf_owners_class(o, cls)->flags & QF_OWNERS_LEAKED)
			err = note(w, at, end - at, why);
	}
	qf_owners_free(o);
	qf_walk_free(&walk);
	return err;
}

static enum qf_err map_line(struct work *w, uint64_t off, uint64_t len,
			    char mark, struct qf_why *why)
{
	char line[80];
	int n = snprintf(line, sizeof(line),
			 "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", off, len,
			 mark);

	return len ? qf_sink_write(&w->map, line, (uint64_t)n, why) : QF_OK;
}

/* LEN bytes that are in w->buf, or that could not be read, go to S. */
static enum qf_err put(struct work *w, struct qf_orphan_run *r,
		       struct qf_sink *s, uint64_t off, uint64_t len, bool read,
		       struct qf_why *why)
{
	enum qf_err err = map_line(w, off, len, read ? '+' : '-', why);

	if (err || read)
		return err ? err : qf_sink_write(s, w->buf, len, why);
	r->unread += len;
	w->runs->unread += len;
	return qf_sink_skip(s, len, why);
}

/* One piece; sector by sector where it cannot be read at once. */
static enum qf_err copy_piece(struct work *w, struct qf_orphan_run *r,
			      struct qf_sink *s, uint64_t off, uint64_t len,
			      struct qf_why *why)
{
	uint64_t at, n;
	enum qf_err err = QF_OK;

	if (!qf_io_read_pad(w->img->io, w->buf, len, off, NULL))
		return put(w, r, s, off, len, true, why);
	for (at = 0; !err && at < len; at += n) {
		n = len - at < SECTOR ? len - at : SECTOR;
		err = put(w, r, s, off + at, n,
			  !qf_io_read_pad(w->img->io, w->buf, n, off + at,
					  NULL),
			  why);
	}
	return err;
}

static enum qf_err copy_run(struct work *w, struct qf_orphan_run *r,
			    struct qf_why *why)
{
	struct qf_sink s = { .fd = -1 };
	uint64_t at, n;
	enum qf_err err;
	char *name;

	if (asprintf(&name, "%s/%s", w->dir, r->name) < 0)
		return no_memory(why);
	err = qf_sink_create(&s, name, w->mode, why);
	for (at = 0; !err && at < r->bytes; at += n) {
		n = r->bytes - at < PIECE ? r->bytes - at : PIECE;
		if (qf_stop_asked())
			err = qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
					 "stopped");
		else
			err = copy_piece(w, r, &s, r->host_off + at, n, why);
	}
	if (!err)
		err = qf_sink_end(&s, why);
	qf_sink_close(&s, err != QF_OK);
	free(name);
	return err;
}

static enum qf_err open_folder(struct work *w, struct qf_why *why)
{
	enum qf_err err;
	struct stat st;
	char *name;

	w->mode = 0600;
	if (!fstat(w->img->io->fd, &st) && S_ISREG(st.st_mode))
		w->mode = (st.st_mode & 0666) | 0600;
	/* who may read the image may look into the folder */
	err = qf_sink_folder(w->dir, w->mode | 0100 | (w->mode & 0044) >> 2,
			     why);
	if (err && why->sys == EEXIST)
		qf_err_next(why, "name a new folder: nothing is overwritten");
	if (err)
		return err;
	if (asprintf(&name, "%s/orphans.map", w->dir) < 0)
		return no_memory(why);
	err = qf_sink_create(&w->map, name, w->mode, why);
	free(name);
	return err;
}

static enum qf_err copy_all(struct work *w, struct qf_why *why)
{
	static const char head[] =
		"# Mapfile. Created by qfsck extract --orphans\n"
		"# The clusters without an owner, by their places in the "
		"image\n0x00000000  +  1\n#      pos        size  status\n";
	enum qf_err err = qf_sink_write(&w->map, head, sizeof(head) - 1, why);
	struct qf_orphan_run *r = w->runs->at;
	uint64_t end = 0;
	size_t i;

	/* what lies between the runs was not asked for: '?' */
	for (i = 0; !err && i < w->runs->n; i++, r++) {
		err = map_line(w, end, r->host_off - end, '?', why);
		if (!err)
			err = copy_run(w, r, why);
		end = r->host_off + r->bytes;
	}
	if (!err && end < w->img->io->size)
		err = map_line(w, end, w->img->io->size - end, '?', why);
	return err;
}

enum qf_err qf_orphans_write(struct qf_image *img, const char *dir,
			     struct qf_orphan_runs *runs, struct qf_why *why)
{
	struct work w = {
		.img = img, .dir = dir, .runs = runs, .map = { .fd = -1 }
	};
	enum qf_err err;

	memset(runs, 0, sizeof(*runs));
	w.buf = qf_mem_zalloc(1, PIECE);
	err = w.buf ? find_runs(&w, why) : no_memory(why);
	if (!err)
		err = open_folder(&w, why);
	if (!err)
		err = copy_all(&w, why);
	if (w.map.name)
		qf_sink_close(&w.map, err != QF_OK);
	free(w.buf);
	return err;
}

void qf_orphans_free(struct qf_orphan_runs *runs)
{
	free(runs->at);
	memset(runs, 0, sizeof(*runs));
}
