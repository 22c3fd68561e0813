// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/palette.h"
#include "viz/show/unowned.h"

static const struct qf_kind_look looks[QF_KINDS] = {
#define QF_KIND(NAME, key, title, glyph, ascii, rgb, ink, c16) \
	{ key, title, glyph, ascii, rgb },
#include "viz/draw/kinds.def"
#undef QF_KIND
};

static const struct {
	uint32_t ink;
	int8_t c16;
} inks[QF_KINDS] = {
#define QF_KIND(NAME, key, title, glyph, ascii, rgb, ink, c16) { ink, c16 },
#include "viz/draw/kinds.def"
#undef QF_KIND
};

static const struct qf_paint paints[QF_TINTS - QF_KINDS] = {
	[QF_TINT_TEXT - QF_KINDS] = { QF_PLAIN, QF_PLAIN, -1, -1, 0 },
	[QF_TINT_DIM - QF_KINDS] = { 0x8b949e, QF_PLAIN, 8, -1, QF_MONO_DIM },
	[QF_TINT_STRONG -
		QF_KINDS] = { QF_PLAIN, QF_PLAIN, -1, -1, QF_MONO_BOLD },
	[QF_TINT_TITLE -
		QF_KINDS] = { 0xd0d7de, 0x1f3a5f, 7, 4, QF_MONO_REVERSE },
	[QF_TINT_TAB - QF_KINDS] = { 0x0d1117, 0xd0d7de, 0, 7,
				     QF_MONO_BOLD | QF_MONO_UNDERLINE },
	[QF_TINT_STATUS -
		QF_KINDS] = { 0xd0d7de, 0x30363d, 15, 4, QF_MONO_REVERSE },
	[QF_TINT_PROMPT -
		QF_KINDS] = { QF_PLAIN, QF_PLAIN, -1, -1, QF_MONO_BOLD },
	[QF_TINT_GOOD -
		QF_KINDS] = { 0x3fb950, QF_PLAIN, 10, -1, QF_MONO_BOLD },
	[QF_TINT_NOTE - QF_KINDS] = { 0x58a6ff, QF_PLAIN, 12, -1, 0 },
	[QF_TINT_WARN -
		QF_KINDS] = { 0xd29922, QF_PLAIN, 11, -1, QF_MONO_BOLD },
	[QF_TINT_BAD - QF_KINDS] = { 0xff6b6b, QF_PLAIN, 9, -1, QF_MONO_BOLD },
	[QF_TINT_BAR - QF_KINDS] = { 0x58a6ff, QF_PLAIN, 12, -1, 0 },
	[QF_TINT_MARK -
		QF_KINDS] = { 0xb794f6, QF_PLAIN, 13, -1, QF_MONO_BOLD },
	[QF_TINT_SHARE - QF_KINDS] = { 0x56d4dd, QF_PLAIN, 14, -1, 0 },
	[QF_TINT_PANEL - QF_KINDS] = { 0xd0d7de, 0x21262d, 7, 0, 0 },
	[QF_TINT_PANEL_KEY -
		QF_KINDS] = { 0xffd33d, 0x21262d, 11, 0, QF_MONO_BOLD },
	[QF_TINT_PANEL_HEAD - QF_KINDS] = { 0xffffff, 0x21262d, 15, 0,
					    QF_MONO_BOLD | QF_MONO_UNDERLINE },
};

const struct qf_kind_look *qf_palette_kind(enum qf_kind k)
{
	return &looks[k < QF_KINDS ? k : QF_KIND_UNKNOWN];
}

/* The light of a part of a colour, 0 to 1, very nearly as sRGB has it. */
static double light_of(uint32_t part)
{
	double v = (double)(part & 0xff) / 255;

	return v * (v * (v * .305306 + .682171) + .012523);
}

uint32_t qf_palette_letter(uint32_t rgb)
{
	double light = .2126 * light_of(rgb >> 16) +
		       .7152 * light_of(rgb >> 8) + .0722 * light_of(rgb);

	/* where both stand out alike, as WCAG reckons it */
	return light > .1791 ? 0x000000 : 0xffffff;
}

struct qf_paint qf_palette_paint(enum qf_tint t)
{
	struct qf_paint p = { 0, QF_PLAIN, 0, -1, 0 };

	if ((int)t >= (int)QF_KINDS)
		return paints[t < QF_TINTS ? t - QF_KINDS : 0];
	p.fg = inks[t].ink;
	p.fg16 = inks[t].c16;
	if ((int)t <= (int)QF_KIND_LEAKED)
		return p;
	/* what is grave is seen from afar */
	p.bg = p.fg;
	p.bg16 = p.fg16;
	p.fg = qf_palette_letter(p.bg);
	p.fg16 = p.fg ? 15 : 0;
	p.mono = QF_MONO_BOLD | QF_MONO_REVERSE;
	return p;
}

bool qf_palette_is_shade(enum qf_tint t, uint32_t glyph)
{
	return (int)t >= (int)QF_KIND_ACTIVE && (int)t <= (int)QF_KIND_LEAKED &&
	       glyph == looks[t].glyph && glyph > 0x7f;
}

/* The colour of a kind's area on a screen: the picture's is too near to a dark
 * ground for one. Of what is no kind, that of its ink. */
static uint32_t area_of(enum qf_tint t)
{
	if ((int)t >= (int)QF_KINDS)
		return qf_palette_paint(t).fg;
	return (int)t == (int)QF_KIND_HEADER ? 0x64748b : looks[t].rgb;
}

struct qf_paint qf_palette_solid(enum qf_tint t, int under, uint32_t glyph)
{
	struct qf_paint p = qf_palette_paint(t);

	if (under >= 0) {
		p.fg = area_of(t);
		p.bg = under < (int)QF_KIND_HEADER
			       ? QF_PLAIN
			       : area_of((enum qf_tint)under);
		p.bg16 = -1;
		return p;
	}
	if ((int)t < (int)QF_KIND_HEADER || (int)t >= (int)QF_KIND_LEAKED)
		return p;
	if (glyph > 0x7f && !qf_palette_is_shade(t, glyph))
		return p;
	p.bg = area_of(t);
	p.fg = qf_palette_letter(p.bg);
	return p;
}

bool qf_palette_cursor(enum qf_tint t, struct qf_paint *p)
{
	if ((int)t < (int)QF_KIND_HEADER || (int)t >= (int)QF_KINDS ||
	    p->bg == QF_PLAIN)
		return false;
	p->fg = QF_PLAIN;
	return true;
}

char qf_palette_mark(enum qf_kind k)
{
	if (k < QF_KIND_HEADER || k >= QF_KINDS ||
	    (k >= QF_KIND_ACTIVE && k <= QF_KIND_COMPRESSED))
		return 0;
	return looks[k].ascii;
}

static int square(int v)
{
	return v * v;
}

static int apart(uint32_t rgb, int r, int g, int b)
{
	return square((int)(rgb >> 16 & 0xff) - r) +
	       square((int)(rgb >> 8 & 0xff) - g) +
	       square((int)(rgb & 0xff) - b);
}

/* The level of the cube next to V; of two as near, the lower. */
static int level_of(int v, const int *level)
{
	int i = 0;

	while (i < 5 && square(level[i + 1] - v) < square(level[i] - v))
		i++;
	return i;
}

int qf_palette_256(uint32_t rgb)
{
	static const int level[] = { 0, 95, 135, 175, 215, 255 };
	int r = level_of((int)(rgb >> 16 & 0xff), level);
	int g = level_of((int)(rgb >> 8 & 0xff), level);
	int b = level_of((int)(rgb & 0xff), level);
	int least = apart(rgb, level[r], level[g], level[b]), grey;

	/* 16 to 231 is a cube of 6 levels, 232 to 255 are greys, of which the
	 * one is next that is next to the mean */
	grey = ((int)(rgb >> 16 & 0xff) + (int)(rgb >> 8 & 0xff) +
		(int)(rgb & 0xff) - 3 * 8 + 14) /
	       (3 * 10);
	grey = grey < 0 ? 0 : grey > 23 ? 23 : grey;
	if (apart(rgb, 8 + 10 * grey, 8 + 10 * grey, 8 + 10 * grey) < least)
		return 232 + grey;
	return 16 + r * 36 + g * 6 + b;
}
