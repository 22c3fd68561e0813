// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * COPIED in the active disk's tables, as the refcounts demand: set exactly
 * where the stated refcount is 1. A refcount that is too low demands nothing.
 */
#include "lib/base/mem.h"
#include "repair/fixes/fix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* An entry whose flag is to be turned. */
struct turn {
	uint64_t table_off; /* of the L2 table */
	uint32_t l1_index, index;
	uint64_t entry;
};

struct work {
	struct qf_fix_ctx *c;
	struct turn *turn;
	size_t n, room;
};

/* True if the flag COPIED is wrong for the cluster at OFF, of which the
 * refcount is known. */
static bool is_wrong(const struct qf_fix_ctx *c, uint64_t off, bool copied)
{
	uint64_t cl = (off & QF_ENTRY_OFFSET_MASK) >> c->img->geo.cluster_bits;
	uint64_t stated;

	return !qf_image_refcount(c->img, cl, &stated, NULL) &&
	       stated >= qf_ledger_count(c->recount.ledger, cl, NULL) &&
	       (stated == 1) != copied;
}

static bool look_at(struct work *w, const struct qf_group *grp,
		    const struct qf_run *r, uint32_t i)
{
	const struct qf_image *img = w->c->img;
	uint64_t entry = r->entry + ((uint64_t)i << img->geo.cluster_bits);
	struct turn *t;
	uint32_t v;

	if (!is_wrong(w->c, entry, entry & QF_ENTRY_COPIED))
		return true;
	for (v = 0; v < grp->n; v++) {
		const struct qf_l2_table *l2 =
			&w->c->walk.table[grp->first + v];

		if (!l2->active || qf_fix_shared(w->c, l2->off) ||
		    (r->members && !(r->members[v / 64] >> (v % 64) & 1)))
			continue;
		if (!qf_mem_grow((void **)&w->turn, w->n, &w->room, sizeof(*t)))
			return false;
		t = &w->turn[w->n++];
		t->table_off = l2->off;
		t->l1_index = grp->l1_index;
		t->index = r->index + i;
		t->entry = entry ^ QF_ENTRY_COPIED;
	}
	return true;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct work *w = ctx;
	const struct qf_trouble *tr, *last;
	uint64_t first, at, stop;
	bool ok = true;

	(void)me;
	last = w->c->recount.trouble + w->c->recount.n_troubles;
	for (; ok && n; n--, r++) {
		if (!r->active || r->odd ||
		    (r->kind != QF_ENTRY_KIND_DATA &&
		     r->kind != QF_ENTRY_KIND_ZERO_ALLOC))
			continue;
		first = (r->entry & QF_ENTRY_OFFSET_MASK) >>
			w->c->img->geo.cluster_bits;
		tr = qf_recount_from(&w->c->recount, first);
		for (; ok && tr && tr < last && tr->first < first + r->n;
		     tr++) {
			at = tr->first > first ? tr->first : first;
			stop = tr->first + tr->n;
			if (stop > first + r->n)
				stop = first + r->n;
			for (; ok && at < stop; at++)
				ok = look_at(w, grp, r, (uint32_t)(at - first));
		}
	}
	return ok;
}

static int by_place(const void *pa, const void *pb)
{
	const struct turn *a = pa, *b = pb;

	if (a->table_off != b->table_off)
		return a->table_off < b->table_off ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* The entries [T, END) of one table as one edit. */
static enum qf_err one_table(struct work *w, const struct turn *t,
			     const struct turn *end, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint32_t size = img->geo.l2_entry_bytes;
	uint64_t from = t->table_off + (uint64_t)t->index * size;
	uint64_t bytes = (uint64_t)(end[-1].index - t->index + 1) * size;
	unsigned char *buf = qf_mem_zalloc(1, bytes);
	const struct turn *i;
	struct qf_be64 word;
	enum qf_err err;

	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for an L2 table");
	err = qf_io_read_pad(img->io, buf, bytes, from, why);
	for (i = t; i < end; i++) {
		word = qf_be_put64(i->entry);
		memcpy(buf + (uint64_t)(i->index - t->index) * size, &word, 8);
	}
	if (!err)
		err = qf_plan_put(w->c->plan, QF_P_COPIED_L2, from, buf, bytes,
				  why,
				  "set %zu COPIED flag%s as the refcounts "
				  "demand in the L2 table of L1 entry %" PRIu32,
				  (size_t)(end - t), end - t == 1 ? "" : "s",
				  t->l1_index);
	free(buf);
	return err;
}

static enum qf_err plan_l2(struct work *w, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	size_t i, from;

	if (w->n)
		qsort(w->turn, w->n, sizeof(*w->turn), by_place);
	for (i = 0; !err && i < w->n;) {
		from = i;
		while (i < w->n &&
		       w->turn[i].table_off == w->turn[from].table_off)
			i++;
		err = one_table(w, &w->turn[from], &w->turn[i], why);
	}
	return err;
}

static enum qf_err plan_l1(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_image *img = c->img;
	enum qf_err err = QF_OK;
	uint32_t i, v;
	uint64_t value;

	for (i = 0; !err && i < c->walk.n_groups; i++) {
		const struct qf_group *g = &c->walk.group[i];

		for (v = 0; !err && v < g->n; v++) {
			const struct qf_l2_table *t =
				&c->walk.table[g->first + v];

			if (!t->active || !t->off || t->odd ||
			    qf_fix_shared(c, img->hdr.l1_off +
						     g->l1_index * 8ull) ||
			    !is_wrong(c, t->off, t->copied))
				continue;
			value = t->off | (t->copied ? 0 : QF_ENTRY_COPIED);
			err = qf_plan_put64(
				c->plan, QF_P_COPIED_L1,
				img->hdr.l1_off + g->l1_index * 8ull, value,
				why,
				"set the COPIED flag of the L1 entry as the "
				"refcount demands");
		}
	}
	return err;
}

enum qf_err qf_fix_copied(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct work w = { .c = c };
	struct qf_visitor v = { .ctx = &w, .runs = see_runs };
	enum qf_err err = QF_OK;

	if (qf_fix_found(c, QF_P_COPIED_L1) &&
	    qf_plan_allows(c->plan, QF_P_COPIED_L1))
		err = plan_l1(c, why);
	/* in a data file each entry has it: see fix_entries */
	if (!err && !c->img->geo.data_file && qf_fix_found(c, QF_P_COPIED_L2) &&
	    qf_plan_allows(c->plan, QF_P_COPIED_L2)) {
		err = qf_walk_run(&c->walk, 1, &v, why);
		if (err == QF_ERR_STOPPED)
			err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					 "no memory for the plan");
		if (!err)
			err = plan_l2(&w, why);
	}
	free(w.turn);
	return err;
}
