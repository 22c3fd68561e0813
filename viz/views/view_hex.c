// SPDX-License-Identifier: GPL-2.0-or-later
/* A cluster's bytes, and what they mean. */
#include "viz/views/damage.h"
#include "viz/views/hex_search.h"
#include "viz/views/views.h"
#include "viz/browse/widget.h"
#include "lib/base/identify.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_BYTES 65536u
#define OFF_W 13 /* columns of the offsets */

static uint64_t cluster_off(const struct qf_app *a)
{
	return qf_app_cluster(a) << a->img->geo.cluster_bits;
}

/* The bytes of the cluster that the file has. */
static uint64_t cluster_len(const struct qf_app *a)
{
	uint64_t off = cluster_off(a), size = a->img->io->size;

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
	enum qf_kind kind;
	uint32_t set;

	if (st->buf_off == off && st->buf_age == a->age && !a->shared &&
	    a->file == QF_WATCH_SAME)
		return;
	memset(&st->why, 0, sizeof(st->why));
	if (qf_io_read_pad(a->img->io, st->buf, a->img->geo.cluster_bytes, off,
			   &st->why))
		memset(st->buf, 0, a->img->geo.cluster_bytes);
	if (st->buf_off != off)
		st->top = 0;
	st->buf_off = off;
	st->buf_age = a->age;
	kind = qf_scene_under(&a->model->scene, qf_app_cluster(a), &set);
	if (kind == QF_KIND_L2)
		guest = qf_model_l2_guest(a->model, off);
	qf_hex_set(&st->hex, a->img, off, kind, guest);
	if (st->why.err)
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

static void draw_title(struct qf_app *a, int y)
{
	struct qf_cells *c = &a->screen;
	const char *is;
	char what[300];
	int x;

	is = magic(a);
	x = qf_cells_printf(c, 0, y, c->w, QF_TINT_STRONG,
			    "cluster %" PRIu64 ": %s", qf_app_cluster(a),
			    qf_scene_describe(&a->model->scene,
					      qf_app_cluster(a), what,
					      sizeof(what)));
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
	if (off >= st->mark_off && off - st->mark_off < st->mark_bytes &&
	    st->mark_bytes < a->img->geo.cluster_bytes)
		return QF_TINT_MARK;
	return byte ? QF_TINT_TEXT : QF_TINT_DIM;
}

static void draw_row(struct qf_app *a, int y, uint64_t at, bool text_only)
{
	struct qf_hex_state *st = &a->hex;
	const unsigned char *p = st->buf + at;
	uint64_t cursor = a->at - st->buf_off, target, len = cluster_len(a);
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
		if (at + (uint64_t)i == cursor)
			qf_cells_reverse(c, x, y, 2);
	}
	if (st->hex.as != QF_HEX_DATA) {
		qf_hex_row(&st->hex, at, p, text, sizeof(text), &target);
		qf_cells_text(c, x + 1, y, c->w - x - 1,
			      target == QF_NOWHERE ? QF_TINT_TEXT
						   : QF_TINT_NOTE,
			      text);
		if (text_only && cursor >= at && cursor < at + 8)
			qf_cells_reverse(c, 0, y, c->w);
		return;
	}
	for (i = 0; i < st->step && at + (uint64_t)i < len; i++) {
		tint = tint_of(a, st->buf_off + at + (uint64_t)i, 1);
		qf_cells_set(c, x + 1 + i, y,
			     tint == QF_TINT_MARK ? tint : QF_TINT_NOTE,
			     p[i] >= ' ' && p[i] < 0x7f ? p[i] : '.');
		if (at + (uint64_t)i == cursor)
			qf_cells_reverse(c, x + 1 + i, y, 1);
	}
}

/* The row under the cursor, in full. */
static void draw_field(struct qf_app *a, int y)
{
	struct qf_hex_state *st = &a->hex;
	uint64_t row = (a->at - st->buf_off) & ~7ull, target;
	struct qf_cells *c = &a->screen;
	char text[300];

	qf_cells_wipe(c, 0, y, c->w, 1, QF_TINT_STATUS);
	qf_hex_row(&st->hex, row, st->buf + row, text, sizeof(text), &target);
	qf_cells_printf(c, 0, y, c->w, QF_TINT_STATUS, " 0x%" PRIx64 "%s%s%s",
			a->at, *text ? ": " : "", text,
			target != QF_NOWHERE ? "   Enter follows" : "");
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
	uint64_t at, cursor, len;
	bool text_only;
	int y = area.y, rows = area.h, i;

	load(a);
	len = cluster_len(a);
	st->step = (int)qf_hex_width(&st->hex);
	if (st->hex.as == QF_HEX_DATA && area.w < OFF_W + 4 * 16 + 1)
		st->step = area.w < OFF_W + 4 * 8 + 1 ? 4 : 8;
	st->bytes_x = area.w >= 30 ? OFF_W : 0;
	text_only = st->hex.as != QF_HEX_DATA && area.w < 50;
	if (rows >= 3) {
		draw_title(a, y++);
		draw_field(a, area.y + area.h - 1);
		rows -= 2;
	}
	st->y = y;
	st->rows = rows;
	cursor =
		(a->at - st->buf_off) / (uint64_t)st->step * (uint64_t)st->step;
	st->top = st->top / (uint64_t)st->step * (uint64_t)st->step;
	keep_in_sight(st, cursor, rows);
	if (!len)
		qf_cells_text(&a->screen, 0, y, area.w, QF_TINT_DIM,
			      "the file is empty");
	if (st->why.err)
		qf_widget_wrap(a, 0, y, area.w, rows, QF_TINT_BAD,
			       st->why.text);
	for (i = 0; i < rows && !st->why.err; i++) {
		at = st->top + (uint64_t)(i * st->step);
		if (at < len)
			draw_row(a, y + i, at, text_only);
	}
}

/* Moves by BYTES, not past the ends of the file. */
static void step(struct qf_app *a, int64_t bytes)
{
	uint64_t size = a->img->io->size, by;

	by = bytes < 0 ? (uint64_t)-bytes : (uint64_t)bytes;
	if (bytes < 0)
		a->at = a->at < by
				? a->at % (a->hex.step ? (uint64_t)a->hex.step
						       : 1)
				: a->at - by;
	else if (size && size - 1 - a->at >= by)
		a->at += by;
	else if (size && by > 16)
		a->at = size - 1;
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
	uint64_t cluster = qf_app_cluster(a);

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
		a->at = 0;
		return true;
	case QF_ACT_LAST:
		a->at = a->img->io->size ? a->img->io->size - 1 : 0;
		return true;
	case QF_ACT_PREV_CLUSTER:
		qf_app_set_cluster(a, cluster ? cluster - 1 : 0);
		return true;
	case QF_ACT_NEXT_CLUSTER:
		qf_app_set_cluster(a, cluster + 1);
		return true;
	case QF_ACT_ENTER_HEX:
		follow(a);
		return true;
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
		a->at = st->buf_off + at;
	if (twice)
		act(a, QF_ACT_ENTER_HEX);
}

const struct qf_view qf_view_hex = {
	.name = "Hex",
	.letter = 'h',
	.hint = "Enter follows  [ ] cluster  v on the disk  / search  n again",
	.draw = draw,
	.act = act,
	.find = qf_hex_search_begin,
	.damage = qf_damage_next_file,
	.click = click,
};
