// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Persistent bitmaps that cannot be loaded are removed, and those that QEMU
 * left in use, if the user says so; the others stay. The guest's data are not touched by that; the next backup is a full one.
 */
#include "lib/base/mem.h"
#include "repair/salvage/extlist.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct work {
	struct qf_fix_ctx *c;
	bool *bad; /* one a bitmap */
	bool dir_bad;
};

static bool see_claim(void *ctx, const struct qf_claim *cl)
{
	struct work *w = ctx;
	uint64_t first, n, i;

	if (cl->kind != QF_REF_BITMAP_TABLE && cl->kind != QF_REF_BITMAP_DATA &&
	    cl->kind != QF_REF_BITMAP_DIR)
		return true;
	n = qf_recount_touched(w->c->img, cl->off, cl->bytes, &first);
	for (i = 0; i < n; i++)
		if (qf_fix_shared(w->c, (first + i)
						<< w->c->img->geo.cluster_bits))
			break;
	if (n && i == n)
		return true;
	if (cl->kind == QF_REF_BITMAP_DIR)
		w->dir_bad = true;
	else
		w->bad[cl->holder] = true;
	return true;
}

static bool see_bad(void *ctx, const struct qf_claim *cl, uint64_t entry)
{
	struct work *w = ctx;

	(void)entry;
	w->bad[cl->holder] = true;
	return true;
}

/* What is unreadable is left alone, and the bitmap with it. */
static bool see_gap(void *ctx, const struct qf_claim *cl, uint64_t off,
		    uint64_t bytes, int sys)
{
	(void)ctx;
	(void)cl;
	(void)off;
	(void)bytes;
	(void)sys;
	return true;
}

static bool cannot_load(const struct qf_bitmap *bm)
{
	return bm->table_state != QF_BITMAP_TABLE_OK ||
	       bm->flags & ~QF_BITMAP_FLAGS_KNOWN ||
	       bm->type != QF_BITMAP_TYPE_DIRTY ||
	       bm->granularity_bits < QF_MIN_GRANULARITY_BITS ||
	       bm->granularity_bits > QF_MAX_GRANULARITY_BITS ||
	       !bm->name_bytes || bm->name_bytes > QF_MAX_BITMAP_NAME ||
	       (bm->extra_bytes && !(bm->flags & QF_BITMAP_EXTRA_COMPATIBLE));
}

/* The finding for which the bitmap goes, if it may; else -1. */
static int told_fault(const struct qf_fix_ctx *c, const struct qf_bitmap *bm)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++) {
		if (f->host_off < bm->entry_off ||
		    f->host_off - bm->entry_off >= bm->entry_bytes)
			continue;
		if ((f->problem == QF_P_BITMAP_SIZE ||
		     f->problem == QF_P_BITMAP_NAME_TWICE ||
		     (f->problem == QF_P_BITMAP_IN_USE &&
		      c->plan->drop_in_use)) &&
		    qf_plan_allows(c->plan, f->problem))
			return (int)f->problem;
	}
	return -1;
}

/* All of them go. */
static enum qf_err drop_all(struct qf_fix_ctx *c, enum qf_problem p,
			    struct qf_why *why)
{
	const struct qf_ext *e = qf_ext_find(&c->img->ext, QF_EXT_BITMAPS);
	enum qf_err err;

	if (!e)
		return QF_OK;
	err = qf_extlist_drop(c, p, e, why);
	return err ? err
		   : qf_extlist_clear_bit(c, p, QF_AUTOCLEAR_BITMAPS,
					  "clear the bitmaps bit", why);
}

/* Writes the directory, in its place, with the good ones alone. */
static enum qf_err keep_good(struct work *w, enum qf_problem p, uint32_t good,
			     struct qf_why *why)
{
	const struct qf_bitmap_dir *d = &w->c->img->bitmaps;
	const struct qf_ext *e = qf_ext_find(&w->c->img->ext, QF_EXT_BITMAPS);
	struct qf_wire_bitmaps_ext x;
	unsigned char *buf = qf_mem_zalloc(1, d->bytes);
	enum qf_err err = QF_OK;
	uint64_t at = 0;
	uint32_t i;

	if (!buf || !e) {
		free(buf);
		return e ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				      "no memory for the bitmap directory")
			 : QF_OK;
	}
	for (i = 0; !err && i < d->n; i++) {
		if (w->bad[i] || d->bm[i].entry_bytes > d->bytes - at)
			continue;
		err = qf_io_read_pad(w->c->img->io, buf + at,
				     d->bm[i].entry_bytes, d->bm[i].entry_off,
				     why);
		at += d->bm[i].entry_bytes;
	}
	memset(&x, 0, sizeof(x));
	x.nb_bitmaps = qf_be_put32(good);
	x.directory_size = qf_be_put64(at);
	x.directory_offset = qf_be_put64(d->off);
	if (!err)
		err = qf_plan_put(w->c->plan, p, d->off, buf, at, why,
				  "write the bitmap directory with the "
				  "%" PRIu32 " bitmaps that are whole",
				  good);
	free(buf);
	return err ? err
		   : qf_plan_put(w->c->plan, p, e->off, &x, sizeof(x), why,
				 "say so in the header");
}

static enum qf_err judge(struct work *w, struct qf_why *why)
{
	struct qf_claim_fns fns = { w, see_claim, see_bad, see_gap };
	const struct qf_bitmap_dir *d = &w->c->img->bitmaps;
	enum qf_problem p = QF_P_BITMAP_DIR;
	enum qf_err err = qf_walk_metadata(w->c->img, &fns);
	uint32_t i, good = 0;
	int told;

	if (err)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look at the bitmaps");
	for (i = 0; i < d->n; i++) {
		told = told_fault(w->c, &d->bm[i]);
		if (told >= 0)
			p = (enum qf_problem)told;
		w->bad[i] |= cannot_load(&d->bm[i]) || told >= 0;
		if (w->bad[i] && d->bm[i].table_state != QF_BITMAP_TABLE_OK)
			p = QF_P_BITMAP_TABLE;
		good += !w->bad[i];
	}
	if (d->state == QF_BITMAPS_OK && good == d->n && !w->dir_bad)
		return QF_OK;
	if (!qf_plan_allows(w->c->plan, p))
		return QF_OK;
	if (!good || w->dir_bad || d->state == QF_BITMAPS_OFFSET)
		return drop_all(w->c, p, why);
	return keep_good(w, p, good, why);
}

enum qf_err qf_fix_bitmaps(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_bitmap_dir *d = &c->img->bitmaps;
	struct work w = { .c = c };
	size_t had = c->plan->n;
	enum qf_err err;

	if (!c->img->ext.has_bitmaps || !c->img->bitmaps_valid ||
	    d->state == QF_BITMAPS_UNREADABLE)
		return QF_OK;
	w.bad = qf_mem_zalloc((size_t)d->n + 1, sizeof(*w.bad));
	if (!w.bad)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look at the bitmaps");
	err = judge(&w, why);
	free(w.bad);
	/* the entry that was bent to a bitmap's cluster had one of its own: a
	 * leak may be it, even when the bitmap is gone */
	if (c->plan->n > had && c->recount.leaked &&
	    qf_fix_found(c, QF_P_DOUBLE_META))
		c->plan->cloned_beside_leaks = true;
	return err;
}
