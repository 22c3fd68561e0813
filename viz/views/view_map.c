// SPDX-License-Identifier: GPL-2.0-or-later
/* The file as a grid of cells, the snapshots' bars, the legend. */
#include "viz/views/map_search.h"
#include "viz/views/views.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 11 /* columns for the offsets at the left */

static uint64_t cell_at_cursor(const struct qf_app *a)
{
	return qf_app_cluster(a) >> a->map.zoom;
}

static uint64_t n_cells(const struct qf_app *a)
{
	uint64_t per = 1ull << a->map.zoom;

	return qf_mem_div_up(a->model->scene.clusters, per);
}

/* Which cells are on the screen: the cursor's is among them. */
static void place_page(struct qf_app *a)
{
	struct qf_map_state *m = &a->map;
	uint64_t room = (uint64_t)m->w * (uint64_t)m->h;
	uint64_t step = m->hilbert ? room : (uint64_t)m->w;
	uint64_t at, last;

	if (m->fit)
		m->zoom = qf_scene_fit(&a->model->scene, room);
	at = cell_at_cursor(a);
	last = n_cells(a) > room ? (n_cells(a) - room + step - 1) / step * step
				 : 0;
	m->top = m->top / step * step;
	if (at < m->top)
		m->top = at / step * step;
	if (at >= m->top + room)
		m->top = m->hilbert ? at / step * step
				    : (at / step - (uint64_t)m->h + 1) * step;
	if (m->top > last)
		m->top = last;
}

static bool load_cells(struct qf_app *a)
{
	struct qf_map_state *m = &a->map;
	size_t n = (size_t)m->w * (size_t)m->h;
	struct qf_scene_cell *p;

	if (m->cell && m->n_cells == n && m->cell_first == m->top &&
	    m->cell_zoom == m->zoom && m->cell_age == a->age)
		return true;
	p = realloc(m->cell, n * sizeof(*p));
	if (!p)
		return false;
	m->cell = p;
	m->n_cells = n;
	m->cell_first = m->top;
	m->cell_zoom = m->zoom;
	m->cell_age = a->age;
	qf_scene_cells(&a->model->scene, m->top << m->zoom, 1ull << m->zoom, n,
		       p);
	return true;
}

static void draw_cell(struct qf_app *a, int x, int y, struct qf_scene_cell c)
{
	const struct qf_kind_look *look = qf_palette_kind(c.kind);
	enum qf_tint tint = (enum qf_tint)c.kind;
	uint32_t ch = a->ascii ? (unsigned char)look->ascii : look->glyph;

	if (c.kind >= QF_KINDS)
		return; /* past the end of the file */
	if (a->marked && c.kind <= QF_KIND_LEAKED) {
		tint = c.mark == QF_MARK_EXCLUSIVE ? QF_TINT_MARK
		       : c.mark == QF_MARK_SHARED  ? QF_TINT_SHARE
						   : QF_TINT_DIM;
		if (c.mark == QF_MARK_EXCLUSIVE)
			ch = a->ascii	? (c.mostly ? '*' : 'x')
			     : c.mostly ? 0x2588
					: 0x25aa;
		else if (c.mark == QF_MARK_SHARED)
			ch = a->ascii ? '+' : 0x2592;
		else if (c.kind >= QF_KIND_ACTIVE && c.kind <= QF_KIND_LEAKED)
			ch = a->ascii ? '.' : 0xb7;
	}
	qf_cells_set(&a->screen, x, y, tint, ch);
}

static void draw_grid(struct qf_app *a)
{
	struct qf_map_state *m = &a->map;
	uint64_t here = cell_at_cursor(a);
	uint32_t i, place;
	int x, y;

	if (!qf_order_make(&m->order, m->w, m->h, m->hilbert) ||
	    !load_cells(a)) {
		qf_cells_text(&a->screen, 0, m->y, m->w, QF_TINT_BAD,
			      "no memory for the map");
		return;
	}
	for (i = 0; i < m->n_cells; i++) {
		place = m->order.place[i];
		x = m->x + (int)(place % (uint32_t)m->w);
		y = m->y + (int)(place / (uint32_t)m->w);
		draw_cell(a, x, y, m->cell[i]);
		if (m->top + i == here)
			qf_cells_reverse(&a->screen, x, y, 1);
	}
	for (y = 0; m->x && !m->hilbert && y < m->h; y++) {
		uint64_t cell = m->top + (uint64_t)y * (uint64_t)m->w;
		char text[32];

		if (cell >= n_cells(a))
			break;
		qf_text_bytes((cell << m->zoom) << a->img->geo.cluster_bits,
			      text, sizeof(text));
		qf_cells_printf(&a->screen, 0, m->y + y, m->x - 1, QF_TINT_DIM,
				"%10s", text);
	}
}

/* Where the next entry of the legend goes. */
struct legend {
	int x, y, row, max; /* y negative: only to measure */
};

static bool add_legend(struct qf_app *a, struct legend *l, enum qf_tint tint,
		       uint32_t glyph, const char *text)
{
	int need = (int)strlen(text) + 4;

	if (l->x && l->x + need > a->screen.w) {
		l->x = 0;
		l->row++;
	}
	if (l->row >= l->max)
		return false;
	if (l->y >= 0) {
		qf_cells_set(&a->screen, l->x, l->y + l->row, tint, glyph);
		qf_cells_text(&a->screen, l->x + 2, l->y + l->row, need - 3,
			      QF_TINT_DIM, text);
	}
	l->x += need;
	return true;
}

/* The legend: what there is of each kind. Returns the rows it takes; draws
 * if Y is not negative. */
static int draw_legend(struct qf_app *a, int y, int max)
{
	const struct qf_scene *s = &a->model->scene;
	struct legend l = { 0, y, 0, max };
	char text[96], size[32];
	int i, k;

	if (a->marked) {
		add_legend(a, &l, QF_TINT_MARK, a->ascii ? '*' : 0x2588,
			   "only in the marked");
		if (a->map.zoom)
			add_legend(a, &l, QF_TINT_MARK, a->ascii ? 'x' : 0x25aa,
				   "partly");
		add_legend(a, &l, QF_TINT_SHARE, a->ascii ? '+' : 0x2592,
			   "shared with others");
	}
	/* data and damage first: if the rest is cut off, less is lost */
	for (i = 0; i < QF_KINDS; i++) {
		const struct qf_kind_look *look;

		k = (i + QF_KIND_ACTIVE) % QF_KINDS;
		look = qf_palette_kind((enum qf_kind)k);
		/* with marks, data of all kinds looks the same */
		if (!s->total[k] ||
		    (a->marked && k >= QF_KIND_ACTIVE && k <= QF_KIND_LEAKED))
			continue;
		qf_text_bytes(s->total[k] << s->cluster_bits, size,
			      sizeof(size));
		snprintf(text, sizeof(text), "%s %s", look->title, size);
		if (!add_legend(a, &l, (enum qf_tint)k,
				a->ascii ? (unsigned char)look->ascii
					 : look->glyph,
				text))
			break;
	}
	return l.row < max ? l.row + 1 : max;
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
	qf_text_bytes(a->img->geo.cluster_bytes << m->zoom, size, sizeof(size));
	n = snprintf(scale, sizeof(scale), " %s per cell%s ", size,
		     m->hilbert ? ", Hilbert" : "");
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

/* Of ROWS, a quarter; more where a small file leaves the grid empty. */
static int rows_for_bars(const struct qf_app *a, int rows)
{
	const struct qf_scene *s = &a->model->scene;
	uint64_t grid = qf_mem_div_up(s->clusters, (uint64_t)a->map.w) + 1;
	int bars = rows / 4;

	if (!a->map.hilbert && grid < (uint64_t)(rows - bars))
		bars = rows - (int)grid;
	return (uint32_t)bars > s->n_holders ? (int)s->n_holders : bars;
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_map_state *m = &a->map;
	int bars = 0, legend = 0, rest = area.h;

	if (rest >= 4)
		rest--; /* the status line */
	if (rest >= 8)
		legend = draw_legend(a, -1, rest >= 16 ? 3 : 1);
	m->x = area.w >= 50 && !m->hilbert ? MARGIN : 0;
	m->y = area.y;
	m->w = area.w - m->x;
	if (m->w >= 32 && m->x)
		m->w = m->w / 16 * 16; /* round offsets at the left */
	if (rest >= 10)
		bars = rows_for_bars(a, rest - legend);
	m->h = rest - legend - bars;
	place_page(a);
	draw_grid(a);
	if (bars)
		draw_bars(a, area.y + m->h, bars);
	if (legend)
		draw_legend(a, area.y + m->h + bars, legend);
	if (rest < area.h)
		draw_status(a, area.y + area.h - 1);
}

/* Moves the cursor by cells, along the file. */
static void step(struct qf_app *a, int64_t cells)
{
	uint64_t at = cell_at_cursor(a), n = n_cells(a), to;

	if (cells < 0)
		to = at < (uint64_t)-cells ? 0 : at - (uint64_t)-cells;
	else
		to = at + (uint64_t)cells >= n ? (n ? n - 1 : 0)
					       : at + (uint64_t)cells;
	/* a row up from the first row stays where it is */
	if (cells < -1 && at < (uint64_t)-cells && cells == -(int64_t)a->map.w)
		to = at;
	qf_app_set_cluster(a, to << a->map.zoom);
}

/* Moves on the screen, along Hilbert's curve's picture. */
static void step_hilbert(struct qf_app *a, int dx, int dy)
{
	struct qf_map_state *m = &a->map;
	uint64_t i = cell_at_cursor(a) - m->top;
	int x, y;

	if (!m->order.place || i >= m->n_cells || m->order.w != m->w ||
	    m->order.h != m->h)
		return;
	x = (int)(m->order.place[i] % (uint32_t)m->w) + dx;
	y = (int)(m->order.place[i] / (uint32_t)m->w) + dy;
	if (x < 0 || y < 0 || x >= m->w || y >= m->h)
		return;
	i = m->top + m->order.number[y * m->w + x];
	if (i < n_cells(a))
		qf_app_set_cluster(a, i << m->zoom);
}

static void zoom(struct qf_app *a, int by)
{
	struct qf_map_state *m = &a->map;
	uint64_t room = (uint64_t)(m->w > 0 ? m->w : 1) *
			(uint64_t)(m->h > 0 ? m->h : 1);
	unsigned int most = qf_scene_fit(&a->model->scene, room);

	m->fit = false;
	if (by > 0 && m->zoom)
		m->zoom--;
	if (by < 0)
		m->zoom++;
	if (m->zoom >= most)
		m->zoom = most;
	m->fit = m->zoom == most;
	/* the cursor's cell in the middle */
	m->top = cell_at_cursor(a);
	m->top = m->top > room / 2 ? m->top - room / 2 : 0;
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

static bool act_move(struct qf_app *a, enum qf_action act)
{
	struct qf_map_state *m = &a->map;
	int64_t page = (int64_t)m->w * (m->h > 0 ? m->h : 1);

	switch (act) {
	case QF_ACT_UP:
		m->hilbert ? step_hilbert(a, 0, -1) : step(a, -m->w);
		break;
	case QF_ACT_DOWN:
		m->hilbert ? step_hilbert(a, 0, 1) : step(a, m->w);
		break;
	case QF_ACT_LEFT:
		m->hilbert ? step_hilbert(a, -1, 0) : step(a, -1);
		break;
	case QF_ACT_RIGHT:
		m->hilbert ? step_hilbert(a, 1, 0) : step(a, 1);
		break;
	case QF_ACT_PAGE_UP:
		step(a, -page);
		break;
	case QF_ACT_PAGE_DOWN:
		step(a, page);
		break;
	case QF_ACT_FIRST:
		qf_app_set_cluster(a, 0);
		break;
	case QF_ACT_LAST:
		qf_app_set_cluster(a, a->model->scene.clusters);
		break;
	default:
		return false;
	}
	return true;
}

static bool act(struct qf_app *a, enum qf_action act)
{
	struct qf_map_state *m = &a->map;

	switch (act) {
	case QF_ACT_ENTER:
		if (m->zoom)
			zoom(a, 1);
		else
			qf_app_go(a, QF_VIEW_OWNERS, a->at);
		return true;
	case QF_ACT_ZOOM_IN:
		zoom(a, 1);
		return true;
	case QF_ACT_ZOOM_OUT:
		zoom(a, -1);
		return true;
	case QF_ACT_ZOOM_FIT:
		m->fit = true;
		return true;
	case QF_ACT_ORDER:
		m->hilbert = !m->hilbert;
		return true;
	case QF_ACT_MARK:
		mark(a, m->bar);
		return true;
	case QF_ACT_NEXT_BAR:
		m->bar += m->bar + 1 < a->model->scene.n_holders;
		return true;
	case QF_ACT_PREV_BAR:
		m->bar -= m->bar > 0;
		return true;
	default:
		return act_move(a, act);
	}
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_map_state *m = &a->map;
	uint64_t i;

	x -= m->x;
	y -= m->y;
	if (x < 0 || y < 0 || x >= m->w || y >= m->h || !m->order.number ||
	    m->order.w != m->w || m->order.h != m->h)
		return;
	i = m->top + m->order.number[y * m->w + x];
	if (i >= n_cells(a))
		return;
	qf_app_set_cluster(a, i << m->zoom);
	if (twice)
		act(a, QF_ACT_ENTER);
}

const struct qf_view qf_view_map = {
	.name = "Map",
	.letter = 'm',
	.draw = draw,
	.act = act,
	.find = qf_map_search_find,
	.click = click,
};
