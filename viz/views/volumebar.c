// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/volumebar.h"

#include <string.h>

uint64_t qf_volumebar_at(const struct qf_app *a, const struct qf_guestmap *map,
			 int x)
{
	uint64_t all = map->disk_bytes, w = (uint64_t)a->screen.w;

	return all / w * (uint64_t)x + all % w * (uint64_t)x / w;
}

/* The innermost volume of the column; a small one is seen as well, where it
 * begins. */
static uint32_t volume_at(const struct qf_app *a, const struct qf_guestmap *map,
			  int x)
{
	uint64_t from = qf_volumebar_at(a, map, x);
	uint64_t to = qf_volumebar_at(a, map, x + 1);
	uint32_t found = qf_guestmap_volume(map, from), i;

	for (i = 0; map->guest && i < map->guest->n; i++) {
		const struct qf_guest_volume *v = &map->guest->volume[i];

		if (v->level == QF_GUEST_PARTITION && v->start > from &&
		    v->start < to)
			found = i;
	}
	return found;
}

static void draw_volume(struct qf_app *a, const struct qf_guestmap *map,
			uint32_t v, int from, int to, int y, bool odd)
{
	enum qf_tint tint = odd ? QF_TINT_PANEL : QF_TINT_TITLE;
	struct qf_cells *c = &a->screen;
	char title[200];

	qf_cells_wipe(c, from, y, to - from, 1, tint);
	qf_guest_title(map->guest, v, title, sizeof(title));
	/* where there is little room, the number and the file system */
	if (to - from < (int)strlen(title) &&
	    map->guest->volume[v].level == QF_GUEST_PARTITION)
		qf_cells_printf(c, from, y, to - from, tint, "%u %s",
				map->guest->volume[v].number,
				map->guest->volume[v].fs.kind);
	else if (to - from > 3)
		qf_cells_text(c, from, y, to - from, tint, title);
}

void qf_volumebar_draw(struct qf_app *a, const struct qf_guestmap *map, int y)
{
	struct qf_cells *c = &a->screen;
	uint32_t v, next;
	bool odd = false;
	int x, from, n = 0;

	for (from = 0; from < c->w; from = x) {
		v = volume_at(a, map, from);
		for (x = from + 1; x < c->w; x++) {
			next = volume_at(a, map, x);
			if (next != v)
				break;
		}
		if (v == QF_GUEST_NO_VOLUME) {
			for (n = from; n < x; n++)
				qf_cells_set(c, n, y, QF_TINT_DIM,
					     a->ascii ? '-' : 0x2500);
			continue;
		}
		draw_volume(a, map, v, from, x, y, odd);
		odd = !odd;
	}
	for (x = 0; x < c->w; x++)
		if (a->guest.at >= qf_volumebar_at(a, map, x) &&
		    a->guest.at < qf_volumebar_at(a, map, x + 1))
			qf_cells_reverse(c, x, y, 1);
}
