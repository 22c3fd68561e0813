// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/tell/ask.h"
#include "repair/tell/report_plan.h"

#include <string.h>

/* One question; 'y', 'n', 'a' (all) or 'q' (stop). */
static char question(const struct qf_problem_row *row, size_t edits)
{
	char line[80];

	for (;;) {
		qf_report_question(stderr, row, edits);
		if (!fgets(line, sizeof(line), stdin))
			return 'q';
		if (strchr("ynaq", line[0]) && line[0] &&
		    (line[1] == '\n' || !line[1]))
			return line[0];
	}
}

bool qf_ask_plan(const struct qf_planner *m, bool *refused, bool *any)
{
	size_t edits[QF_PROBLEMS] = { 0 }, i;
	bool all = false;
	char answer;

	for (i = 0; i < m->plan->n; i++)
		edits[m->plan->edit[i].problem]++;
	*any = false;
	for (i = 0; i < QF_PROBLEMS; i++) {
		/* the mark goes along with what is given up, or forgotten */
		if (!edits[i] || i == QF_P_GAVE_UP)
			continue;
		answer = all ? 'y'
			     : question(qf_problem_get((enum qf_problem)i),
					edits[i]);
		if (answer == 'q')
			return false;
		all = all || answer == 'a';
		if (answer == 'n')
			refused[i] = true;
		else
			*any = true;
	}
	return true;
}

bool qf_ask_trim(const struct qf_trim *t)
{
	char line[80];

	for (;;) {
		qf_report_trim_question(stderr, t);
		if (!fgets(line, sizeof(line), stdin))
			return false;
		if (strchr("yn", line[0]) && line[0] &&
		    (line[1] == '\n' || !line[1]))
			return line[0] == 'y';
	}
}
