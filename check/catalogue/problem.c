// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/catalogue/problem.h"

#include <stdio.h>
#include <string.h>

static const struct qf_problem_row rows[QF_PROBLEMS] = {
#define QF_PROBLEM(id, NAME, name, sev, fix, risk, message, why, repair) \
	[QF_P_##NAME] = { id,		name,		QF_SEV_##sev,    \
			  QF_FIX_##fix, QF_RISK_##risk, message,         \
			  why,		repair },
#include "check/catalogue/problems.def"
#undef QF_PROBLEM
};

const struct qf_problem_row *qf_problem_get(enum qf_problem p)
{
	return &rows[p];
}

const struct qf_problem_row *qf_problem_find(const char *id_or_name)
{
	char id[16];
	unsigned int i;

	for (i = 0; i < QF_PROBLEMS; i++) {
		snprintf(id, sizeof(id), "%u", rows[i].id);
		if (!strcmp(id, id_or_name) ||
		    !strcmp(rows[i].name, id_or_name))
			return &rows[i];
	}
	return NULL;
}

const char *qf_problem_severity(enum qf_severity s)
{
	static const char *const names[] = { "note", "warning", "error",
					     "leak", "error",	"error",
					     "fatal" };

	return names[s];
}

const char *qf_problem_fix(enum qf_fix f)
{
	static const char *const names[] = {
#define QF_FIX(NAME, name) name,
#include "check/catalogue/fixes.def"
#undef QF_FIX
	};

	return names[f];
}

const char *qf_problem_risk(enum qf_risk r)
{
	static const char *const names[] = { "none", "metadata", "data" };

	return names[r];
}

bool qf_problem_of_guest(enum qf_problem p)
{
	return qf_problem_get(p)->id / 100 == 20;
}
