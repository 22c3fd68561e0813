// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/widget.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

int qf_widget_wrap_from(struct qf_app *a, int x, int y, int w, int skip,
			int end, enum qf_tint tint, const char *text)
{
	char line[512];
	size_t n;
	int lines = 0;

	if (w < 1)
		return 0;
	if (w > (int)sizeof(line) - 1)
		w = (int)sizeof(line) - 1;
	while (*text) {
		n = strlen(text);
		if (n > (size_t)w) {
			for (n = (size_t)w; n && text[n] != ' '; n--)
				;
			n = n ? n : (size_t)w;
			/* not within a character */
			while (n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80)
				n--;
		}
		memcpy(line, text, n);
		line[n] = '\0';
		if (lines >= skip && y + lines - skip < end)
			qf_cells_text(&a->screen, x, y + lines - skip, w, tint,
				      line);
		lines++;
		text += n;
		while (*text == ' ')
			text++;
	}
	return lines;
}

int qf_widget_wrap(struct qf_app *a, int x, int y, int w, int rows,
		   enum qf_tint tint, const char *text)
{
	return qf_widget_wrap_from(a, x, y, w, 0, y + rows, tint, text);
}

void qf_widget_bar(struct qf_app *a, int x, int y, int width, double part,
		   enum qf_tint tint)
{
	static const uint32_t eighth[] = { ' ',	   0x258f, 0x258e, 0x258d,
					   0x258c, 0x258b, 0x258a, 0x2589 };
	int full, rest, i;

	if (width < 1)
		return;
	part = part < 0 ? 0 : part > 1 ? 1 : part;
	full = (int)(part * width);
	rest = (int)((part * width - full) * 8);
	for (i = 0; i < width; i++)
		qf_cells_set(&a->screen, x + i, y,
			     i < full ? tint : QF_TINT_DIM,
			     i < full ? (a->ascii ? '#' : 0x2588) : ' ');
	/* what is there at all is seen */
	if (!full && !rest && part > 0)
		rest = 1;
	if (rest && full < width)
		qf_cells_set(&a->screen, x + full, y, tint,
			     a->ascii ? (rest > 3 || !full ? '-' : ' ')
				      : eighth[rest]);
}

int qf_widget_page(struct qf_app *a, int x, int y, int w, int skip, int end,
		   enum qf_tint tint, enum qf_tint head, const char *text)
{
	char line[2048];
	int lines = 0, at;
	size_t n;
	bool title;

	while (*text) {
		n = strcspn(text, "\n");
		title = *text == QF_WIDGET_HEAD;
		snprintf(line, sizeof(line), "%.*s", (int)(n - title),
			 text + title);
		at = lines - skip;
		lines += *line ? qf_widget_wrap_from(a, x, at < 0 ? y : y + at,
						     w, at < 0 ? -at : 0, end,
						     title ? head : tint, line)
			       : 1;
		text += n + (text[n] == '\n');
	}
	return lines;
}

/* Whether the pattern stands in the cells from C on; *N: how many. */
static bool stands_at(const struct qf_cell *c, int room, const char *pattern,
		      int *n)
{
	const char *p = pattern;
	uint32_t ch;

	for (*n = 0; *p; ++*n) {
		ch = qf_cells_next(&p);
		if (*n >= room ||
		    (c[*n].ch != ch &&
		     (ch >= 0x80 || c[*n].ch >= 0x80 ||
		      tolower((int)c[*n].ch) != tolower((int)ch))))
			return false;
	}
	return *n > 0;
}

void qf_widget_mark(struct qf_app *a, int y)
{
	struct qf_cells *c = &a->screen;
	int x, n;

	if (!a->pattern[0] || y < 0 || y >= c->h)
		return;
	for (x = 0; x < c->w; x++)
		if (stands_at(&c->at[y * c->w + x], c->w - x, a->pattern, &n)) {
			qf_cells_reverse(c, x, y, n);
			x += n - 1;
		}
}
