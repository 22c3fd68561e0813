/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the views with a grid have in common: offsets, legend, keys. */
#ifndef QF_GRIDPARTS_H
#define QF_GRIDPARTS_H

#include "viz/browse/app.h"
#include "viz/browse/keys.h"

#define QF_GRIDPARTS_MARGIN 11 /* columns for the offsets at the left */

/* The offset that each row begins with, left of the grid. */
void qf_gridparts_offsets(struct qf_app *a, const struct qf_grid *g,
			  const struct qf_scene *s);

/* "4 MiB per cell". Returns BUF. */
char *qf_gridparts_scale(const struct qf_grid *g, const struct qf_scene *s,
			 char *buf, size_t room);

/* What there is of each kind, in at most MAX rows. Returns the rows that it
 * takes; draws if Y is not negative. */
int qf_gridparts_legend(struct qf_app *a, const struct qf_scene *s, int y,
			int max);

/* The keys that move in a grid, from the cluster *AT, and change it. False:
 * ACT is none of them. */
bool qf_gridparts_act(struct qf_grid *g, const struct qf_scene *s,
		      enum qf_action act, uint64_t *at);

#endif
