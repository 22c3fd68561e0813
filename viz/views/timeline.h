/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The states of the disk in the order of time: the snapshots, then the active
 * disk; what each wrote since the one before. */
#ifndef QF_TIMELINE_H
#define QF_TIMELINE_H

#include "viz/browse/app.h"

#define QF_TIMELINE_ROWS 2

/*
 * Of each holder, the clusters that it has and the one before it has not, in
 * FRESH, and the other way round in GONE: room for s->n_holders each. The first
 * one has all of its own since nothing.
 */
void qf_timeline_count(const struct qf_scene *s, uint64_t *fresh,
		       uint64_t *gone);

/* Draws the line into two rows from Y on; holder HERE stands out. */
void qf_timeline_draw(struct qf_app *a, int y, const uint64_t *fresh,
		      uint32_t here);

/* The holder drawn at column X; false: none. */
bool qf_timeline_at(const struct qf_app *a, uint32_t here, int x, uint32_t *h);

#endif
