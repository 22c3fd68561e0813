// SPDX-License-Identifier: GPL-2.0-or-later
/* The scene as cells, each for a stretch of clusters. */
#include "viz/draw/scene.h"

#include <string.h>

static bool is_metadata(int k)
{
	return k >= (int)QF_KIND_HEADER && k < (int)QF_KIND_ACTIVE;
}

/* True if there is nothing in it: what else is there is worth a mark. */
static bool is_empty(int k)
{
	return k < (int)QF_KIND_HEADER;
}

/* The kind that most clusters of a cell have, or what is worst. */
static enum qf_kind prevailing(const uint64_t *count)
{
	enum qf_kind best = QF_KIND_FREE;
	int k;

	for (k = QF_KINDS - 1; k >= (int)QF_KIND_LEAKED; k--)
		if (count[k])
			return (enum qf_kind)k;
	for (k = 0; k < QF_KINDS; k++)
		if (count[k] > count[best])
			best = (enum qf_kind)k;
	return best;
}

/* What would vanish behind OF: metadata, or else data in what is empty.
 * OF itself: nothing does. */
static enum qf_kind minority(const uint64_t *count, enum qf_kind of)
{
	const int main = (int)of;
	int k, best = main;

	for (k = 0; k < (int)QF_KIND_LEAKED; k++) {
		if (!count[k] || k == main || is_empty(k))
			continue;
		if (is_metadata(k) ? is_metadata(main) : !is_empty(main))
			continue;
		if (best == main || is_metadata(k) > is_metadata(best) ||
		    (is_metadata(k) == is_metadata(best) &&
		     count[k] > count[best]))
			best = k;
	}
	return (enum qf_kind)best;
}

/* The gravest of what is wrong from FIRST to END, and what is there else. */
static enum qf_kind gravest(const struct qf_scene *s, uint64_t first,
			    uint64_t end, enum qf_kind kind)
{
	const struct qf_scene_range *w = qf_scene_wrong_from(s, first);

	for (; w && w < s->wrong + s->n_wrong && w->first < end; w++)
		kind = w->kind > kind ? (enum qf_kind)w->kind : kind;
	return kind;
}

void qf_scene_cell(const struct qf_scene *s, uint64_t first, uint64_t end,
		   struct qf_scene_cell *out)
{
	uint64_t at = first, count[QF_KINDS] = { 0 }, marks[3] = { 0 }, stop;
	size_t r;

	*out = (struct qf_scene_cell){ QF_KINDS, QF_KINDS, 0, false };
	end = end < s->clusters ? end : s->clusters;
	if (at >= end || !s->n)
		return;
	for (r = qf_scene_find(s, at); at < end; r++, at = stop) {
		stop = qf_scene_end(s, r);
		stop = stop < end ? stop : end;
		count[s->run[r].kind] += stop - at;
		marks[s->set[s->run[r].set].mark] += stop - at;
	}
	out->kind = (uint8_t)prevailing(count);
	out->minor = (uint8_t)minority(count, (enum qf_kind)out->kind);
	out->kind = (uint8_t)gravest(s, first, end, (enum qf_kind)out->kind);
	if (out->kind >= QF_KIND_LEAKED)
		out->minor = out->kind; /* nothing beside what is wrong */
	out->mark = marks[QF_MARK_EXCLUSIVE] ? QF_MARK_EXCLUSIVE
		    : marks[QF_MARK_SHARED]  ? QF_MARK_SHARED
					     : QF_MARK_NONE;
	out->mostly = marks[out->mark] * 2 > end - first;
}

void qf_scene_cells(const struct qf_scene *s, uint64_t first, uint64_t per_cell,
		    size_t n, struct qf_scene_cell *out)
{
	uint64_t end;
	size_t i;

	for (i = 0; i < n; i++, first = end) {
		end = s->clusters - first > per_cell ? first + per_cell
						     : s->clusters;
		if (first >= s->clusters)
			end = first;
		qf_scene_cell(s, first, end, &out[i]);
	}
}
