// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/screen.h"

#include <string.h>

#define CELL_W 8
#define CELL_H 17
#define INK 0xc9d1d9u
#define PAPER 0x0d1117u

struct look {
	uint32_t fg, bg;
	bool bold;
};

static struct look look_of(const struct qf_cell *c)
{
	struct qf_paint p = qf_palette_solid((enum qf_tint)c->tint,
					     (int)c->under - 1, c->ch);
	struct look l;
	uint32_t t;

	if (c->reverse && !c->under)
		qf_palette_cursor((enum qf_tint)c->tint, &p);
	l = (struct look){ p.fg == QF_PLAIN ? INK : p.fg,
			   p.bg == QF_PLAIN ? PAPER : p.bg,
			   p.mono & QF_MONO_BOLD };
	t = l.fg;
	if (c->reverse) {
		l.fg = l.bg;
		l.bg = t;
	}
	return l;
}

static bool same(struct look a, struct look b)
{
	return a.fg == b.fg && a.bg == b.bg && a.bold == b.bold;
}

/* The cells from X on that look alike. */
static int run_of(const struct qf_cells *c, int x, int y)
{
	const struct qf_cell *row = &c->at[y * c->w];
	struct look l = look_of(&row[x]);
	int n = 1;

	while (x + n < c->w && same(l, look_of(&row[x + n])))
		n++;
	return n;
}

/* The quarters of a block: 1 upper left, 2 upper right, 4 lower left, 8 lower
 * right; 0: it is no block of quarters. */
static unsigned int quarters_of(uint32_t ch)
{
	static const uint8_t low[] = { 4, 8, 1, 13, 9, 7, 11, 2, 6, 14 };

	if (ch == 0x2580)
		return 3;
	if (ch == 0x2590)
		return 10;
	return ch >= 0x2596 && ch <= 0x259f ? low[ch - 0x2596] : 0;
}

static void draw_quarters(unsigned int quarters, int x, int y, struct look l,
			  struct qf_outbuf *out)
{
	static const int high[] = { (CELL_H + 1) / 2, CELL_H / 2 };
	int i;

	for (i = 0; i < 2; i++) {
		unsigned int q = quarters >> (2 * i) & 3;

		if (q)
			qf_outbuf_printf(out,
					 "<rect x=\"%d\" y=\"%d\" width=\"%d\" "
					 "height=\"%d\" fill=\"#%06x\"/>\n",
					 x * CELL_W + (q == 2 ? CELL_W / 2 : 0),
					 y * CELL_H + i * high[0],
					 q == 3 ? CELL_W : CELL_W / 2, high[i],
					 l.fg);
	}
}

/* Blocks are drawn as areas: no font fills its cell exactly. */
static bool draw_block(const struct qf_cell *cell, int x, int y, struct look l,
		       struct qf_outbuf *out)
{
	static const char *const shade[] = { ".35", ".6", ".8" };
	uint32_t ch = cell->ch;
	int eighths = 8, top = 0;

	if (!cell->under && qf_palette_is_shade((enum qf_tint)cell->tint, ch))
		return false; /* the ground is the block */
	if (quarters_of(ch)) {
		draw_quarters(quarters_of(ch), x, y, l, out);
		return true;
	}
	if (ch < 0x2581 || ch > 0x2593)
		return false;
	if (ch < 0x2588)
		top = CELL_H - CELL_H * (int)(ch - 0x2580) / 8;
	else if (ch > 0x2588 && ch < 0x2590)
		eighths = (int)(0x2590 - ch);
	qf_outbuf_printf(out,
			 "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
			 "fill=\"#%06x\"",
			 x * CELL_W, y * CELL_H + top, CELL_W * eighths / 8,
			 CELL_H - top, l.fg);
	if (ch > 0x2590)
		qf_outbuf_printf(out, " opacity=\"%s\"", shade[ch - 0x2591]);
	qf_outbuf_printf(out, "/>\n");
	return true;
}

/* Drawn as an area, or by its ground. */
static bool is_block(const struct qf_cell *c)
{
	return (c->ch >= 0x2581 && c->ch <= 0x2593) || quarters_of(c->ch) ||
	       qf_palette_is_shade((enum qf_tint)c->tint, c->ch);
}

static bool is_blank(const struct qf_cell *c)
{
	return c->ch == ' ' || is_block(c);
}

static void draw_text(const struct qf_cells *c, int x, int y, int n,
		      struct look l, struct qf_outbuf *out)
{
	const struct qf_cell *row = &c->at[y * c->w];
	char utf8[5];
	int i, first = 0, end = n;

	while (end > first && is_blank(&row[x + end - 1]))
		end--;
	while (first < end && is_blank(&row[x + first]))
		first++;
	if (first == end)
		return;
	qf_outbuf_printf(out,
			 "<text x=\"%d\" y=\"%d\" textLength=\"%d\" "
			 "fill=\"#%06x\"%s>",
			 (x + first) * CELL_W, y * CELL_H + 13,
			 (end - first) * CELL_W, l.fg,
			 l.bold ? " font-weight=\"bold\"" : "");
	for (i = first; i < end; i++) {
		uint32_t ch = row[x + i].ch;

		if (!ch)
			continue;
		qf_cells_utf8(is_block(&row[x + i]) ? ' ' : ch, utf8);
		qf_outbuf_xml(out, utf8);
	}
	qf_outbuf_printf(out, "</text>\n");
}

void qf_screen_svg(const struct qf_cells *c, struct qf_outbuf *out)
{
	int x, y, n, i;

	qf_outbuf_printf(out,
			 "<svg xmlns=\"http://www.w3.org/2000/svg\" "
			 "width=\"%d\" height=\"%d\" viewBox=\"-8 -8 %d %d\" "
			 "font-family=\"DejaVu Sans Mono,monospace\" "
			 "font-size=\"13\" xml:space=\"preserve\">"
			 "<style>text{white-space:pre}</style>\n"
			 "<rect x=\"-8\" y=\"-8\" width=\"%d\" height=\"%d\" "
			 "rx=\"6\" fill=\"#%06x\"/>\n",
			 c->w * CELL_W + 16, c->h * CELL_H + 16,
			 c->w * CELL_W + 16, c->h * CELL_H + 16,
			 c->w * CELL_W + 16, c->h * CELL_H + 16, PAPER);
	for (y = 0; y < c->h; y++)
		for (x = 0; x < c->w; x += n) {
			struct look l = look_of(&c->at[y * c->w + x]);

			n = run_of(c, x, y);
			if (l.bg != PAPER)
				qf_outbuf_printf(out,
						 "<rect x=\"%d\" y=\"%d\" "
						 "width=\"%d\" height=\"%d\" "
						 "fill=\"#%06x\"/>\n",
						 x * CELL_W, y * CELL_H,
						 n * CELL_W, CELL_H, l.bg);
			for (i = 0; i < n; i++)
				draw_block(&c->at[y * c->w + x + i], x + i, y,
					   l, out);
			draw_text(c, x, y, n, l, out);
		}
	qf_outbuf_printf(out, "</svg>\n");
}
