// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/tell/ask.h"
#include "lib/base/mem.h"
#include "repair/tell/report_plan.h"

#include <stdlib.h>
#include <string.h>

/* One of LETTERS, as typed with nothing else on its line; 0: something else;
 * 'q' at the end of the input. */
static char answer(const char *letters)
{
	char line[80];

	if (!fgets(line, sizeof(line), stdin))
		return 'q';
	if (line[0] && strchr(letters, line[0]) &&
	    (line[1] == '\n' || !line[1]))
		return line[0];
	return 0;
}

/* Each edit of one kind by itself. False: the user wants to stop. */
static bool ask_each(const struct qf_plan *p, enum qf_problem problem,
		     struct qf_answers *a)
{
	const struct qf_edit *e;
	size_t i;
	char c;

	for (i = 0; i < p->n; i++) {
		e = &p->edit[i];
		if (e->problem != problem)
			continue;
		do {
			qf_report_edit_question(stderr, p, i);
			c = answer("ynaq");
		} while (!c);
		if (c == 'q')
			return false;
		if (c == 'a')
			return true;
		if (c == 'y')
			continue;
		if (!qf_mem_grow((void **)&a->spared, a->n_spared, &a->room,
				 sizeof(*a->spared))) {
			a->failed = true;
			return false;
		}
		a->spared[a->n_spared++] =
			(struct qf_spared){ e->host_off, problem };
	}
	return true;
}

/* One kind of problem; 'y', 'n', 'a' (all), 'e' (asked singly) or 'q' (stop). */
static char question(const struct qf_plan *p, enum qf_problem problem,
		     size_t edits, struct qf_answers *a)
{
	const struct qf_problem_row *row = qf_problem_get(problem);
	char c;

	for (;;) {
		qf_report_question(stderr, row, edits);
		c = answer("ynaqpe?");
		if (c == '?')
			qf_report_help(stderr, row);
		else if (c == 'p')
			qf_report_edits(stderr, p, problem);
		else if (c == 'e')
			return ask_each(p, problem, a) ? 'e' : 'q';
		else if (c)
			return c;
	}
}

bool qf_ask_plan(const struct qf_planner *m, struct qf_answers *a)
{
	size_t edits[QF_PROBLEMS] = { 0 }, i;
	bool all = false;
	char c;

	for (i = 0; i < m->plan->n; i++)
		edits[m->plan->edit[i].problem]++;
	for (i = 0; i < QF_PROBLEMS; i++) {
		/* the mark goes along with what is given up, or forgotten */
		if (!edits[i] || i == QF_P_GAVE_UP || all)
			continue;
		c = question(m->plan, (enum qf_problem)i, edits[i], a);
		if (c == 'q')
			return false;
		all = c == 'a';
		a->refused[i] = c == 'n';
	}
	return true;
}

void qf_ask_free(struct qf_answers *a)
{
	free(a->spared);
	memset(a, 0, sizeof(*a));
}

bool qf_ask_trim(const struct qf_trim *t)
{
	char c;

	do {
		qf_report_trim_question(stderr, t);
		c = answer("yn");
	} while (!c);
	return c == 'y';
}
