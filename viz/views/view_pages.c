// SPDX-License-Identifier: GPL-2.0-or-later
/* Info, Diff and Space: what the showing commands say of the image. */
#include "viz/views/gridparts.h"
#include "viz/views/page.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool starts(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/* To the place that the line names, in the file. */
static bool enter_host(struct qf_app *a)
{
	const char *line = qf_page_line(a);
	uint64_t off;

	if (line && qf_page_offset(line, &off))
		qf_app_go(a, QF_VIEW_HEX, off);
	else
		qf_app_say(a, QF_TINT_WARN, "this line names no place");
	return true;
}

/* --- info --- */

static void ask_info(const struct qf_app *a, int part, struct qf_page_ask *ask)
{
	(void)a;
	(void)part;
	ask->arg[ask->n++] = "info";
	ask->arg[ask->n++] = "--backing-chain";
}

static enum qf_tint tint_info(const char *line)
{
	return starts(line, "qfsck:")	   ? QF_TINT_BAD
	       : starts(line, "in use by") ? QF_TINT_WARN
	       : starts(line, "snapshot")  ? QF_TINT_NOTE
					   : QF_TINT_TEXT;
}

static const struct qf_page info = {
	.parts = 1,
	.ask = ask_info,
	.tint = tint_info,
};

static void draw_info(struct qf_app *a, struct qf_area area)
{
	qf_page_draw(a, area, &info);
}

static bool act_info(struct qf_app *a, enum qf_action act)
{
	return act == QF_ACT_ENTER_PAGE ? enter_host(a) : qf_page_act(a, act);
}

static void click_info(struct qf_app *a, int x, int y, bool twice)
{
	(void)x;
	if (qf_page_click(a, y) && twice)
		act_info(a, QF_ACT_ENTER_PAGE);
}

const struct qf_view qf_view_info = {
	.name = "Info",
	.letter = 'i',
	.hint = "Enter its place in the file  / search",
	.page = &info,
	.draw = draw_info,
	.act = act_info,
	.find = qf_page_find,
	.click = click_info,
};

/* --- diff --- */

/* The two states: chosen here, or two that are marked, or the newest snapshot
 * and the active disk. */
static bool two_states(const struct qf_app *a, uint32_t *from, uint32_t *to)
{
	const struct qf_scene *s = &a->model->scene;
	uint32_t i, marked[2], n = 0;

	if (s->n_holders < 2)
		return false;
	*from = s->n_holders - 1;
	*to = 0;
	for (i = 0; i < s->n_holders; i++)
		if (s->holder[i].marked && n++ < 2)
			marked[n - 1] = i;
	if (n == 2) { /* the active disk is the newest */
		*from = marked[0] ? marked[0] : marked[1];
		*to = marked[0] ? marked[1] : 0;
	}
	if (a->diff_chosen) {
		*from = a->diff_from < s->n_holders ? a->diff_from : *from;
		*to = a->diff_to < s->n_holders ? a->diff_to : *to;
	}
	return true;
}

static void ask_diff(const struct qf_app *a, int part, struct qf_page_ask *ask)
{
	const struct qf_scene *s = &a->model->scene;
	uint32_t from, to;

	if (!two_states(a, &from, &to))
		return;
	ask->arg[ask->n++] = "diff";
	snprintf(ask->text[0], sizeof(ask->text[0]), "--from=%s",
		 from ? s->holder[from].id : "active");
	snprintf(ask->text[1], sizeof(ask->text[1]), "--to=%s",
		 to ? s->holder[to].id : "active");
	ask->arg[ask->n++] = ask->text[0];
	ask->arg[ask->n++] = ask->text[1];
	if (!part)
		ask->arg[ask->n++] = "--files";
}

/* What both commands complain of, and what they say to do, is told once. */
static void take_diff(struct qf_app *a, int part, const char *said, int code)
{
	bool again = false;
	char *line;
	size_t n;

	(void)part;
	(void)code;
	for (; *said; said += n + (said[n] == '\n')) {
		n = strcspn(said, "\n");
		line = strndup(said, n);
		if (!line)
			return;
		if (!starts(line, "  Next: "))
			again = starts(line, "qfsck:") && qf_page_has(a, line);
		if (!again)
			qf_page_add(a, n ? line : "\n");
		free(line);
	}
}

static enum qf_tint tint_diff(const char *line)
{
	return starts(line, "qfsck:")			? QF_TINT_BAD
	       : starts(line, "  came")			? QF_TINT_GOOD
	       : starts(line, "  went")			? QF_TINT_BAD
	       : starts(line, "  changed")		? QF_TINT_WARN
	       : starts(line, "  renamed")		? QF_TINT_NOTE
	       : *line && line[strlen(line) - 1] == ':' ? QF_TINT_STRONG
							: QF_TINT_TEXT;
}

static void status_diff(struct qf_app *a, const char *line, char *buf,
			size_t room)
{
	uint64_t off;

	(void)a;
	snprintf(buf, room, "%s[ ] the old state   { } the new one",
		 qf_page_offset(line, &off) || strstr(line, " /")
			 ? "Enter on the disk   "
			 : "");
}

static void name_of(const struct qf_app *a, uint32_t h, char *buf, size_t room)
{
	const struct qf_scene_holder *s = &a->model->scene.holder[h];

	snprintf(buf, room, h ? "snapshot %s%s%s%s" : "the active disk", s->id,
		 *s->name ? " (\"" : "", s->name, *s->name ? "\")" : "");
}

static int head_diff(struct qf_app *a, int y, int rows)
{
	char from_name[200], to_name[200];
	uint32_t from, to;

	(void)rows;
	if (!two_states(a, &from, &to))
		return 0;
	name_of(a, from, from_name, sizeof(from_name));
	name_of(a, to, to_name, sizeof(to_name));
	qf_cells_printf(&a->screen, 1, y, a->screen.w - 1, QF_TINT_DIM,
			"from %s to %s", from_name, to_name);
	return 1;
}

static const struct qf_page diff = {
	.parts = 2,
	.ask = ask_diff,
	.take = take_diff,
	.head = head_diff,
	.tint = tint_diff,
	.status = status_diff,
	.empty = "there is one state only: no snapshot to compare with",
};

static void draw_diff(struct qf_app *a, struct qf_area area)
{
	qf_page_draw(a, area, &diff);
}

static void turn_state(struct qf_app *a, bool old, int by)
{
	uint32_t n = a->model->scene.n_holders, from, to, *p;

	if (!two_states(a, &from, &to))
		return;
	a->diff_from = from;
	a->diff_to = to;
	a->diff_chosen = true;
	p = old ? &a->diff_from : &a->diff_to;
	*p = (*p + n + (uint32_t)by) % n;
}

/* To the file or the range of the line, in the new state. */
static bool enter_diff(struct qf_app *a)
{
	const char *line = qf_page_line(a), *path, *end;
	uint32_t from, to;
	uint64_t off;

	if (!line || !two_states(a, &from, &to))
		return true;
	path = strchr(line, '/');
	if (qf_page_offset(line, &off)) {
		a->guest.close = true;
		qf_app_go_guest(a, to, off);
	} else if (path && line[0] == ' ') {
		end = strstr(path, " (");
		end = end ? end : path + strcspn(path, ",");
		snprintf(a->path, sizeof(a->path), "%.*s", (int)(end - path),
			 path);
		qf_app_go_guest(a, starts(line, "  went") ? from : to,
				a->guest.at);
		a->wish = QF_WISH_PATH;
	} else {
		qf_app_say(a, QF_TINT_WARN, "this line names no place");
	}
	return true;
}

static bool act_diff(struct qf_app *a, enum qf_action act)
{
	switch (act) {
	case QF_ACT_ENTER_PAGE:
		return enter_diff(a);
	case QF_ACT_OLD_NEXT:
	case QF_ACT_OLD_PREV:
		turn_state(a, true, act == QF_ACT_OLD_NEXT ? 1 : -1);
		return true;
	case QF_ACT_NEW_NEXT:
	case QF_ACT_NEW_PREV:
		turn_state(a, false, act == QF_ACT_NEW_NEXT ? 1 : -1);
		return true;
	default:
		return qf_page_act(a, act);
	}
}

static void click_diff(struct qf_app *a, int x, int y, bool twice)
{
	(void)x;
	if (qf_page_click(a, y) && twice)
		act_diff(a, QF_ACT_ENTER_PAGE);
}

const struct qf_view qf_view_diff = {
	.name = "Diff",
	.letter = 'd',
	.hint = "[ ] old state  { } new state  Enter on the disk",
	.page = &diff,
	.draw = draw_diff,
	.act = act_diff,
	.find = qf_page_find,
	.click = click_diff,
};

/* --- space --- */

/* "1,3": the marked snapshots; false: none, or too many to name. */
static bool marked_list(const struct qf_app *a, char *buf, size_t room)
{
	const struct qf_scene *s = &a->model->scene;
	size_t n = (size_t)snprintf(buf, room, "--if-deleted=");
	size_t first = n;
	uint32_t i;

	for (i = 1; i < s->n_holders; i++)
		if (s->holder[i].marked && n < room)
			n += (size_t)snprintf(buf + n, room - n, "%s%s",
					      n > first ? "," : "",
					      s->holder[i].id);
	return n > first && n < room;
}

static void ask_space(const struct qf_app *a, int part, struct qf_page_ask *ask)
{
	if (part) { /* its JSON has the figures of --trim alone */
		ask->arg[ask->n++] = "repair";
		ask->arg[ask->n++] = "-n";
		ask->arg[ask->n++] = "--trim";
		return;
	}
	ask->arg[ask->n++] = "du";
	if (marked_list(a, ask->text[0], sizeof(ask->text[0])))
		ask->arg[ask->n++] = ask->text[0];
}

/* Of what repair says, what it says of the trim. */
static void take_space(struct qf_app *a, int part, const char *said, int code)
{
	const struct qf_io *io = a->img->io;
	char text[600], disk[32], file[32];
	const char *line = said;
	size_t n;

	(void)code;
	if (!part) {
		qf_page_add(a, said);
		qf_page_printf(a, "\nOn the disk the file takes %s of its %s.",
			       qf_text_bytes(io->disk_bytes, disk,
					     sizeof(disk)),
			       qf_text_bytes(io->size, file, sizeof(file)));
		return;
	}
	qf_page_add(a, "\n");
	for (; *line; line += n + (line[n] == '\n')) {
		n = strcspn(line, "\n");
		snprintf(text, sizeof(text), "%.*s", (int)n, line);
		if (strstr(text, "trim") || strstr(text, "Trim") ||
		    starts(text, "qfsck:"))
			qf_page_add(a, text);
	}
}

static enum qf_tint tint_space(const char *line)
{
	return starts(line, "qfsck:")	  ? QF_TINT_BAD
	       : starts(line, "Deleting") ? QF_TINT_WARN
	       : strstr(line, "rim")	  ? QF_TINT_NOTE
	       : *line && *line != ' '	  ? QF_TINT_STRONG
					  : QF_TINT_TEXT;
}

/* The file as one bar: each kind's share of it. */
static int head_space(struct qf_app *a, int y, int rows)
{
	const struct qf_scene *s = &a->model->scene;
	uint64_t done = 0;
	int k, x = 0, to, w = a->screen.w;

	if (!s->whole || !s->clusters || rows < 3)
		return 0;
	for (k = 0; k < QF_KINDS; k++) {
		const struct qf_kind_look *look =
			qf_palette_kind((enum qf_kind)k);

		done += s->total[k];
		to = (int)((double)done / (double)s->clusters * w + .5);
		/* what is there at all is seen */
		if (s->total[k] && to == x && x < w)
			to++;
		for (; x < to && x < w; x++)
			qf_cells_set(&a->screen, x, y, (enum qf_tint)k,
				     a->ascii ? (uint32_t)look->ascii
					      : look->glyph);
	}
	return 1 + qf_gridparts_legend(a, s, y + 1, rows - 1 < 3 ? 1 : 3);
}

static void status_space(struct qf_app *a, const char *line, char *buf,
			 size_t room)
{
	(void)line;
	snprintf(buf, room,
		 a->marked ? "u unmarks the snapshots"
			   : "3 and Space mark snapshots: what would deleting "
			     "them free?");
}

static const struct qf_page space = {
	.parts = 2,
	.ask = ask_space,
	.take = take_space,
	.head = head_space,
	.tint = tint_space,
	.status = status_space,
};

static void draw_space(struct qf_app *a, struct qf_area area)
{
	qf_page_draw(a, area, &space);
}

static void click_space(struct qf_app *a, int x, int y, bool twice)
{
	(void)x;
	(void)twice;
	qf_page_click(a, y);
}

const struct qf_view qf_view_space = {
	.name = "Space",
	.letter = 'u',
	.hint = "3 mark snapshots  u unmark  / search",
	.page = &space,
	.draw = draw_space,
	.act = qf_page_act,
	.find = qf_page_find,
	.click = click_space,
};
