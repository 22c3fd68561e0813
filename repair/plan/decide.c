// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/plan/decide.h"

/* The user's answer for PLACE, or NULL. */
static const struct qf_choice *chosen(const struct qf_plan *p, uint64_t place)
{
	size_t i;

	for (i = 0; i < p->n_choices; i++)
		if (p->choice[i].place == place)
			return &p->choice[i];
	return NULL;
}

/* True if a verdict of the grade is carried out. */
static bool is_enough(const struct qf_plan *p, const struct qf_question *q)
{
	switch (q->grade) {
	case QF_GRADE_PROVEN:
		return true;
	case QF_GRADE_LIKELY:
		return q->opposed || p->guess;
	case QF_GRADE_POSSIBLE:
		/* what reads nothing goes on reading nothing */
		return p->guess ||
		       (q->opposed && q->h[q->best].kind == QF_HYPO_GONE);
	default:
		return false;
	}
}

enum qf_decision qf_decide(const struct qf_plan *p, const struct qf_report *rep,
			   enum qf_question_kind kind, uint64_t place,
			   uint64_t *value, const struct qf_question **q)
{
	const struct qf_question *found =
		qf_question_at(&rep->questions, kind, place);
	const struct qf_choice *c = chosen(p, place);

	if (q)
		*q = found;
	if (c) {
		*value = c->value;
		return c->value ? QF_DECIDE_VALUE : QF_DECIDE_GONE;
	}
	if (!found || !is_enough(p, found))
		return QF_DECIDE_OPEN;
	*value = found->h[found->best].value;
	switch (found->h[found->best].kind) {
	case QF_HYPO_VALUE:
	case QF_HYPO_UP:
	case QF_HYPO_DOWN:
		return QF_DECIDE_VALUE;
	case QF_HYPO_GONE:
		return QF_DECIDE_GONE;
	case QF_HYPO_AS_IS:
		return QF_DECIDE_AS_IS;
	default:
		return QF_DECIDE_OPEN;
	}
}

bool qf_decide_chosen(const struct qf_plan *p, uint64_t place)
{
	return chosen(p, place);
}

const char *qf_decide_words(const struct qf_plan *p,
			    const struct qf_question *q)
{
	if (!q || chosen(p, q->place_off))
		return "as you chose";
	return qf_question_grade_name(q->grade);
}
