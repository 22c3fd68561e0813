// SPDX-License-Identifier: GPL-2.0-or-later
/* The plan of a repair, as `qfsck repair -n` makes it; nothing is written. */
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "viz/views/page.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void ask(const struct qf_app *a, int part, struct qf_page_ask *ask)
{
	(void)a;
	ask->arg[ask->n++] = "repair";
	ask->arg[ask->n++] = "-n";
	if (!part)
		ask->arg[ask->n++] = "--output=json";
}

static enum qf_tint tint_of_risk(const char *risk)
{
	return !strncmp(risk, "data", 4)       ? QF_TINT_BAD
	       : !strncmp(risk, "metadata", 8) ? QF_TINT_WARN
					       : QF_TINT_GOOD;
}

/* Where the edits are, for the bar. */
static void take_edits(struct qf_page_state *st, const json_t *edits)
{
	struct qf_page_edit *e;
	const char *risk;
	json_t *edit;
	size_t i;

	json_array_foreach(edits, i, edit) {
		if (!qf_mem_grow((void **)&st->edit, st->n_edits,
				 &st->edit_room, sizeof(*st->edit)))
			return;
		e = &st->edit[st->n_edits++];
		e->off = (uint64_t)json_integer_value(
			json_object_get(edit, "host-offset"));
		e->bytes = (uint64_t)json_integer_value(
			json_object_get(edit, "length"));
		risk = json_string_value(json_object_get(edit, "risk"));
		e->tint = tint_of_risk(risk ? risk : "");
	}
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "not known";
}

static void take_json(struct qf_app *a, const char *said)
{
	struct qf_page_state *st = &a->page[QF_VIEW_PLAN - QF_VIEW_INFO];
	const char *from = strchr(said, '{');
	json_t *o = from ? json_loads(from, JSON_DISABLE_EOF_CHECK, NULL)
			 : NULL;
	size_t i, n[3] = { 0 };

	if (!o) {
		qf_page_add(a, said);
		return;
	}
	take_edits(st, json_object_get(o, "edits"));
	for (i = 0; i < st->n_edits; i++)
		n[st->edit[i].tint == QF_TINT_BAD    ? 2
		  : st->edit[i].tint == QF_TINT_WARN ? 1
						     : 0]++;
	qf_page_printf(a,
		       "%s now, %s afterwards. %zu edit%s; at stake: "
		       "nothing in %zu, metadata in %zu, data in %zu.",
		       text_of(o, "verdict-before"),
		       text_of(o, "verdict-after"), st->n_edits,
		       st->n_edits == 1 ? "" : "s", n[0], n[1], n[2]);
	if (st->n_edits) {
		qf_page_add(a, "Nothing is written from here. To do it, with "
			       "an undo file beside the image:");
		qf_page_printf(a, "    qfsck repair %s", QF_TEXT_WORD(a->name));
		qf_page_add(a, "and to take it back:");
		qf_page_printf(a, "    qfsck undo %s.qfsck-undo",
			       QF_TEXT_WORD(a->name));
	}
	qf_page_add(a, "\n");
	json_decref(o);
}

static void take(struct qf_app *a, int part, const char *said, int code)
{
	struct qf_page_state *st = &a->page[QF_VIEW_PLAN - QF_VIEW_INFO];

	(void)code;
	if (!part)
		take_json(a, said);
	else if (st->n)
		qf_page_add(a, said);
}

/* The file in as many parts as there are columns; what the plan changes
 * stands out. */
static int head(struct qf_app *a, int y, int rows)
{
	const struct qf_page_state *st = &a->page[QF_VIEW_PLAN - QF_VIEW_INFO];
	const struct qf_scene *s = &a->model->scene;
	uint64_t n = s->clusters, w = (uint64_t)a->screen.w, x, first, end;
	uint64_t at, last;
	size_t i;

	(void)rows;
	if (!st->n_edits || !n || !s->whole)
		return 0;
	for (x = 0; x < w; x++) {
		struct qf_scene_cell cell;
		const struct qf_kind_look *look;

		first = n / w * x + n % w * x / w;
		end = n / w * (x + 1) + n % w * (x + 1) / w;
		qf_scene_cell(s, first, end > first ? end : first + 1, &cell);
		if (cell.kind >= QF_KINDS)
			continue;
		look = qf_palette_kind((enum qf_kind)cell.kind);
		qf_cells_set(&a->screen, (int)x, y, (enum qf_tint)cell.kind,
			     a->ascii ? (uint32_t)look->ascii : look->glyph);
	}
	for (i = 0; i < st->n_edits; i++) {
		const struct qf_page_edit *e = &st->edit[i];

		at = e->off >> s->cluster_bits;
		last = (e->off + (e->bytes ? e->bytes - 1 : 0)) >>
		       s->cluster_bits;
		at = at < n ? at : n - 1; /* it lengthens the file */
		last = last < n ? last : n - 1;
		for (x = at * w / n; x <= last * w / n; x++)
			qf_cells_set(&a->screen, (int)x, y + 1, e->tint,
				     a->ascii ? '^' : 0x25b2);
	}
	return 2;
}

static enum qf_tint tint(const char *line)
{
	const char *risk = strstr(line, "risk: ");

	return risk			     ? tint_of_risk(risk + 6)
	       : !strncmp(line, "qfsck:", 6) ? QF_TINT_BAD
	       : !strncmp(line, "    qfsck", 9) || strstr(line, " becomes ")
		       ? QF_TINT_NOTE
	       : line[0] == ' ' && line[1] == ' ' && line[2] != ' '
		       ? QF_TINT_STRONG
		       : QF_TINT_TEXT;
}

/* The host offset of the edit that the line under the cursor is of. */
static bool edit_of(struct qf_app *a, uint64_t *off)
{
	const struct qf_page_state *st = &a->page[QF_VIEW_PLAN - QF_VIEW_INFO];
	size_t at = st->list.at, i;

	for (i = at > 2 ? at - 2 : 0; i < at + 2 && i < st->n; i++) {
		const char *line = st->text.at + st->line[i];
		const char *place = strstr(line, "at host offset 0x");

		/* the next edit's, or the one's before */
		if (i > at && st->text.at[st->line[i] + 2] != ' ')
			break;
		if (place && i + 1 >= at)
			return qf_page_offset(place, off);
	}
	return false;
}

static void status(struct qf_app *a, const char *line, char *buf, size_t room)
{
	uint64_t off;

	(void)line;
	if (edit_of(a, &off))
		snprintf(buf, room,
			 "Enter shows what stands at 0x%" PRIx64 " now", off);
	else
		snprintf(buf, room, "nothing is written from the browser");
}

static const struct qf_page plan = {
	.parts = 2,
	.ask = ask,
	.take = take,
	.head = head,
	.tint = tint,
	.status = status,
};

static void draw(struct qf_app *a, struct qf_area area)
{
	qf_page_draw(a, area, &plan);
}

static bool act(struct qf_app *a, enum qf_action act)
{
	const struct qf_page_state *st = &a->page[QF_VIEW_PLAN - QF_VIEW_INFO];
	uint64_t off;
	size_t i;

	if (act != QF_ACT_ENTER_PAGE)
		return qf_page_act(a, act);
	if (!edit_of(a, &off)) {
		qf_app_say(a, QF_TINT_WARN, "this line is of no edit");
		return true;
	}
	qf_app_go(a, QF_VIEW_HEX, off);
	for (i = 0; i < st->n_edits; i++)
		if (st->edit[i].off == off) {
			a->hex.mark_guest = false;
			a->hex.mark_off = off;
			a->hex.mark_bytes = st->edit[i].bytes;
			break;
		}
	return true;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	(void)x;
	if (qf_page_click(a, y) && twice)
		act(a, QF_ACT_ENTER_PAGE);
}

const struct qf_view qf_view_plan = {
	.name = "Plan",
	.letter = 'p',
	.hint = "Enter what stands there now  4 findings  / search",
	.page = &plan,
	.draw = draw,
	.act = act,
	.find = qf_page_find,
	.click = click,
};
