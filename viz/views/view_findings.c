// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as a tree: severity, problem, place. */
#include "viz/findings/finding_text.h"
#include "viz/findings/findings_rows.h"
#include "viz/views/views.h"
#include "viz/browse/widget.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum qf_tint tints[] = {
	[QF_SEV_NOTE] = QF_TINT_NOTE,  [QF_SEV_WARNING] = QF_TINT_WARN,
	[QF_SEV_ABSENT] = QF_TINT_BAD, [QF_SEV_LEAK] = QF_TINT_WARN,
	[QF_SEV_UNREAD] = QF_TINT_BAD, [QF_SEV_ERROR] = QF_TINT_BAD,
	[QF_SEV_FATAL] = QF_TINT_BAD,
};

static uint64_t lost_bytes(const struct qf_app *a)
{
	const struct qf_lost_list *l = &a->model->report.lost;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < l->n; i++)
		n += l->at[i].bytes;
	return n;
}

/* Stories and losses; findings have their own. */
static void draw_summary_row(struct qf_app *a, int y,
			     const struct qf_finding_row *r)
{
	struct qf_cells *c = &a->screen;
	char text[300], size[32];

	if (r->of == QF_ROW_STORY && !r->level)
		qf_cells_text(c, 0, y, c->w, QF_TINT_STRONG, "- what happened");
	else if (r->of == QF_ROW_STORY)
		qf_cells_text(
			c, 2, y, c->w - 2, QF_TINT_TEXT,
			qf_diagnose_story(
				a->model->report.diagnosis[r->first].cause));
	else if (!r->level)
		qf_cells_printf(c, 0, y, c->w, QF_TINT_BAD,
				"%c lost guest data (%zu): %s",
				a->findings.lost_open ? '-' : '+', r->n,
				qf_text_bytes(lost_bytes(a), size,
					      sizeof(size)));
	else {
		qf_finding_lost_text(a, r->first, text, sizeof(text));
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
	const struct qf_problem_row *p = qf_findings_problem(a, r->first);
	const struct qf_finding *f = qf_findings_at(a, r->first);
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
	qf_widget_mark(a, y);
}

/* Where Enter goes: an entry or a field, and a table, to its bytes; a stretch
 * of the file to the map. */
static enum qf_view_id view_of(const struct qf_app *a,
			       const struct qf_finding *f)
{
	uint64_t bytes = a->img->geo.cluster_bytes;
	uint32_t set;

	if (f->host_off == QF_NOWHERE || f->length > bytes)
		return QF_VIEW_MAP;
	if (f->length < bytes)
		return QF_VIEW_HEX;
	switch (qf_scene_under(&a->model->scene,
			       f->host_off >> a->img->geo.cluster_bits, &set)) {
	case QF_KIND_HEADER:
	case QF_KIND_L1:
	case QF_KIND_L2:
	case QF_KIND_REFTABLE:
	case QF_KIND_REFBLOCK:
	case QF_KIND_SNAPTABLE:
	case QF_KIND_BITMAP:
		return QF_VIEW_HEX;
	default:
		return QF_VIEW_MAP;
	}
}

/* What the keys do with the row under the cursor. */
static const char *hint_of(const struct qf_app *a,
			   const struct qf_finding_row *r)
{
	const struct qf_finding *f;

	if (r->of == QF_ROW_STORY)
		return "e all of it";
	if (r->level < 2)
		return "Enter folds, e all of it";
	if (r->of == QF_ROW_LOST)
		return "Enter on the guest's disk, e all of it";
	f = qf_findings_at(a, r->first);
	if (f->host_off == QF_NOWHERE)
		return "no place in the file, e all of it";
	return view_of(a, f) == QF_VIEW_HEX
		       ? "Enter its bytes, 1 on the disk, 2 in the file"
		       : "Enter in the file, 1 on the disk, x its bytes";
}

/* All about the row under the cursor, below the list: as much as there is
 * room for. */
static void draw_detail(struct qf_app *a, int y, int rows)
{
	const struct qf_finding_row *r = &a->findings.row[a->findings.list.at];
	struct qf_outbuf text = { 0 };
	struct qf_cells *c = &a->screen;
	int n = 0;

	qf_finding_all_text(a, r, &text);
	if (text.n && !text.failed)
		n = qf_widget_page(a, 1, y + 1, c->w - 2, 0, y + rows,
				   QF_TINT_TEXT, QF_TINT_STRONG, text.at);
	qf_outbuf_free(&text);
	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	if (n > rows - 1)
		qf_cells_printf(c, 1, y, c->w - 1, QF_TINT_STATUS,
				"%s   %d more lines: e", hint_of(a, r),
				n - rows + 1);
	else
		qf_cells_text(c, 1, y, c->w - 1, QF_TINT_STATUS, hint_of(a, r));
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
	int detail = area.h >= 10 ? area.h / 2 : 0, rows;
	size_t i;

	qf_findings_make(a);
	if (!st->n) {
		draw_nothing(a, area.y);
		return;
	}
	/* a short list leaves its room to what is told of it */
	if (detail && st->n + 1 < (size_t)(area.h - detail))
		detail = area.h - (int)st->n - 1;
	rows = area.h - detail;
	qf_list_show(&st->list, st->n, area.y, rows);
	for (i = 0; i < (size_t)rows && st->list.top + i < st->n; i++)
		draw_row(a, area.y + (int)i, &st->row[st->list.top + i],
			 st->list.top + i == st->list.at);
	if (detail)
		draw_detail(a, area.y + rows, detail);
}

static const struct qf_finding_row *current(struct qf_app *a)
{
	qf_findings_make(a);
	return a->findings.list.at < a->findings.n
		       ? &a->findings.row[a->findings.list.at]
		       : NULL;
}

static void go_to_place(struct qf_app *a, const struct qf_finding_row *r,
			enum qf_view_id view)
{
	const struct qf_finding *f = qf_findings_at(a, r->first);

	if (f->host_off == QF_NOWHERE) {
		qf_app_say(a, QF_TINT_WARN,
			   "this finding has no place in the file");
		return;
	}
	if (view == QF_VIEW_MAP)
		qf_grid_closest(&a->map.grid, &a->model->scene);
	qf_app_go(a, view, f->host_off);
	a->hex.mark_guest = false;
	a->hex.mark_off = f->host_off;
	a->hex.mark_bytes = f->length;
}

/* To the finding's place on the active disk. */
static bool go_to_disk(struct qf_app *a, const struct qf_finding_row *r)
{
	const struct qf_finding *f = qf_findings_at(a, r->first);

	if (f->guest_off == QF_NOWHERE)
		return false;
	a->guest.close = true;
	qf_app_go_guest(a, a->guest.holder, f->guest_off);
	return true;
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

/* All of it over the view, to be scrolled. */
static void explain(struct qf_app *a, const struct qf_finding_row *r)
{
	struct qf_outbuf text = { 0 };

	qf_finding_all_text(a, r, &text);
	if (text.n && !text.failed) {
		free(a->explain);
		a->explain = text.at;
		a->overlay_top = 0;
		return;
	}
	qf_outbuf_free(&text);
}

static bool act_on_row(struct qf_app *a, enum qf_action act,
		       const struct qf_finding_row *r)
{
	bool place = r->of == QF_ROW_FINDING && r->level == 2;
	bool open = is_open(a, r);

	switch (act) {
	case QF_ACT_ENTER_FINDING:
		if (r->level < 2)
			qf_findings_fold(a, r);
		else if (place)
			go_to_place(a, r,
				    view_of(a, qf_findings_at(a, r->first)));
		else if (r->of == QF_ROW_LOST)
			go_to_lost(a, r);
		return true;
	case QF_ACT_LEFT:
		if (r->level < 2 && open)
			qf_findings_fold(a, r);
		else
			go_to_parent(a, r);
		return true;
	case QF_ACT_RIGHT:
		if (r->level < 2 && !open)
			qf_findings_fold(a, r);
		return true;
	case QF_ACT_EXPLAIN:
		explain(a, r);
		return true;
	case QF_ACT_VIEW_GUEST:
		if (r->of == QF_ROW_LOST && r->level)
			go_to_lost(a, r);
		else if (!place || !go_to_disk(a, r))
			return false;
		return true;
	case QF_ACT_VIEW_MAP:
	case QF_ACT_VIEW_HEX:
	case QF_ACT_VIEW_OWNERS:
		if (!place ||
		    qf_findings_at(a, r->first)->host_off == QF_NOWHERE)
			return false;
		go_to_place(a, r, (enum qf_view_id)(act - QF_ACT_VIEW_GUEST));
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

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_findings_state *st = &a->findings;

	(void)x;
	if (qf_list_click(&st->list, st->n, y) && twice)
		act(a, QF_ACT_ENTER_FINDING);
}

const struct qf_view qf_view_findings = {
	.name = "Findings",
	.brief = "Finds",
	.letter = 'f',
	.hint = "Enter its place  e all of it  n next  p plan  / search",
	.damage = qf_findings_next,
	.draw = draw,
	.act = act,
	.find = qf_findings_find,
	.click = click,
};
