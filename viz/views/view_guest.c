// SPDX-License-Identifier: GPL-2.0-or-later
/* The disk of a state as its guest has it: volumes, map, whose bytes. */
#include "viz/views/gridparts.h"
#include "viz/views/map_search.h"
#include "viz/views/views.h"
#include "viz/views/volumebar.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t unit_of(const struct qf_guestmap *map, uint64_t off)
{
	return off >> map->scene.cluster_bits;
}

/* The map of the state that is wanted, or NULL. */
static struct qf_guestmap *map_of(struct qf_app *a)
{
	struct qf_guestmap *map = a->guest.map;

	return map && map->holder == a->guest.holder ? map : NULL;
}

/* Keeps the cursor on the disk. */
static void keep_inside(struct qf_app *a, const struct qf_guestmap *map)
{
	uint64_t n = map->scene.clusters;

	if (unit_of(map, a->guest.at) >= n)
		a->guest.at = n ? (n - 1) << map->scene.cluster_bits : 0;
}

static void draw_title(struct qf_app *a, int y)
{
	const struct qf_scene *s = &a->model->scene;
	const struct qf_guestmap *map = map_of(a);
	const struct qf_scene_holder *h = &s->holder[a->guest.holder];
	struct qf_cells *c = &a->screen;
	char size[32], more[48] = "";
	int x;

	qf_text_bytes(map ? map->disk_bytes : h->disk_bytes, size,
		      sizeof(size));
	x = qf_cells_printf(c, 0, y, c->w, QF_TINT_STRONG,
			    a->guest.holder ? " The disk of snapshot %s%s%s%s"
					    : " The active disk",
			    h->id, *h->name ? " (\"" : "", h->name,
			    *h->name ? "\")" : "");
	if (s->n_holders > 1)
		snprintf(more, sizeof(more), "   [ ] state %u of %u",
			 a->guest.holder + 1, s->n_holders);
	if (x < c->w)
		qf_cells_printf(
			c, x, y, c->w - x, QF_TINT_DIM, ": %s%s%s", size,
			!a->model->checked && map ? ", not checked" : "", more);
}

/* What and where the place under the cursor is. */
static void draw_place(struct qf_app *a, const struct qf_guestmap *map, int y)
{
	struct qf_cells *c = &a->screen;
	uint64_t host, entry;
	char what[400], scale[80];
	int used, n;

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	qf_guestmap_describe(map, a->guest.at, &host, &entry, what,
			     sizeof(what));
	used = qf_cells_printf(c, 0, y, c->w, QF_TINT_STATUS,
			       " 0x%" PRIx64 ": %s", a->guest.at, what);
	qf_gridparts_scale(&a->guest.grid, &map->scene, scale, sizeof(scale));
	n = (int)strlen(scale) + 2;
	if (used + n <= c->w)
		qf_cells_text(c, c->w - n + 1, y, n - 1, QF_TINT_STATUS, scale);
}

/* Whose the bytes of the cell under the cursor are. */
static void draw_files(struct qf_app *a, struct qf_guestmap *map, int y)
{
	const struct qf_guestview_state *st = &a->guest;
	struct qf_cells *c = &a->screen;
	uint64_t first, end;
	uint32_t v = qf_guestmap_volume(map, st->at);
	char title[200] = "", text[520];
	bool known;

	qf_grid_cell(&st->grid, &map->scene, unit_of(map, st->at), &first,
		     &end);
	known = st->files_at == st->at &&
		st->from == first << map->scene.cluster_bits &&
		st->to == end << map->scene.cluster_bits;
	if (v != QF_GUEST_NO_VOLUME)
		qf_guest_title(map->guest, v, title, sizeof(title));
	if (!map->guest)
		snprintf(text, sizeof(text), "%s",
			 a->img->hdr.crypt_method
				 ? "encrypted: its file systems are not known"
			 : map->trouble.text[0]
				 ? map->trouble.text
				 : "its file systems are not known");
	else
		snprintf(text, sizeof(text), "%s%s%s",
			 *title ? title : "outside the partitions",
			 known && !st->files[0] ? "" : ": ",
			 known ? st->files : "looking whose it is");
	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	qf_cells_text(c, 1, y, c->w - 1, QF_TINT_STATUS, text);
}

static void draw_map(struct qf_app *a, struct qf_guestmap *map, int y, int h)
{
	const struct qf_grid_look look = { a->ascii, false };
	struct qf_grid *g = &a->guest.grid;

	g->fine = a->fine;
	g->x = a->screen.w >= 50 && !g->hilbert ? QF_GRIDPARTS_MARGIN : 0;
	g->y = y;
	g->w = a->screen.w - g->x;
	g->h = h;
	if (a->guest.close)
		qf_grid_closest(g, &map->scene);
	a->guest.close = false;
	qf_grid_place(g, &map->scene, unit_of(map, a->guest.at));
	if (!qf_grid_draw(g, &map->scene, unit_of(map, a->guest.at),
			  a->guest.age, look, &a->screen))
		qf_cells_text(&a->screen, 0, y, a->screen.w, QF_TINT_BAD,
			      "no memory for the map");
	if (g->x)
		qf_gridparts_offsets(a, g, &map->scene);
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_guestmap *map = map_of(a);
	int y = area.y, rest = area.h, legend = 0;

	a->guest.bar_y = -1;
	if (rest >= 6) {
		draw_title(a, y++);
		rest--;
	}
	if (!map) {
		qf_cells_text(&a->screen, 1, y, area.w - 1, QF_TINT_DIM,
			      a->guest.tried && !a->job
				      ? "it could not be looked at"
				      : "looking at the guest's disk");
		return;
	}
	keep_inside(a, map);
	if (rest >= 8) {
		a->guest.bar_y = y;
		qf_volumebar_draw(a, map, y++);
		rest--;
	}
	if (rest >= 5)
		draw_files(a, map, area.y + area.h - 1);
	if (rest >= 5)
		rest--;
	if (rest >= 3)
		draw_place(a, map, y + --rest);
	if (rest >= 7)
		legend = qf_gridparts_legend(a, &map->scene, -1,
					     rest >= 16 ? 3 : 1);
	draw_map(a, map, y, rest - legend);
	if (legend)
		qf_gridparts_legend(a, &map->scene, y + rest - legend, legend);
}

/* To the place in the file; ENTRY: if there is none, to the entry that should
 * say where. */
static bool go_to_file(struct qf_app *a, enum qf_view_id view, bool entry)
{
	struct qf_guestmap *map = map_of(a);
	uint64_t host, pointer;
	uint32_t set;
	char what[400];

	if (!map)
		return true;
	qf_guestmap_describe(map, a->guest.at, &host, &pointer, what,
			     sizeof(what));
	if (host != QF_NOWHERE)
		qf_app_go(a, view, host);
	else if (entry && pointer != QF_NOWHERE)
		qf_app_go(a, view, pointer);
	else
		qf_app_say(a, QF_TINT_WARN, "%s%s",
			   qf_palette_kind(
				   qf_scene_at(&map->scene,
					       unit_of(map, a->guest.at), &set))
				   ->title,
			   pointer == QF_NOWHERE
				   ? ": it has no place in this file"
				   : ": it has no place in this file; x shows "
				     "the entry that should tell");
	return true;
}

static bool act(struct qf_app *a, enum qf_action act)
{
	struct qf_guestmap *map = map_of(a);
	struct qf_guestview_state *st = &a->guest;
	uint64_t at;

	switch (act) {
	case QF_ACT_NEXT_STATE:
		qf_app_set_holder(a, st->holder + 1);
		return true;
	case QF_ACT_PREV_STATE:
		if (st->holder)
			qf_app_set_holder(a, st->holder - 1);
		return true;
	case QF_ACT_SWAP:
		return go_to_file(a, QF_VIEW_MAP, false);
	case QF_ACT_VIEW_OWNERS:
		return go_to_file(a, QF_VIEW_OWNERS, false);
	case QF_ACT_BYTES:
		qf_app_go(a, QF_VIEW_HEX, a->at);
		a->hex.guest = true;
		return true;
	case QF_ACT_VIEW_HEX:
		return go_to_file(a, QF_VIEW_HEX, true);
	default:
		break;
	}
	if (!map)
		return false;
	if (act == QF_ACT_ENTER) {
		if (!qf_grid_zoom(&st->grid, &map->scene, 1))
			go_to_file(a, QF_VIEW_MAP, false);
		return true;
	}
	at = unit_of(map, st->at);
	if (!qf_gridparts_act(&st->grid, &map->scene, act, &at))
		return false;
	if (at != unit_of(map, st->at))
		st->at = at << map->scene.cluster_bits;
	return true;
}

static bool find(struct qf_app *a, bool back)
{
	struct qf_guestmap *map = map_of(a);
	uint64_t at;

	if (!map)
		return false;
	at = unit_of(map, a->guest.at);
	if (!qf_map_search_find(a, &map->scene, &at, back))
		return false;
	a->guest.at = at << map->scene.cluster_bits;
	return true;
}

static bool damage(struct qf_app *a, bool back)
{
	struct qf_guestmap *map = map_of(a);
	uint64_t at;

	if (!map)
		return false;
	at = unit_of(map, a->guest.at);
	if (!qf_map_search_damage(a, &map->scene, &at, back))
		return false;
	a->guest.at = at << map->scene.cluster_bits;
	return true;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_guestmap *map = map_of(a);
	uint64_t at;

	if (!map)
		return;
	if (y == a->guest.bar_y) {
		a->guest.at = qf_volumebar_at(a, map, x);
		keep_inside(a, map);
	} else if (qf_grid_at(&a->guest.grid, &map->scene, x, y, &at)) {
		a->guest.at = at << map->scene.cluster_bits;
		if (twice)
			act(a, QF_ACT_ENTER);
	}
}

const struct qf_view qf_view_guest = {
	.name = "Guest",
	.letter = 'g',
	.hint = "Enter in  - out  v in the file  x bytes  [ ] states",
	.draw = draw,
	.act = act,
	.find = find,
	.damage = damage,
	.click = click,
};
