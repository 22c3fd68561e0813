// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Refcounts that are too low, and blocks and tables that cannot stay where
 * they are. What two owners share by mistake is not blessed by a higher
 * refcount: that is for fix_doubles to part first.
 */
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "repair/plan/rebuild.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is done to one block. */
struct work {
	struct qf_rebuild *r;
	unsigned char *buf; /* the block */
	uint64_t block, first, end;
	uint64_t changed, low, zero; /* changed bytes: [low, high) */
	uint64_t high;
};

static void set(struct work *w, uint64_t cluster, uint64_t value)
{
	const struct qf_image *img = w->r->c->img;
	uint32_t order = img->hdr.refcount_order;
	uint64_t i = cluster - w->first, byte = (i << order) >> 3;
	uint64_t old;

	if (value > img->geo.refcount_max)
		value = img->geo.refcount_max;
	old = qf_refblock_get(w->buf, order, i);
	if (old == value)
		return;
	qf_refblock_set(w->buf, order, i, value);
	w->changed++;
	w->zero += !old;
	if (byte < w->low)
		w->low = byte;
	if (byte + 8 > w->high)
		w->high = byte + 8;
}

/* The clusters that the plan took and that nothing refers to yet. */
static void set_fresh(struct work *w)
{
	struct qf_fix_ctx *c = w->r->c;
	uint32_t bits = c->img->geo.cluster_bits;
	const struct qf_range *f;
	uint64_t at = w->first << bits, cl, stop;

	while ((f = qf_ranges_from(&c->plan->fresh, at)) &&
	       f->off >> bits < w->end) {
		cl = f->off >> bits;
		stop = (f->off + f->len) >> bits;
		at = f->off + f->len;
		if (cl < w->first)
			cl = w->first;
		for (; cl < stop && cl < w->end; cl++)
			if (!qf_ledger_count(c->recount.ledger, cl, NULL))
				set(w, cl, 1);
	}
}

/*
 * True if the active disk maps nothing at all. Where refcounts are lost as
 * well, that is hardly an empty disk: something went over both.
 */
static bool maps_nothing(const struct qf_fix_ctx *c)
{
	uint64_t i;

	for (i = 0; i < c->walk.n_tables; i++)
		if (c->walk.table[i].active)
			return false;
	return c->img->l1_state == QF_PART_OK && c->img->hdr.l1_entries &&
	       !c->img->geo.data_file;
}

/* Keeps the clusters [CL, END) that nobody has. */
static void keep(struct work *w, uint64_t cl, uint64_t end)
{
	struct qf_fix_ctx *c = w->r->c;
	uint32_t bits = c->img->geo.cluster_bits;

	for (; cl < end; cl++) {
		if (qf_ledger_count(c->recount.ledger, cl, NULL) ||
		    qf_ranges_has(&c->plan->fresh, cl << bits))
			continue;
		set(w, cl, 1);
		c->plan->kept_unowned = true;
	}
}

/* What was stated is lost, and with it what lost tables led to: each cluster
 * of the file that is no hole is kept, so that it can be looked at. */
static void keep_unowned(struct work *w)
{
	struct qf_fix_ctx *c = w->r->c;
	uint64_t size = c->img->geo.cluster_bytes, at, end, next;
	uint32_t bits = c->img->geo.cluster_bits;

	at = w->first << bits;
	end = w->end < c->recount.clusters ? w->end : c->recount.clusters;
	for (end <<= bits; at < end; at = next) {
		if (qf_io_extent(c->img->io, at, end, &next) == QF_IO_DATA) {
			next = qf_mem_round_up(next, size);
			keep(w, at >> bits, (next < end ? next : end) >> bits);
		} else if (next - at < size) { /* data begin within it */
			next = at + size;
			keep(w, at >> bits, next >> bits);
		} else {
			next -= next % size;
		}
	}
}

static bool is_erased(const struct work *w)
{
	uint64_t n = w->r->c->img->geo.cluster_bytes;

	return !w->buf[0] && !memcmp(w->buf, w->buf + 1, (size_t)n - 1);
}

/* A block that is written anew, from the references alone. */
static void count_anew(struct work *w)
{
	struct qf_fix_ctx *c = w->r->c;
	uint64_t cl, n, file = c->recount.clusters;
	unsigned int flags;

	for (cl = w->first; cl < w->end; cl++) {
		n = qf_ledger_count(c->recount.ledger, cl, &flags);
		if (flags & QF_LEDGER_DOUBLE)
			n = 1;
		/* what was stated is lost: keep what may be someone's */
		if (!n && cl < file && c->plan->withhold_all)
			n = 1;
		if (n)
			set(w, cl, n);
	}
}

/*
 * True if a cluster that has owners may count fewer: nothing is lost. It is
 * done together with what is raised; for highs alone, without the lows that
 * make them doubtful, would read as the traces of something that was lost.
 */
static bool may_lower(const struct qf_fix_ctx *c, uint64_t cluster, uint64_t n)
{
	return n && !c->plan->withhold_all &&
	       qf_plan_allows(c->plan, QF_P_REFCOUNT_HIGH) &&
	       !qf_ranges_has(&c->plan->withheld,
			      cluster << c->img->geo.cluster_bits);
}

/* Puts right what is too low in a block that stays, and in passing what is
 * too high. */
static void put_right(struct work *w)
{
	struct qf_fix_ctx *c = w->r->c;
	const struct qf_trouble *tr = qf_recount_from(&c->recount, w->first);
	const struct qf_trouble *end =
		tr ? c->recount.trouble + c->recount.n_troubles : NULL;
	uint32_t order = c->img->hdr.refcount_order;
	bool nameless = c->plan->withhold_all &&
			qf_fix_found(c, QF_P_L2_ORPHAN);
	uint64_t cl, stop, n, stated;
	unsigned int flags;

	for (; tr && tr < end && tr->first < w->end; tr++) {
		if (!(tr->why & QF_TROUBLE_REFCOUNT))
			continue;
		cl = tr->first > w->first ? tr->first : w->first;
		stop = tr->first + tr->n < w->end ? tr->first + tr->n : w->end;
		for (; cl < stop; cl++) {
			n = qf_ledger_count(c->recount.ledger, cl, &flags);
			stated = qf_refblock_get(w->buf, order, cl - w->first);
			if (flags & QF_LEDGER_DOUBLE ||
			    (n <= stated && !may_lower(c, cl, n)))
				continue;
			set(w, cl, n);
			/* that a table counts as free may be all that tells
			 * that another one, without a name, was meant */
			c->plan->kept_unowned |= nameless && !stated;
		}
	}
}

/* True if the check has told the block at OFF as wrong throughout: then that is
 * what it is mended for. */
static bool is_told_whole(const struct qf_fix_ctx *c, uint64_t off)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem == QF_P_REFBLOCK_WRONG && f->host_off <= off &&
		    off < f->host_off + f->length)
			return true;
	return false;
}

static enum qf_err plan_block(struct work *w, bool anew, struct qf_why *why)
{
	const struct qf_image *img = w->r->c->img;
	struct qf_plan *p = w->r->c->plan;
	uint64_t off = w->r->off[w->block], start;
	enum qf_problem problem;

	start = w->first << img->geo.cluster_bits;
	if (anew)
		return qf_plan_put(
			p, w->r->problem[w->block], off, w->buf,
			img->geo.cluster_bytes, why,
			"write the refcount block for the clusters from "
			"0x%" PRIx64 " on, counted from the tables, to a "
			"place of its own",
			start);
	problem = is_told_whole(w->r->c, off) ? QF_P_REFBLOCK_WRONG
		  : w->zero		      ? QF_P_REFCOUNT_ZERO
					      : QF_P_REFCOUNT_LOW;
	if (!qf_plan_allows(p, problem))
		return QF_OK;
	if (w->high > img->geo.cluster_bytes)
		w->high = img->geo.cluster_bytes;
	return qf_plan_put(p, problem, off + w->low, w->buf + w->low,
			   w->high - w->low, why,
			   "set %" PRIu64 " refcount%s in the block for the "
			   "clusters from 0x%" PRIx64 " on",
			   w->changed, w->changed == 1 ? "" : "s", start);
}

static enum qf_err one_block(struct work *w, uint64_t i, struct qf_why *why)
{
	const struct qf_geometry *g = &w->r->c->img->geo;
	bool anew = w->r->fate[i] == QF_BLOCK_NEW;
	enum qf_err err = QF_OK;
	bool erased;

	w->block = i;
	w->first = i << g->refblock_bits;
	w->end = (i + 1) << g->refblock_bits;
	w->changed = w->zero = w->high = 0;
	w->low = UINT64_MAX;
	if (anew)
		memset(w->buf, 0, g->cluster_bytes);
	else
		err = qf_io_read_pad(w->r->c->img->io, w->buf, g->cluster_bytes,
				     w->r->off[i], why);
	if (err)
		return err;
	erased = is_erased(w);
	if (anew)
		count_anew(w);
	else
		put_right(w);
	if (erased && maps_nothing(w->r->c))
		keep_unowned(w);
	set_fresh(w);
	return w->changed || anew ? plan_block(w, anew, why) : QF_OK;
}

static enum qf_err plan_new_table(struct qf_rebuild *r, struct qf_why *why)
{
	const struct qf_image *img = r->c->img;
	uint64_t bytes = r->table_clusters << img->geo.cluster_bits, i;
	struct qf_be64 *table = qf_mem_zalloc(1, bytes);
	unsigned char ptr[12];
	struct qf_be64 off = qf_be_put64(r->table_off);
	struct qf_be32 n = qf_be_put32((uint32_t)r->table_clusters);
	enum qf_err err;

	if (!table)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the refcount table");
	for (i = 0; i < r->n && i < bytes / 8; i++)
		table[i] = qf_be_put64(r->off[i]);
	err = qf_plan_put(r->c->plan, r->table_problem, r->table_off, table,
			  bytes, why,
			  "write a new refcount table of %" PRIu64 " clusters",
			  r->table_clusters);
	free(table);
	memcpy(ptr, &off, 8);
	memcpy(ptr + 8, &n, 4);
	if (!err)
		err = qf_plan_put(r->c->plan, r->table_problem, 48, ptr, 12,
				  why, "point the header to it");
	return err;
}

/* Empties the refcount table's entries from I to END, all of them at once. */
static enum qf_err empty_entries(struct qf_rebuild *r, uint64_t i, uint64_t end,
				 struct qf_why *why)
{
	uint64_t bytes = (end - i) * 8;
	void *zeros = qf_mem_zalloc(1, bytes);
	enum qf_err err;

	if (!zeros)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the refcount table");
	err = qf_plan_put(r->c->plan, r->problem[i],
			  r->c->img->hdr.reftable_off + i * 8, zeros, bytes,
			  why, "empty %" PRIu64 " refcount table entr%s",
			  end - i, end - i == 1 ? "y" : "ies");
	free(zeros);
	return err;
}

static enum qf_err plan_entries(struct qf_rebuild *r, struct qf_why *why)
{
	uint64_t n = r->c->img->reftable_entries, i, end;
	enum qf_err err = QF_OK;

	if (n > r->n)
		n = r->n;
	for (i = 0; !err && i < n; i = end) {
		end = i + 1;
		if (r->fate[i] == QF_BLOCK_NEW)
			err = qf_plan_put64(r->c->plan, r->problem[i],
					    r->c->img->hdr.reftable_off + i * 8,
					    r->off[i], why,
					    "point the refcount table entry to "
					    "it");
		if (r->fate[i] != QF_BLOCK_DROP)
			continue;
		while (end < n && r->fate[end] == QF_BLOCK_DROP)
			end++;
		err = empty_entries(r, i, end, why);
	}
	return err;
}

/* What nobody has a use for once the new structures stand. What an entry led
 * to that is dropped was no block; and the table ends with its last sound
 * entry: what a damaged length adds may be what others have lost. */
static bool release_old(struct qf_rebuild *r)
{
	struct qf_image *img = r->c->img;
	uint64_t size = img->geo.cluster_bytes, i, off, entries = 1;
	struct qf_ranges *rel = &r->c->plan->released;

	for (i = 0; i < img->reftable_entries; i++) {
		off = qf_image_refblock(img, i) & ~(size - 1);
		if (!off || r->fate[i] == QF_BLOCK_DROP)
			continue;
		entries = i + 1;
		if (off != r->off[i] && off < img->io->size &&
		    !qf_ranges_add(rel, off, size))
			return false;
	}
	return !r->new_table || img->reftable_state != QF_PART_OK ||
	       qf_ranges_add(rel, img->hdr.reftable_off,
			     qf_mem_round_up(entries * 8, size));
}

/* True if everything that would be done is allowed. */
static bool may(const struct qf_rebuild *r)
{
	const struct qf_plan *p = r->c->plan;
	uint64_t i;

	if (!qf_plan_allows(p, QF_P_REFCOUNT_LOW) ||
	    !qf_plan_allows(p, QF_P_REFCOUNT_ZERO) ||
	    (r->new_table && !qf_plan_allows(p, r->table_problem)))
		return false;
	for (i = 0; i < r->n; i++)
		if (r->problem[i] &&
		    !qf_plan_allows(p, (enum qf_problem)r->problem[i]))
			return false;
	return true;
}

/* True if there is anything to do at all. */
static bool needed(const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	const struct qf_trouble *tr = c->recount.trouble;
	size_t i;

	if (img->reftable_state == QF_PART_UNREADABLE)
		return false;
	if (img->reftable_state != QF_PART_OK || c->recount.too_low ||
	    qf_fix_found(c, QF_P_REFTABLE_RESERVED) ||
	    qf_fix_found(c, QF_P_REFTABLE_UNALIGNED) ||
	    qf_fix_found(c, QF_P_REFTABLE_OUTSIDE) ||
	    qf_fix_found(c, QF_P_REFBLOCK_SHARED))
		return true;
	for (i = 0; i < c->recount.n_troubles; i++, tr++)
		if (tr->why & (QF_TROUBLE_DOUBLE | QF_TROUBLE_UNKNOWN))
			return true;
	return false;
}

static int by_offset(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* True if refcount blocks share clusters with one another alone: they are
 * counted anew, and what no entry names any more is one of them. */
static bool is_among_blocks(const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t *off = qf_mem_zalloc(img->reftable_entries, sizeof(*off));
	uint64_t n = 0, i, k;
	bool alone = off != NULL;

	for (i = 0; off && i < img->reftable_entries; i++)
		if (qf_image_refblock(img, i) &&
		    qf_image_refblock(img, i) < img->io->size)
			off[n++] = qf_image_refblock(img, i);
	if (n)
		qsort(off, n, sizeof(*off), by_offset);
	for (i = 0; alone && i < n; i += k) {
		for (k = 1; i + k < n && off[i + k] == off[i]; k++)
			;
		alone = qf_ledger_count(c->recount.ledger,
					off[i] >> img->geo.cluster_bits,
					NULL) == k;
	}
	free(off);
	return alone;
}

enum qf_err qf_fix_refcounts(struct qf_fix_ctx *c, struct qf_why *why)
{
	uint64_t bytes = c->img->geo.cluster_bytes, i;
	struct qf_rebuild r = { 0 };
	struct work w = { .r = &r };
	enum qf_err err;

	if (!needed(c) || !qf_plan_allows(c->plan, QF_P_REFCOUNT_LOW))
		return QF_OK;
	err = qf_rebuild_judge(c, &r, why);
	if (!err && !may(&r))
		goto out;
	if (!err)
		err = qf_rebuild_place(&r, why);
	w.buf = err ? NULL : qf_mem_zalloc(1, bytes);
	if (!err && !w.buf)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for a refcount block");
	for (i = 0; !err && i < r.n; i++)
		if (r.fate[i] == QF_BLOCK_KEEP || r.fate[i] == QF_BLOCK_NEW)
			err = one_block(&w, i, why);
	if (!err)
		err = r.new_table ? plan_new_table(&r, why)
				  : plan_entries(&r, why);
	if (!err && !release_old(&r))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the plan");
	/* the pointer that stood on a refcount structure had a cluster of its
	 * own before: a leak may be it, even when they are parted */
	if (!err && c->recount.leaked &&
	    ((qf_fix_found(c, QF_P_REFBLOCK_SHARED) && !is_among_blocks(c)) ||
	     qf_fix_found(c, QF_P_DOUBLE_META)))
		c->plan->cloned_beside_leaks = true;
out:
	free(w.buf);
	qf_rebuild_free(&r);
	return err;
}
