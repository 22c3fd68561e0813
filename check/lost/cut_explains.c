// SPDX-License-Identifier: GPL-2.0-or-later
/* How much of what is wrong comes from the file's end being gone. */
#include "check/lost/cut_off.h"
#include "check/passes/pass.h"

/* True if the table went with the file's end. */
static bool took_table(const struct qf_pass_ctx *c, const struct qf_l2_table *t)
{
	return t->odd == QF_ODD_PAST_END && qf_cut_took(c->cut, t->off);
}

bool qf_cut_is_sure(const struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint64_t i;
	size_t k;

	if (!c->cut->gone.n)
		return false;
	for (i = 0; i < c->walk.n_tables; i++)
		if (took_table(c, &c->walk.table[i]))
			return true;
	for (k = 0; k < c->detail.n_damages; k++)
		if (c->detail.damage[k].cut_off)
			return true;
	for (k = 0; k < s->n; k++)
		if (qf_cut_took(c->cut, s->snap[k].l1_off))
			return true;
	return s->stated && qf_cut_took(c->cut, s->off);
}

bool qf_cut_took_snapshots(const struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	const struct qf_snapshot *sn;
	uint32_t i;

	if (s->state == QF_SNAPSHOTS_CUT ||
	    (s->state == QF_SNAPSHOTS_OFFSET && qf_cut_took(c->cut, s->off)))
		return true;
	for (i = 0; i < s->n; i++) {
		sn = &s->snap[i];
		if (qf_cut_took(c->cut, sn->l1_off) ||
		    (sn->l1_off < c->cut->end &&
		     sn->l1_off + sn->l1_entries * 8ull > c->cut->end))
			return true;
	}
	return false;
}

/* True if all entries of L1 and L2 tables that are odd are right. */
static bool explains_entries(const struct qf_pass_ctx *c)
{
	const struct qf_damage *d = c->detail.damage;
	uint64_t i;
	size_t k;

	for (i = 0; i < c->walk.n_tables; i++)
		if ((c->walk.table[i].odd &&
		     !took_table(c, &c->walk.table[i])) ||
		    !c->walk.table[i].off || c->walk.table[i].unread)
			return false;
	for (k = 0; k < c->detail.n_damages; k++)
		if (d[k].entries != d[k].cut_off || d[k].foreign)
			return false;
	return true;
}

/*
 * True if nothing says that a table without a name was the active disk's: one
 * whose clusters bear the flag of its own was, and one that counts more owners
 * than there were snapshots. Such a table is a way to the disk's data, and no
 * cut of snapshots explains it.
 */
static bool are_of_snapshots(const struct qf_pass_ctx *c)
{
	const struct qf_orphan *o = c->lost.orphan;
	const struct qf_trouble *tr;
	size_t i;

	for (i = 0; i < c->lost.n_orphans; i++, o++) {
		tr = qf_recount_at(&c->recount,
				   o->off >> c->img->geo.cluster_bits);
		if (o->owned || (tr && tr->stated > c->img->snapshots.stated))
			return false;
	}
	return true;
}

static bool explains(const struct qf_pass_ctx *c, enum qf_problem p)
{
	switch (p) {
	case QF_P_L1_OUTSIDE:
	case QF_P_L2_OUTSIDE:
	case QF_P_L2_CUT:
	case QF_P_REFTABLE_OUTSIDE:
	case QF_P_HEADER_REFTABLE_OUTSIDE:
	case QF_P_REFCOUNT_LEAK:
	case QF_P_REFCOUNT_HIGH:
	case QF_P_REFCOUNT_WITHHELD:
	case QF_P_REFCOUNT_LOW:
	case QF_P_REFCOUNT_ZERO:
	case QF_P_REFBLOCK_WRONG:
	case QF_P_COPIED_L1:
	case QF_P_COPIED_L2:
	case QF_P_OUTSIDE: /* bitmaps: no guest data are in them */
	case QF_P_BITMAP_DIR:
	case QF_P_BITMAP_TABLE:
	case QF_P_BITMAP_ENTRY:
		return true;
	case QF_P_SNAP_TABLE_CUT:
	case QF_P_SNAP_TABLE_OFFSET:
	case QF_P_SNAP_L1_OUTSIDE:
		return qf_cut_took_snapshots(c);
	case QF_P_L2_ORPHAN:
		return qf_cut_took_snapshots(c) && are_of_snapshots(c);
	case QF_P_HEADER_L1_OUTSIDE: /* with a file in which nothing stands */
		return c->img->l1_state == QF_PART_OK && !c->recount.leaked;
	default:
		return false;
	}
}

static bool found(const struct qf_pass_ctx *c, enum qf_problem p)
{
	size_t i;

	for (i = 0; i < c->out->n; i++)
		if (c->out->at[i].problem == p)
			return true;
	return false;
}

bool qf_cut_explains(const struct qf_pass_ctx *c)
{
	const struct qf_finding *f = c->out->at;
	size_t i;

	if (c->cut->uncounted || !explains_entries(c))
		return false;
	for (i = 0; i < c->out->n; i++, f++)
		if (qf_problem_get(f->problem)->severity >= QF_SEV_LEAK &&
		    !explains(c, f->problem))
			return false;
	return qf_cut_is_sure(c) || found(c, QF_P_L2_CUT) ||
	       found(c, QF_P_HEADER_L1_OUTSIDE);
}
