/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fixes share. A fix looks at the image as the plan has it so far
 * (with walk, recount and findings of that state) and plans edits for one kind
 * of damage. The rounds are driven by mend.c: after a fix has planned
 * something, image and facts are read anew before the next one.
 */
#ifndef QF_FIX_H
#define QF_FIX_H

#include "lib/walk/recount.h"
#include "repair/plan/plan.h"

struct qf_fix_ctx {
	struct qf_image *img; /* on the plan's overlay */
	struct qf_walk walk;
	struct qf_recount recount;
	const struct qf_report *rep; /* of this state */
	struct qf_plan *plan;
	struct qf_ledger *beyond;	/* references past the end, or NULL */
	struct qf_refcount_piece *near; /* of img: read before, or NULL */
};

/* The refcount that the image states for CLUSTER; see qf_image_refcount. */
static inline enum qf_err qf_fix_refcount(const struct qf_fix_ctx *c,
					  uint64_t cluster, uint64_t *stated)
{
	return c->near ? qf_image_refcount_near(c->img, c->near, cluster,
						stated, NULL)
		       : qf_image_refcount(c->img, cluster, stated, NULL);
}

typedef enum qf_err qf_fix_fn(struct qf_fix_ctx *c, struct qf_why *why);

qf_fix_fn qf_fix_mixup;
qf_fix_fn qf_fix_geometry;
qf_fix_fn qf_fix_start;
qf_fix_fn qf_fix_header;
qf_fix_fn qf_fix_fields;
qf_fix_fn qf_fix_reftable;
qf_fix_fn qf_fix_l1_size;
qf_fix_fn qf_fix_cut;
qf_fix_fn qf_fix_snapshots;
qf_fix_fn qf_fix_l1_place;
qf_fix_fn qf_fix_bitmaps;
qf_fix_fn qf_fix_placed;
qf_fix_fn qf_fix_l1;
qf_fix_fn qf_fix_unnamed;
qf_fix_fn qf_fix_older;
qf_fix_fn qf_fix_stale;
qf_fix_fn qf_fix_entries;
qf_fix_fn qf_fix_doubles;
qf_fix_fn qf_fix_bent; /* by fix_doubles, before it parts what is left */
qf_fix_fn qf_fix_packed;
qf_fix_fn qf_fix_refcounts;
qf_fix_fn qf_fix_copied;
qf_fix_fn qf_fix_leaks;
qf_fix_fn qf_fix_bits;
qf_fix_fn qf_fix_swapped;

/* True if parts of the file have changed places, and which is open: all that
 * the tables say may be of other places, and nothing can be repaired. */
bool qf_fix_mixup_is_open(const struct qf_fix_ctx *c);

/*
 * True if the cluster at OFF has two owners: an edit there would change what
 * the other one holds.
 */
static inline bool qf_fix_shared(const struct qf_fix_ctx *c, uint64_t off)
{
	unsigned int flags = 0;

	qf_ledger_count(c->recount.ledger, off >> c->img->geo.cluster_bits,
			&flags);
	return flags & QF_LEDGER_DOUBLE;
}

/* True if a finding of P is there. */
static inline bool qf_fix_found(const struct qf_fix_ctx *c, enum qf_problem p)
{
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++)
		if (c->rep->findings.at[i].problem == p)
			return true;
	return false;
}

/* True if clusters can be taken: without the refcount table, a new one would
 * count as free. */
static inline bool qf_fix_can_take(const struct qf_fix_ctx *c)
{
	return c->img->reftable_state != QF_PART_UNREADABLE;
}

/* True if the check found that the L2 table at OFF holds something else. */
static inline bool qf_fix_garbage(const struct qf_fix_ctx *c, uint64_t off)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem == QF_P_L2_GARBAGE && f->host_off <= off &&
		    off < f->host_off + f->length)
			return true;
	return false;
}

#endif
