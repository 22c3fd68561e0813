/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalogue of problems.def as an enum and a table. */
#ifndef QF_PROBLEM_H
#define QF_PROBLEM_H

#include <stdbool.h>

enum qf_problem {
#define QF_PROBLEM(id, NAME, name, sev, fix, risk, message, why, repair) \
	QF_P_##NAME,
#include "check/catalogue/problems.def"
#undef QF_PROBLEM
	QF_PROBLEMS
};

enum qf_severity {
	QF_SEV_NOTE,
	QF_SEV_WARNING,
	QF_SEV_ABSENT,
	QF_SEV_LEAK,
	QF_SEV_UNREAD,
	QF_SEV_ERROR,
	QF_SEV_FATAL,
};

enum qf_fix {
#define QF_FIX(NAME, name) QF_FIX_##NAME,
#include "check/catalogue/fixes.def"
#undef QF_FIX
	QF_FIXES
};

enum qf_risk {
	QF_RISK_NONE,
	QF_RISK_METADATA,
	QF_RISK_DATA,
};

struct qf_problem_row {
	unsigned int id;
	const char *name;
	enum qf_severity severity;
	enum qf_fix fix;
	enum qf_risk risk;
	const char *message; /* what it is, without a place */
	const char *why;     /* what it means for the user */
	const char *repair;  /* what qfsck repair does about it */
};

const struct qf_problem_row *qf_problem_get(enum qf_problem p);

/* The row with that id ("1204") or name, or NULL. */
const struct qf_problem_row *qf_problem_find(const char *id_or_name);

/* Whether it is about what lies on the guest's disk (20xx), and not about the
 * image's own tables. */
bool qf_problem_of_guest(enum qf_problem p);

const char *qf_problem_severity(enum qf_severity s);
const char *qf_problem_fix(enum qf_fix f);
const char *qf_problem_risk(enum qf_risk r);

#endif
