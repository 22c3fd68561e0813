// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/timeline.h"

#include <stdio.h>
#include <string.h>

#define STEP_MIN 2
#define STEP_MAX 12

static void count_span(const struct qf_scene *s, const struct qf_scene_span *p,
		       bool has_last, bool has_active, uint64_t n,
		       uint64_t *fresh, uint64_t *gone)
{
	uint32_t end = p->first + p->n; /* the first that has them not */

	if (p->first == 0 && (s->n_holders == 1 || !has_last))
		fresh[0] += n;
	if (p->first == 0 && p->n > 1)
		fresh[1] += n;
	if (p->first > 0)
		fresh[p->first] += n;
	if (end > 1 && end < s->n_holders)
		gone[end] += n;
	else if (end > 1 && !has_active)
		gone[0] += n;
}

void qf_timeline_count(const struct qf_scene *s, uint64_t *fresh,
		       uint64_t *gone)
{
	const struct qf_scene_span *span, *last;
	size_t i;
	uint32_t k;

	memset(fresh, 0, s->n_holders * sizeof(*fresh));
	memset(gone, 0, s->n_holders * sizeof(*gone));
	for (i = 0; i < s->n_sets; i++) {
		const struct qf_scene_set *set = &s->set[i];

		if (!set->n || !set->clusters)
			continue;
		span = &s->span[set->first];
		last = &span[set->n - 1];
		for (k = 0; k < set->n; k++)
			count_span(s, &span[k],
				   last->first + last->n == s->n_holders,
				   span->first == 0, set->clusters, fresh,
				   gone);
	}
}

/* The place of holder H in time, and the holder at a place. */
static uint32_t place_of(const struct qf_scene *s, uint32_t h)
{
	return h ? h - 1 : s->n_holders - 1;
}

static uint32_t holder_at(const struct qf_scene *s, uint32_t place)
{
	return place + 1 < s->n_holders ? place + 1 : 0;
}

/* Columns of a state; in *FIRST the first place that is shown, in *N how
 * many. */
static int layout(const struct qf_app *a, uint32_t here, uint32_t *first,
		  uint32_t *n)
{
	const struct qf_scene *s = &a->model->scene;
	int w = a->screen.w - 2;
	int step = w / (int)(s->n_holders < 1000 ? s->n_holders : 1000);
	uint32_t room, at = place_of(s, here);

	step = step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
	room = w > step ? (uint32_t)(w / step) : 1;
	*n = s->n_holders < room ? s->n_holders : room;
	*first = at > *n / 2 ? at - *n / 2 : 0;
	if (*first + *n > s->n_holders)
		*first = s->n_holders - *n;
	return step;
}

static uint32_t level_glyph(const struct qf_app *a, uint64_t part, uint64_t all)
{
	static const char ascii[] = " .:-=+*%#";
	int level = all ? (int)((double)part * 8 / (double)all + .5) : 0;

	level = part && !level ? 1 : level;
	if (a->ascii)
		return (uint32_t)ascii[level];
	return level ? 0x2580 + (uint32_t)level : ' ';
}

void qf_timeline_draw(struct qf_app *a, int y, const uint64_t *fresh,
		      uint32_t here)
{
	const struct qf_scene *s = &a->model->scene;
	struct qf_cells *c = &a->screen;
	uint32_t first, n, i, h;
	uint64_t most = 0;
	int step = layout(a, here, &first, &n), x, k;

	for (i = 0; i < s->n_holders; i++)
		most = fresh[i] > most ? fresh[i] : most;
	for (i = 0; i < n; i++) {
		const struct qf_scene_holder *p;

		h = holder_at(s, first + i);
		p = &s->holder[h];
		x = 1 + (int)i * step;
		qf_cells_set(c, x, y, p->marked ? QF_TINT_MARK : QF_TINT_BAR,
			     level_glyph(a, fresh[h], most));
		for (k = 1; k < step && i + 1 < n; k++)
			qf_cells_set(c, x + k, y + 1, QF_TINT_DIM,
				     a->ascii ? '-' : 0x2500);
		qf_cells_set(c, x, y + 1,
			     p->marked ? QF_TINT_MARK : QF_TINT_TEXT,
			     a->ascii ? (h ? 'o' : '@')
			     : h      ? 0x25cb
				      : 0x25cf);
		if (step >= (int)strlen(h ? p->id : "now") + 3)
			qf_cells_text(c, x + 1, y + 1, step - 2, QF_TINT_DIM,
				      h ? p->id : "now");
		if (h == here)
			qf_cells_reverse(c, x, y + 1, 1);
	}
	if (first)
		qf_cells_set(c, 0, y + 1, QF_TINT_DIM, '<');
	if (first + n < s->n_holders)
		qf_cells_set(c, c->w - 1, y + 1, QF_TINT_DIM, '>');
}

bool qf_timeline_at(const struct qf_app *a, uint32_t here, int x, uint32_t *h)
{
	uint32_t first, n, i;
	int step = layout(a, here, &first, &n);

	if (x < 1)
		return false;
	i = (uint32_t)((x - 1) / step);
	if (i >= n)
		return false;
	*h = holder_at(&a->model->scene, first + i);
	return true;
}
