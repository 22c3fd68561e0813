/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a repair does with a verdict: the one place that says so. A proven
 * answer is carried out. A likely one is, where what stands there reads
 * nothing or is disputed. A possible one needs the user's word (--guess), but to
 * say that nothing is left to be given back. All else is open, and the harmless
 * thing is done. The user's own answer to a question (--choose) stands before
 * all verdicts.
 */
#ifndef QF_DECIDE_H
#define QF_DECIDE_H

#include "check/check.h"
#include "repair/plan/plan.h"

enum qf_decision {
	QF_DECIDE_OPEN,	 /* do the harmless thing */
	QF_DECIDE_AS_IS, /* what stands there is right */
	QF_DECIDE_GONE,	 /* what it led to is not in the file */
	QF_DECIDE_VALUE, /* it led to *VALUE */
};

/*
 * What to do about the pointer at the host offset PLACE, as the report REP has
 * judged it or the user has said. *Q (may be NULL): the question, or NULL.
 */
enum qf_decision qf_decide(const struct qf_plan *p, const struct qf_report *rep,
			   enum qf_question_kind kind, uint64_t place,
			   uint64_t *value, const struct qf_question **q);

/* True if the user has answered for PLACE. */
bool qf_decide_chosen(const struct qf_plan *p, uint64_t place);

/* "likely", or "as you chose": for the plan's words. */
const char *qf_decide_words(const struct qf_plan *p,
			    const struct qf_question *q);

#endif
