// SPDX-License-Identifier: GPL-2.0-or-later
/* The file as a grid of cells, the snapshots' bars, the legend. */
#include "viz/views/gridparts.h"
#include "viz/views/map_search.h"
#include "viz/views/views.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_grid(struct qf_app *a)
{
	const struct qf_grid_look look = { a->ascii, a->marked };
	struct qf_grid *g = &a->map.grid;

	if (!qf_grid_draw(g, &a->model->scene, qf_app_cluster(a), a->age, look,
			  &a->screen))
		qf_cells_text(&a->screen, 0, g->y, a->screen.w, QF_TINT_BAD,
			      "no memory for the map");
	if (g->x)
		qf_gridparts_offsets(a, g, &a->model->scene);
}

static bool load_bars(struct qf_app *a, size_t width, uint32_t rows)
{
	struct qf_map_state *m = &a->map;
	uint8_t *p;

	if (m->level && m->level_width == width && m->level_age == a->age &&
	    m->level_first == m->bar_top && m->level_rows == rows)
		return true;
	p = realloc(m->level, width * rows);
	if (!p)
		return false;
	m->level = p;
	m->level_width = width;
	m->level_age = a->age;
	m->level_first = m->bar_top;
	m->level_rows = rows;
	return qf_scene_bars(&a->model->scene, width, m->bar_top, rows, p);
}

static void draw_bars(struct qf_app *a, int y, int rows)
{
	static const char ascii[] = " .:-=+*%#";
	struct qf_map_state *m = &a->map;
	const struct qf_scene *s = &a->model->scene;
	int label = a->screen.w >= 50 ? 20 : a->screen.w / 3;
	int width = a->screen.w - label, i, x;
	uint32_t h;

	m->bar_x = label;
	m->bar_y = y;
	m->bar_rows = rows;
	if (m->bar >= s->n_holders)
		m->bar = 0;
	if (m->bar < m->bar_top)
		m->bar_top = m->bar;
	if (m->bar >= m->bar_top + (uint32_t)rows)
		m->bar_top = m->bar - (uint32_t)rows + 1;
	if (m->bar_top + (uint32_t)rows > s->n_holders)
		m->bar_top = s->n_holders - (uint32_t)rows;
	if (width < 1 || !load_bars(a, (size_t)width, (uint32_t)rows))
		return;
	for (i = 0; i < rows; i++) {
		enum qf_tint tint = QF_TINT_BAR;

		h = m->bar_top + (uint32_t)i;
		if (s->holder[h].marked)
			tint = QF_TINT_MARK;
		qf_cells_printf(&a->screen, 0, y + i, label - 1,
				h == m->bar ? QF_TINT_STRONG : QF_TINT_TEXT,
				"%c%c %s %s", h == m->bar ? '>' : ' ',
				s->holder[h].marked ? '*' : ' ',
				s->holder[h].id, s->holder[h].name);
		for (x = 0; x < width; x++) {
			uint8_t v =
				m->level[(size_t)i * (size_t)width + (size_t)x];
			qf_cells_set(&a->screen, label + x, y + i,
				     v ? tint : QF_TINT_DIM,
				     a->ascii ? (unsigned char)ascii[v]
				     : v      ? 0x2580u + v
					      : 0xb7);
		}
	}
}

/* The first grave finding that names the cluster, or NULL. */
static const struct qf_problem_row *trouble_at(const struct qf_app *a,
					       uint64_t cluster)
{
	const struct qf_findings *l = &a->model->report.findings;
	uint32_t bits = a->img->geo.cluster_bits;
	size_t i;

	for (i = 0; i < l->n; i++) {
		const struct qf_finding *f = &l->at[i];
		const struct qf_problem_row *row = qf_problem_get(f->problem);

		if (f->host_off != QF_NOWHERE && f->collated < 2 &&
		    row->severity >= QF_SEV_UNREAD &&
		    cluster >= f->host_off >> bits &&
		    cluster - (f->host_off >> bits) <=
			    (f->length ? f->length - 1 : 0) >> bits)
			return row;
	}
	return NULL;
}

static void draw_status(struct qf_app *a, int y)
{
	struct qf_cells *c = &a->screen;
	struct qf_map_state *m = &a->map;
	const struct qf_scene *s = &a->model->scene;
	uint64_t cluster = qf_app_cluster(a), count = 0;
	const struct qf_problem_row *row;
	char what[300], size[32], left[64], scale[96];
	int n, used;

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	n = snprintf(scale, sizeof(scale), " %s%s ",
		     qf_gridparts_scale(&m->grid, s, size, sizeof(size)),
		     m->grid.hilbert ? ", Hilbert" : "");
	if (a->marked) {
		char freed[32];

		n = snprintf(scale, sizeof(scale),
			     " only in the marked: %s | %s ",
			     qf_text_bytes(a->freed << s->cluster_bits, freed,
					   sizeof(freed)),
			     size);
	}
	if (!s->clusters) {
		qf_cells_text(c, 0, y, c->w, QF_TINT_STATUS,
			      " the file is empty");
		return;
	}
	left[0] = '\0';
	row = trouble_at(a, cluster);
	if (!qf_image_refcount(a->img, cluster, &count, NULL))
		snprintf(left, sizeof(left), " refcount %" PRIu64 ",", count);
	used = qf_cells_printf(
		c, 0, y, c->w, QF_TINT_STATUS,
		" 0x%" PRIx64 " cluster %" PRIu64 ":%s %s%s%s",
		cluster << a->img->geo.cluster_bits, cluster, left,
		qf_scene_describe(s, cluster, what, sizeof(what)),
		row ? ": " : "", row ? row->name : "");
	/* the scale where there is room for it */
	if (used + n <= c->w)
		qf_cells_text(c, c->w - n, y, n, QF_TINT_STATUS, scale);
}

static void draw(struct qf_app *a, struct qf_area area)
{
	const struct qf_scene *s = &a->model->scene;
	struct qf_grid *g = &a->map.grid;
	int bars = 0, legend = 0, rest = area.h;

	if (rest >= 4)
		rest--; /* the status line */
	if (rest >= 8)
		legend = qf_gridparts_legend(a, s, -1, rest >= 16 ? 3 : 1);
	if (rest >= 10) {
		bars = (rest - legend) / 4;
		if ((uint32_t)bars > s->n_holders)
			bars = (int)s->n_holders;
	}
	g->fine = a->fine;
	g->x = area.w >= 50 && !g->hilbert ? QF_GRIDPARTS_MARGIN : 0;
	g->y = area.y;
	g->w = area.w - g->x;
	g->h = rest - legend - bars;
	qf_grid_place(g, s, qf_app_cluster(a));
	/* what the rows leave is the bars' */
	while (bars && (uint32_t)bars < s->n_holders &&
	       qf_grid_height(g) + bars + legend < rest)
		bars++;
	draw_grid(a);
	a->map.bar_rows = 0;
	if (bars)
		draw_bars(a, area.y + rest - legend - bars, bars);
	if (legend)
		qf_gridparts_legend(a, s, area.y + rest - legend, legend);
	if (rest < area.h)
		draw_status(a, area.y + area.h - 1);
}

static void mark(struct qf_app *a, uint32_t holder)
{
	struct qf_scene *s = &a->model->scene;
	char freed[32];

	if (holder >= s->n_holders)
		return;
	s->holder[holder].marked = !s->holder[holder].marked;
	qf_app_marks_changed(a);
	if (a->marked)
		qf_app_say(a, QF_TINT_NOTE, "only in the marked: %s%s",
			   qf_text_bytes(a->freed << s->cluster_bits, freed,
					 sizeof(freed)),
			   s->whole ? "" : " so far");
}

static bool act(struct qf_app *a, enum qf_action act)
{
	struct qf_map_state *m = &a->map;
	const struct qf_scene *s = &a->model->scene;
	uint64_t at = qf_app_cluster(a);

	if (qf_gridparts_act(&m->grid, s, act, &at)) {
		qf_app_set_cluster(a, at);
		return true;
	}
	switch (act) {
	case QF_ACT_ENTER:
		if (!qf_grid_zoom(&m->grid, s, 1))
			qf_app_go(a, QF_VIEW_OWNERS, a->at);
		return true;
	case QF_ACT_MARK:
		mark(a, m->bar);
		return true;
	case QF_ACT_NEXT_BAR:
		m->bar += m->bar + 1 < s->n_holders;
		return true;
	case QF_ACT_PREV_BAR:
		m->bar -= m->bar > 0;
		return true;
	default:
		return false;
	}
}

/* A place on a bar is one of the file; its name marks the holder's bar. */
static bool click_bar(struct qf_app *a, int x, int y)
{
	struct qf_map_state *m = &a->map;
	uint64_t all = a->model->scene.clusters;
	uint64_t w = (uint64_t)(a->screen.w - m->bar_x);

	if (y < m->bar_y || y >= m->bar_y + m->bar_rows || x < 0)
		return false;
	m->bar = m->bar_top + (uint32_t)(y - m->bar_y);
	if (x >= m->bar_x && w)
		qf_app_set_cluster(
			a, all / w * (uint64_t)(x - m->bar_x) +
				   all % w * (uint64_t)(x - m->bar_x) / w);
	return true;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	uint64_t at;

	if (click_bar(a, x, y) ||
	    !qf_grid_at(&a->map.grid, &a->model->scene, x, y, &at))
		return;
	qf_app_set_cluster(a, at);
	if (twice)
		act(a, QF_ACT_ENTER);
}

static bool find(struct qf_app *a, bool back)
{
	uint64_t at = qf_app_cluster(a);

	if (!qf_map_search_find(a, &a->model->scene, &at, back))
		return false;
	qf_app_set_cluster(a, at);
	return true;
}

static bool damage(struct qf_app *a, bool back)
{
	uint64_t at = qf_app_cluster(a);

	if (!qf_map_search_damage(a, &a->model->scene, &at, back))
		return false;
	qf_app_set_cluster(a, at);
	return true;
}

const struct qf_view qf_view_map = {
	.name = "File",
	.letter = 'm',
	.hint = "Enter in  - out  v on the disk  x bytes  O owners  / search",
	.draw = draw,
	.act = act,
	.find = find,
	.damage = damage,
	.click = click,
};
