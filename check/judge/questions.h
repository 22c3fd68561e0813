/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which questions an image raises, and the hypotheses of each. */
#ifndef QF_QUESTIONS_H
#define QF_QUESTIONS_H

#include "check/judge/facts.h"
#include "check/judge/question.h"

/*
 * Asks all questions that F raises and judges them. Costs nothing where
 * nothing is wrong; walks the tables once more where clusters have two
 * owners. Errors: QF_ERR_NOMEM. Free L with
 * qf_question_free.
 */
enum qf_err qf_questions_ask(const struct qf_facts *f, struct qf_questions *l,
			     struct qf_why *why);

/* The kinds of questions; each adds its own. Errors as above. */
void qf_ask_entries(const struct qf_facts *f, struct qf_questions *l);
enum qf_err qf_ask_claims(const struct qf_facts *f, struct qf_questions *l,
			  struct qf_why *why);
enum qf_err qf_ask_tables(const struct qf_facts *f, struct qf_questions *l);
void qf_ask_slots(const struct qf_facts *f, struct qf_questions *l);
enum qf_err qf_ask_slots_guest(const struct qf_facts *f,
			       struct qf_questions *l);
enum qf_err qf_ask_mixups(const struct qf_facts *f, struct qf_questions *l);
enum qf_err qf_ask_versions(const struct qf_facts *f, struct qf_questions *l);

/* Asks the guest about what the others have asked, and adds clusters that it
 * knows the place of. Reads nothing where nothing was asked. */
enum qf_err qf_ask_guest(const struct qf_facts *f, struct qf_questions *l);

/* The hypothesis of Q that its entry named VALUE, a cluster without an owner;
 * if it is new, the witnesses speak. NULL: no room, or it is none. */
struct qf_hypothesis *qf_ask_value(const struct qf_facts *f,
				   struct qf_question *q, uint64_t value);

/*
 * Adds the hypotheses that the L2 entry at POINTER_OFF, of GUEST_OFF and with
 * WEIGHT holders, named one of the clusters without an owner, and lets the
 * witnesses speak. ORDER is what they found about its neighbours.
 */
struct qf_order;
void qf_ask_candidates(const struct qf_facts *f, struct qf_question *q,
		       uint64_t pointer_off, uint64_t guest_off,
		       uint64_t weight, const struct qf_order *order);

#endif
