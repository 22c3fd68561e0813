// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 entries that were bent to a cluster that others own: as the verdicts have
 * it, they are pointed back to the one that they had.
 */
#include "repair/fixes/fix.h"
#include "repair/plan/decide.h"

/* So many holders of one table are given a licence. */
#define MAX_HOLDERS 256u

/* The flag of the entry at OFF by which it reads as zeros: it goes on doing so,
 * and the data that it does not show stay its own. */
static uint64_t zero_flag(const struct qf_fix_ctx *c, uint64_t off)
{
	struct qf_be64 w = { 0 };

	if (c->img->geo.extl2 ||
	    qf_io_read_pad(c->img->io, &w, sizeof(w), off, NULL))
		return 0;
	return qf_be_get64(w) & QF_ENTRY_ZERO;
}

/* What the bent entry of Q maps may read otherwise from now on, for everybody
 * whose table it is in: so the verdict says, also of one that came to light
 * only when others had been put right. */
static bool licence(struct qf_fix_ctx *c, const struct qf_question *q)
{
	const struct qf_geometry *g = &c->img->geo;
	uint32_t l1_index =
		(uint32_t)(q->guest_off >> (g->l2_bits + g->cluster_bits));
	uint64_t table = q->place_off & ~(g->cluster_bytes - 1);
	uint32_t holder[MAX_HOLDERS], n, i;
	bool ok = true;

	n = qf_walk_holders(&c->walk, l1_index, table, holder, MAX_HOLDERS);
	for (i = 0; ok && i < n && i < MAX_HOLDERS; i++)
		ok = qf_plan_licence(c->plan, holder[i], q->guest_off,
				     q->bytes);
	return ok;
}

enum qf_err qf_fix_bent(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_questions *l = &c->rep->questions;
	enum qf_err err = QF_OK;
	uint64_t at, value;
	size_t i;

	for (i = 0; !err && i < l->n; i++) {
		at = l->at[i].place_off;
		if (l->at[i].kind != QF_QUESTION_CLAIM ||
		    !qf_plan_allows(c->plan, l->at[i].problem) ||
		    qf_fix_shared(c, at) || qf_fix_garbage(c, at) ||
		    qf_decide(c->plan, c->rep, QF_QUESTION_CLAIM, at, &value,
			      NULL) != QF_DECIDE_VALUE)
			continue;
		/* a sound word: COPIED follows from the refcounts */
		err = qf_plan_put64(c->plan, l->at[i].problem, at,
				    value | zero_flag(c, at), why,
				    "point an L2 entry that was bent back to "
				    "the cluster that it had");
		if (!err && !licence(c, &l->at[i]))
			err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					 "no memory for the plan");
	}
	return err;
}
