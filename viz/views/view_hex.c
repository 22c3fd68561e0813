// SPDX-License-Identifier: GPL-2.0-or-later
/* A cluster's bytes, and what they mean. */
#include "viz/findings/damage.h"
#include "viz/hex/hex_bytes.h"
#include "viz/hex/hex_search.h"
#include "viz/views/map_search.h"
#include "viz/views/views.h"
#include "viz/browse/widget.h"
#include "lib/base/identify.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_BYTES 65536u
#define OFF_W 13 /* columns of the offsets */

static uint64_t cursor(const struct qf_app *a)
{
	return a->hex.guest ? a->guest.at : a->at;
}

static uint64_t cluster_off(const struct qf_app *a)
{
	return cursor(a) & ~(a->img->geo.cluster_bytes - 1);
}

/* The bytes of the cluster that the file, or the disk, has. */
static uint64_t cluster_len(const struct qf_app *a)
{
	uint64_t off = cluster_off(a), size = qf_hex_bytes_size(a);

	if (off >= size)
		return 0;
	return size - off < a->img->geo.cluster_bytes
		       ? size - off
		       : a->img->geo.cluster_bytes;
}

static void load(struct qf_app *a)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t off = cluster_off(a), guest = QF_NOWHERE;
	enum qf_kind kind = QF_KIND_ACTIVE;
	uint32_t set;

	if (st->buf_off == off && st->buf_age == a->age &&
	    st->buf_guest == st->guest && !a->shared &&
	    a->file == QF_WATCH_SAME)
		return;
	memset(&st->why, 0, sizeof(st->why));
	st->lost = false;
	if (qf_hex_bytes_read(a, st->buf, a->img->geo.cluster_bytes, off,
			      &st->lost, &st->why))
		memset(st->buf, 0, a->img->geo.cluster_bytes);
	if (st->buf_off != off)
		st->top = 0;
	st->buf_off = off;
	st->buf_guest = st->guest;
	st->magic_off = QF_NOWHERE;
	st->buf_age = a->age;
	if (!st->guest)
		kind = qf_scene_under(&a->model->scene, qf_app_cluster(a),
				      &set);
	if (kind == QF_KIND_L2)
		guest = qf_model_l2_guest(a->model, off);
	qf_hex_set(&st->hex, a->img, off, kind, guest);
	if (st->why.err || st->guest)
		st->hex.as = QF_HEX_DATA; /* no fields of what is not there */
}

/* What libmagic says of plain data. It serves one thread at a time, and the
 * check asks it, too: so not while a job runs. */
static const char *magic(struct qf_app *a)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t n = cluster_len(a);

	if (st->hex.as != QF_HEX_DATA || st->why.err || a->job || !n)
		return "";
	if (st->magic_off != st->buf_off)
		qf_identify_bytes(st->buf, n < MAGIC_BYTES ? n : MAGIC_BYTES,
				  st->magic, sizeof(st->magic));
	st->magic_off = st->buf_off;
	return strcmp(st->magic, "data") ? st->magic : "";
}

/* Of the disk: what is there, and where its bytes come from. */
static int draw_guest_title(struct qf_app *a, int y)
{
	struct qf_guestmap *map = qf_hex_bytes_disk(a);
	const struct qf_scene_holder *h;
	struct qf_cells *c = &a->screen;
	uint64_t host, entry;
	char what[400] = "";

	h = &a->model->scene.holder[a->guest.holder];
	if (map)
		qf_guestmap_describe(map, a->guest.at, &host, &entry, what,
				     sizeof(what));
	return qf_cells_printf(c, 0, y, c->w, QF_TINT_STRONG, "%s%s: %s%s",
			       a->guest.holder ? "disk of snapshot "
					       : "active disk",
			       a->guest.holder ? h->id : "", what,
			       a->hex.lost ? " (zeros stand here for what is "
					     "lost)"
					   : "");
}

static int draw_file_title(struct qf_app *a, int y, const char *what)
{
	struct qf_cells *c = &a->screen;

	return qf_cells_printf(c, 0, y, c->w, QF_TINT_STRONG,
			       "cluster %" PRIu64 ": %s", qf_app_cluster(a),
			       what);
}

static void draw_title(struct qf_app *a, int y)
{
	struct qf_cells *c = &a->screen;
	const char *is;
	char what[300];
	int x;

	is = magic(a);
	qf_scene_describe(&a->model->scene, qf_app_cluster(a), what,
			  sizeof(what));
	x = a->hex.guest ? draw_guest_title(a, y) : draw_file_title(a, y, what);
	if (a->hex.why.err)
		return; /* said below, in full */
	if (a->hex.hex.as == QF_HEX_DATA)
		qf_cells_printf(c, x + 2, y, c->w - x - 2, QF_TINT_DIM, "%s%s",
				*is ? "looks like: " : "", is);
	else if (!strstr(what, a->hex.hex.title))
		qf_cells_text(c, x + 2, y, c->w - x - 2, QF_TINT_DIM,
			      a->hex.hex.title);
}

/* How the byte at the offset OFF of the file is drawn. */
static enum qf_tint tint_of(const struct qf_app *a, uint64_t off,
			    unsigned char byte)
{
	const struct qf_hex_state *st = &a->hex;

	/* not where all that is shown would be marked */
	if (st->mark_guest == st->guest && off >= st->mark_off &&
	    off - st->mark_off < st->mark_bytes &&
	    st->mark_bytes < a->img->geo.cluster_bytes)
		return QF_TINT_MARK;
	return byte ? QF_TINT_TEXT : QF_TINT_DIM;
}

static void draw_row(struct qf_app *a, int y, uint64_t at, bool text_only)
{
	struct qf_hex_state *st = &a->hex;
	const unsigned char *p = st->buf + at;
	uint64_t here = cursor(a) - st->buf_off, target, len = cluster_len(a);
	struct qf_cells *c = &a->screen;
	int x = st->bytes_x, i;
	enum qf_tint tint;
	char text[300];

	if (x)
		qf_cells_printf(c, 0, y, x, QF_TINT_DIM, "0x%08" PRIx64,
				st->buf_off + at);
	for (i = 0; i < st->step && !text_only; i++, x += 3) {
		if (at + (uint64_t)i >= len)
			continue;
		qf_cells_printf(c, x, y, 3,
				tint_of(a, st->buf_off + at + (uint64_t)i,
					p[i]),
				"%02x ", p[i]);
		if (at + (uint64_t)i == here)
			qf_cells_reverse(c, x, y, 2);
	}
	if (st->hex.as != QF_HEX_DATA) {
		qf_hex_row(&st->hex, at, p, text, sizeof(text), &target);
		qf_cells_text(c, x + 1, y, c->w - x - 1,
			      target == QF_NOWHERE ? QF_TINT_TEXT
						   : QF_TINT_NOTE,
			      text);
		if (text_only && here >= at && here < at + 8)
			qf_cells_reverse(c, 0, y, c->w);
		return;
	}
	for (i = 0; i < st->step && at + (uint64_t)i < len; i++) {
		tint = tint_of(a, st->buf_off + at + (uint64_t)i, 1);
		qf_cells_set(c, x + 1 + i, y,
			     tint == QF_TINT_MARK ? tint : QF_TINT_NOTE,
			     p[i] >= ' ' && p[i] < 0x7f ? p[i] : '.');
		if (at + (uint64_t)i == here)
			qf_cells_reverse(c, x + 1 + i, y, 1);
	}
}

/* The row under the cursor, in full. */
static void draw_field(struct qf_app *a, int y)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t row = (cursor(a) - st->buf_off) & ~7ull, target;
	struct qf_cells *c = &a->screen;
	char text[300];

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	qf_hex_row(&st->hex, row, st->buf + row, text, sizeof(text), &target);
	qf_cells_printf(c, 0, y, c->w, QF_TINT_STATUS, " %s0x%" PRIx64 "%s%s%s",
			st->guest ? "guest offset " : "", cursor(a),
			*text ? ": " : "", text,
			target != QF_NOWHERE ? "   Enter follows" : "");
}

/* Whose the place is: where on the guest's disk, and of which file. */
static void draw_whose(struct qf_app *a, int y)
{
	const struct qf_owners_state *own = &a->owners;
	const struct qf_model_owner *o = a->hex.guest ? NULL
						      : qf_app_owner(a, false);
	bool known = own->loaded && own->cluster == qf_app_cluster(a);
	struct qf_cells *c = &a->screen;
	int x = 0;

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	if (!a->hex.guest)
		x = qf_cells_printf(c, 1, y, c->w - 1, QF_TINT_STATUS, "%s",
				    o	     ? o->text
				    : !known ? "looking for its owners"
					     : "it has no owner");
	if (o && own->total > 1)
		x += qf_cells_printf(c, 1 + x, y, c->w - 1 - x, QF_TINT_STATUS,
				     " and %" PRIu64 " more", own->total - 1);
	if (a->hex.whose_at != QF_NOWHERE &&
	    (a->hex.guest ? a->guest.at - a->hex.whose_at < 512
			  : o && o->guest_off != QF_NOWHERE &&
				    a->hex.whose_at - o->guest_off <
					    a->img->geo.cluster_bytes))
		qf_cells_printf(c, 1 + x, y, c->w - 1 - x, QF_TINT_STATUS,
				"%s%s", x ? ": " : "", a->hex.whose);
}

/* Scrolls by a row to the cursor's, or puts it in the middle. */
static void keep_in_sight(struct qf_hex_state *st, uint64_t cursor, int rows)
{
	uint64_t row = (uint64_t)st->step, page = row * (uint64_t)rows;
	uint64_t half = page / row / 2 * row;

	if (cursor + row == st->top)
		st->top = cursor;
	else if (cursor == st->top + page)
		st->top += row;
	else if (cursor < st->top || cursor > st->top + page)
		st->top = cursor > half ? cursor - half : 0;
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t at, here, len;
	bool text_only;
	int y = area.y, rows = area.h, i;

	load(a);
	len = cluster_len(a);
	st->step = (int)qf_hex_width(&st->hex);
	if (st->hex.as == QF_HEX_DATA && area.w < OFF_W + 4 * 16 + 1)
		st->step = area.w < OFF_W + 4 * 8 + 1 ? 4 : 8;
	st->bytes_x = area.w >= 30 ? OFF_W : 0;
	text_only = st->hex.as != QF_HEX_DATA && area.w < 50;
	if (rows >= 8)
		draw_whose(a, area.y + --rows);
	if (rows >= 3) {
		draw_title(a, y++);
		draw_field(a, area.y + rows - 1);
		rows -= 2;
	}
	st->y = y;
	st->rows = rows;
	here = (cursor(a) - st->buf_off) / (uint64_t)st->step *
	       (uint64_t)st->step;
	st->top = st->top / (uint64_t)st->step * (uint64_t)st->step;
	keep_in_sight(st, here, rows);
	if (!len)
		qf_cells_text(&a->screen, 0, y, area.w, QF_TINT_DIM,
			      !st->guest	     ? "the file is empty"
			      : qf_hex_bytes_disk(a) ? "the disk is empty"
						     : "looking at the guest's "
						       "disk");
	if (st->why.err && len)
		qf_widget_wrap(a, 0, y, area.w, rows, QF_TINT_BAD,
			       st->why.text);
	for (i = 0; i < rows && !st->why.err; i++) {
		at = st->top + (uint64_t)(i * st->step);
		if (at < len)
			draw_row(a, y + i, at, text_only);
	}
}

/* Moves by BYTES, not past the ends. */
static void step(struct qf_app *a, int64_t bytes)
{
	uint64_t size = qf_hex_bytes_size(a), by;
	uint64_t *at = qf_hex_bytes_cursor(a);
	uint64_t row = a->hex.step ? (uint64_t)a->hex.step : 1;

	by = bytes < 0 ? (uint64_t)-bytes : (uint64_t)bytes;
	if (bytes < 0)
		*at = *at < by ? *at % row : *at - by;
	else if (size && *at < size && size - 1 - *at >= by)
		*at += by;
	else if (size && by > 16)
		*at = size - 1;
}

/* To the cluster BY further. */
static void turn(struct qf_app *a, int by)
{
	uint64_t bytes = a->img->geo.cluster_bytes, off = cluster_off(a);
	uint64_t *at = qf_hex_bytes_cursor(a), size = qf_hex_bytes_size(a);

	if (by < 0)
		*at = off >= bytes ? off - bytes : 0;
	else if (off + bytes < size)
		*at = off + bytes;
}

static void follow(struct qf_app *a)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t row, target;
	char text[300];

	load(a);
	row = (a->at - st->buf_off) & ~7ull;
	qf_hex_row(&st->hex, row, st->buf + row, text, sizeof(text), &target);
	if (target == QF_NOWHERE)
		qf_app_say(a, QF_TINT_WARN, "there is no pointer here");
	else
		qf_app_go(a, QF_VIEW_HEX, target);
}

static bool act(struct qf_app *a, enum qf_action act)
{
	int64_t row = a->hex.step ? a->hex.step : 16;
	int64_t page = row * (a->hex.rows > 1 ? a->hex.rows - 1 : 1);

	switch (act) {
	case QF_ACT_UP:
		step(a, -row);
		return true;
	case QF_ACT_DOWN:
		step(a, row);
		return true;
	case QF_ACT_LEFT:
		step(a, -1);
		return true;
	case QF_ACT_RIGHT:
		step(a, 1);
		return true;
	case QF_ACT_PAGE_UP:
		step(a, -page);
		return true;
	case QF_ACT_PAGE_DOWN:
		step(a, page);
		return true;
	case QF_ACT_FIRST:
		*qf_hex_bytes_cursor(a) = 0;
		return true;
	case QF_ACT_LAST:
		*qf_hex_bytes_cursor(a) =
			qf_hex_bytes_size(a) ? qf_hex_bytes_size(a) - 1 : 0;
		return true;
	case QF_ACT_PREV_CLUSTER:
		turn(a, -1);
		return true;
	case QF_ACT_NEXT_CLUSTER:
		turn(a, 1);
		return true;
	case QF_ACT_ENTER_HEX:
		if (a->hex.guest)
			qf_hex_bytes_to_file(a);
		else
			follow(a);
		return true;
	case QF_ACT_BYTES:
	case QF_ACT_VIEW_HEX:
		if (!a->hex.guest)
			return false;
		qf_hex_bytes_to_file(a);
		return true;
	case QF_ACT_SWAP:
		if (!a->hex.guest)
			return false;
		a->guest.close = true;
		qf_app_go_guest(a, a->guest.holder, a->guest.at);
		return true;
	case QF_ACT_VIEW_GUEST:
		a->guest.close |= a->hex.guest;
		return false;
	default:
		return false;
	}
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t at;
	int byte = (x - st->bytes_x) / 3;

	if (y < st->y || y >= st->y + st->rows || st->step < 1)
		return;
	at = st->top + (uint64_t)((y - st->y) * st->step);
	if (x >= st->bytes_x && byte < st->step)
		at += (uint64_t)byte;
	if (at < cluster_len(a))
		*qf_hex_bytes_cursor(a) = st->buf_off + at;
	if (twice)
		act(a, QF_ACT_ENTER_HEX);
}

static bool damage(struct qf_app *a, bool back)
{
	struct qf_guestmap *map = qf_hex_bytes_disk(a);
	uint64_t at;

	if (!a->hex.guest)
		return qf_damage_next_file(a, back);
	if (!map)
		return false;
	at = a->guest.at >> map->scene.cluster_bits;
	if (!qf_map_search_damage(a, &map->scene, &at, back))
		return false;
	a->guest.at = at << map->scene.cluster_bits;
	return true;
}

const struct qf_view qf_view_hex = {
	.name = "Hex",
	.letter = 'h',
	.hint = "Enter follows  [ ] cluster  b guest's bytes  w write  / search",
	.draw = draw,
	.act = act,
	.find = qf_hex_search_begin,
	.damage = damage,
	.click = click,
};
