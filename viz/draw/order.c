// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Line after line, or along Hilbert's curve, where clusters that are near in
 * the file stay near in the picture.
 */
#include "lib/base/mem.h"
#include "viz/draw/scene.h"

#include <stdlib.h>
#include <string.h>

/* The point number D of the curve through a square of SIDE, a power of 2. */
static void curve(uint32_t side, uint64_t d, uint32_t *x, uint32_t *y)
{
	uint32_t s, rx, ry, t;

	*x = *y = 0;
	for (s = 1; s < side; s *= 2) {
		rx = 1 & (uint32_t)(d / 2);
		ry = 1 & ((uint32_t)d ^ rx);
		if (!ry) {
			if (rx) {
				*x = s - 1 - *x;
				*y = s - 1 - *y;
			}
			t = *x;
			*x = *y;
			*y = t;
		}
		*x += s * rx;
		*y += s * ry;
		d /= 4;
	}
}

/*
 * A rectangle is covered by squares side by side along its longer edge: the
 * curve leaves a square where the next one's begins. What lies outside the
 * rectangle is left out.
 */
static void fill_hilbert(struct qf_order *o)
{
	bool wide = o->w >= o->h;
	uint32_t longer = (uint32_t)(wide ? o->w : o->h);
	uint32_t shorter = (uint32_t)(wide ? o->h : o->w);
	uint32_t side = 1, base, x, y, n = 0, place;
	uint64_t d;

	while (side < shorter)
		side *= 2;
	for (base = 0; base < longer; base += side)
		for (d = 0; d < (uint64_t)side * side; d++) {
			curve(side, d, &x, &y);
			x += base;
			if (x >= longer || y >= shorter)
				continue;
			place = wide ? y * (uint32_t)o->w + x
				     : x * (uint32_t)o->w + y;
			o->place[n] = place;
			o->number[place] = n++;
		}
}

bool qf_order_make(struct qf_order *o, int w, int h, bool hilbert)
{
	size_t n, i;

	if (o->place && o->w == w && o->h == h && o->hilbert == hilbert)
		return true;
	qf_order_free(o);
	if (w < 1 || h < 1)
		return false;
	n = (size_t)w * (size_t)h;
	o->place = qf_mem_zalloc(n, sizeof(*o->place));
	o->number = qf_mem_zalloc(n, sizeof(*o->number));
	if (!o->place || !o->number) {
		qf_order_free(o);
		return false;
	}
	o->w = w;
	o->h = h;
	o->hilbert = hilbert;
	for (i = 0; i < n && !hilbert; i++)
		o->place[i] = o->number[i] = (uint32_t)i;
	if (hilbert)
		fill_hilbert(o);
	return true;
}

void qf_order_free(struct qf_order *o)
{
	free(o->place);
	free(o->number);
	memset(o, 0, sizeof(*o));
}
