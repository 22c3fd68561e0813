/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A screen as a picture: what the browser looks like, for documents. */
#ifndef QF_SCREEN_H
#define QF_SCREEN_H

#include "viz/draw/cells.h"
#include "viz/show/outbuf.h"

void qf_screen_svg(const struct qf_cells *c, struct qf_outbuf *out);

#endif
