// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/grid.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A cluster by itself is at least that many columns wide at the last zoom. */
#define WIDE 4

void qf_grid_free(struct qf_grid *g)
{
	qf_order_free(&g->order);
	free(g->cell);
	memset(g, 0, sizeof(*g));
}

/* ALL split into N parts as even as can be: where part I begins. */
static uint64_t part(uint64_t all, uint64_t n, uint64_t i)
{
	return all / n * i + all % n * i / n;
}

/* In which of the N parts of ALL the place AT is. */
static uint64_t part_of(uint64_t all, uint64_t n, uint64_t at)
{
	uint64_t lo = 0, hi = n, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (part(all, n, mid) <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* N, or a little more, with few digits in twos. */
static uint64_t rounded(uint64_t n)
{
	uint64_t step = 1;

	while (n / step >= 32)
		step *= 2;
	return qf_mem_div_up(n, step) * step;
}

/* How much of a window of H lines rows of ROW clusters fill, in thousandths. */
static uint64_t filled(uint64_t all, uint64_t row, int h)
{
	uint64_t lines = (uint64_t)h / qf_mem_div_up(all, row);

	return all * lines * 1000 / (row * (uint64_t)h);
}

/* What little more emptiness a round row is worth, in thousandths. */
#define SLACK 50

/*
 * Clusters of a row, so that all rows fill a window of W x H. With fewer
 * clusters than columns a row can be several lines high; of the numbers that
 * leave little of the window empty, the roundest is taken.
 */
static uint64_t fit_row(uint64_t all, int w, int h)
{
	uint64_t least = qf_mem_div_up(all, (uint64_t)h), r, best = least;
	uint64_t most = 0, end = least * 4 + 8;

	if (!all)
		return 1;
	if (least >= (uint64_t)w)
		return rounded(least);
	end = end < (uint64_t)w ? end : (uint64_t)w;
	for (r = least; r <= end; r++)
		if (filled(all, r, h) > most)
			most = filled(all, r, h);
	for (r = least; r <= end; r++)
		if (filled(all, r, h) + SLACK >= most &&
		    (filled(all, best, h) + SLACK < most ||
		     (r & -r) > (best & -best)))
			best = r;
	return best;
}

/* More than a character each would show, and halves of them can be drawn. */
static bool wants_halves(const struct qf_grid *g, uint64_t all)
{
	return g->fine && all > (uint64_t)g->w * (uint64_t)g->h;
}

static uint64_t zoomed_row(const struct qf_grid *g, uint64_t all,
			   unsigned int zoom)
{
	int h = wants_halves(g, all) ? 2 * g->h : g->h;
	uint64_t fit = fit_row(all, g->w, h), row;

	if (!zoom)
		return fit;
	row = zoom < 64 ? fit >> zoom : 0;
	if (row < (uint64_t)(g->w / WIDE))
		row = (uint64_t)(g->w / WIDE);
	row = row ? row : 1;
	row = row > (uint64_t)g->w ? rounded(row) : row;
	return row < fit ? row : fit;
}

/* The first of the ROWS that a page of H begins with, so that HERE is on it:
 * as near to FIRST as can be, and even where STEP is 2. */
static uint64_t first_row(uint64_t first, uint64_t here, uint64_t rows,
			  uint64_t h, uint64_t step)
{
	uint64_t last = rows > h ? rows - h : 0;

	if (here < first)
		first = here - here % step;
	if (here >= first + h)
		first = qf_mem_div_up(here - h + 1, step) * step;
	last = qf_mem_div_up(last, step) * step;
	return first < last ? first : last;
}

static void place_rows(struct qf_grid *g, uint64_t all, uint64_t at)
{
	uint64_t rows, h = (uint64_t)g->h;

	g->row = zoomed_row(g, all, g->zoom);
	/* what has a row's width for itself shows its letter */
	g->halves = wants_halves(g, all) &&
		    (!g->zoom || g->row > (uint64_t)g->w);
	h *= g->halves ? 2 : 1;
	g->cols = g->row < (uint64_t)g->w ? (int)g->row : g->w;
	rows = qf_mem_div_up(all, g->row);
	rows = rows ? rows : 1;
	g->rows = (int)(rows < h ? rows : h);
	g->lines = rows < h ? (int)(h / rows) : 1;
	g->first = first_row(g->first / g->row, at / g->row, rows,
			     (uint64_t)g->rows, g->halves ? 2 : 1) *
		   g->row;
}

/* Cells of the curve are as large as lets all clusters of a page have one. */
static void place_curve(struct qf_grid *g, uint64_t all, uint64_t at)
{
	uint64_t page = g->zoom < 64 ? all >> g->zoom : 0, cells;
	int lines = 1, w = g->w, h = g->h;

	if (page < 16)
		page = all < 16 ? all : 16;
	while (w / (2 * lines + 2) && h / (lines + 1) &&
	       (uint64_t)(w / (2 * lines + 2)) * (uint64_t)(h / (lines + 1)) >=
		       page)
		lines++;
	g->lines = lines;
	g->cols = lines == 1 && (uint64_t)(w / 2) * (uint64_t)h < page ? w
		  : w / (2 * lines) ? w / (2 * lines)
				    : 1;
	g->rows = h / lines;
	g->halves = g->fine && page > (uint64_t)w * (uint64_t)h;
	if (g->halves)
		g->rows = 2 * h;
	cells = (uint64_t)g->cols * (uint64_t)g->rows;
	g->row = page > cells ? page : cells;
	g->first = at / g->row * g->row;
}

void qf_grid_place(struct qf_grid *g, const struct qf_scene *s, uint64_t at)
{
	if (g->w < 1 || g->h < 1) {
		g->cols = g->rows = 0;
		g->row = 1;
		return;
	}
	while (g->zoom && !g->hilbert &&
	       zoomed_row(g, s->clusters, g->zoom) ==
		       zoomed_row(g, s->clusters, g->zoom - 1))
		g->zoom--;
	if (g->hilbert)
		place_curve(g, s->clusters, at);
	else
		place_rows(g, s->clusters, at);
}

int qf_grid_height(const struct qf_grid *g)
{
	return g->halves ? (g->rows + 1) / 2 : g->rows * g->lines;
}

/* The first cluster of the page's cell number I. */
static uint64_t cell_start(const struct qf_grid *g, uint64_t i)
{
	uint64_t cols = (uint64_t)g->cols;

	if (g->hilbert)
		return g->first + part(g->row, cols * (uint64_t)g->rows, i);
	return g->first + i / cols * g->row + part(g->row, cols, i % cols);
}

/* The number of the page's cell that AT is in; AT is on the page. */
static uint64_t cell_of(const struct qf_grid *g, uint64_t at)
{
	uint64_t cols = (uint64_t)g->cols;

	at -= g->first;
	if (g->hilbert)
		return part_of(g->row, cols * (uint64_t)g->rows, at);
	return at / g->row * cols + part_of(g->row, cols, at % g->row);
}

static bool on_page(const struct qf_grid *g, uint64_t at)
{
	uint64_t n = (uint64_t)g->cols * (uint64_t)g->rows;

	return n && at >= g->first && at < cell_start(g, n);
}

static bool load(struct qf_grid *g, const struct qf_scene *s, unsigned int age)
{
	size_t n = (size_t)g->cols * (size_t)g->rows, i;
	struct qf_scene_cell *p;

	if (g->cell && g->n == n && g->cell_first == g->first &&
	    g->cell_row == g->row && g->cell_cols == g->cols &&
	    g->cell_rows == g->rows && g->cell_age == age)
		return true;
	p = realloc(g->cell, n * sizeof(*p));
	if (!p)
		return false;
	g->cell = p;
	g->n = n;
	g->cell_first = g->first;
	g->cell_row = g->row;
	g->cell_cols = g->cols;
	g->cell_rows = g->rows;
	g->cell_age = age;
	for (i = 0; i < n; i++)
		qf_scene_cell(s, cell_start(g, i), cell_start(g, i + 1), &p[i]);
	return true;
}

/* The columns of the window that column COL of the grid takes. */
static void columns(const struct qf_grid *g, int col, int *from, int *to)
{
	*from = col * g->w / g->cols;
	*to = (col + 1) * g->w / g->cols;
}

static void put(struct qf_cells *c, int x, int y, struct qf_face f)
{
	qf_cells_set(c, x, y, f.tint, f.ch);
	if (f.under >= 0)
		qf_cells_under(c, x, y, (enum qf_tint)f.under);
	if (f.reverse)
		qf_cells_reverse(c, x, y, 1);
}

static void draw_cell(const struct qf_grid *g, struct qf_scene_cell cell,
		      uint64_t place, bool here, struct qf_grid_look look,
		      struct qf_cells *c)
{
	struct qf_face f = qf_face_one(cell, look), blank;
	int from, to, x, line, y;

	if (cell.kind >= QF_KINDS)
		return; /* past the end */
	f.reverse = here;
	/* a letter stands once in a cell, however wide that is */
	blank = f;
	if (!look.ascii && f.ch < 0x80)
		blank.ch = ' ';
	columns(g, (int)(place % (uint64_t)g->cols), &from, &to);
	y = g->y + (int)(place / (uint64_t)g->cols) * g->lines;
	for (line = 0; line < g->lines; line++)
		for (x = from; x < to; x++)
			put(c, g->x + x, y + line,
			    x > from || line ? blank : f);
}

/* The cell at a place of the page; past its end none is there. */
static struct qf_scene_cell cell_at(const struct qf_grid *g, int col, int row)
{
	static const struct qf_scene_cell none = { QF_KINDS, QF_KINDS, 0,
						   false };

	return row < g->rows ? g->cell[g->order.number[row * g->cols + col]]
			     : none;
}

/* Two rows of cells a line. HERE: the cursor's cell. */
static void draw_halves(const struct qf_grid *g, uint64_t here,
			struct qf_grid_look look, struct qf_cells *c)
{
	int x, from, to, row, col, at = -1;
	struct qf_scene_cell upper, lower;
	enum qf_face_here half;
	struct qf_face f;

	if (here < g->n)
		at = (int)g->order.place[here];
	for (row = 0; row < g->rows; row += 2)
		for (col = 0; col < g->cols; col++) {
			upper = cell_at(g, col, row);
			lower = cell_at(g, col, row + 1);
			if (upper.kind >= QF_KINDS && lower.kind >= QF_KINDS)
				continue;
			half = at == row * g->cols + col ? QF_FACE_UPPER
			       : at == (row + 1) * g->cols + col
				       ? QF_FACE_LOWER
				       : QF_FACE_NOT_HERE;
			f = qf_face_two(upper, lower, look, half);
			columns(g, col, &from, &to);
			for (x = from; x < to; x++)
				put(c, g->x + x, g->y + row / 2, f);
		}
}

bool qf_grid_draw(struct qf_grid *g, const struct qf_scene *s, uint64_t at,
		  unsigned int age, struct qf_grid_look look,
		  struct qf_cells *c)
{
	uint64_t here;
	size_t i;

	if (!g->cols || !g->rows)
		return true;
	if (!qf_order_make(&g->order, g->cols, g->rows, g->hilbert) ||
	    !load(g, s, age))
		return false;
	here = on_page(g, at) ? cell_of(g, at) : UINT64_MAX;
	if (g->halves)
		draw_halves(g, here, look, c);
	else
		for (i = 0; i < g->n; i++)
			draw_cell(g, g->cell[i], g->order.place[i], i == here,
				  look, c);
	return true;
}

void qf_grid_cell(const struct qf_grid *g, const struct qf_scene *s,
		  uint64_t at, uint64_t *first, uint64_t *end)
{
	uint64_t i, base, cols = (uint64_t)g->cols;

	*first = at;
	*end = at + 1;
	/* before it was placed, each cluster is by itself */
	if (!g->hilbert && cols && g->row) {
		base = at - at % g->row;
		i = part_of(g->row, cols, at - base);
		*first = base + part(g->row, cols, i);
		*end = base + part(g->row, cols, i + 1);
	} else if (on_page(g, at)) {
		i = cell_of(g, at);
		*first = cell_start(g, i);
		*end = cell_start(g, i + 1);
	}
	if (*end > s->clusters)
		*end = s->clusters;
}

/* A step on the picture of the curve. */
static uint64_t step_curve(const struct qf_grid *g, const struct qf_scene *s,
			   uint64_t at, int dx, int dy)
{
	uint64_t to;
	int x, y;

	if (!on_page(g, at) || !g->order.place || g->order.w != g->cols ||
	    g->order.h != g->rows || !g->order.hilbert)
		return at;
	to = g->order.place[cell_of(g, at)];
	x = (int)(to % (uint64_t)g->cols) + dx;
	y = (int)(to / (uint64_t)g->cols) + dy;
	if (x < 0 || y < 0 || x >= g->cols || y >= g->rows)
		return at;
	to = cell_start(g, g->order.number[y * g->cols + x]);
	return to < s->clusters ? to : at;
}

uint64_t qf_grid_step(const struct qf_grid *g, const struct qf_scene *s,
		      uint64_t at, int dx, int dy)
{
	uint64_t first, end, by = (uint64_t)(dy < 0 ? -dy : dy);

	if (g->hilbert)
		return step_curve(g, s, at, dx, dy);
	if (!qf_mem_mul(by, g->row, &by))
		return at;
	if (dy < 0)
		return at >= by ? at - by : at;
	if (dy > 0)
		return s->clusters > by && at < s->clusters - by ? at + by : at;
	qf_grid_cell(g, s, at, &first, &end);
	if (dx > 0)
		return end < s->clusters ? end : first;
	if (!first)
		return 0;
	qf_grid_cell(g, s, first - 1, &first, &end);
	return first;
}

uint64_t qf_grid_page(const struct qf_grid *g, const struct qf_scene *s,
		      uint64_t at, int pages)
{
	uint64_t page = g->row * (uint64_t)(g->hilbert ? 1 : g->rows);

	if (pages < 0)
		return at > page ? at - page : 0;
	if (s->clusters > page && at < s->clusters - page)
		return at + page;
	return s->clusters ? s->clusters - 1 : 0;
}

/* The number of the cell at the screen's X, Y; false: there is none. */
static bool number_at(const struct qf_grid *g, int x, int y, bool lower,
		      uint32_t *number)
{
	int col = 0, row, from, to;

	x -= g->x;
	y -= g->y;
	row = g->halves ? 2 * y + lower : g->lines ? y / g->lines : 0;
	if (x < 0 || y < 0 || x >= g->w || !g->lines || row >= g->rows ||
	    !g->order.number || g->order.w != g->cols || g->order.h != g->rows)
		return false;
	for (col = 0; col < g->cols - 1; col++) {
		columns(g, col, &from, &to);
		if (x < to)
			break;
	}
	*number = g->order.number[row * g->cols + col];
	return true;
}

bool qf_grid_at(const struct qf_grid *g, const struct qf_scene *s, int x, int y,
		uint64_t *at)
{
	uint32_t number;

	if (!number_at(g, x, y, false, &number))
		return false;
	*at = cell_start(g, number);
	return *at < s->clusters;
}

bool qf_grid_cell_at(const struct qf_grid *g, const struct qf_scene *s, int x,
		     int y, bool lower, uint64_t *first, uint64_t *end,
		     struct qf_scene_cell *cell)
{
	uint32_t number;

	if ((lower && !g->halves) || !number_at(g, x, y, lower, &number) ||
	    number >= g->n)
		return false;
	*first = cell_start(g, number);
	*end = cell_start(g, number + 1);
	*end = *end < s->clusters ? *end : s->clusters;
	*cell = g->cell[number];
	return *first < s->clusters;
}

bool qf_grid_zoom(struct qf_grid *g, const struct qf_scene *s, int by)
{
	if (by < 0) {
		g->zoom -= g->zoom > 0;
		return true;
	}
	if (g->w < 1 || g->h < 1)
		return false;
	if (g->hilbert ? (g->zoom < 63 &&
			  s->clusters >> g->zoom >
				  (uint64_t)(g->w / WIDE + 1) * (uint64_t)g->h)
		       : zoomed_row(g, s->clusters, g->zoom + 1) <
				 zoomed_row(g, s->clusters, g->zoom)) {
		g->zoom++;
		return true;
	}
	return false;
}

void qf_grid_closest(struct qf_grid *g, const struct qf_scene *s)
{
	while (qf_grid_zoom(g, s, 1))
		;
}
