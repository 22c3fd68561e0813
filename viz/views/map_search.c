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

/* From *CLUSTER to the end, or back to the start. */
static bool find_from(const struct qf_scene *s, uint64_t *cluster,
		      const bool *kinds, const struct qf_scene_holder *h,
		      bool back)
{
	const struct qf_scene_range *w = find_wrong(s, *cluster, kinds, back);
	size_t i = find_run(s, *cluster, kinds, h, back);
	uint64_t to;

	if (i == s->n && !w)
		return false;
	to = i < s->n ? s->run[i].first : w->first;
	if (w && (back ? w->first > to : w->first < to))
		to = w->first;
	*cluster = to;
	return true;
}

/* The first cluster of what the file begins with, or ends with, if that
 * matches: nothing is behind it. */
static bool at_edge(const struct qf_scene *s, uint64_t *cluster,
		    const bool *kinds, const struct qf_scene_holder *h,
		    bool back)
{
	uint64_t edge = back ? s->clusters - 1 : 0;
	const struct qf_scene_range *w = qf_scene_wrong_from(s, edge);
	size_t i = qf_scene_find(s, edge);

	if (w && w->first <= edge && kinds[w->kind])
		*cluster = w->first;
	else if (run_matches(s, i, kinds, h))
		*cluster = s->run[i].first;
	else
		return false;
	return true;
}

static bool find_round(struct qf_app *a, const struct qf_scene *s,
		       uint64_t *cluster, const bool *kinds,
		       const struct qf_scene_holder *h, bool back)
{
	uint64_t at = back && s->clusters ? s->clusters - 1 : 0;

	if (!s->n || !s->clusters)
		return false;
	if (find_from(s, cluster, kinds, h, back))
		return true;
	a->wrapped = true;
	if (at_edge(s, cluster, kinds, h, back))
		return true;
	if (!find_from(s, &at, kinds, h, back))
		return false;
	*cluster = at;
	return true;
}

bool qf_map_search_find(struct qf_app *a, const struct qf_scene *s,
			uint64_t *cluster, bool back)
{
	const struct qf_scene_holder *h = NULL;
	bool kinds[QF_KINDS];
	uint32_t k;

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
	return find_round(a, s, cluster, kinds, h, back);
}

bool qf_map_search_damage(struct qf_app *a, const struct qf_scene *s,
			  uint64_t *cluster, bool back)
{
	bool kinds[QF_KINDS] = { false };
	uint32_t k;

	for (k = QF_KIND_LEAKED; k < QF_KINDS; k++)
		kinds[k] = true;
	return find_round(a, s, cluster, kinds, NULL, back);
}
