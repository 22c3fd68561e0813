// SPDX-License-Identifier: GPL-2.0-or-later
/* The grid: it fills its window, each cluster is in one cell, and what is
 * worst in a cell is what the cell shows, at every zoom. */
#include "tests/unit/unit.h"
#include "viz/draw/grid.h"

static void make(struct qf_scene *s, uint64_t clusters, uint64_t seed)
{
	struct dice dice = { seed };
	uint64_t at, n;

	qf_scene_init(s, clusters << 16, 16, 0);
	for (at = 0; at < clusters; at += n) {
		n = 1 + dice_below(&dice, clusters / 50 + 2);
		qf_scene_add_run(s, at, n,
				 (enum qf_kind)dice_below(&dice, QF_KINDS), 0,
				 QF_KIND_FREE);
	}
	qf_scene_add_wrong(s, clusters / 3, 1, QF_KIND_DAMAGED);
	qf_scene_add_wrong(s, clusters / 2, 1, QF_KIND_LOST);
	qf_scene_finish(s, QF_KIND_FREE);
	assert_false(s->failed);
}

static bool place(struct qf_grid *g, const struct qf_scene *s, int w, int h,
		  uint64_t at, struct qf_cells *c)
{
	const struct qf_grid_look look = { false, false };

	g->x = g->y = 0;
	g->w = w;
	g->h = h;
	qf_grid_place(g, s, at);
	qf_cells_blank(c);
	return qf_grid_draw(g, s, at, 1, look, c);
}

/* At 200 x 50 at least nine tenths are map, of 167 clusters as of many. */
static void test_filled(void **unused)
{
	static const uint64_t sizes[] = { 1,	   3,	    10,	   41,
					  167,	   750,	    2000,  7000,
					  9999,	   10001,   20000, 123457,
					  9000001, 16777216 };
	struct qf_grid g = { 0 };
	struct qf_cells c = { 0 };
	struct qf_scene s;
	size_t i, full;
	int k;

	(void)unused;
	assert_true(qf_cells_resize(&c, 200, 50));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		qf_scene_init(&s, sizes[i] << 16, 16, 0);
		qf_scene_add_run(&s, 0, sizes[i], QF_KIND_ACTIVE, 0,
				 QF_KIND_FREE);
		qf_scene_finish(&s, QF_KIND_FREE);
		assert_true(place(&g, &s, 200, 50, 0, &c));
		for (full = 0, k = 0; k < 200 * 50; k++)
			full += c.at[k].tint == QF_KIND_ACTIVE;
		assert_true(full >= 9000);
		g.fine = true;
		assert_true(place(&g, &s, 200, 50, 0, &c));
		assert_true(g.halves == (sizes[i] > 10000));
		for (full = 0, k = 0; k < 200 * 50; k++)
			full += c.at[k].tint == QF_KIND_ACTIVE;
		assert_true(full >= 8999); /* the cursor */
		g.fine = false;
		qf_scene_free(&s);
	}
	qf_grid_free(&g);
	qf_cells_free(&c);
}

/* The worst of [FIRST, END), from LEAKED on; QF_KINDS: nothing is wrong. */
static unsigned int worst_of(const struct qf_scene *s, uint64_t first,
			     uint64_t end)
{
	unsigned int worst = QF_KINDS, k;
	uint32_t set;

	for (; first < end; first++) {
		k = qf_scene_at(s, first, &set);
		if (k >= QF_KIND_LEAKED && (worst == QF_KINDS || k > worst))
			worst = k;
	}
	return worst;
}

static bool is_metadata(int k)
{
	return k >= (int)QF_KIND_HEADER && k < (int)QF_KIND_ACTIVE;
}

static bool has_metadata(const struct qf_scene *s, uint64_t first, uint64_t end)
{
	uint32_t set;

	for (; first < end; first++)
		if (is_metadata((int)qf_scene_at(s, first, &set)))
			return true;
	return false;
}

/* The cell below the one that begins at FOUND, where both have the character
 * in line Y; false: there is none. */
static bool below(const struct qf_grid *g, const struct qf_scene *s, int y,
		  uint64_t found, uint64_t *first, uint64_t *end)
{
	uint64_t at;

	if (!g->halves || 2 * y + 1 >= g->rows)
		return false;
	at = qf_grid_step(g, s, found, 0, 1);
	if (at == found)
		return false;
	qf_grid_cell(g, s, at, first, end);
	return true;
}

/* The character shows what is worst in its one or two cells. */
static void look_at(const struct qf_grid *g, const struct qf_scene *s, int x,
		    int y, uint64_t cursor, const struct qf_cell *c)
{
	uint64_t found, first, end, to;
	unsigned int worst, low;
	bool meta, here;

	if (!qf_grid_at(g, s, x, y, &found))
		return;
	qf_grid_cell(g, s, found, &first, &end);
	assert_int_equal(first, found);
	worst = worst_of(s, first, end);
	meta = has_metadata(s, first, end);
	here = cursor >= first && cursor < end;
	if (below(g, s, y, found, &first, &to)) {
		low = worst_of(s, first, to);
		worst = worst == QF_KINDS || (low < QF_KINDS && low > worst)
				? low
				: worst;
		meta |= has_metadata(s, first, to);
		here |= cursor >= first && cursor < to;
	}
	if (worst < QF_KINDS) {
		assert_int_equal(c->tint, worst);
		assert_int_equal(c->under, 0);
		assert_int_equal(c->ch, qf_palette_kind(worst)->glyph);
	} else {
		assert_true(c->tint < QF_KIND_LEAKED ||
			    (here && g->halves && c->tint == QF_TINT_TEXT));
		/* metadata do not vanish either */
		if (meta && !here)
			assert_true(is_metadata(c->tint) ||
				    is_metadata((int)c->under - 1));
	}
	if (here)
		assert_true(c->reverse || c->tint == QF_TINT_TEXT);
}

/* All pages of a zoom: every cluster once, nothing wrong is hidden. */
static void look_through(struct qf_grid *g, const struct qf_scene *s, int w,
			 int h, struct qf_cells *c)
{
	uint64_t at = 0, first, end, page;
	int x, y;

	while (at < s->clusters) {
		assert_true(place(g, s, w, h, at, c));
		page = g->first;
		qf_grid_cell(g, s, at, &first, &end);
		assert_true(first <= at && at < end);
		for (y = 0; y < h; y++)
			for (x = 0; x < w; x++)
				if (g->lines == 1 && g->cols == w)
					look_at(g, s, x, y, at,
						&c->at[y * c->w + x]);
		/* the page's cells follow each other */
		for (at = page, end = page;
		     at < s->clusters &&
		     at < page + (g->hilbert ? g->row
					     : g->row * (uint64_t)g->rows);
		     at = end) {
			qf_grid_cell(g, s, at, &first, &end);
			assert_int_equal(first, at);
			assert_true(end > first);
		}
	}
}

static void test_every_zoom(void **unused)
{
	static const uint64_t sizes[] = { 1, 29, 167, 5000 };
	static const int windows[][2] = {
		{ 1, 1 }, { 20, 4 }, { 69, 17 }, { 150, 40 }
	};
	struct qf_cells c = { 0 };
	struct qf_grid g = { 0 };
	struct qf_scene s;
	size_t i, k;

	(void)unused;
	assert_true(qf_cells_resize(&c, 150, 40));
	for (i = 0; i < 64; i++) {
		make(&s, sizes[i % 4], i + 1);
		k = i / 4 % 4;
		g.hilbert = i / 16 % 2;
		g.fine = i >= 32;
		g.zoom = 0;
		do {
			look_through(&g, &s, windows[k][0], windows[k][1], &c);
		} while (qf_grid_zoom(&g, &s, 1));
		qf_scene_free(&s);
	}
	qf_grid_free(&g);
	qf_cells_free(&c);
}

/* What would vanish has the cell's lower half; nothing beside what is wrong. */
static void test_minority(void **unused)
{
	struct qf_scene_cell cell;
	struct qf_scene s;

	(void)unused;
	qf_scene_init(&s, 100 << 16, 16, 0);
	qf_scene_add_run(&s, 0, 20, QF_KIND_ACTIVE, 0, QF_KIND_FREE);
	qf_scene_add_run(&s, 20, 1, QF_KIND_L2, 0, QF_KIND_FREE);
	qf_scene_add_run(&s, 50, 2, QF_KIND_ACTIVE, 0, QF_KIND_FREE);
	qf_scene_add_run(&s, 90, 1, QF_KIND_LEAKED, 0, QF_KIND_FREE);
	qf_scene_finish(&s, QF_KIND_FREE);
	qf_scene_cell(&s, 0, 25, &cell);
	assert_int_equal(cell.kind, QF_KIND_ACTIVE);
	assert_int_equal(cell.minor, QF_KIND_L2);
	qf_scene_cell(&s, 40, 60, &cell);
	assert_int_equal(cell.kind, QF_KIND_FREE);
	assert_int_equal(cell.minor, QF_KIND_ACTIVE);
	qf_scene_cell(&s, 60, 70, &cell);
	assert_int_equal(cell.minor, QF_KIND_FREE);
	qf_scene_cell(&s, 0, 100, &cell);
	assert_int_equal(cell.kind, QF_KIND_LEAKED);
	assert_int_equal(cell.minor, QF_KIND_LEAKED);
	qf_scene_free(&s);
}

/* Steps stay inside, and back and forth leads home. */
static void test_steps(void **unused)
{
	struct qf_cells c = { 0 };
	struct qf_grid g = { 0 };
	struct qf_scene s;
	uint64_t at, to;

	(void)unused;
	assert_true(qf_cells_resize(&c, 60, 20));
	make(&s, 5000, 3);
	/* before it was ever placed */
	assert_int_equal(qf_grid_step(&g, &s, 7, 1, 0), 8);
	assert_int_equal(qf_grid_step(&g, &s, 7, 0, 1), 7);
	assert_int_equal(qf_grid_page(&g, &s, 7, 1), 7);
	assert_false(qf_grid_at(&g, &s, 3, 3, &at));
	qf_grid_cell(&g, &s, 4999, &at, &to);
	assert_int_equal(to, 5000);
	for (at = 0; at < s.clusters;) {
		assert_true(place(&g, &s, 60, 20, at, &c));
		to = qf_grid_step(&g, &s, at, 1, 0);
		assert_true(to >= at && to < s.clusters);
		if (to == at)
			break;
		assert_int_equal(qf_grid_step(&g, &s, to, -1, 0), at);
		at = to;
	}
	assert_true(at + 2 * g.row / (uint64_t)g.cols + 2 > s.clusters);
	assert_int_equal(qf_grid_step(&g, &s, 7, 0, -1), 7);
	to = qf_grid_step(&g, &s, 7, 0, 3);
	assert_int_equal(to, 7 + 3 * g.row);
	assert_int_equal(qf_grid_step(&g, &s, to, 0, -3), 7);
	assert_int_equal(qf_grid_page(&g, &s, 7, 1), s.clusters - 1);
	assert_int_equal(qf_grid_page(&g, &s, 7, -1), 0);
	qf_scene_free(&s);
	qf_grid_free(&g);
	qf_cells_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filled),
		cmocka_unit_test(test_every_zoom),
		cmocka_unit_test(test_minority),
		cmocka_unit_test(test_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
