// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The snapshot table: a count that says more than there is. What a snapshot
 * that cannot be read held stays allocated.
 */
#include "repair/fix.h"

#include <inttypes.h>
#include <stddef.h>

#define COUNT_OFF offsetof(struct qf_wire_header, nb_snapshots)

static enum qf_err fix_count(struct qf_fix_ctx *c, enum qf_problem p,
			     struct qf_why *why)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	struct qf_be32 n = qf_be_put32(t->n);

	if (!qf_plan_allows(c->plan, p))
		return QF_OK;
	c->plan->snapshots_cut = true;
	return qf_plan_put(c->plan, p, COUNT_OFF, &n, sizeof(n), why,
			   "let the header count the %" PRIu32
			   " snapshots that can be read, instead of %" PRIu32,
			   t->n, t->stated);
}

enum qf_err qf_fix_snapshots(struct qf_fix_ctx *c, struct qf_why *why)
{
	switch (c->img->snapshots.state) {
	case QF_SNAPSHOTS_COUNT:
		return fix_count(c, QF_P_SNAP_COUNT, why);
	case QF_SNAPSHOTS_CUT:
		return fix_count(c, QF_P_SNAP_TABLE_CUT, why);
	case QF_SNAPSHOTS_GARBLED:
		return fix_count(c, QF_P_SNAP_ENTRY_GARBLED, why);
	default:
		return QF_OK;
	}
}
