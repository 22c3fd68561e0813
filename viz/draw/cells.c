// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/cells.h"
#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static int clamp(int v)
{
	if (v < 1)
		return 1;
	return v > QF_CELLS_MAX ? QF_CELLS_MAX : v;
}

bool qf_cells_resize(struct qf_cells *c, int w, int h)
{
	struct qf_cell *at;

	w = clamp(w);
	h = clamp(h);
	at = qf_mem_zalloc((size_t)w * (size_t)h, sizeof(*at));
	if (!at)
		return false;
	free(c->at);
	c->at = at;
	c->w = w;
	c->h = h;
	qf_cells_blank(c);
	return true;
}

void qf_cells_free(struct qf_cells *c)
{
	free(c->at);
	memset(c, 0, sizeof(*c));
}

static struct qf_cell *cell(struct qf_cells *c, int x, int y)
{
	if (x < 0 || y < 0 || x >= c->w || y >= c->h)
		return NULL;
	return &c->at[y * c->w + x];
}

void qf_cells_blank(struct qf_cells *c)
{
	qf_cells_wipe(c, 0, 0, c->w, c->h, QF_TINT_TEXT);
}

void qf_cells_set(struct qf_cells *c, int x, int y, enum qf_tint tint,
		  uint32_t ch)
{
	struct qf_cell *p = cell(c, x, y);

	if (!p)
		return;
	p->ch = ch;
	p->tint = (uint8_t)tint;
	p->under = 0;
	p->reverse = 0;
}

void qf_cells_under(struct qf_cells *c, int x, int y, enum qf_tint under)
{
	struct qf_cell *p = cell(c, x, y);

	if (p)
		p->under = (uint8_t)(under + 1);
}

uint32_t qf_cells_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned int n = p[0] < 0x80	? 0
			 : p[0] >= 0xf0 ? 3
			 : p[0] >= 0xe0 ? 2
			 : p[0] >= 0xc0 ? 1
					: 9;
	uint32_t ch = n == 9 ? 0xfffd : n ? p[0] & (0x3fu >> n) : p[0];
	unsigned int i;

	for (i = 1; n < 9 && i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			n = 9;
			ch = 0xfffd;
			break;
		}
		ch = ch << 6 | (p[i] & 0x3fu);
	}
	*s += n == 9 ? 1 : n + 1;
	return ch;
}

int qf_cells_utf8(uint32_t ch, char out[5])
{
	static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
	int n = ch < 0x80 ? 0 : ch < 0x800 ? 1 : ch < 0x10000 ? 2 : 3;
	int i;

	out[0] = (char)(lead[n] | ch >> (6 * n));
	for (i = 1; i <= n; i++)
		out[i] = (char)(0x80 | (ch >> (6 * (n - i)) & 0x3f));
	out[n + 1] = '\0';
	return n + 1;
}

int qf_cells_text(struct qf_cells *c, int x, int y, int width,
		  enum qf_tint tint, const char *text)
{
	int used = 0;

	if (width > c->w - x)
		width = c->w - x;
	while (*text && used < width) {
		uint32_t ch = qf_cells_next(&text);
		int cols = ch < 0x20 || ch == 0x7f ? -1 : wcwidth((wchar_t)ch);

		if (!cols)
			continue; /* a combining mark: no cell of its own */
		if (cols < 0) {
			ch = '?';
			cols = 1;
		}
		/* the last column shows that something was cut */
		if (used + cols > width || (used + cols == width && *text)) {
			qf_cells_set(c, x + used++, y, tint, '>');
			while (used < width)
				qf_cells_set(c, x + used++, y, tint, ' ');
			break;
		}
		qf_cells_set(c, x + used, y, tint, ch);
		if (cols == 2)
			qf_cells_set(c, x + used + 1, y, tint, 0);
		used += cols;
	}
	return used;
}

int qf_cells_printf(struct qf_cells *c, int x, int y, int width,
		    enum qf_tint tint, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return qf_cells_text(c, x, y, width, tint, buf);
}

void qf_cells_tint(struct qf_cells *c, int x, int y, int width,
		   enum qf_tint tint)
{
	struct qf_cell *p;
	int i;

	for (i = 0; i < width; i++) {
		p = cell(c, x + i, y);
		if (p) {
			p->tint = (uint8_t)tint;
			p->under = 0;
		}
	}
}

void qf_cells_reverse(struct qf_cells *c, int x, int y, int width)
{
	struct qf_cell *p;
	int i;

	for (i = 0; i < width; i++) {
		p = cell(c, x + i, y);
		if (p)
			p->reverse = 1;
	}
}

void qf_cells_wipe(struct qf_cells *c, int x, int y, int w, int h,
		   enum qf_tint tint)
{
	int i, j;

	for (j = y < 0 ? 0 : y; j < y + h && j < c->h; j++)
		for (i = x < 0 ? 0 : x; i < x + w && i < c->w; i++)
			qf_cells_set(c, i, j, tint, ' ');
}

char *qf_cells_dump(const struct qf_cells *c)
{
	char *out = malloc((size_t)c->w * (size_t)c->h * 4 + (size_t)c->h + 1);
	char *p = out, *end;
	int x, y;

	for (y = 0; out && y < c->h; y++) {
		end = p;
		for (x = 0; x < c->w; x++) {
			uint32_t ch = c->at[y * c->w + x].ch;
			char utf8[5];
			int n;

			if (!ch)
				continue;
			n = qf_cells_utf8(ch, utf8);
			memcpy(p, utf8, (size_t)n);
			p += n;
			if (ch != ' ')
				end = p;
		}
		p = end;
		*p++ = '\n';
	}
	if (out)
		*p = '\0';
	return out;
}
