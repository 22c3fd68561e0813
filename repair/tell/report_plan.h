/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan and its outcome in words and as JSON. */
#ifndef QF_REPORT_PLAN_H
#define QF_REPORT_PLAN_H

#include "repair/plan/planner.h"

#include <stdio.h>

/* What is known when all is done. */
struct qf_outcome {
	const char *name; /* of the image */
	bool applied;
	bool in_a_line;		      /* JSON: one of several */
	const char *undo_file;	      /* NULL: none */
	bool gave_up;		      /* this repair, or one before */
	const char *note;	      /* that tells of it; or NULL */
	const struct qf_report *left; /* the last check: planned or real */
};

/* The plan, with the image as it is and as it would be. IMG names the
 * holders of what is lost. Edits of one kind are folded, unless ALL.
 * LAST: nothing is written, so it tells what would be left, too. */
void qf_report_plan(FILE *out, const struct qf_image *img,
		    const struct qf_planner *m, const char *name, bool all,
		    bool last);

/* All edits of the plan that are for PROBLEM. */
void qf_report_edits(FILE *out, const struct qf_plan *p,
		     enum qf_problem problem);

/* Asks whether the problem is to be repaired by that many edits. */
void qf_report_question(FILE *out, const struct qf_problem_row *row,
			size_t edits);

/* What the problem means, what the repair does, and what can be answered. */
void qf_report_help(FILE *out, const struct qf_problem_row *row);

/* Asks about edit number I of the plan alone. */
void qf_report_edit_question(FILE *out, const struct qf_plan *p, size_t i);

/* Asks whether what is free is to be trimmed. */
void qf_report_trim_question(FILE *out, const struct qf_trim *t);

/* What came of it: one paragraph. */
void qf_report_outcome(FILE *out, const struct qf_planner *m,
		       const struct qf_outcome *o);

/* All of it as one JSON object. */
void qf_report_plan_json(FILE *out, const struct qf_image *img,
			 const struct qf_planner *m,
			 const struct qf_outcome *o);

#endif
