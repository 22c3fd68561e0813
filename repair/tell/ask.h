/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks on the terminal, one kind of problem at a time. */
#ifndef QF_ASK_H
#define QF_ASK_H

#include "repair/plan/planner.h"

struct qf_answers {
	bool refused[QF_PROBLEMS]; /* kinds that were answered with no */
	struct qf_spared *spared;  /* single edits that were; owned */
	size_t n_spared, room;
	bool failed; /* no memory: nothing must be done */
};

/*
 * Asks about every kind of problem that M's plan deals with. False: the user
 * wants to stop. A is freed with qf_ask_free.
 */
bool qf_ask_plan(const struct qf_planner *m, struct qf_answers *a);
void qf_ask_free(struct qf_answers *a);

/* Asks whether the free clusters are to be trimmed. */
bool qf_ask_trim(const struct qf_trim *t);

#endif
