/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a repair leaves, each with the reason why it was not done. */
#ifndef QF_LEFT_H
#define QF_LEFT_H

#include "repair/plan/planner.h"

#include <jansson.h>
#include <stdio.h>

/*
 * Why the plan M does nothing, or not enough, about the finding F of REP, which
 * stays: one sentence or two, to be freed; NULL without memory.
 */
char *qf_left_why(const struct qf_planner *m, const struct qf_report *rep,
		  const struct qf_finding *f);

/* What REP still finds, each problem once, with the reasons; then what helps.
 * NAME is the image's. */
void qf_left_print(FILE *out, const struct qf_planner *m,
		   const struct qf_report *rep, const char *name);

/* The same as JSON: findings, each with "why". */
json_t *qf_left_json(const struct qf_planner *m, const struct qf_report *rep);

/* TEXT in lines of at most 78 columns, each after eight spaces. */
void qf_left_wrap(FILE *out, const char *text);

/* Why what two owners share stays so, if the plan has stopped making copies. */
extern const char qf_left_copies_cut[];

#endif
