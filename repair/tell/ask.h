/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks on the terminal, one kind of problem at a time. */
#ifndef QF_ASK_H
#define QF_ASK_H

#include "repair/plan/planner.h"

/*
 * Asks about every kind of problem that M's plan deals with. REFUSED gets
 * those that were answered with no; *ANY says whether something was agreed
 * to. False: the user wants to stop.
 */
bool qf_ask_plan(const struct qf_planner *m, bool *refused, bool *any);

/* Asks whether the free clusters are to be trimmed. */
bool qf_ask_trim(const struct qf_trim *t);

#endif
