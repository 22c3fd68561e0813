// SPDX-License-Identifier: GPL-2.0-or-later
/* Everyone who owns the cluster under the cursor, and where it is said. */
#include "viz/findings/damage.h"
#include "viz/views/views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool known(const struct qf_app *a)
{
	return a->owners.loaded && a->owners.cluster == qf_app_cluster(a);
}

static size_t rows_of(const struct qf_app *a)
{
	return known(a) ? a->owners.n : 0;
}

static const char *state(const struct qf_app *a)
{
	if (!known(a))
		return "looking for its owners";
	if (a->owners.failed)
		return "looking for its owners failed";
	return "it has no owner";
}

static void draw_row(struct qf_app *a, int y, const struct qf_model_owner *o,
		     bool here, int column)
{
	struct qf_cells *c = &a->screen;
	int x = qf_cells_printf(c, 0, y, c->w, QF_TINT_TEXT, "%c %s",
				here ? '>' : ' ', o->text);

	x = x + 2 > column ? x + 2 : column;
	if (o->pointer_off != QF_NOWHERE)
		qf_cells_printf(c, x, y, c->w - x,
				here ? QF_TINT_TEXT : QF_TINT_DIM,
				"pointer at 0x%" PRIx64, o->pointer_off);
	if (here)
		qf_cells_reverse(c, 0, y, c->w);
}

/* The pointers stand in a column, if the screen is wide enough. */
static void draw_rows(struct qf_app *a, int y, int rows, size_t n)
{
	struct qf_owners_state *st = &a->owners;
	int column = 0, long_one;
	size_t i;

	qf_list_show(&st->list, n, y, rows);
	for (i = st->list.top; i < n && i < st->list.top + (size_t)rows; i++) {
		long_one = (int)strlen(st->owner[i].text) + 4;
		column = long_one > column ? long_one : column;
	}
	if (column + 24 > a->screen.w)
		column = 0;
	for (i = st->list.top; i < n && i < st->list.top + (size_t)rows; i++)
		draw_row(a, y + (int)(i - st->list.top), &st->owner[i],
			 i == st->list.at, column);
}

static void draw(struct qf_app *a, struct qf_area area)
{
	struct qf_owners_state *st = &a->owners;
	struct qf_cells *c = &a->screen;
	uint64_t cluster = qf_app_cluster(a);
	int y = area.y, rows = area.h;
	size_t n = rows_of(a);
	char what[300];

	if (rows >= 3) {
		qf_cells_printf(c, 0, y++, c->w, QF_TINT_STRONG,
				" 0x%" PRIx64 " cluster %" PRIu64 ": %s",
				cluster << a->img->geo.cluster_bits, cluster,
				qf_scene_describe(&a->model->scene, cluster,
						  what, sizeof(what)));
		rows--;
	}
	if (!n) {
		qf_cells_text(c, 1, y, c->w - 1, QF_TINT_DIM, state(a));
		return;
	}
	if (rows >= 3) {
		qf_cells_wipe(c, 0, area.y + area.h - 1, c->w, 1,
			      QF_TINT_STATUS);
		qf_cells_printf(c, 1, area.y + area.h - 1, c->w - 1,
				QF_TINT_STATUS,
				"%" PRIu64 " owner%s%s   Enter goes to the "
				"pointer",
				st->total, st->total == 1 ? "" : "s",
				st->total > n ? ", not all listed" : "");
		rows--;
	}
	draw_rows(a, y, rows, n);
}

static bool act(struct qf_app *a, enum qf_action act)
{
	struct qf_owners_state *st = &a->owners;
	size_t n = rows_of(a);

	if (act != QF_ACT_ENTER_OWNER)
		return qf_list_act(&st->list, n, act);
	if (st->list.at >= n)
		qf_app_say(a, QF_TINT_WARN, "no owner to go to");
	else if (st->owner[st->list.at].pointer_off == QF_NOWHERE)
		qf_app_say(a, QF_TINT_WARN, "nothing points to it");
	else
		qf_app_go(a, QF_VIEW_HEX, st->owner[st->list.at].pointer_off);
	return true;
}

static bool find(struct qf_app *a, bool back)
{
	struct qf_owners_state *st = &a->owners;
	size_t i = st->list.at, n = rows_of(a), k;

	for (k = 0; k < n; k++)
		if (qf_app_matches(st->owner[qf_app_turn(a, &i, n, back)].text,
				   a->pattern)) {
			st->list.at = i;
			return true;
		}
	return false;
}

static void click(struct qf_app *a, int x, int y, bool twice)
{
	(void)x;
	if (qf_list_click(&a->owners.list, rows_of(a), y) && twice)
		act(a, QF_ACT_ENTER_OWNER);
}

const struct qf_view qf_view_owners = {
	.name = "Owners",
	.letter = 'o',
	.hint = "Enter its pointer  v on the disk  x bytes  Backspace back",
	.draw = draw,
	.act = act,
	.find = find,
	.damage = qf_damage_next_file,
	.click = click,
};
