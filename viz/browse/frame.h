/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole screen: the view at hand and what is around it. */
#ifndef QF_FRAME_H
#define QF_FRAME_H

#include "viz/browse/app.h"

/* Draws everything into a->screen. */
void qf_frame_draw(struct qf_app *a);

/* The view whose tab stands at column X of the top line, or -1. */
int qf_frame_tab_at(const struct qf_app *a, int x);

#endif
