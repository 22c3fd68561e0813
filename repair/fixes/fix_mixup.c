// SPDX-License-Identifier: GPL-2.0-or-later
/* Puts back two parts of the file that stand in each other's place. */
#include "repair/fixes/fix.h"
#include "repair/plan/decide.h"

static enum qf_err put_back(struct qf_fix_ctx *c, const struct qf_mixup *m,
			    struct qf_why *why)
{
	struct qf_mixup_pieces p;
	enum qf_err err = qf_mixup_undo(c->img, m, &p);
	unsigned int i;

	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "what has changed places cannot be read");
	for (i = 0; !err && i < p.n; i++)
		err = qf_plan_put(c->plan, QF_P_MIXUP, p.at[i].off,
				  p.at[i].bytes, p.at[i].length, why,
				  m->kind == QF_HYPO_VALUE
					  ? "put back what belongs here and "
					    "stands in the other's place"
					  : "put back the header's field, "
					    "which stands in the next one's "
					    "place");
	qf_mixup_free(&p);
	return err;
}

/* The hypothesis of Q that the user's VALUE, or the verdict, means. */
static struct qf_mixup chosen(const struct qf_question *q, uint64_t value)
{
	struct qf_mixup m = qf_mixup_of(&q->h[q->best]);
	unsigned int k;

	for (k = 1; k < q->n; k++)
		if (q->h[k].pointer_off == q->place_off &&
		    q->h[k].value == value)
			m = qf_mixup_of(&q->h[k]);
	/* what fell out may be anything: the user knows it */
	if (m.kind == QF_HYPO_DOWN)
		m.b = value;
	return m;
}

static bool is_answered(const struct qf_fix_ctx *c, const struct qf_question *q,
			uint64_t *value)
{
	return qf_plan_allows(c->plan, QF_P_MIXUP) &&
	       qf_decide(c->plan, c->rep, QF_QUESTION_MIXUP, q->place_off,
			 value, NULL) == QF_DECIDE_VALUE;
}

/* True if what M puts back is the table of snapshots, or may be the header's
 * pointer to it: what was read there were none. */
static bool is_of_snapshots(const struct qf_fix_ctx *c,
			    const struct qf_mixup *m)
{
	uint64_t at = c->img->hdr.snapshots_off;

	return m->a < c->img->geo.cluster_bytes ||
	       (m->kind == QF_HYPO_VALUE && (at == m->a || at == m->b));
}

bool qf_fix_mixup_is_open(const struct qf_fix_ctx *c)
{
	const uint64_t all = qf_witness_bit(QF_WITNESS_MIXUP_WHOLE);
	const struct qf_questions *l = &c->rep->questions;
	const struct qf_question *q = l->at;
	uint64_t value;
	size_t i;

	for (i = 0; i < l->n; i++, q++)
		if (q->kind == QF_QUESTION_MIXUP && q->n > 1 &&
		    q->h[1].said & all && !is_answered(c, q, &value))
			return true;
	return false;
}

enum qf_err qf_fix_mixup(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_questions *l = &c->rep->questions;
	const struct qf_question *q = l->at;
	enum qf_err err = QF_OK;
	struct qf_mixup m;
	uint64_t value;
	size_t i;

	for (i = 0; !err && i < l->n; i++, q++) {
		if (q->kind != QF_QUESTION_MIXUP || !is_answered(c, q, &value))
			continue;
		m = chosen(q, value);
		c->plan->snapshots_relisted |= is_of_snapshots(c, &m);
		err = put_back(c, &m, why);
	}
	return err;
}
