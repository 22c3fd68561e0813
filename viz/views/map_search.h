/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search on the map: for a kind of cluster, or for who holds it. */
#ifndef QF_MAP_SEARCH_H
#define QF_MAP_SEARCH_H

#include "viz/browse/app.h"

/* Moves *CLUSTER of S to the next one, or the one BACK, that a->pattern names,
 * round the end (then a->wrapped is set); false if there is none. */
bool qf_map_search_find(struct qf_app *a, const struct qf_scene *s,
			uint64_t *cluster, bool back);

/* The same for what is wrong: leaked, claimed by two, lost, damaged. */
bool qf_map_search_damage(struct qf_app *a, const struct qf_scene *s,
			  uint64_t *cluster, bool back);

#endif
