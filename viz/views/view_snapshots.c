// SPDX-License-Identifier: GPL-2.0-or-later
/* The active disk and the snapshots: what each holds, alone and shared. */
#include "viz/views/timeline.h"
#include "viz/views/views.h"
#include "viz/browse/widget.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum column { ORDER, NAME, DATE, REFERENCED, EXCLUSIVE, FRESH, COLUMNS };

/* For the comparison; the browser has one thread. */
static const struct qf_scene_holder *sorted_by_holder;
static const uint64_t *sorted_by_fresh;
static int sorted_by_column;
static bool sorted_backwards;

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_column(const void *pa, const void *pb)
{
	uint32_t ia = *(const uint32_t *)pa, ib = *(const uint32_t *)pb;
	const struct qf_scene_holder *a = &sorted_by_holder[ia];
	const struct qf_scene_holder *b = &sorted_by_holder[ib];
	int c = 0;

	switch (sorted_by_column) {
	case NAME:
		c = strcmp(a->name, b->name);
		break;
	case DATE:
		c = compare(a->date_sec, b->date_sec);
		break;
	case REFERENCED: /* the largest first */
		c = compare(b->referenced, a->referenced);
		break;
	case EXCLUSIVE:
		c = compare(b->exclusive, a->exclusive);
		break;
	case FRESH:
		c = compare(sorted_by_fresh[ib], sorted_by_fresh[ia]);
		break;
	default:
		break;
	}
	c = c ? c : compare(ia, ib);
	return sorted_backwards ? -c : c;
}

static bool count_fresh(struct qf_snapshots_state *st, const struct qf_scene *s)
{
	uint64_t *fresh =
		realloc(st->fresh, (s->n_holders + 1) * sizeof(*fresh));
	uint64_t *gone;

	st->fresh = fresh ? fresh : st->fresh;
	gone = realloc(st->gone, (s->n_holders + 1) * sizeof(*gone));
	st->gone = gone ? gone : st->gone;
	if (!fresh || !gone)
		return false;
	qf_timeline_count(s, fresh, gone);
	return true;
}

static bool sort_rows(struct qf_app *a)
{
	struct qf_snapshots_state *st = &a->snapshots;
	const struct qf_scene *s = &a->model->scene;
	uint32_t i, *p;

	if (st->row && st->n == s->n_holders && st->row_age == a->age &&
	    st->row_column == st->column && st->row_reverse == st->reverse)
		return true;
	p = realloc(st->row, (s->n_holders + 1) * sizeof(*p));
	if (!p)
		return false;
	st->row = p;
	if (!count_fresh(st, s))
		return false;
	st->n = s->n_holders;
	st->row_age = a->age;
	st->row_column = st->column;
	st->row_reverse = st->reverse;
	for (i = 0; i < st->n; i++)
		p[i] = i;
	sorted_by_holder = s->holder;
	sorted_by_fresh = st->fresh;
	sorted_by_column = st->column;
	sorted_backwards = st->reverse;
	qsort(p, st->n, sizeof(*p), by_column);
	return true;
}

static void date_text(uint64_t sec, char *buf, size_t room)
{
	time_t t = (time_t)sec;
	struct tm tm;

	buf[0] = '\0';
	if (sec && gmtime_r(&t, &tm))
		strftime(buf, room, "%Y-%m-%d %H:%M", &tm);
}

/* Where the columns stand in a screen of W columns. */
struct columns {
	int name, name_w, date, ref, ref_bar, excl, excl_bar, bar_w, fresh;
};

/* The names get what they need, as far as the rest leaves it. */
static struct columns place(const struct qf_app *a, int w)
{
	const struct qf_scene *s = &a->model->scene;
	struct columns c = { .name = 10 };
	int rest, longest = 5, room;
	uint32_t i;

	for (i = 0; i < s->n_holders; i++)
		if ((int)strlen(s->holder[i].name) > longest)
			longest = (int)strlen(s->holder[i].name);
	room = w - c.name - 1 - (w >= 72 ? 17 : 0) - (w >= 60 ? 33 : 22);
	c.name_w = longest < room ? longest : room;
	c.name_w = c.name_w < 12 ? 12 : c.name_w;
	c.date = w >= 72 ? c.name + c.name_w + 1 : 0;
	c.ref = c.date ? c.date + 17 : c.name + c.name_w + 1;
	c.fresh = w >= 60 ? w - 11 : 0;
	rest = (c.fresh ? c.fresh : w) - c.ref - 2 * 11;
	c.bar_w = rest >= 12 ? (rest - 2) / 2 : 0;
	c.ref_bar = c.ref + 11;
	c.excl = c.ref_bar + c.bar_w + (c.bar_w ? 1 : 0);
	c.excl_bar = c.excl + 11;
	if (!c.bar_w && c.fresh)
		c.fresh = c.excl + 11;
	return c;
}

static void draw_head(struct qf_app *a, int y, const struct columns *p)
{
	const struct {
		const char *title;
		int x, w;
	} column[COLUMNS] = {
		[ORDER] = { "id", 3, 6 },
		[NAME] = { "name", p->name, p->name_w },
		[DATE] = { "date (UTC)", p->date, p->date ? 17 : 0 },
		[REFERENCED] = { "referenced", p->ref, p->bar_w + 11 },
		[EXCLUSIVE] = { "exclusive", p->excl, p->bar_w + 11 },
		[FRESH] = { "new", p->fresh, p->fresh ? 11 : 0 },
	};
	bool by;
	int i;

	for (i = 0; i < COLUMNS; i++) {
		by = i == a->snapshots.column;
		qf_cells_printf(&a->screen, column[i].x, y, column[i].w,
				by ? QF_TINT_PROMPT : QF_TINT_STRONG, "%s%s",
				column[i].title,
				!by		       ? ""
				: a->snapshots.reverse ? " ^"
						       : " v");
	}
}

/* The row under the cursor; a bar reversed would show the rest of it. */
static void reverse_words(struct qf_cells *c, int y, const struct columns *p)
{
	if (!p->bar_w) {
		qf_cells_reverse(c, 0, y, c->w);
		return;
	}
	qf_cells_reverse(c, 0, y, p->ref_bar - 1);
	qf_cells_reverse(c, p->excl, y, p->excl_bar - p->excl - 1);
	if (p->fresh)
		qf_cells_reverse(c, p->fresh, y, c->w - p->fresh);
}

static void draw_row(struct qf_app *a, int y, uint32_t i, bool here,
		     const struct columns *p)
{
	const struct qf_scene *s = &a->model->scene;
	const struct qf_scene_holder *h = &s->holder[i];
	enum qf_tint tint = h->marked ? QF_TINT_MARK : QF_TINT_TEXT;
	double all = s->clusters ? (double)s->clusters : 1;
	struct qf_cells *c = &a->screen;
	char size[32], date[32];

	qf_cells_printf(c, 0, y, 10, tint, "%c%c %s", here ? '>' : ' ',
			h->marked ? '*' : ' ', h->id);
	qf_cells_text(c, p->name, y, p->name_w, tint, i ? h->name : "(now)");
	date_text(h->date_sec, date, sizeof(date));
	if (p->date)
		qf_cells_text(c, p->date, y, 17, tint, date);
	qf_cells_printf(c, p->ref, y, 11, tint, "%10s",
			qf_text_bytes(h->referenced << s->cluster_bits, size,
				      sizeof(size)));
	qf_cells_printf(c, p->excl, y, 11, tint, "%10s",
			qf_text_bytes(h->exclusive << s->cluster_bits, size,
				      sizeof(size)));
	if (p->fresh)
		qf_cells_printf(c, p->fresh, y, 11, tint, "%10s",
				qf_text_bytes(a->snapshots.fresh[i]
						      << s->cluster_bits,
					      size, sizeof(size)));
	qf_widget_bar(a, p->ref_bar, y, p->bar_w, (double)h->referenced / all,
		      QF_TINT_BAR);
	qf_widget_bar(a, p->excl_bar, y, p->bar_w, (double)h->exclusive / all,
		      QF_TINT_MARK);
	if (here)
		reverse_words(c, y, p);
}

static uint32_t current(struct qf_app *a)
{
	struct qf_snapshots_state *st = &a->snapshots;

	return st->row && st->list.at < st->n ? st->row[st->list.at] : 0;
}

static void draw_sum(struct qf_app *a, int y)
{
	const struct qf_scene *s = &a->model->scene;
	struct qf_cells *c = &a->screen;
	uint32_t i, n = 0, here = current(a);
	char size[32], fresh[32], gone[32];

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	for (i = 0; i < s->n_holders; i++)
		n += s->holder[i].marked;
	qf_text_bytes(a->freed << s->cluster_bits, size, sizeof(size));
	if (!s->whole)
		qf_cells_text(c, 0, y, c->w, QF_TINT_STATUS,
			      " reading the tables: the sizes are not known "
			      "yet");
	else if (n && s->holder[0].marked)
		qf_cells_printf(c, 0, y, c->w, QF_TINT_STATUS,
				" only in the %u marked: %s", n, size);
	else if (n)
		qf_cells_printf(
			c, 0, y, c->w, QF_TINT_STATUS,
			" deleting the %u marked would free %s (%" PRIu64
			" clusters)",
			n, size, a->freed);
	else
		qf_cells_printf(
			c, 0, y, c->w, QF_TINT_STATUS,
			" +%s, -%s since the one before   Space: what if it "
			"were deleted?",
			qf_text_bytes(a->snapshots.fresh[here]
					      << s->cluster_bits,
				      fresh, sizeof(fresh)),
			qf_text_bytes(a->snapshots.gone[here]
					      << s->cluster_bits,
				      gone, sizeof(gone)));
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_snapshots_state *st = &a->snapshots;
	struct columns p = place(a, area.w);
	int y = area.y, rows = area.h;
	size_t i;

	if (!sort_rows(a))
		return;
	st->line_y = -1;
	if (rows >= 9 && st->n > 1) {
		st->line_y = y;
		qf_timeline_draw(a, y, st->fresh, current(a));
		y += QF_TIMELINE_ROWS;
		rows -= QF_TIMELINE_ROWS;
	}
	if (rows >= 4) {
		draw_head(a, y++, &p);
		draw_sum(a, area.y + area.h - 1);
		rows -= 2;
	}
	qf_list_show(&st->list, st->n, y, rows);
	for (i = 0; i < (size_t)rows && st->list.top + i < st->n; i++)
		draw_row(a, y + (int)i, st->row[st->list.top + i],
			 st->list.top + i == st->list.at, &p);
}

static bool act(struct qf_app *a, enum qf_action act)
{
	struct qf_snapshots_state *st = &a->snapshots;
	struct qf_scene *s = &a->model->scene;
	uint32_t i;

	switch (act) {
	case QF_ACT_MARK:
		if (current(a) < s->n_holders)
			s->holder[current(a)].marked ^= 1;
		qf_app_marks_changed(a);
		return true;
	case QF_ACT_ENTER_SNAPSHOT:
		for (i = 0; i < s->n_holders; i++)
			s->holder[i].marked = i == current(a);
		qf_app_marks_changed(a);
		a->map.bar = current(a);
		qf_app_go(a, QF_VIEW_MAP, a->at);
		return true;
	case QF_ACT_SORT:
		st->column = (st->column + 1) % COLUMNS;
		return true;
	case QF_ACT_REVERSE:
		st->reverse = !st->reverse;
		return true;
	default:
		return qf_list_act(&st->list, st->n, act);
	}
}

static bool find(struct qf_app *a, bool back)
{
	struct qf_snapshots_state *st = &a->snapshots;
	const struct qf_scene *s = &a->model->scene;
	size_t i = st->list.at, k;

	for (k = 0; st->row && k < st->n; k++) {
		const struct qf_scene_holder *h =
			&s->holder[st->row[qf_app_turn(a, &i, st->n, back)]];

		if (!qf_app_matches(h->name, a->pattern) &&
		    !qf_app_matches(h->id, a->pattern))
			continue;
		st->list.at = i;
		return true;
	}
	return false;
}

static bool has_lost(const struct qf_app *a, uint32_t holder)
{
	const struct qf_lost_list *l = &a->model->report.lost;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].holder == holder)
			return true;
	return false;
}

/* To the next state that has lost something. */
static bool damage(struct qf_app *a, bool back)
{
	struct qf_snapshots_state *st = &a->snapshots;
	size_t i = st->list.at, k;

	for (k = 0; st->row && k < st->n; k++)
		if (has_lost(a, st->row[qf_app_turn(a, &i, st->n, back)])) {
			st->list.at = i;
			return true;
		}
	return false;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_snapshots_state *st = &a->snapshots;
	uint32_t h;
	size_t i;

	if (st->line_y >= 0 && y >= st->line_y &&
	    y < st->line_y + QF_TIMELINE_ROWS) {
		if (!st->row || !qf_timeline_at(a, current(a), x, &h))
			return;
		for (i = 0; i < st->n; i++)
			if (st->row[i] == h)
				st->list.at = i;
	} else if (qf_list_click(&st->list, st->n, y) && twice)
		act(a, QF_ACT_MARK);
}

const struct qf_view qf_view_snapshots = {
	.name = "Snapshots",
	.brief = "Snaps",
	.letter = 's',
	.hint = "Space what if deleted?  Enter on the map  s sort  r reverse",
	.draw = draw,
	.act = act,
	.find = find,
	.damage = damage,
	.click = click,
};
