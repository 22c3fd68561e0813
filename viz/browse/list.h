/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list that scrolls under a cursor. */
#ifndef QF_LIST_H
#define QF_LIST_H

#include "viz/browse/keys.h"

/* A list that is longer than the screen. */
struct qf_list {
	size_t at, top, rows; /* rows: of the screen, as drawn last */
	int y;		      /* where its first row was drawn */
};

/* Moves in a list of N rows; true if ACT is a movement. */
bool qf_list_act(struct qf_list *l, size_t n, enum qf_action act);
/* Before drawing N rows from row Y on with room for ROWS. */
void qf_list_show(struct qf_list *l, size_t n, int y, int rows);
/* The row at screen row Y; false if none of N is there. */
bool qf_list_click(struct qf_list *l, size_t n, int y);

#endif
