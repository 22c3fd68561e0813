// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/views/map_search.h"

#include <string.h>

/* True if run I is of what is searched: a kind, or a holder's cluster. */
static bool run_matches(const struct qf_scene *s, size_t i, const bool *kinds,
			const struct qf_scene_holder *h)
{
	return kinds[s->run[i].kind] ||
	       (h &&
		qf_scene_holds(s, s->run[i].set, (uint32_t)(h - s->holder)));
}

/* The next range of what is wrong that is of one of the KINDS, or NULL. */
static const struct qf_scene_range *find_wrong(const struct qf_scene *s,
					       uint64_t here, const bool *kinds,
					       bool back)
{
	const struct qf_scene_range *end = s->wrong + s->n_wrong, *w;

	w = qf_scene_wrong_from(s, here);
	w = w ? w : end;
	if (!back) {
		while (w < end && (w->first <= here || !kinds[w->kind]))
			w++;
		return w < end ? w : NULL;
	}
	while (w > s->wrong)
		if (kinds[(--w)->kind])
			return w;
	return NULL;
}

/* The next run that matches, or the number of runs. */
static size_t find_run(const struct qf_scene *s, uint64_t here,
		       const bool *kinds, const struct qf_scene_holder *h,
		       bool back)
{
	size_t i = qf_scene_find(s, here);

	while (back ? i-- > 0 : ++i < s->n)
		if (run_matches(s, i, kinds, h))
			return i;
	return s->n;
}

bool qf_map_search_find(const struct qf_app *a, const struct qf_scene *s,
			uint64_t *cluster, bool back)
{
	const struct qf_scene_holder *h = NULL;
	const struct qf_scene_range *w;
	bool kinds[QF_KINDS];
	uint64_t to;
	uint32_t k;
	size_t i;

	for (k = 0; k < QF_KINDS; k++)
		kinds[k] =
			qf_app_matches(qf_palette_kind((enum qf_kind)k)->title,
				       a->pattern) ||
			qf_app_matches(qf_palette_kind((enum qf_kind)k)->key,
				       a->pattern);
	for (k = 0; k < s->n_holders && !h; k++)
		if (!strcmp(s->holder[k].id, a->pattern) ||
		    !strcmp(s->holder[k].name, a->pattern))
			h = &s->holder[k];
	if (!s->n)
		return false;
	i = find_run(s, *cluster, kinds, h, back);
	w = find_wrong(s, *cluster, kinds, back);
	if (i == s->n && !w)
		return false;
	to = i < s->n ? s->run[i].first : w->first;
	if (w && (back ? w->first > to : w->first < to))
		to = w->first;
	*cluster = to;
	return true;
}
