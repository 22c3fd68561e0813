// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Refcounts that are too high: clusters that nobody refers to are freed. What
 * may belong to a mapping that was lost is withheld.
 */
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "repair/fixes/fix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct work {
	struct qf_fix_ctx *c;
	unsigned char *buf;
	uint64_t first, end; /* the block's clusters */
	uint64_t low, high;  /* changed bytes */
	uint64_t freed, lowered, freed_first;
	/* what counts too often had its other owner behind the cut */
	bool cut_alone;
};

static bool withheld(const struct qf_fix_ctx *c, uint64_t cluster)
{
	uint64_t off = cluster << c->img->geo.cluster_bits;

	if (qf_ranges_has(&c->plan->released, off))
		return false;
	return c->plan->withhold_all || qf_ranges_has(&c->plan->withheld, off);
}

static void lower(struct work *w, uint64_t cluster)
{
	struct qf_fix_ctx *c = w->c;
	uint32_t order = c->img->hdr.refcount_order;
	uint64_t i = cluster - w->first, byte = (i << order) >> 3;
	uint64_t stated = qf_refblock_get(w->buf, order, i);
	uint64_t n = qf_ledger_count(c->recount.ledger, cluster, NULL);

	if (stated <= n || (withheld(c, cluster) && !(n && w->cut_alone)) ||
	    !qf_plan_allows(c->plan,
			    n ? QF_P_REFCOUNT_HIGH : QF_P_REFCOUNT_LEAK))
		return;
	qf_refblock_set(w->buf, order, i, n);
	if (!w->freed && !w->lowered)
		w->freed_first = cluster;
	if (n)
		w->lowered++;
	else
		w->freed++;
	if (byte < w->low)
		w->low = byte;
	if (byte + 8 > w->high)
		w->high = byte + 8;
}

/* The troubles [TR, END) that begin in block I. */
static enum qf_err one_block(struct work *w, uint64_t i,
			     const struct qf_trouble *tr,
			     const struct qf_trouble *end, struct qf_why *why)
{
	const struct qf_image *img = w->c->img;
	uint64_t off = qf_image_refblock(img, i), cl;
	char freed[64] = "", lowered[64] = "";

	if (!off || off & (img->geo.cluster_bytes - 1))
		return QF_OK;
	w->first = i << img->geo.refblock_bits;
	w->end = (i + 1) << img->geo.refblock_bits;
	w->low = UINT64_MAX;
	w->high = w->freed = w->lowered = 0;
	/* what cannot be read is a finding, and left alone */
	if (qf_io_read_pad(img->io, w->buf, img->geo.cluster_bytes, off, NULL))
		return QF_OK;
	for (; tr < end; tr++)
		for (cl = tr->first; cl < tr->first + tr->n && cl < w->end;
		     cl++)
			if (cl >= w->first)
				lower(w, cl);
	if (!w->freed && !w->lowered)
		return QF_OK;
	if (w->high > img->geo.cluster_bytes)
		w->high = img->geo.cluster_bytes;
	if (w->freed)
		snprintf(freed, sizeof(freed),
			 "free %" PRIu64 " cluster%s that nothing uses",
			 w->freed, w->freed == 1 ? "" : "s");
	if (w->lowered)
		snprintf(lowered, sizeof(lowered),
			 "%slower the refcount of %" PRIu64,
			 w->freed ? " and " : "", w->lowered);
	return qf_plan_put(w->c->plan,
			   w->freed ? QF_P_REFCOUNT_LEAK : QF_P_REFCOUNT_HIGH,
			   off + w->low, w->buf + w->low, w->high - w->low, why,
			   "%s%s, from 0x%" PRIx64 " on", freed, lowered,
			   w->freed_first << img->geo.cluster_bits);
}

/* True if the block of entry I is an own cluster, and no one else's. */
static bool block_is_sound(const struct qf_fix_ctx *c, uint64_t i)
{
	uint64_t off = qf_image_refblock(c->img, i);
	unsigned int flags = 0;

	return qf_ledger_count(c->recount.ledger,
			       off >> c->img->geo.cluster_bits, &flags) == 1 &&
	       !(flags & QF_LEDGER_DOUBLE);
}

enum qf_err qf_fix_leaks(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_trouble *tr = c->recount.trouble, *from, *end;
	uint32_t bits = c->img->geo.refblock_bits;
	struct work w = { .c = c };
	enum qf_err err = QF_OK;
	uint64_t i, last;

	if (!c->recount.leaked)
		return QF_OK;
	end = tr + c->recount.n_troubles;
	/* an entry that was erased is another such owner */
	w.cut_alone = c->plan->cut_told && !qf_fix_found(c, QF_P_L1_ERASED);
	w.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	if (!w.buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for a refcount block");
	while (!err && tr < end) {
		from = tr;
		i = tr->first >> bits;
		last = i;
		while (tr < end && tr->first >> bits == i) {
			last = (tr->first + tr->n - 1) >> bits;
			tr++;
		}
		if (block_is_sound(c, i))
			err = one_block(&w, i, from, tr, why);
		/* a run of many may reach into further blocks */
		for (i++; !err && i <= last; i++)
			if (block_is_sound(c, i))
				err = one_block(&w, i, tr - 1, tr, why);
	}
	free(w.buf);
	return err;
}
