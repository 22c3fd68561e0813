/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The volumes of a guest's disk as one line, each as long as it is large. */
#ifndef QF_VOLUMEBAR_H
#define QF_VOLUMEBAR_H

#include "viz/browse/app.h"

/* Draws it at Y, over the whole width, with the place of the cursor. */
void qf_volumebar_draw(struct qf_app *a, const struct qf_guestmap *map, int y);

/* The offset on the disk that the column X stands for. */
uint64_t qf_volumebar_at(const struct qf_app *a, const struct qf_guestmap *map,
			 int x);

#endif
