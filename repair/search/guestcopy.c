// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/search/guestcopy.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/io/io_overlay.h"

#include <stdlib.h>
#include <string.h>

/* So many places at which the copies differ are looked at. */
#define MAX_PLACES 1024u

struct weighing {
	const struct qf_fix_ctx *c;
	uint32_t l1_index, holder;
	uint64_t table_off;
	struct qf_guestcopy *copy;
	size_t n;
	struct qf_image *img; /* owned; with the first copy in its place */
	uint64_t *place;      /* owned; guest offsets at which they differ */
	uint32_t *index;      /* owned; in the table */
	size_t n_places;
	struct qf_guestview view;
	bool failed; /* no memory */
};

static uint64_t entry_at(const struct weighing *w, size_t copy, uint32_t i)
{
	struct qf_be64 e;

	memcpy(&e,
	       w->copy[copy].table + (size_t)i * w->c->img->geo.l2_entry_bytes,
	       sizeof(e));
	return qf_be_get64(e) & ~QF_ENTRY_COPIED;
}

/* The cluster that the copy names; 0: none that can be tried. */
static uint64_t named(const struct weighing *w, size_t copy, uint32_t i)
{
	uint64_t e = entry_at(w, copy, i);

	return qf_entry_kind(&w->c->img->geo, e) == QF_ENTRY_KIND_DATA
		       ? e & QF_ENTRY_OFFSET_MASK
		       : 0;
}

static bool differs(const struct weighing *w, uint32_t i)
{
	size_t k;

	for (k = 1; k < w->n; k++)
		if (entry_at(w, k, i) != entry_at(w, 0, i))
			return true;
	return false;
}

static bool find_places(struct weighing *w)
{
	const struct qf_geometry *g = &w->c->img->geo;
	uint32_t i;

	w->place = qf_mem_zalloc(MAX_PLACES, sizeof(*w->place));
	w->index = qf_mem_zalloc(MAX_PLACES, sizeof(*w->index));
	if (!w->place || !w->index)
		return false;
	for (i = 0; i < g->l2_entries && w->n_places < MAX_PLACES; i++) {
		if (!differs(w, i))
			continue;
		w->index[w->n_places] = i;
		w->place[w->n_places] =
			(((uint64_t)w->l1_index << g->l2_bits) + i)
			<< g->cluster_bits;
		w->n_places++;
	}
	return true;
}

/* Tries the clusters of copy number K, all of them at once. */
static bool try_copy(struct weighing *w, size_t k)
{
	struct qf_guesttries t = { 0 };
	bool ok = true;
	uint64_t value;
	size_t i;

	for (i = 0; ok && i < w->n_places; i++) {
		value = named(w, k, w->index[i]);
		ok = !value || qf_guesttry_add(&t, w->place[i], value);
	}
	ok = ok && qf_guesttry_all(&w->view, &t);
	for (i = 0; i < t.n; i++) {
		w->copy[k].holds += qf_guesttry_holds(&t.at[i]);
		w->copy[k].fails += qf_guesttry_fails(&t.at[i]);
	}
	free(t.at);
	return ok;
}

static void weigh(void *ctx)
{
	struct weighing *w = ctx;
	enum qf_err err;
	size_t k;

	err = qf_guestview_open(w->img, w->holder, w->place, w->n_places,
				&w->view);
	w->failed = err == QF_ERR_NOMEM;
	w->view.together = true;
	for (k = 0; !err && !w->failed && k < w->n; k++)
		w->failed = !try_copy(w, k);
	qf_guestview_close(&w->view);
}

/* The image with the first copy in its place. */
static enum qf_err with_copy(struct weighing *w, struct qf_overlay *over,
			     struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_overlay_put(over, w->table_off, w->copy[0].table,
					 w->c->img->geo.cluster_bytes, why);

	if (!err)
		err = qf_overlay_view(over, &io, why);
	return err ? err : qf_image_open(io, &w->img, why);
}

enum qf_err qf_guestcopy_weigh(const struct qf_fix_ctx *c, uint32_t l1_index,
			       uint64_t table_off, struct qf_guestcopy *copy,
			       size_t n, struct qf_why *why)
{
	struct weighing w = { .c = c,
			      .l1_index = l1_index,
			      .holder = QF_HOLDER_ACTIVE,
			      .table_off = table_off,
			      .copy = copy,
			      .n = n };
	struct qf_overlay *over = NULL;
	enum qf_err err = QF_OK;

	if (c->img->hdr.crypt_method || n < 2)
		return QF_OK;
	qf_walk_holders(&c->walk, l1_index, table_off, &w.holder, 1);
	w.failed = !find_places(&w);
	if (!w.failed && w.n_places)
		err = qf_overlay_new(c->img->io, &over, why);
	if (over)
		err = with_copy(&w, over, why);
	/* there are children, and libraries are loaded */
	if (w.img && !err)
		qf_pool_alone(weigh, &w);
	qf_image_close(w.img);
	qf_overlay_free(over);
	free(w.place);
	free(w.index);
	if (!err && w.failed)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory to look at older tables");
	return err;
}
