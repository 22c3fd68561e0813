// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The header's pointer to the refcount table. A table that nobody names, and
 * whose blocks count every cluster that is in use, is the one: then nothing
 * needs to be counted anew.
 */
#include "lib/base/mem.h"
#include "lib/format/refblock.h"
#include "repair/fixes/fix.h"
#include "repair/search/stale.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define REFTABLE_OFF offsetof(struct qf_wire_header, refcount_table_offset)
/* Blocks that are read of all candidates together. */
#define MAX_BLOCKS 65536u

struct search {
	const struct qf_fix_ctx *c;
	unsigned char *block;
	uint64_t found, left;
	unsigned int n;
};

/* True if nobody refers to the cluster at OFF, which is in the file. */
static bool is_unnamed(const struct qf_fix_ctx *c, uint64_t off)
{
	return !(off & (c->img->geo.cluster_bytes - 1)) &&
	       off < c->img->io->size &&
	       !qf_ledger_count(c->recount.ledger,
				off >> c->img->geo.cluster_bits, NULL);
}

/* True if the block at OFF (0: none), number I, counts all in use. TABLE, where
 * it lies in the block's part of the file, must be counted once. */
static bool counts_all(struct search *s, uint64_t i, uint64_t off,
		       uint64_t table)
{
	const struct qf_image *img = s->c->img;
	uint64_t first = i << img->geo.refblock_bits, cl, n;
	uint64_t own[2] = { table >> img->geo.cluster_bits,
			    off >> img->geo.cluster_bits };
	uint64_t k, counted;

	if (!s->left)
		return false;
	s->left--;
	memset(s->block, 0, img->geo.cluster_bytes);
	if (off && qf_io_read_pad(img->io, s->block, img->geo.cluster_bytes,
				  off, NULL))
		return false;
	n = 1ull << img->geo.refblock_bits;
	for (k = 0; k < n && first + k < s->c->recount.clusters; k++) {
		cl = first + k;
		counted = qf_refblock_get(s->block, img->hdr.refcount_order, k);
		if (!counted && qf_ledger_count(s->c->recount.ledger, cl, NULL))
			return false;
		if (off && (cl == own[0] || cl == own[1]) && counted != 1)
			return false;
	}
	return true;
}

/* True if BUF, the cluster at OFF, is a refcount table. */
static bool is_table(struct search *s, uint64_t off, const struct qf_be64 *buf)
{
	const struct qf_geometry *g = &s->c->img->geo;
	uint64_t blocks =
		qf_mem_div_up(s->c->recount.clusters, 1ull << g->refblock_bits);
	uint64_t n = g->cluster_bytes / 8, i, entry;

	for (i = 0; i < n; i++) {
		entry = qf_be_get64(buf[i]);
		if (entry & ~QF_REFT_OFFSET_MASK ||
		    (entry && !is_unnamed(s->c, entry)) || (!i && !entry))
			return false;
	}
	for (i = 0; i < n && i < blocks; i++)
		if (!counts_all(s, i, qf_be_get64(buf[i]), off))
			return false;
	return blocks <= n;
}

static bool see_cluster(void *ctx, uint64_t off, const struct qf_be64 *buf)
{
	struct search *s = ctx;

	if (!is_table(s, off, buf))
		return s->left;
	s->found = off;
	return ++s->n < 2 && s->left;
}

/* True if the header does not lead to a refcount table. */
static bool is_astray(const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	unsigned int flags = 0;

	if (qf_fix_found(c, QF_P_HEADER_REFTABLE_OFFSET) ||
	    qf_fix_found(c, QF_P_HEADER_REFTABLE_OUTSIDE))
		return true;
	qf_ledger_count(c->recount.ledger,
			img->hdr.reftable_off >> img->geo.cluster_bits, &flags);
	return flags & QF_LEDGER_DOUBLE;
}

enum qf_err qf_fix_reftable(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct search s = { .c = c, .left = MAX_BLOCKS };
	enum qf_problem p = qf_fix_found(c, QF_P_HEADER_REFTABLE_OUTSIDE)
				    ? QF_P_HEADER_REFTABLE_OUTSIDE
				    : QF_P_HEADER_REFTABLE_OFFSET;
	enum qf_err err;
	bool all = false;

	/* a longer table than one cluster is rebuilt */
	if (c->img->hdr.reftable_clusters != 1 || !is_astray(c) ||
	    c->img->reftable_state == QF_PART_UNREADABLE ||
	    !qf_plan_allows(c->plan, p))
		return QF_OK;
	s.block = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	if (!s.block)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look for the refcount table");
	err = qf_stale_scan(c, true, see_cluster, &s, &all, why);
	free(s.block);
	if (err || !all || s.n != 1 || !s.left)
		return err;
	return qf_plan_put64(c->plan, p, REFTABLE_OFF, s.found, why,
			     "point the header to the only refcount table that "
			     "counts every cluster in use");
}
