/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A screen as a grid of cells, in memory. Every view draws into one; the
 * terminal, the pictures of screens and the tests take it from there.
 * Everything is clipped: drawing outside is allowed and does nothing.
 */
#ifndef QF_CELLS_H
#define QF_CELLS_H

#include "viz/draw/palette.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QF_CELLS_MAX 1000 /* columns and rows of the largest screen */

struct qf_cell {
	uint32_t ch;   /* Unicode; 0: the right half of a wide character */
	uint8_t tint;  /* enum qf_tint */
	uint8_t under; /* 1 + the enum qf_tint whose colour the ground has, as
			* behind a half block; 0: as the tint has it */
	uint8_t reverse;
};

struct qf_cells {
	int w, h;
	struct qf_cell *at; /* row after row; owned */
};

/* Makes the screen W x H (clamped to 1..QF_CELLS_MAX) and blank. Returns
 * false without memory: then it is as before. */
bool qf_cells_resize(struct qf_cells *c, int w, int h);
void qf_cells_free(struct qf_cells *c);
void qf_cells_blank(struct qf_cells *c);

void qf_cells_set(struct qf_cells *c, int x, int y, enum qf_tint tint,
		  uint32_t ch);

/* The cell's ground has the colour of the tint UNDER. */
void qf_cells_under(struct qf_cells *c, int x, int y, enum qf_tint under);

/*
 * Puts the UTF-8 TEXT at X, Y into at most WIDTH columns; what does not fit
 * is cut, and the last column says so. Control characters become "?".
 * Returns the columns used.
 */
int qf_cells_text(struct qf_cells *c, int x, int y, int width,
		  enum qf_tint tint, const char *text);
int qf_cells_printf(struct qf_cells *c, int x, int y, int width,
		    enum qf_tint tint, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/* WIDTH columns from X on get the tint, and blanks instead of nothing. */
void qf_cells_tint(struct qf_cells *c, int x, int y, int width,
		   enum qf_tint tint);
void qf_cells_reverse(struct qf_cells *c, int x, int y, int width);

/* Empties the rectangle: for what is laid over a view. */
void qf_cells_wipe(struct qf_cells *c, int x, int y, int w, int h,
		   enum qf_tint tint);

/*
 * The screen as UTF-8 text, a line a row, blanks at the ends of lines cut
 * off. Owned by the caller; NULL without memory.
 */
char *qf_cells_dump(const struct qf_cells *c);

/* Writes CH as UTF-8 into OUT (5 bytes), NUL-ended; returns its length. */
int qf_cells_utf8(uint32_t ch, char out[5]);

/* Decodes the character at *S and moves *S behind it; U+FFFD for rubbish. */
uint32_t qf_cells_next(const char **s);

#endif
