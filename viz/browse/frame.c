// SPDX-License-Identifier: GPL-2.0-or-later
/* What is around the views: tabs, bottom line, help, explanations. */
#include "viz/browse/frame.h"
#include "viz/views/views.h"
#include "viz/browse/widget.h"

#include <stdio.h>
#include <string.h>

#define NAMES_FROM 116 /* columns from which all names have room */
#define BRIEF_FROM 78  /* and brief ones */

/* The views' keys. */
static const char tab_keys[QF_VIEWS + 1] = "123456789p";

static const char *tab_name(const struct qf_app *a, int view)
{
	const struct qf_view *v = qf_views[view];

	if (a->screen.w >= NAMES_FROM || view == (int)a->view)
		return v->name;
	return a->screen.w < BRIEF_FROM ? "" : v->brief ? v->brief : v->name;
}

/* Where the tab of a view stands in the top line: x and width. */
static int tab_place(const struct qf_app *a, int view, int *width)
{
	int x = a->screen.w >= NAMES_FROM ? 7 : 0, i, name;

	for (i = 0;; i++) {
		name = (int)strlen(tab_name(a, i));
		*width = a->screen.w >= NAMES_FROM ? name + 4 : name + 2;
		if (i == view)
			return x;
		x += *width;
	}
}

int qf_frame_tab_at(const struct qf_app *a, int x)
{
	int i, width, at;

	for (i = 0; i < QF_VIEWS; i++) {
		at = tab_place(a, i, &width);
		if (x >= at && x < at + width)
			return i;
	}
	return -1;
}

/* Whose files a place has is asked at every step: no word of that. */
static bool shows_work(const struct qf_app *a)
{
	enum qf_beside_kind kind;

	if (!a->job)
		return false;
	kind = qf_beside_kind(a->job);
	return kind != QF_BESIDE_FILES && kind != QF_BESIDE_WHOSE &&
	       (kind != QF_BESIDE_OWNERS || a->view != QF_VIEW_HEX);
}

static void draw_verdict(struct qf_app *a)
{
	static const enum qf_tint tints[] = { QF_TINT_GOOD, QF_TINT_WARN,
					      QF_TINT_BAD, QF_TINT_BAD };
	static const char *const stage[] = { "looking", "checking", "asking",
					     "reading", "naming",   "finding",
					     "naming" };
	const struct qf_model *m = a->model;
	char text[64];
	const char *slash;
	enum qf_tint tint = QF_TINT_TITLE;
	int n, width, used;

	if (!a->scene_tried || shows_work(a)) {
		n = snprintf(text, sizeof(text), " %s %2.0f%% ",
			     stage[a->job ? (int)qf_beside_kind(a->job) : 0],
			     qf_beside_part() * 100);
	} else if (m->checked) {
		n = snprintf(text, sizeof(text), " %s%s ",
			     qf_check_verdict(m->report.verdict),
			     a->file == QF_WATCH_SAME ? ""
			     : a->screen.w < 90	      ? ", old"
						      : ", changed since");
		tint = a->file == QF_WATCH_SAME ? tints[m->report.verdict]
						: QF_TINT_WARN;
	} else {
		n = snprintf(text, sizeof(text), " not checked ");
		tint = QF_TINT_BAD;
	}
	used = tab_place(a, QF_VIEWS - 1, &width) + width;
	if (a->screen.w - n >= used - 1)
		qf_cells_text(&a->screen, a->screen.w - n, 0, n, tint, text);
	/* the image's name, where there is room between */
	n = a->screen.w - n - used - 2;
	slash = strrchr(a->name, '/');
	if (n >= 12)
		qf_cells_text(&a->screen, used + 1, 0, n, QF_TINT_TITLE,
			      slash && (int)strlen(a->name) > n ? slash + 1
								: a->name);
}

static void draw_tabs(struct qf_app *a)
{
	struct qf_cells *c = &a->screen;
	bool wide = c->w >= NAMES_FROM;
	int i, x, width;

	qf_cells_wipe(c, 0, 0, c->w, 1, QF_TINT_TITLE);
	if (wide)
		qf_cells_text(c, 0, 0, 7, QF_TINT_TITLE, " qfsck ");
	for (i = 0; i < QF_VIEWS; i++) {
		x = tab_place(a, i, &width);
		qf_cells_printf(c, x, 0, width,
				i == (int)a->view ? QF_TINT_TAB : QF_TINT_TITLE,
				wide ? " %c %s " : "%c%s ", tab_keys[i],
				tab_name(a, i));
	}
	draw_verdict(a);
}

/* Where the last of the parts begins that two blanks set apart. */
static char *last_gap(char *text)
{
	char *p, *found = NULL;

	for (p = strstr(text, "  "); p; p = strstr(p + 2, "  "))
		found = p;
	return found;
}

/* Whether n goes to damage in this view; the findings' own hint has it. */
static bool leads_to_damage(const struct qf_app *a)
{
	return a->model->checked && a->model->report.findings.n &&
	       a->model->report.verdict != QF_VERDICT_CLEAN && !a->pattern[0] &&
	       qf_views[a->view]->damage && a->view != QF_VIEW_FINDINGS;
}

/* The keys of the view, as far as there is room for whole ones. */
static void draw_hint(struct qf_app *a, int y)
{
	struct qf_cells *c = &a->screen;
	char text[200], *cut;

	snprintf(text, sizeof(text), "? help  q quit  %s%s  : go to  Tab views",
		 leads_to_damage(a) ? "n damage  " : "",
		 qf_views[a->view]->hint);
	while ((int)strlen(text) > c->w && (cut = last_gap(text)) != NULL)
		*cut = '\0';
	qf_cells_text(c, 0, y, c->w, QF_TINT_DIM, text);
}

static void draw_bottom(struct qf_app *a, int y)
{
	static const char *const news[] = {
		[QF_WATCH_CHANGED] = "The image has changed since it was "
				     "read: R rereads it",
		[QF_WATCH_REPLACED] = "Another file has the image's name now: "
				      "R reads it",
		[QF_WATCH_GONE] = "The image was removed or renamed: this is "
				  "what was read before",
	};
	struct qf_cells *c = &a->screen;
	const char *p = a->typed;
	int n;

	if (a->ask != QF_ASK_NOTHING) {
		qf_cells_text(c, 0, y, 1, QF_TINT_PROMPT,
			      a->ask == QF_ASK_SEARCH  ? "/"
			      : a->ask == QF_ASK_WRITE ? ">"
						       : ":");
		/* of a long input, the end is what matters */
		while ((int)strlen(p) > c->w - 3 && *p)
			qf_cells_next(&p);
		n = qf_cells_text(c, 1, y, c->w - 2, QF_TINT_PROMPT, p);
		qf_cells_reverse(c, 1 + n, y, 1);
	} else if (a->message[0]) {
		qf_cells_text(c, 0, y, c->w, a->message_tint, a->message);
	} else if (a->file != QF_WATCH_SAME) {
		qf_cells_text(c, 0, y, c->w, QF_TINT_WARN,
			      c->w < 60 ? "changed: R rereads" : news[a->file]);
	} else {
		draw_hint(a, y);
	}
}

/* The frame of a box, in a row of its own at each end. */
static void draw_frame(struct qf_app *a, int x, int y, int w, int h)
{
	struct qf_cells *c = &a->screen;
	int i;

	for (i = 0; i < h; i++) {
		qf_cells_set(c, x, y + i, QF_TINT_PANEL,
			     a->ascii ? '|' : 0x2502);
		qf_cells_set(c, x + w - 1, y + i, QF_TINT_PANEL,
			     a->ascii ? '|' : 0x2502);
	}
	for (i = 0; i < w; i++) {
		bool end = i == 0 || i == w - 1;
		uint32_t top = a->ascii ? (end ? '+' : '-')
			       : !end	? 0x2500
			       : i	? 0x2510
					: 0x250c;
		uint32_t low = a->ascii ? (end ? '+' : '-')
			       : !end	? 0x2500
			       : i	? 0x2518
					: 0x2514;

		qf_cells_set(c, x + i, y, QF_TINT_PANEL, top);
		qf_cells_set(c, x + i, y + h - 1, QF_TINT_PANEL, low);
	}
}

/* A box over the view; returns where its text goes. */
static void draw_box(struct qf_app *a, const char *title, int *x, int *y,
		     int *w, int *h)
{
	struct qf_cells *c = &a->screen;
	int bw = c->w > 84 ? 80 : c->w, bh = c->h > 6 ? c->h - 2 : c->h;
	int bx = (c->w - bw) / 2, by = (c->h - bh) / 2;

	qf_cells_wipe(c, bx, by, bw, bh, QF_TINT_PANEL);
	if (bh > 2) {
		if (bw > 10)
			draw_frame(a, bx, by, bw, bh);
		qf_cells_text(c, bx + 2, by, bw - 4, QF_TINT_PANEL_KEY, title);
		qf_cells_text(c, bx + 2, by + bh - 1, bw - 4, QF_TINT_PANEL,
			      "arrows scroll, any other key closes");
		by++;
		bh -= 2;
	}
	*x = bw > 10 ? bx + 2 : bx;
	*w = bw > 10 ? bw - 4 : bw;
	*y = by;
	*h = bh;
}

/* Keeps the overlay's beginning where N lines in H rows allow it. */
static void bound_overlay(struct qf_app *a, int n, int h)
{
	if (a->overlay_top > n - h)
		a->overlay_top = n - h;
	if (a->overlay_top < 0)
		a->overlay_top = 0;
}

/* The help: first the keys of this view, then those of all. */
static bool help_row(const struct qf_app *a, int n, const char **keys,
		     const char **help, bool *title)
{
	char letter = qf_views[a->view]->letter;
	const char *views;
	int pass;
	size_t i;

	for (pass = 0; pass < 2; pass++) {
		*title = !n--;
		if (*title) {
			*keys = pass ? "In every view"
				     : qf_views[a->view]->name;
			*help = "";
			return true;
		}
		for (i = 0; qf_keys_row(i, &views, keys, help); i++)
			if ((pass ? views[0] == '*'
				  : views[0] != '*' && strchr(views, letter)) &&
			    !n--)
				return true;
	}
	return false;
}

static void draw_help(struct qf_app *a)
{
	const char *keys, *help;
	int x, y, w, h, i, n = 0;
	bool title;

	draw_box(a, "Keys", &x, &y, &w, &h);
	while (help_row(a, n, &keys, &help, &title))
		n++;
	bound_overlay(a, n, h);
	for (i = 0; i < h; i++) {
		if (!help_row(a, i + a->overlay_top, &keys, &help, &title))
			break;
		qf_cells_text(&a->screen, x, y + i, w < 17 ? w : 17,
			      title ? QF_TINT_PANEL_HEAD : QF_TINT_PANEL_KEY,
			      keys);
		qf_cells_text(&a->screen, x + 18, y + i, w - 18, QF_TINT_PANEL,
			      help);
	}
}

static void draw_explain(struct qf_app *a)
{
	int x, y, w, h, n;

	draw_box(a, "All of it", &x, &y, &w, &h);
	/* once to count the lines, once to draw them */
	n = qf_widget_page(a, x, y, w, 1 << 20, y + h, QF_TINT_PANEL,
			   QF_TINT_PANEL_KEY, a->explain);
	bound_overlay(a, n, h);
	qf_widget_page(a, x, y, w, a->overlay_top, y + h, QF_TINT_PANEL,
		       QF_TINT_PANEL_KEY, a->explain);
}

void qf_frame_draw(struct qf_app *a)
{
	struct qf_cells *c = &a->screen;
	struct qf_area area = { 0, c->h, c->w };

	qf_cells_blank(c);
	if (c->h > 1) {
		draw_tabs(a);
		area.y++;
		area.h--;
	}
	if (c->h > 2) {
		area.h--;
		draw_bottom(a, c->h - 1);
	} else if (a->ask != QF_ASK_NOTHING) {
		draw_bottom(a, c->h - 1);
		area.h = 0;
	}
	if (area.h > 0)
		qf_views[a->view]->draw(a, area);
	if (a->help)
		draw_help(a);
	else if (a->explain)
		draw_explain(a);
}
