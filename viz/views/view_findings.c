// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as a tree: severity, problem, place. */
#include "viz/views/views.h"
#include "viz/browse/widget.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Problems with more places than this begin folded. */
#define UNFOLDED 20

static const enum qf_tint tints[] = {
	[QF_SEV_NOTE] = QF_TINT_NOTE,  [QF_SEV_WARNING] = QF_TINT_WARN,
	[QF_SEV_ABSENT] = QF_TINT_BAD, [QF_SEV_LEAK] = QF_TINT_WARN,
	[QF_SEV_UNREAD] = QF_TINT_BAD, [QF_SEV_ERROR] = QF_TINT_BAD,
	[QF_SEV_FATAL] = QF_TINT_BAD,
};

static const struct qf_finding *finding(const struct qf_app *a, size_t i)
{
	return &a->model->report.findings.at[i];
}

static const struct qf_problem_row *problem(const struct qf_app *a, size_t i)
{
	return qf_problem_get(finding(a, i)->problem);
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
	       (by_problem
			? finding(a, k)->problem == finding(a, i)->problem
			: problem(a, k)->severity == problem(a, i)->severity))
		k++;
	return k - i;
}

static bool add_problem(struct qf_app *a, size_t i, size_t n)
{
	struct qf_findings_state *st = &a->findings;
	bool open = (n <= UNFOLDED) != st->turned[finding(a, i)->problem];
	size_t k;

	if (!add_row(st, QF_ROW_FINDING, 1, i, n))
		return false;
	for (k = 0; open && k < n; k++)
		if (!add_row(st, QF_ROW_FINDING, 2, i + k, 1))
			return false;
	return true;
}

/* The stories and the losses stand before the findings. */
static bool add_summary(struct qf_app *a)
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
	for (i = 0; i < r->lost.n && !st->lost_folded; i++)
		if (!add_row(st, QF_ROW_LOST, 2, i, 1))
			return false;
	return true;
}

static void make_rows(struct qf_app *a)
{
	struct qf_findings_state *st = &a->findings;
	size_t n = a->model->report.findings.n, i, k, end;

	if (st->row_age == a->age)
		return;
	st->row_age = a->age;
	st->n = 0;
	if (!add_summary(a))
		return;
	for (i = 0; i < n; i = end) {
		end = i + alike(a, i, false);
		if (!add_row(st, QF_ROW_FINDING, 0, i, end - i))
			return;
		for (k = i; k < end && !st->folded[problem(a, i)->severity];
		     k += alike(a, k, true))
			if (!add_problem(a, k, alike(a, k, true)))
				return;
	}
}

/* "snapshot 2 ("x"): guest offset 0x0, 2 MiB". */
static void lost_text(const struct qf_app *a, size_t i, char *buf, size_t room)
{
	const struct qf_lost_range *l = &a->model->report.lost.at[i];
	char who[128], size[32];

	if (l->holder == QF_HOLDER_IMAGE)
		snprintf(who, sizeof(who),
			 "snapshot %s, which the header does "
			 "not name",
			 l->id);
	else
		qf_describe_holder(a->img, l->holder, who, sizeof(who));
	snprintf(buf, room, "%s: guest offset 0x%" PRIx64 ", %s", who,
		 l->guest_off, qf_text_bytes(l->bytes, size, sizeof(size)));
}

/* Stories and losses; findings have their own. */
static void draw_summary_row(struct qf_app *a, int y,
			     const struct qf_finding_row *r)
{
	struct qf_cells *c = &a->screen;
	char text[300];

	if (r->of == QF_ROW_STORY && !r->level)
		qf_cells_text(c, 0, y, c->w, QF_TINT_STRONG, "- what happened");
	else if (r->of == QF_ROW_STORY)
		qf_cells_text(
			c, 2, y, c->w - 2, QF_TINT_TEXT,
			qf_diagnose_story(
				a->model->report.diagnosis[r->first].cause));
	else if (!r->level)
		qf_cells_printf(c, 0, y, c->w, QF_TINT_BAD,
				"%c lost guest data (%zu)",
				a->findings.lost_folded ? '+' : '-', r->n);
	else {
		lost_text(a, r->first, text, sizeof(text));
		qf_cells_text(c, 2, y, c->w - 2, QF_TINT_TEXT, text);
	}
}

static bool is_open(const struct qf_app *a, const struct qf_finding_row *r)
{
	return r + 1 < a->findings.row + a->findings.n && r[1].level > r->level;
}

static void draw_finding_row(struct qf_app *a, int y,
			     const struct qf_finding_row *r)
{
	const struct qf_problem_row *p = problem(a, r->first);
	const struct qf_finding *f = finding(a, r->first);
	char sign = is_open(a, r) ? '-' : '+';
	struct qf_cells *c = &a->screen;
	int x;

	switch (r->level) {
	case 0:
		qf_cells_printf(c, 0, y, c->w, tints[p->severity],
				"%c %s (%zu)", sign,
				qf_problem_severity(p->severity), r->n);
		break;
	case 1:
		x = qf_cells_printf(c, 2, y, c->w - 2, tints[p->severity],
				    "%c %u %s", sign, p->id, p->name);
		qf_cells_printf(c, 3 + x, y, c->w - 3 - x, QF_TINT_TEXT,
				"(%zu) %s", r->n, p->message);
		break;
	default:
		qf_cells_text(c, 6, y, c->w - 6, QF_TINT_TEXT,
			      f->text ? f->text : "(no memory)");
		break;
	}
}

static void draw_row(struct qf_app *a, int y, const struct qf_finding_row *r,
		     bool here)
{
	if (r->of == QF_ROW_FINDING)
		draw_finding_row(a, y, r);
	else
		draw_summary_row(a, y, r);
	if (here)
		qf_cells_reverse(&a->screen, 0, y, a->screen.w);
}

/* What the keys do with the row under the cursor. */
static void draw_hint(struct qf_app *a, int y, const struct qf_finding_row *r)
{
	struct qf_cells *c = &a->screen;
	const struct qf_finding *f;

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	if (r->of != QF_ROW_FINDING)
		return;
	f = finding(a, r->first);
	if (r->level == 2 && f->host_off != QF_NOWHERE)
		qf_cells_printf(c, 1, y, c->w - 1, QF_TINT_STATUS,
				"host offset 0x%" PRIx64
				"   Enter shows it on the map, x its bytes, "
				"e explains",
				f->host_off);
	else
		qf_cells_text(c, 1, y, c->w - 1, QF_TINT_STATUS,
			      r->level == 2
				      ? "no place in the file   e explains"
				      : "Enter folds, e explains");
}

static void draw_finding_detail(struct qf_app *a, int y, int rows,
				const struct qf_finding_row *r)
{
	const struct qf_finding *f = finding(a, r->first);
	struct qf_cells *c = &a->screen;
	int n;

	if (r->level == 1)
		qf_widget_wrap(a, 1, y, c->w - 2, rows, QF_TINT_TEXT,
			       problem(a, r->first)->why);
	if (r->level != 2)
		return;
	n = qf_widget_wrap(a, 1, y, c->w - 2, rows, QF_TINT_TEXT,
			   f->text ? f->text : "(no memory)");
	if (f->owner && n < rows)
		n += qf_cells_printf(c, 1, y + n, c->w - 1, QF_TINT_DIM,
				     "owner: %s", f->owner) > 0;
	if (f->other && n < rows)
		qf_cells_printf(c, 1, y + n, c->w - 1, QF_TINT_DIM, "and: %s",
				f->other);
}

/* All about the row under the cursor, below the list. */
static void draw_detail(struct qf_app *a, int y, int rows)
{
	const struct qf_finding_row *r = &a->findings.row[a->findings.list.at];
	const struct qf_diagnosis *d;
	struct qf_cells *c = &a->screen;
	char text[300];
	int n;

	draw_hint(a, y, r);
	if (r->of == QF_ROW_FINDING) {
		draw_finding_detail(a, y + 1, rows - 1, r);
	} else if (r->of == QF_ROW_STORY) {
		d = &a->model->report.diagnosis[r->first];
		n = 1 + qf_widget_wrap(a, 1, y + 1, c->w - 2, rows - 1,
				       QF_TINT_TEXT,
				       qf_diagnose_story(d->cause));
		if (n < rows)
			qf_widget_wrap(a, 1, y + n, c->w - 2, rows - n,
				       QF_TINT_NOTE,
				       qf_diagnose_advice(d->cause));
	} else if (r->level) {
		lost_text(a, r->first, text, sizeof(text));
		qf_widget_wrap(a, 1, y + 1, c->w - 2, rows - 1, QF_TINT_TEXT,
			       text);
	}
}

static void draw_nothing(struct qf_app *a, int y)
{
	if (!a->model->checked)
		qf_cells_text(&a->screen, 0, y, a->screen.w, QF_TINT_TEXT,
			      a->job || !a->check_tried ? "the check is running"
							: "the check failed");
	else
		qf_cells_text(&a->screen, 0, y, a->screen.w, QF_TINT_GOOD,
			      "nothing is wrong with this image");
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_findings_state *st = &a->findings;
	int detail = area.h >= 10 ? 6 : 0, rows = area.h - detail;
	size_t i;

	make_rows(a);
	if (!st->n) {
		draw_nothing(a, area.y);
		return;
	}
	qf_list_show(&st->list, st->n, area.y, rows);
	for (i = 0; i < (size_t)rows && st->list.top + i < st->n; i++)
		draw_row(a, area.y + (int)i, &st->row[st->list.top + i],
			 st->list.top + i == st->list.at);
	if (detail)
		draw_detail(a, area.y + rows, detail);
}

static const struct qf_finding_row *current(struct qf_app *a)
{
	make_rows(a);
	return a->findings.list.at < a->findings.n
		       ? &a->findings.row[a->findings.list.at]
		       : NULL;
}

static void fold(struct qf_app *a, const struct qf_finding_row *r)
{
	struct qf_findings_state *st = &a->findings;

	if (r->of == QF_ROW_LOST)
		st->lost_folded = !st->lost_folded;
	else if (r->of == QF_ROW_FINDING && r->level == 0)
		st->folded[problem(a, r->first)->severity] ^= 1;
	else if (r->of == QF_ROW_FINDING)
		st->turned[finding(a, r->first)->problem] ^= 1;
	st->row_age = 0;
}

static void go_to_place(struct qf_app *a, const struct qf_finding_row *r,
			enum qf_view_id view)
{
	const struct qf_finding *f = finding(a, r->first);

	if (f->host_off == QF_NOWHERE) {
		qf_app_say(a, QF_TINT_WARN,
			   "this finding has no place in the file");
		return;
	}
	if (view == QF_VIEW_MAP)
		qf_grid_closest(&a->map.grid, &a->model->scene);
	qf_app_go(a, view, f->host_off);
}

/* The row above that this one belongs to. */
static void go_to_parent(struct qf_app *a, const struct qf_finding_row *r)
{
	struct qf_findings_state *st = &a->findings;
	uint8_t level = r->level;

	while (st->list.at && st->row[st->list.at].level >= level)
		st->list.at--;
}

/* To what was lost, on the disk of who lost it. */
static void go_to_lost(struct qf_app *a, const struct qf_finding_row *r)
{
	const struct qf_lost_range *l = &a->model->report.lost.at[r->first];

	if (l->holder == QF_HOLDER_IMAGE || *l->id)
		qf_app_say(a, QF_TINT_WARN,
			   "the header does not name that snapshot: there is "
			   "no disk to look at");
	else
		qf_app_go_guest(a, l->holder, l->guest_off);
}

static bool act_on_row(struct qf_app *a, enum qf_action act,
		       const struct qf_finding_row *r)
{
	bool place = r->of == QF_ROW_FINDING && r->level == 2;
	bool open = is_open(a, r);

	switch (act) {
	case QF_ACT_ENTER_FINDING:
		if (r->level < 2)
			fold(a, r);
		else if (place)
			go_to_place(a, r, QF_VIEW_MAP);
		else if (r->of == QF_ROW_LOST)
			go_to_lost(a, r);
		return true;
	case QF_ACT_LEFT:
		if (r->level < 2 && open)
			fold(a, r);
		else
			go_to_parent(a, r);
		return true;
	case QF_ACT_RIGHT:
		if (r->level < 2 && !open)
			fold(a, r);
		return true;
	case QF_ACT_EXPLAIN:
		if (r->of == QF_ROW_FINDING)
			a->explain = problem(a, r->first);
		a->overlay_top = 0;
		return true;
	case QF_ACT_VIEW_HEX:
	case QF_ACT_VIEW_OWNERS:
		if (!place || finding(a, r->first)->host_off == QF_NOWHERE)
			return false;
		go_to_place(a, r,
			    act == QF_ACT_VIEW_HEX ? QF_VIEW_HEX
						   : QF_VIEW_OWNERS);
		return true;
	default:
		return false;
	}
}

static bool act(struct qf_app *a, enum qf_action act)
{
	const struct qf_finding_row *r = current(a);

	if (r && act_on_row(a, act, r))
		return true;
	return qf_list_act(&a->findings.list, a->findings.n, act);
}

static bool row_matches(const struct qf_app *a, const struct qf_finding_row *r)
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
		lost_text(a, r->first, text, sizeof(text));
		return r->level && qf_app_matches(text, a->pattern);
	}
	p = problem(a, r->first);
	f = finding(a, r->first);
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

static bool find(struct qf_app *a, bool back)
{
	struct qf_findings_state *st = &a->findings;
	size_t i = st->list.at;

	make_rows(a);
	while (back ? i-- > 0 : ++i < st->n)
		if (row_matches(a, &st->row[i])) {
			st->list.at = i;
			return true;
		}
	return false;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_findings_state *st = &a->findings;

	(void)x;
	if (qf_list_click(&st->list, st->n, y) && twice)
		act(a, QF_ACT_ENTER_FINDING);
}

const struct qf_view qf_view_findings = {
	.name = "Findings",
	.letter = 'f',
	.hint = "Enter its place  e explains  x bytes  w owners  / search",
	.draw = draw,
	.act = act,
	.find = find,
	.click = click,
};
