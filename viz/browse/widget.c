// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/browse/widget.h"

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
