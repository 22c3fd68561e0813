// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/mixup.h"
#include "lib/base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct qf_wire_header, name)

/* A header's length, by all of the format's versions until now. */
#define MOST_HEADER 112u

/* The fields that can change places; magic and version tell where we are. */
static const uint64_t wide[] = {
	FIELD(backing_file_offset),   FIELD(size),
	FIELD(l1_table_offset),	      FIELD(refcount_table_offset),
	FIELD(snapshots_offset),      FIELD(incompatible_features),
	FIELD(compatible_features),   FIELD(autoclear_features),
}, narrow[] = {
	FIELD(backing_file_size),	FIELD(cluster_bits),
	FIELD(crypt_method),		FIELD(l1_size),
	FIELD(refcount_table_clusters), FIELD(nb_snapshots),
	FIELD(refcount_order),		FIELD(header_length),
};

#define FIELDS (sizeof(wide) / sizeof(wide[0]))

_Static_assert(FIELDS == sizeof(narrow) / sizeof(narrow[0]), "of each width");
_Static_assert(FIELDS <= QF_MIXUP_PIECES, "a piece a field");

unsigned int qf_mixup_fields(const struct qf_image *img, uint64_t width,
			     uint64_t *off)
{
	uint64_t end = img->hdr.version < 3 ? FIELD(incompatible_features)
					    : FIELD(compression_type);
	const uint64_t *all = width == 8 ? wide : narrow;
	unsigned int i, n = 0;

	for (i = 0; i < FIELDS; i++)
		if (all[i] < end)
			off[n++] = all[i];
	return n;
}

static uint64_t width_of(uint64_t off)
{
	unsigned int i;

	for (i = 0; i < FIELDS; i++)
		if (narrow[i] == off)
			return 4;
	return 8;
}

struct qf_mixup qf_mixup_of(const struct qf_hypothesis *h)
{
	return (struct qf_mixup){ h->kind, h->pointer_off, h->value };
}

/* Room for N pieces of BYTES each. */
static bool make_room(struct qf_mixup_pieces *p, unsigned int n, uint64_t bytes)
{
	unsigned int i;

	p->buf = qf_mem_zalloc(n, bytes);
	for (i = 0; p->buf && i < n; i++)
		p->at[i].bytes = p->buf + i * bytes;
	p->n = p->buf ? n : 0;
	return p->buf;
}

/* What belongs to TO stands at FROM. The file's last cluster may be partial,
 * and stays so. */
static enum qf_err take(struct qf_image *img, struct qf_mixup_pieces *p,
			unsigned int i, uint64_t to, uint64_t from,
			uint64_t bytes)
{
	uint64_t room = to < img->io->size ? img->io->size - to : 0;

	p->at[i].off = to;
	p->at[i].length = bytes < room ? bytes : room;
	return qf_io_read_pad(img->io, p->at[i].bytes, bytes, from, NULL);
}

static enum qf_err swap(struct qf_image *img, const struct qf_mixup *m,
			struct qf_mixup_pieces *p)
{
	uint64_t bytes = m->a & (img->geo.cluster_bytes - 1)
				 ? width_of(m->a)
				 : img->geo.cluster_bytes;
	enum qf_err err;

	if (!make_room(p, 2, bytes))
		return QF_ERR_NOMEM;
	err = take(img, p, 0, m->a, m->b, bytes);
	return err ? err : take(img, p, 1, m->b, m->a, bytes);
}

static void put_word(unsigned char *bytes, uint64_t width, uint64_t value)
{
	struct qf_be32 narrow_word = qf_be_put32((uint32_t)value);
	struct qf_be64 word = qf_be_put64(value);

	if (width == 4)
		memcpy(bytes, &narrow_word, sizeof(narrow_word));
	else
		memcpy(bytes, &word, sizeof(word));
}

static enum qf_err move(struct qf_image *img, const struct qf_mixup *m,
			struct qf_mixup_pieces *p)
{
	uint64_t width = width_of(m->a), off[FIELDS];
	unsigned int all = qf_mixup_fields(img, width, off), first = 0, n, i;
	bool up = m->kind == QF_HYPO_UP;
	enum qf_err err = QF_OK;

	while (first < all && off[first] != m->a)
		first++;
	n = all - first;
	if (!make_room(p, n, width))
		return QF_ERR_NOMEM;
	for (i = 0; !err && i < n; i++) {
		unsigned int from = up ? i + 1 : i - 1;

		/* one end's is gone; its place is filled below */
		if (up ? from >= n : !i)
			from = i;
		err = take(img, p, i, off[first + i], off[first + from], width);
	}
	if (!err && n)
		put_word(p->at[up ? n - 1 : 0].bytes, width, up ? 0 : m->b);
	return err;
}

enum qf_err qf_mixup_undo(struct qf_image *img, const struct qf_mixup *m,
			  struct qf_mixup_pieces *p)
{
	memset(p, 0, sizeof(*p));
	return m->kind == QF_HYPO_VALUE ? swap(img, m, p) : move(img, m, p);
}

void qf_mixup_free(struct qf_mixup_pieces *p)
{
	free(p->buf);
	memset(p, 0, sizeof(*p));
}

/* -- how much is wrong -- */

static uint64_t wrong_snapshots(const struct qf_image *img)
{
	const struct qf_snapshot_table *t = &img->snapshots;
	const struct qf_snapshot *s;
	uint64_t off, wrong = t->state != QF_SNAPSHOTS_OK;
	uint32_t i, entries;

	for (i = 0; i < t->n; i++) {
		s = &t->snap[i];
		wrong += !s->id_bytes ||
			 !qf_image_l1(img, QF_HOLDER_SNAPSHOT(i), &off,
				      &entries) ||
			 entries <
				 qf_header_l1_needed(&img->geo, s->disk_bytes);
	}
	return wrong + (t->n < img->hdr.snapshot_count);
}

uint64_t qf_mended_parts(const struct qf_image *img)
{
	uint64_t wrong = wrong_snapshots(img);
	size_t i;

	wrong += img->l1_state != QF_PART_OK && img->l1_state != QF_PART_ABSENT;
	wrong += img->hdr.l1_entries < img->geo.l1_needed;
	wrong += img->reftable_state != QF_PART_OK;
	wrong += img->backing_name_bad;
	wrong += img->bitmaps.state != QF_BITMAPS_OK;
	for (i = 0; i < img->ext.n; i++)
		wrong += img->ext.ext[i].odd != 0;
	for (i = 0; i < img->reftable_entries; i++)
		wrong += (img->reftable[i] & QF_REFT_RESERVED_MASK) != 0;
	return wrong;
}

/* Tables of the active disk behind its end, which have no VM state. */
static uint64_t wrong_size(const struct qf_image *img, const struct qf_walk *w)
{
	bool state = false;
	uint64_t n = 0;
	uint32_t i, v;

	for (i = 0; i < img->snapshots.n; i++)
		state |= img->snapshots.snap[i].vm_state_bytes != 0;
	/* a machine's state is that of a disk */
	state &= img->hdr.disk_bytes != 0;
	for (i = 0; i < w->n_groups && !state; i++)
		for (v = 0; v < w->group[i].n; v++)
			n += w->group[i].l1_index >= img->geo.l1_needed &&
			     w->table[w->group[i].first + v].active;
	return n;
}

uint64_t qf_mended_wrong(const struct qf_image *img, const struct qf_walk *w,
			 const struct qf_recount *t)
{
	uint64_t wrong = qf_mended_parts(img) + w->n_gaps + t->beyond_disk +
			 t->past_end + t->overflow + t->unknown +
			 wrong_size(img, w),
		 odd = 0, i;

	for (i = 0; i < w->n_tables; i++)
		wrong += w->table[i].odd || w->table[i].unread ||
			 !w->table[i].off;
	/* one word is odd in several ways; and with a data file, the flag is the
	 * writer's choice */
	for (i = 0; i < QF_ODD_KINDS; i++)
		if (1u << i != QF_ODD_DATA_FILE_PLAIN && t->odd[i] > odd)
			odd = t->odd[i];
	wrong += odd;
	for (i = 0; i < t->n_troubles; i++)
		wrong += t->trouble[i].hits;
	return wrong;
}

/* What no rule forbids, and no writer that is known makes. */
static uint64_t unlikely(const struct qf_image *img)
{
	const struct qf_header *h = &img->hdr;
	uint64_t n = h->disk_bytes % 512 != 0;

	n += (h->compatible & ~QF_COMPAT_KNOWN) != 0;
	n += (h->autoclear & ~QF_AUTOCLEAR_KNOWN) != 0;
	n += h->header_bytes % 8 != 0 || h->header_bytes > MOST_HEADER;
	n += !h->snapshot_count && h->snapshots_off;
	n += !h->backing_name_off != !h->backing_name_bytes;
	n += h->l1_entries > img->geo.l1_needed;
	n += h->crypt_method == QF_CRYPT_AES;
	return n;
}

uint64_t qf_mended_header(const struct qf_image *img)
{
	return qf_mended_parts(img) + unlikely(img);
}

/* -- the image as it would be -- */

static enum qf_err lay_over(struct qf_image *img, const struct qf_mixup *m,
			    struct qf_overlay *over)
{
	struct qf_mixup_pieces p;
	enum qf_err err = qf_mixup_undo(img, m, &p);
	unsigned int i;

	for (i = 0; !err && i < p.n; i++)
		err = qf_overlay_put(over, p.at[i].off, p.at[i].bytes,
				     p.at[i].length, NULL);
	qf_mixup_free(&p);
	return err;
}

enum qf_err qf_mended_open(struct qf_image *img, const struct qf_mixup *m,
			   unsigned int jobs, uint64_t most,
			   struct qf_mended *out)
{
	struct qf_io *io;
	enum qf_err err;

	memset(out, 0, sizeof(*out));
	out->wrong = UINT64_MAX;
	err = qf_overlay_new(img->io, &out->over, NULL);
	if (!err)
		err = lay_over(img, m, out->over);
	if (!err)
		err = qf_overlay_view(out->over, &io, NULL);
	if (!err)
		err = qf_image_open(io, &out->img, NULL);
	/* what cannot be read, or is no image, is none that it could be */
	if (err || qf_mended_parts(out->img) > most)
		return err == QF_ERR_NOMEM ? err : QF_OK;
	err = qf_walk_gather(out->img, &out->walk, NULL);
	if (!err)
		err = qf_recount_make(&out->walk, jobs, 0, QF_RECOUNT_ALL,
				      &out->recount, NULL);
	if (!err)
		out->wrong =
			qf_mended_wrong(out->img, &out->walk, &out->recount);
	if (!err && unlikely(out->img) > unlikely(img))
		out->wrong += unlikely(out->img) - unlikely(img);
	return err;
}

void qf_mended_close(struct qf_mended *w)
{
	qf_recount_free(&w->recount);
	qf_walk_free(&w->walk);
	qf_image_close(w->img);
	qf_overlay_free(w->over);
	memset(w, 0, sizeof(*w));
}
