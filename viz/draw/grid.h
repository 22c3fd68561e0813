/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scene as a grid on the screen that fills its window, whatever the number
 * of clusters: cells of many clusters each, or clusters of many columns each.
 * Row by row, every row is the same number of clusters, as round as can be;
 * or along a Hilbert curve. Draws into cells; knows no view and no terminal.
 */
#ifndef QF_GRID_H
#define QF_GRID_H

#include "viz/draw/cells.h"
#include "viz/draw/face.h"

struct qf_grid {
	bool hilbert;
	bool fine; /* cells may be half a line high: there are blocks and
			    * colours for it */
	unsigned int zoom; /* 0: all of it is seen; then by twos */
	/* the window: set by the caller before qf_grid_place */
	int x, y, w, h;
	/* as placed last: */
	uint64_t row;	 /* clusters of a row; along the curve, of the page */
	int cols, lines; /* cells of a row, lines of the screen of a cell */
	bool halves;	 /* two rows of cells have a line: more are there than
			  * a character each would show */
	int rows;	 /* rows of cells on the page */
	uint64_t first;	 /* the first cluster of the page */
	/* kept from one drawing to the next; private */
	struct qf_order order;
	struct qf_scene_cell *cell;
	size_t n;
	uint64_t cell_first, cell_row;
	int cell_cols, cell_rows;
	unsigned int cell_age;
};

void qf_grid_free(struct qf_grid *g);

/* Lays the grid out so that the cluster AT is on its page. */
void qf_grid_place(struct qf_grid *g, const struct qf_scene *s, uint64_t at);

/* Lines that the grid as it was placed needs of its window. */
int qf_grid_height(const struct qf_grid *g);

/* Draws it with the cursor at AT. AGE: of the scene. Returns false without
 * memory. */
bool qf_grid_draw(struct qf_grid *g, const struct qf_scene *s, uint64_t at,
		  unsigned int age, struct qf_grid_look look,
		  struct qf_cells *c);

/* The clusters of the cell that AT is in. */
void qf_grid_cell(const struct qf_grid *g, const struct qf_scene *s,
		  uint64_t at, uint64_t *first, uint64_t *end);

/* Where a step of DX cells and DY rows leads from AT, at the edges AT. */
uint64_t qf_grid_step(const struct qf_grid *g, const struct qf_scene *s,
		      uint64_t at, int dx, int dy);

/* The same for PAGES, to the ends of the scene. */
uint64_t qf_grid_page(const struct qf_grid *g, const struct qf_scene *s,
		      uint64_t at, int pages);

/* The first cluster of the cell at the screen's X, Y, of two the upper; false: there is none. */
bool qf_grid_at(const struct qf_grid *g, const struct qf_scene *s, int x, int y,
		uint64_t *at);

/* The same with what the cell shows and where it ends. LOWER: of two cells in
 * the character that one. As drawn last. */
bool qf_grid_cell_at(const struct qf_grid *g, const struct qf_scene *s, int x,
		     int y, bool lower, uint64_t *first, uint64_t *end,
		     struct qf_scene_cell *cell);

/* Zooms in (BY 1) or out (-1), as far as there is something to see. True if
 * it did. */
bool qf_grid_zoom(struct qf_grid *g, const struct qf_scene *s, int by);

/* Zooms in until each cluster is by itself. */
void qf_grid_closest(struct qf_grid *g, const struct qf_scene *s);

#endif
