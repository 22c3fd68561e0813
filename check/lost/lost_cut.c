// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the last cluster of the file lacks, if the file ends within it. A table
 * is always written whole. A data cluster may be partial, and reads as zeros
 * there; but not in a file of which more is missing.
 */
#include "check/lost/lost.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"

#include <inttypes.h>

#define SECTOR 512u

/* -- tables -- */

static void cut_table(struct qf_pass_ctx *c, const struct qf_group *g,
		      const struct qf_l2_table *t)
{
	const struct qf_geometry *geo = &c->img->geo;
	uint64_t kept = (c->img->io->size - t->off) / geo->l2_entry_bytes;
	uint64_t n = geo->l2_entries - kept;
	struct qf_finding *f = qf_pass_at(c, QF_P_L2_CUT,
					  t->off + kept * geo->l2_entry_bytes,
					  n * geo->l2_entry_bytes);

	qf_finding_unseen(f);
	f->guest_off = qf_pass_guest(c->img, g->l1_index, kept);
	qf_finding_say(f,
		       "%" PRIu64 " of the %" PRIu64
		       " entries of the table at 0x%" PRIx64
		       " are not in the file; they stand for guest offset "
		       "0x%" PRIx64 " and on",
		       n, (uint64_t)geo->l2_entries, t->off, f->guest_off);
	qf_pass_own_table(c, f, g->l1_index, t);
	qf_lost_for_table(c, g->l1_index, t->off, f->guest_off,
			  n << geo->cluster_bits);
}

/* True if what stands at OFF is a table, and no one else's cluster. */
static bool is_table(const struct qf_pass_ctx *c, uint64_t off)
{
	const struct qf_trouble *tr =
		qf_recount_at(&c->recount, off >> c->img->geo.cluster_bits);

	return !(tr && tr->why & QF_TROUBLE_DOUBLE) &&
	       !qf_detail_holds_garbage(&c->detail, off);
}

static void cut_tables(struct qf_pass_ctx *c)
{
	uint64_t size = c->img->io->size, left;
	const struct qf_l2_table *t;
	const struct qf_group *g;
	uint32_t i, v;

	for (i = 0; i < c->walk.n_groups; i++) {
		g = &c->walk.group[i];
		for (v = 0; v < g->n; v++) {
			t = &c->walk.table[g->first + v];
			left = t->off < size ? size - t->off : 0;
			if (t->off && left &&
			    left < c->img->geo.cluster_bytes && !t->odd &&
			    is_table(c, t->off))
				cut_table(c, g, t);
		}
	}
}

/* -- data -- */

struct data {
	struct qf_pass_ctx *c;
	uint64_t last; /* offset of the last cluster */
};

/* The part of R's bytes that is not in the file, from *GUEST of it on. */
static uint64_t missing(const struct data *d, const struct qf_run *r,
			uint64_t *from)
{
	const struct qf_geometry *g = &d->c->img->geo;
	uint64_t size = d->c->img->io->size, off, bytes;

	if (r->kind == QF_ENTRY_KIND_COMPRESSED) {
		/* its last sector need not be there */
		qf_entry_compressed(g, r->entry, &off, &bytes);
		*from = 0;
		return off < size && off + bytes >= size + SECTOR
			       ? g->cluster_bytes
			       : 0;
	}
	off = r->entry & QF_ENTRY_OFFSET_MASK;
	if (r->kind != QF_ENTRY_KIND_DATA || off > d->last ||
	    d->last - off >= (uint64_t)r->n << g->cluster_bits)
		return 0;
	*from = size - off;
	return d->last + g->cluster_bytes - size;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct data *d = ctx;
	const struct qf_l2_table *t;
	uint64_t bytes, from;
	uint32_t v;

	(void)me;
	for (; n; n--, r++) {
		bytes = r->odd ? 0 : missing(d, r, &from);
		for (v = 0; bytes && v < grp->n; v++) {
			t = &d->c->walk.table[grp->first + v];
			if (r->members && !(r->members[v / 64] >> v % 64 & 1))
				continue;
			qf_lost_for_table(d->c, grp->l1_index, t->off,
					  qf_pass_guest(d->c->img,
							grp->l1_index,
							r->index) +
						  from,
					  bytes);
		}
	}
	return true;
}

enum qf_err qf_lost_cut(struct qf_pass_ctx *c)
{
	uint64_t size = c->img->io->size;
	struct data d = { .c = c };
	struct qf_visitor v = { .ctx = &d, .runs = see_runs };

	d.last = size & ~(c->img->geo.cluster_bytes - 1);
	if (d.last == size || c->img->io->block_dev)
		return QF_OK;
	cut_tables(c);
	if (!qf_cut_is_sure(c) || c->img->geo.data_file)
		return QF_OK;
	return qf_walk_run(&c->walk, 1, &v, NULL);
}
