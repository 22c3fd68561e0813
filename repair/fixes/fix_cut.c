// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What went with the end of a file that was cut: pointers that are right, and
 * lead past the end. They are given up before anything is written behind the
 * end: else they would lead to that. Which they are, the judge has said.
 */
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "repair/fixes/fix.h"
#include "repair/plan/decide.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUB_ALLOC 0xffffffffull

struct gone {
	uint64_t table_off, bitmap;
	uint32_t l1_index, index;
};

struct work {
	struct qf_fix_ctx *c;
	struct gone *e;
	size_t n, room;
	uint32_t *holder; /* room for every one */
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the plan");
}

/* All who have the table at OFF lose the range. */
static enum qf_err lose(struct work *w, uint32_t l1_index, uint64_t off,
			uint64_t guest, uint64_t bytes, struct qf_why *why)
{
	uint32_t all = qf_image_holders(w->c->img), i, n;

	n = qf_walk_holders(&w->c->walk, l1_index, off, w->holder, all);
	for (i = 0; i < n && i < all; i++)
		if (!qf_plan_lose(w->c->plan, w->holder[i], guest, bytes))
			return no_memory(why);
	return QF_OK;
}

/* -- L1 entries -- */

static enum qf_err one_entry(struct work *w, uint32_t holder, uint32_t index,
			     struct qf_why *why)
{
	uint64_t off;
	uint32_t entries;

	if (!qf_image_l1(w->c->img, holder, &off, &entries) || index >= entries)
		return QF_OK;
	return qf_plan_put64(w->c->plan, QF_P_L1_OUTSIDE, off + index * 8ull, 0,
			     why,
			     "give up an L1 entry whose table was cut off with "
			     "the file");
}

static enum qf_err one_table(struct work *w, const struct qf_group *g,
			     const struct qf_l2_table *t, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint64_t span = img->geo.cluster_bytes << img->geo.l2_bits;
	uint32_t all = qf_image_holders(img), i, n;
	enum qf_err err;

	err = lose(w, g->l1_index, t->off, g->l1_index * span, span, why);
	n = qf_walk_holders(&w->c->walk, g->l1_index, t->off, w->holder, all);
	for (i = 0; !err && i < n && i < all; i++)
		err = one_entry(w, w->holder[i], g->l1_index, why);
	return err;
}

static enum qf_err give_up_tables(struct work *w, struct qf_why *why)
{
	const struct qf_walk *walk = &w->c->walk;
	const struct qf_l2_table *t;
	enum qf_err err = QF_OK;
	uint32_t i, v;

	for (i = 0; !err && i < walk->n_groups; i++)
		for (v = 0; !err && v < walk->group[i].n; v++) {
			t = &walk->table[walk->group[i].first + v];
			if (t->odd == QF_ODD_PAST_END &&
			    qf_cut_took(&w->c->plan->cut, t->off))
				err = one_table(w, &walk->group[i], t, why);
		}
	return err;
}

/* -- L2 entries -- */

static bool keep(struct work *w, const struct qf_group *grp,
		 const struct qf_run *r, uint32_t v)
{
	const struct qf_l2_table *t = &w->c->walk.table[grp->first + v];
	uint64_t at =
		t->off + (uint64_t)r->index * w->c->img->geo.l2_entry_bytes;
	struct gone *e;

	if (qf_fix_shared(w->c, t->off) || t->odd ||
	    qf_decide_chosen(w->c->plan, at))
		return true;
	if (!qf_mem_grow((void **)&w->e, w->n, &w->room, sizeof(*e)))
		return false;
	e = &w->e[w->n++];
	*e = (struct gone){ t->off, r->bitmap, grp->l1_index, r->index };
	return true;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct work *w = ctx;
	bool ok = true;
	uint32_t v;

	(void)me;
	for (; ok && n; n--, r++) {
		if (!qf_cut_took_entry(&w->c->plan->cut, &w->c->img->geo,
				       r->entry, r->odd))
			continue;
		for (v = 0; ok && v < grp->n; v++)
			if (!r->members || r->members[v / 64] >> (v % 64) & 1)
				ok = keep(w, grp, r, v);
	}
	return ok;
}

static int by_place(const void *pa, const void *pb)
{
	const struct gone *a = pa, *b = pb;

	if (a->table_off != b->table_off)
		return a->table_off < b->table_off ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* What shows the backing file, or zeros, goes on doing so. */
static uint64_t zeroed(uint64_t bitmap)
{
	return ((bitmap & SUB_ALLOC) << 32) | (bitmap & ~SUB_ALLOC);
}

/* N entries from E on, one after the other, read as zeros from now on. */
static enum qf_err give_up_run(struct work *w, const struct gone *e, uint32_t n,
			       struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint64_t size = img->geo.l2_entry_bytes, bytes = n * size, i;
	uint64_t guest =
		(((uint64_t)e->l1_index << img->geo.l2_bits) + e->index)
		<< img->geo.cluster_bits;
	bool flag = img->hdr.version >= 3 && !img->geo.extl2;
	struct qf_be64 *word = qf_mem_zalloc(1, bytes);
	enum qf_err err;

	if (!word)
		return no_memory(why);
	for (i = 0; i < n && flag; i++)
		word[i] = qf_be_put64(QF_ENTRY_ZERO);
	for (i = 0; i < n && img->geo.extl2; i++)
		word[2 * i + 1] = qf_be_put64(zeroed(e[i].bitmap));
	err = qf_plan_put(w->c->plan, QF_P_L2_OUTSIDE,
			  e->table_off + e->index * size, word, bytes, why,
			  "give up %" PRIu32 " L2 entr%s whose cluster was cut "
			  "off with the file (guest offset 0x%" PRIx64 ")",
			  n, n == 1 ? "y" : "ies", guest);
	free(word);
	return err ? err
		   : lose(w, e->l1_index, e->table_off, guest,
			  (uint64_t)n << img->geo.cluster_bits, why);
}

static enum qf_err give_up_entries(struct work *w, struct qf_why *why)
{
	struct qf_visitor v = { .ctx = w, .runs = see_runs };
	enum qf_err err = qf_walk_run(&w->c->walk, 1, &v, why);
	uint64_t skip = QF_NOWHERE;
	size_t i, n;

	if (err == QF_ERR_STOPPED)
		err = no_memory(why);
	if (w->n)
		qsort(w->e, w->n, sizeof(*w->e), by_place);
	for (i = 0; !err && i < w->n; i += n) {
		const struct gone *e = &w->e[i];

		for (n = 1; i + n < w->n && e[n].table_off == e->table_off &&
			    e[n].l1_index == e->l1_index &&
			    e[n].index == e->index + n;)
			n++;
		if (skip != e->table_off && qf_fix_garbage(w->c, e->table_off))
			skip = e->table_off;
		if (skip != e->table_off)
			err = give_up_run(w, e, (uint32_t)n, why);
	}
	return err;
}

/* -- tables in whose midst the file ends -- */

/* Writes the table of BYTES at OFF to its end. */
static enum qf_err fill_up(struct work *w, enum qf_problem p, uint64_t off,
			   uint64_t bytes, const char *whose,
			   struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint64_t size = img->geo.cluster_bytes, file = img->io->size;
	uint64_t entry = p == QF_P_L2_CUT ? img->geo.l2_entry_bytes : 8;
	uint64_t from = file & ~(size - 1), kept = file - from;
	uint64_t end = qf_mem_round_up(off + bytes, size);
	unsigned char *buf = qf_mem_zalloc(1, end - from);
	enum qf_err err;

	if (!buf)
		return no_memory(why);
	err = qf_io_read_pad(img->io, buf, end - from, from, why);
	/* the entry in whose midst the file ends */
	kept -= kept % entry;
	memset(buf + kept, 0, end - from - kept);
	if (!err)
		err = qf_plan_put(w->c->plan, p, from, buf, end - from, why,
				  "write %s L%c table to its end, with entries "
				  "that map nothing",
				  whose, p == QF_P_L2_CUT ? '2' : '1');
	free(buf);
	return err;
}

static enum qf_err fill_up_table(struct work *w, const struct qf_group *g,
				 const struct qf_l2_table *t,
				 struct qf_why *why)
{
	const struct qf_geometry *geo = &w->c->img->geo;
	uint64_t kept = (w->c->img->io->size - t->off) / geo->l2_entry_bytes;
	uint64_t guest = (((uint64_t)g->l1_index << geo->l2_bits) + kept)
			 << geo->cluster_bits;
	enum qf_err err;

	err = lose(w, g->l1_index, t->off, guest,
		   (geo->l2_entries - kept) << geo->cluster_bits, why);
	return err ? err
		   : fill_up(w, QF_P_L2_CUT, t->off, geo->cluster_bytes, "the",
			     why);
}

static enum qf_err fill_up_tables(struct work *w, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	const struct qf_walk *walk = &w->c->walk;
	const struct qf_l2_table *t;
	enum qf_err err = QF_OK;
	uint32_t i, v;

	for (i = 0; !err && i < walk->n_groups; i++)
		for (v = 0; !err && v < walk->group[i].n; v++) {
			t = &walk->table[walk->group[i].first + v];
			if (t->off && !t->odd && !qf_fix_shared(w->c, t->off) &&
			    !qf_fix_garbage(w->c, t->off) &&
			    t->off < img->io->size &&
			    img->io->size - t->off < img->geo.cluster_bytes)
				err = fill_up_table(w, &walk->group[i], t, why);
		}
	return err;
}

/* The L1 table of HOLDER. */
static enum qf_err fill_up_l1(struct work *w, uint32_t holder,
			      struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint64_t size = img->io->size, off, span;
	uint32_t entries, kept;
	enum qf_problem p = holder ? QF_P_SNAP_L1_OUTSIDE
				   : QF_P_HEADER_L1_OUTSIDE;

	if (!qf_image_l1(img, holder, &off, &entries) || off >= size ||
	    off + entries * 8ull <= size || !qf_fix_found(w->c, p) ||
	    !qf_plan_allows(w->c->plan, p))
		return QF_OK;
	kept = (uint32_t)((size - off) / 8);
	span = img->geo.cluster_bytes << img->geo.l2_bits;
	if (!qf_plan_lose(w->c->plan, holder, kept * span,
			  (entries - kept) * span))
		return no_memory(why);
	return fill_up(w, p, off, entries * 8ull,
		       holder ? "a snapshot's" : "the active", why);
}

static enum qf_err fill_up_all(struct work *w, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint32_t h;

	if (qf_plan_allows(w->c->plan, QF_P_L2_CUT) &&
	    qf_fix_found(w->c, QF_P_L2_CUT))
		err = fill_up_tables(w, why);
	/* else the table may be elsewhere */
	for (h = 0;
	     !err && w->c->plan->cut_told && h < qf_image_holders(w->c->img);
	     h++)
		err = fill_up_l1(w, h, why);
	return err;
}

/* -- refcounts of what was cut off -- */

/* Block I, at OFF, counts nothing past the end from now on. */
static enum qf_err forget_counts(struct work *w, uint64_t i, uint64_t off,
				 unsigned char *buf, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint32_t order = img->hdr.refcount_order;
	uint64_t first = i << img->geo.refblock_bits;
	uint64_t n = 1ull << img->geo.refblock_bits, k, low;
	enum qf_err err;
	bool any = false;

	/* what cannot be read is a finding, and left alone */
	if (qf_io_read_pad(img->io, buf, img->geo.cluster_bytes, off, NULL))
		return QF_OK;
	k = qf_image_clusters(img);
	k = k > first ? k - first : 0;
	for (low = (k << order) >> 3; k < n; k++) {
		any |= qf_refblock_get(buf, order, k) != 0;
		qf_refblock_set(buf, order, k, 0);
	}
	if (!any)
		return QF_OK;
	err = qf_plan_put(w->c->plan, QF_P_REFCOUNT_LEAK, off + low, buf + low,
			  img->geo.cluster_bytes - low, why,
			  "let the block for the clusters from 0x%" PRIx64
			  " on count none of those that were cut off",
			  first << img->geo.cluster_bits);
	return err;
}

static enum qf_err forget_all_counts(struct work *w, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	unsigned char *buf = qf_mem_zalloc(1, img->geo.cluster_bytes);
	uint64_t end = qf_image_clusters(img), i, off;
	enum qf_err err = buf ? QF_OK : no_memory(why);

	for (i = end >> img->geo.refblock_bits;
	     !err && i < img->reftable_entries; i++) {
		off = qf_image_refblock(img, i);
		if (img->reftable[i] && img->reftable[i] == off &&
		    off < img->io->size &&
		    !(off & (img->geo.cluster_bytes - 1)) &&
		    !qf_fix_shared(w->c, off))
			err = forget_counts(w, i, off, buf, why);
	}
	free(buf);
	return err;
}

enum qf_err qf_fix_cut(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct work w = { .c = c };
	size_t had = c->plan->n;
	enum qf_err err = QF_OK;

	if (!c->plan->cut.gone.n && !c->plan->cut_told &&
	    !qf_fix_found(c, QF_P_L2_CUT))
		return QF_OK;
	w.holder = qf_mem_zalloc(qf_image_holders(c->img), sizeof(*w.holder));
	if (!w.holder)
		return no_memory(why);
	if (qf_plan_allows(c->plan, QF_P_L1_OUTSIDE))
		err = give_up_tables(&w, why);
	if (!err && qf_fix_found(c, QF_P_L2_OUTSIDE) &&
	    qf_plan_allows(c->plan, QF_P_L2_OUTSIDE))
		err = give_up_entries(&w, why);
	if (!err && c->plan->n == had)
		err = fill_up_all(&w, why);
	if (!err && c->plan->n == had && !c->plan->fresh.n &&
	    (c->plan->cut_done || c->plan->cut_told))
		err = forget_all_counts(&w, why);
	c->plan->cut_done |= c->plan->n > had;
	free(w.holder);
	free(w.e);
	return err;
}
