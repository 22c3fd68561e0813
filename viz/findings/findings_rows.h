/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report as rows, folded or not, and the search in them. */
#ifndef QF_FINDINGS_ROWS_H
#define QF_FINDINGS_ROWS_H

#include "viz/browse/app.h"

const struct qf_finding *qf_findings_at(const struct qf_app *a, size_t i);
const struct qf_problem_row *qf_findings_problem(const struct qf_app *a,
						 size_t i);

/* The rows as they are folded now, unless they are there. */
void qf_findings_make(struct qf_app *a);

/* Folds a row with what is below it, or opens it. */
void qf_findings_fold(struct qf_app *a, const struct qf_finding_row *r);

/* Looks for a->pattern in all rows, round the end, and opens what hides it. */
bool qf_findings_find(struct qf_app *a, bool back);

/* The same for the next row that is one finding or one loss. */
bool qf_findings_next(struct qf_app *a, bool back);

#endif
