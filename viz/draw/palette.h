/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How things look: the kinds of clusters and the parts of the screen, each
 * with its colours (for pictures, 256 and 16 colours), its attributes without
 * colours, and its glyph. No toolkit in it.
 */
#ifndef QF_PALETTE_H
#define QF_PALETTE_H

#include <stdbool.h>
#include <stdint.h>

/* What a host cluster is, as the pictures tell it. */
enum qf_kind {
#define QF_KIND(NAME, key, title, glyph, ascii, rgb, ink, c16) QF_KIND_##NAME,
#include "viz/draw/kinds.def"
#undef QF_KIND
	QF_KINDS
};

/* What is drawn: a cluster of a kind (the kind's number), or: */
enum qf_tint {
	QF_TINT_KIND = 0,
	QF_TINT_TEXT = QF_KINDS,
	QF_TINT_DIM,
	QF_TINT_STRONG,
	QF_TINT_TITLE,	/* the bar at the top */
	QF_TINT_TAB,	/* the view at hand, in that bar */
	QF_TINT_STATUS, /* the line at the bottom */
	QF_TINT_PROMPT,
	QF_TINT_GOOD,
	QF_TINT_NOTE,
	QF_TINT_WARN,
	QF_TINT_BAD,
	QF_TINT_BAR,   /* the filled part of a bar */
	QF_TINT_MARK,  /* something marked; clusters that only it holds */
	QF_TINT_SHARE, /* clusters that marked snapshots share with others */
	QF_TINT_PANEL, /* what is laid over a view */
	QF_TINT_PANEL_KEY,
	QF_TINT_PANEL_HEAD,
	QF_TINTS
};

struct qf_kind_look {
	const char *key;   /* one word */
	const char *title; /* for the legend */
	uint32_t glyph;
	char ascii;
	uint32_t rgb; /* of its area in pictures */
};

const struct qf_kind_look *qf_palette_kind(enum qf_kind k);

/* The letter on the area of what colours alone do not tell; 0: none, of what
 * is free, not known or the guest's. */
char qf_palette_mark(enum qf_kind k);

#define QF_PLAIN UINT32_MAX /* the terminal's own colour */

enum qf_mono {
	QF_MONO_PLAIN = 0,
	QF_MONO_BOLD = 1,
	QF_MONO_REVERSE = 2,
	QF_MONO_DIM = 4,
	QF_MONO_UNDERLINE = 8,
};

struct qf_paint {
	uint32_t fg, bg;   /* 0xrrggbb or QF_PLAIN */
	int8_t fg16, bg16; /* 0 to 15, -1: the terminal's own */
	uint8_t mono;	   /* enum qf_mono */
};

struct qf_paint qf_palette_paint(enum qf_tint t);

/*
 * The same on the ground of UNDER, where there are colours enough: a kind's
 * cell is an area of its colour then, and a glyph that is but a shade of it
 * (qf_palette_is_shade) a blank. UNDER negative: as it is by itself.
 */
struct qf_paint qf_palette_solid(enum qf_tint t, int under, uint32_t glyph);
bool qf_palette_is_shade(enum qf_tint t, uint32_t glyph);

/*
 * The cursor on a kind's area: P reversed is then a block of the terminal's own
 * ink, which no kind has. False: it has no area, and P is as it was.
 */
bool qf_palette_cursor(enum qf_tint t, struct qf_paint *p);

/* Black or white, whichever stands out more from RGB. */
uint32_t qf_palette_letter(uint32_t rgb);

/* The number of the colour next to RGB in xterm's palette of 256. */
int qf_palette_256(uint32_t rgb);

#endif
