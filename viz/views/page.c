// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/page.h"
#include "lib/base/mem.h"
#include "lib/model/open.h"
#include "viz/beside/child.h"
#include "viz/browse/widget.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define WAIT_MS 100

/* The state of the page that is being filled, or shown. */
static struct qf_page_state *state_of(struct qf_app *a, enum qf_view_id v)
{
	return &a->page[v - QF_VIEW_INFO];
}

static void forget(struct qf_page_state *st)
{
	st->text.n = 0;
	st->n = 0;
	st->part = 0;
	st->whole = st->failed = false;
	st->n_edits = 0;
}

/* The lines of what was added; their ends become NULs. */
static void cut_lines(struct qf_page_state *st, size_t from)
{
	char *p = st->text.at + from, *end;

	while (p < st->text.at + st->text.n) {
		end = strchr(p, '\n');
		if (!qf_mem_grow((void **)&st->line, st->n, &st->room,
				 sizeof(*st->line)))
			return;
		st->line[st->n++] = (size_t)(p - st->text.at);
		if (!end)
			return;
		*end = '\0';
		p = end + 1;
	}
}

void qf_page_add(struct qf_app *a, const char *text)
{
	struct qf_page_state *st = state_of(a, a->child_for);
	size_t from = st->text.n;

	qf_outbuf_printf(&st->text, "%s", text);
	if (st->text.n && st->text.at[st->text.n - 1] != '\n')
		qf_outbuf_add(&st->text, "\n", 1);
	if (!st->text.failed)
		cut_lines(st, from);
}

bool qf_page_has(struct qf_app *a, const char *line)
{
	const struct qf_page_state *st = state_of(a, a->child_for);
	size_t i;

	for (i = 0; i < st->n; i++)
		if (!strcmp(st->text.at + st->line[i], line))
			return true;
	return false;
}

void qf_page_printf(struct qf_app *a, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	qf_page_add(a, text);
}

/* The command as one would type it. */
static void command_text(const struct qf_app *a, const struct qf_page_ask *ask,
			 char *buf, size_t room)
{
	size_t n = (size_t)snprintf(buf, room, "qfsck");
	int i;

	for (i = 0; i < ask->n && n < room; i++)
		n += (size_t)snprintf(buf + n, room - n, " %s", ask->arg[i]);
	if (n < room)
		snprintf(buf + n, room - n, " %s", a->name);
}

/* All commands of the page: what it was asked with. */
static void key_of(const struct qf_app *a, const struct qf_page *page,
		   char *buf, size_t room)
{
	struct qf_page_ask ask;
	size_t n = 0;
	int i, k;

	buf[0] = '\0';
	for (i = 0; i < page->parts; i++) {
		memset(&ask, 0, sizeof(ask));
		page->ask(a, i, &ask);
		for (k = 0; k < ask.n && n < room; k++)
			n += (size_t)snprintf(buf + n, room - n, "%s ",
					      ask.arg[k]);
	}
}

static bool start(struct qf_app *a, const struct qf_page_ask *ask)
{
	const char *format = qf_open_format(a->img);
	const char *argv[20] = { "qfsck" };
	int n = 1, i;

	for (i = 0; i < ask->n; i++)
		argv[n++] = ask->arg[i];
	if (a->shared && strcmp(argv[1], "repair"))
		argv[n++] = "-U";
	if (format) {
		argv[n++] = "-f";
		argv[n++] = format;
	}
	argv[n++] = "--";
	argv[n++] = a->img->io->name;
	a->child = qf_child_start(a->program, (char *const *)argv);
	return a->child != NULL;
}

/* Begins the next command of the page of the view shown. */
static bool begin(struct qf_app *a, const struct qf_page *page)
{
	struct qf_page_state *st = state_of(a, a->view);
	struct qf_page_ask ask = { 0 };

	a->child_for = a->view;
	a->child_page = page;
	if (st->part >= page->parts) {
		st->whole = true;
		return true;
	}
	page->ask(a, st->part, &ask);
	if (!ask.n) {
		st->part++;
		return begin(a, page);
	}
	if (!start(a, &ask)) {
		st->whole = st->failed = true;
		qf_page_add(a, "qfsck cannot be run beside the browser");
	}
	return true;
}

static void take(struct qf_app *a)
{
	const struct qf_page *page = a->child_page;
	struct qf_page_state *st = state_of(a, a->child_for);
	bool cut;
	int code;
	char *said = qf_child_take(a->child, &code, &cut);

	a->child = NULL;
	if (said && page->take && !cut)
		page->take(a, st->part, said, code);
	else
		qf_page_add(a, said ? said : "no memory for what it says");
	if (cut)
		qf_page_add(a, "... and more than can be shown");
	free(said);
	st->part++;
}

bool qf_page_tick(struct qf_app *a, const struct qf_page *page, bool wait)
{
	struct qf_page_state *st;
	char key[sizeof(st->asked)];

	if (page && a->program && !a->locked) {
		st = state_of(a, a->view);
		key_of(a, page, key, sizeof(key));
		if (st->opened != a->opened || strcmp(st->asked, key)) {
			forget(st);
			st->opened = a->opened;
			memcpy(st->asked, key, sizeof(key));
			qf_child_drop(a->child);
			a->child = NULL;
		}
		if (a->child && a->child_for != a->view && !st->whole) {
			qf_child_drop(a->child);
			a->child = NULL;
			forget(state_of(a, a->child_for));
		}
		if (!a->child && !st->whole)
			return begin(a, page);
	}
	if (!a->child || !qf_child_step(a->child, wait ? WAIT_MS : 0))
		return false;
	take(a);
	return true;
}

/* --- what is seen of it --- */

const char *qf_page_line(struct qf_app *a)
{
	struct qf_page_state *st = state_of(a, a->view);

	return st->list.at < st->n ? st->text.at + st->line[st->list.at] : NULL;
}

bool qf_page_offset(const char *line, uint64_t *off)
{
	const char *p = strstr(line, "0x");

	if (!p || !isxdigit((unsigned char)p[2]))
		return false;
	*off = strtoull(p, NULL, 16);
	return true;
}

static void draw_title(struct qf_app *a, int y, const struct qf_page *page)
{
	struct qf_page_state *st = state_of(a, a->view);
	struct qf_page_ask ask = { 0 };
	char text[800];
	int part = st->part < page->parts ? st->part : 0;

	page->ask(a, part, &ask);
	command_text(a, &ask, text, sizeof(text));
	qf_cells_printf(&a->screen, 0, y, a->screen.w, QF_TINT_STRONG, " %s%s",
			ask.n ? text : page->empty, st->whole ? "" : " ...");
}

static const char *waiting(const struct qf_app *a, const struct qf_page *page)
{
	struct qf_page_ask ask = { 0 };

	page->ask(a, 0, &ask);
	return !ask.n	     ? page->empty
	       : !a->program ? "it cannot be asked from here"
	       : a->locked   ? "first the image is read"
			     : "it is being asked";
}

static void draw_status(struct qf_app *a, int y, const struct qf_page *page)
{
	const char *line = qf_page_line(a);
	char text[400] = "";

	qf_cells_wipe(&a->screen, 0, y, a->screen.w, 1, QF_TINT_STATUS);
	if (line && page->status)
		page->status(a, line, text, sizeof(text));
	qf_cells_text(&a->screen, 1, y, a->screen.w - 1, QF_TINT_STATUS, text);
}

/* So many bytes of TEXT go into W columns, cut between words where it can be. */
static size_t fit(const char *text, int w)
{
	const char *p = text, *gap = NULL;
	size_t blanks = strspn(text, " ");
	const char *next = text;
	int used = 0, cols;

	for (; *p; p = next) {
		if (*p == ' ' && p >= text + blanks)
			gap = p;
		cols = wcwidth((wchar_t)qf_cells_next(&next));
		used += cols < 0 ? 1 : cols;
		if (used > w)
			break;
	}
	if (!*p || p == text) /* one at least, however narrow it is */
		return (size_t)(next - text);
	return (size_t)((gap ? gap : p) - text);
}

/* A line over as many rows as it takes, what goes on a little to the right; Y
 * negative: only to count. Returns the rows. */
static int put_line(struct qf_app *a, int y, int end, enum qf_tint tint,
		    const char *line)
{
	int indent = (int)strspn(line, " ") + 2, rows = 0, x = 1;
	char text[4 * QF_CELLS_MAX + 1];
	size_t n;

	indent = indent < a->screen.w / 3 ? indent : a->screen.w / 3;
	do {
		n = fit(line, a->screen.w - x > 1 ? a->screen.w - x : 1);
		snprintf(text, sizeof(text), "%.*s", (int)n, line);
		if (y >= 0 && y + rows < end)
			qf_cells_text(&a->screen, x, y + rows, a->screen.w - x,
				      tint, text);
		rows++;
		line += n;
		line += strspn(line, " ");
		x = 1 + indent;
	} while (*line);
	return rows;
}

/* The lines from the top to the cursor's have room in ROWS. */
static void keep_seen(struct qf_app *a, struct qf_page_state *st, int rows)
{
	int used = 0;
	size_t i;

	for (i = st->n ? st->list.at + 1 : 0; i > st->list.top; i--) {
		used += put_line(a, -1, 0, QF_TINT_TEXT,
				 st->text.at + st->line[i - 1]);
		if (used > rows && i <= st->list.at) {
			st->list.top = i;
			return;
		}
	}
}

static void draw_lines(struct qf_app *a, const struct qf_page *page, int y,
		       int rows)
{
	struct qf_page_state *st = state_of(a, a->view);
	int end = y + rows, n, k;
	const char *line;
	size_t i;

	qf_list_show(&st->list, st->n, y, rows);
	keep_seen(a, st, rows);
	for (i = st->list.top; i < st->n && y < end; i++, y += n) {
		line = st->text.at + st->line[i];
		n = put_line(a, y, end,
			     page->tint ? page->tint(line) : QF_TINT_TEXT,
			     line);
		for (k = y; k < y + n && k < end; k++) {
			if (i == st->list.at)
				qf_cells_reverse(&a->screen, 0, k, a->screen.w);
			qf_widget_mark(a, k);
		}
	}
}

void qf_page_draw(struct qf_app *a, struct qf_area area,
		  const struct qf_page *page)
{
	struct qf_page_state *st = state_of(a, a->view);
	struct qf_cells *c = &a->screen;
	int y = area.y, rows = area.h, used;

	if (rows >= 4) {
		draw_title(a, y++, page);
		draw_status(a, area.y + area.h - 1, page);
		rows -= 2;
	}
	if (rows >= 8 && page->head) {
		used = page->head(a, y, rows / 2);
		y += used;
		rows -= used;
	}
	if (!st->n)
		qf_cells_text(c, 1, y, c->w - 1, QF_TINT_DIM, waiting(a, page));
	draw_lines(a, page, y, rows);
}

bool qf_page_act(struct qf_app *a, enum qf_action act)
{
	struct qf_page_state *st = state_of(a, a->view);

	return qf_list_act(&st->list, st->n, act);
}

bool qf_page_find(struct qf_app *a, bool back)
{
	struct qf_page_state *st = state_of(a, a->view);
	size_t i = st->list.at, k;

	for (k = 0; k < st->n; k++)
		if (qf_app_matches(
			    st->text.at +
				    st->line[qf_app_turn(a, &i, st->n, back)],
			    a->pattern)) {
			st->list.at = i;
			return true;
		}
	return false;
}

bool qf_page_click(struct qf_app *a, int y)
{
	struct qf_page_state *st = state_of(a, a->view);
	int row = st->list.y;
	size_t i;

	if (y < row || (size_t)(y - row) >= st->list.rows)
		return false;
	for (i = st->list.top; i < st->n; i++) {
		row += put_line(a, -1, 0, QF_TINT_TEXT,
				st->text.at + st->line[i]);
		if (y < row) {
			st->list.at = i;
			return true;
		}
	}
	return false;
}
