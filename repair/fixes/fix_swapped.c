// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two entries that have changed places, as the guest's own blocks tell: they
 * are exchanged, and nothing else is touched. What both map reads otherwise
 * then; so it takes a proof, or the user's word.
 */
#include "repair/fixes/fix.h"
#include "repair/plan/decide.h"

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the plan");
}

/* False: one of them is another's as well, or cannot be read. */
static bool read_both(const struct qf_fix_ctx *c, uint64_t a, uint64_t b,
		      uint64_t *at_a, uint64_t *at_b)
{
	struct qf_be64 w[2];

	if (qf_fix_shared(c, a) || qf_fix_shared(c, b) ||
	    qf_io_read_pad(c->img->io, &w[0], sizeof(w[0]), a, NULL) ||
	    qf_io_read_pad(c->img->io, &w[1], sizeof(w[1]), b, NULL))
		return false;
	*at_a = qf_be_get64(w[0]);
	*at_b = qf_be_get64(w[1]);
	return true;
}

static enum qf_err exchange(struct qf_fix_ctx *c, const struct qf_question *q,
			    uint64_t value, struct qf_why *why)
{
	const struct qf_hypothesis *h = &q->h[q->n - 1];
	const char *what =
		q->kind == QF_QUESTION_L1_SWAP
			? "exchange two L1 entries: in each other's place, "
			  "all is where the guest's blocks say that it belongs"
			: "exchange two L2 entries: in each other's place, "
			  "both are where the guest's blocks say that they "
			  "belong";
	uint64_t a, b;
	enum qf_err err;

	if (h->kind != QF_HYPO_VALUE || h->value != value ||
	    !read_both(c, q->place_off, h->pointer_off, &a, &b))
		return QF_OK;
	if (!qf_plan_licence(c->plan, q->holder, q->guest_off, q->bytes) ||
	    !qf_plan_licence(c->plan, q->holder, q->other_off, q->bytes))
		return no_memory(why);
	err = qf_plan_put64(c->plan, q->problem, q->place_off, b, why, what);
	if (!err)
		err = qf_plan_put64(c->plan, q->problem, h->pointer_off, a, why,
				    what);
	return err;
}

enum qf_err qf_fix_swapped(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_questions *l = &c->rep->questions;
	const struct qf_question *q = l->at;
	enum qf_err err = QF_OK;
	uint64_t value;
	size_t i;

	for (i = 0; !err && i < l->n; i++, q++)
		if ((q->kind == QF_QUESTION_L1_SWAP ||
		     q->kind == QF_QUESTION_L2_SWAP) &&
		    qf_plan_allows(c->plan, q->problem) &&
		    qf_decide(c->plan, c->rep, q->kind, q->place_off, &value,
			      NULL) == QF_DECIDE_VALUE)
			err = exchange(c, q, value, why);
	return err;
}
