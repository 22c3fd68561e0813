// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/findings/findings_rows.h"
#include "lib/base/mem.h"
#include "viz/findings/finding_text.h"

#include <stdlib.h>

/* Problems with more places than this begin folded. */
#define UNFOLDED 20

const struct qf_finding *qf_findings_at(const struct qf_app *a, size_t i)
{
	return &a->model->report.findings.at[i];
}

const struct qf_problem_row *qf_findings_problem(const struct qf_app *a,
						 size_t i)
{
	return qf_problem_get(qf_findings_at(a, i)->problem);
}

static bool add_row(struct qf_findings_state *st, enum qf_row_of of,
		    uint8_t level, size_t first, size_t n)
{
	if (!qf_mem_grow((void **)&st->row, st->n, &st->room, sizeof(*st->row)))
		return false;
	st->row[st->n] = (struct qf_finding_row){
		.of = of, .level = level, .first = first, .n = n
	};
	st->n++;
	return true;
}

/* The findings from I on that are alike. */
static size_t alike(const struct qf_app *a, size_t i, bool by_problem)
{
	size_t n = a->model->report.findings.n, k = i;

	while (k < n &&
	       (by_problem ? qf_findings_at(a, k)->problem ==
				     qf_findings_at(a, i)->problem
			   : qf_findings_problem(a, k)->severity ==
				     qf_findings_problem(a, i)->severity))
		k++;
	return k - i;
}

static bool add_problem(struct qf_app *a, size_t i, size_t n, bool all)
{
	struct qf_findings_state *st = &a->findings;
	bool open = all || (n <= UNFOLDED) !=
				   st->turned[qf_findings_at(a, i)->problem];
	size_t k;

	if (!add_row(st, QF_ROW_FINDING, 1, i, n))
		return false;
	for (k = 0; open && k < n; k++)
		if (!add_row(st, QF_ROW_FINDING, 2, i + k, 1))
			return false;
	return true;
}

/* The stories and the losses stand before the findings. */
static bool add_summary(struct qf_app *a, bool all)
{
	struct qf_findings_state *st = &a->findings;
	const struct qf_report *r = &a->model->report;
	size_t i;

	if (r->n_diagnoses && !add_row(st, QF_ROW_STORY, 0, 0, r->n_diagnoses))
		return false;
	for (i = 0; i < r->n_diagnoses; i++)
		if (!add_row(st, QF_ROW_STORY, 2, i, 1))
			return false;
	if (r->lost.n && !add_row(st, QF_ROW_LOST, 0, 0, r->lost.n))
		return false;
	for (i = 0; i < r->lost.n && (all || st->lost_open); i++)
		if (!add_row(st, QF_ROW_LOST, 2, i, 1))
			return false;
	return true;
}

static void make(struct qf_app *a, bool all)
{
	struct qf_findings_state *st = &a->findings;
	size_t n = a->model->report.findings.n, i, k, end;

	st->n = 0;
	if (!add_summary(a, all))
		return;
	for (i = 0; i < n; i = end) {
		end = i + alike(a, i, false);
		if (!add_row(st, QF_ROW_FINDING, 0, i, end - i))
			return;
		if (!all && st->folded[qf_findings_problem(a, i)->severity])
			continue;
		for (k = i; k < end; k += alike(a, k, true))
			if (!add_problem(a, k, alike(a, k, true), all))
				return;
	}
}

void qf_findings_make(struct qf_app *a)
{
	if (a->findings.row_age == a->age)
		return;
	a->findings.row_age = a->age;
	make(a, false);
}

void qf_findings_fold(struct qf_app *a, const struct qf_finding_row *r)
{
	struct qf_findings_state *st = &a->findings;

	if (r->of == QF_ROW_LOST)
		st->lost_open = !st->lost_open;
	else if (r->of == QF_ROW_FINDING && r->level == 0)
		st->folded[qf_findings_problem(a, r->first)->severity] ^= 1;
	else if (r->of == QF_ROW_FINDING)
		st->turned[qf_findings_at(a, r->first)->problem] ^= 1;
	st->row_age = 0;
}

static bool same_row(const struct qf_finding_row *a,
		     const struct qf_finding_row *b)
{
	return a->of == b->of && a->level == b->level && a->first == b->first;
}

/* The row WANT among those that are there; false: folded away. */
static bool go_to_row(struct qf_app *a, const struct qf_finding_row *want)
{
	struct qf_findings_state *st = &a->findings;
	size_t i;

	for (i = 0; i < st->n; i++)
		if (same_row(&st->row[i], want)) {
			st->list.at = i;
			return true;
		}
	return false;
}

/* To the row, with everything open that it is part of. */
static void show_row(struct qf_app *a, struct qf_finding_row want)
{
	struct qf_findings_state *st = &a->findings;

	if (want.of == QF_ROW_LOST)
		st->lost_open |= want.level > 0;
	else if (want.of == QF_ROW_FINDING && want.level)
		st->folded[qf_findings_problem(a, want.first)->severity] =
			false;
	st->row_age = 0;
	qf_findings_make(a);
	if (go_to_row(a, &want) || want.of != QF_ROW_FINDING)
		return;
	st->turned[qf_findings_at(a, want.first)->problem] ^= 1;
	st->row_age = 0;
	qf_findings_make(a);
	go_to_row(a, &want);
}

typedef bool wanted(const struct qf_app *a, const struct qf_finding_row *r);

/* From the cursor on through all rows, round the end. */
static bool look(struct qf_app *a, bool back, wanted *fn)
{
	struct qf_findings_state *st = &a->findings;
	struct qf_finding_row here, hit = { 0 };
	bool found = false;
	size_t i, k;

	qf_findings_make(a);
	if (st->list.at >= st->n)
		return false;
	here = st->row[st->list.at];
	make(a, true);
	if (!go_to_row(a, &here))
		st->list.at = 0;
	for (i = st->list.at, k = 0; k < st->n && !found; k++) {
		found = fn(a, &st->row[qf_app_turn(a, &i, st->n, back)]);
		hit = st->row[i];
	}
	show_row(a, found ? hit : here);
	return found;
}

static bool matches(const struct qf_app *a, const struct qf_finding_row *r)
{
	const struct qf_problem_row *p;
	const struct qf_finding *f;
	char text[300];

	if (r->of == QF_ROW_STORY)
		return r->level &&
		       qf_app_matches(
			       qf_diagnose_story(
				       a->model->report.diagnosis[r->first]
					       .cause),
			       a->pattern);
	if (r->of == QF_ROW_LOST) {
		qf_finding_lost_text(a, r->first, text, sizeof(text));
		return r->level && qf_app_matches(text, a->pattern);
	}
	p = qf_findings_problem(a, r->first);
	f = qf_findings_at(a, r->first);
	if (r->level == 0)
		return qf_app_matches(qf_problem_severity(p->severity),
				      a->pattern);
	if (r->level == 1)
		return qf_app_matches(p->name, a->pattern) ||
		       qf_app_matches(p->message, a->pattern);
	return qf_app_matches(f->text, a->pattern) ||
	       qf_app_matches(f->owner, a->pattern) ||
	       qf_app_matches(f->other, a->pattern);
}

bool qf_findings_find(struct qf_app *a, bool back)
{
	return look(a, back, matches);
}

static bool is_place(const struct qf_app *a, const struct qf_finding_row *r)
{
	(void)a;
	return r->level == 2 && r->of != QF_ROW_STORY;
}

bool qf_findings_next(struct qf_app *a, bool back)
{
	return look(a, back, is_place);
}
