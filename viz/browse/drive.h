/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What moves the browser: keys, clicks, and what goes on between them. */
#ifndef QF_DRIVE_H
#define QF_DRIVE_H

#include "viz/browse/app.h"

void qf_drive_key(struct qf_app *a, uint32_t key);
enum qf_drive_click {
	QF_CLICK,
	QF_CLICK_TWICE,
	QF_WHEEL_UP,
	QF_WHEEL_DOWN,
	QF_DRAG, /* the button is held, the mouse moves */
};
void qf_drive_click(struct qf_app *a, int x, int y, enum qf_drive_click c);

/*
 * Does a slice of what goes on between the keys and takes over what the
 * background has found. True while there is more to do soon: call again.
 * *CHANGED: the screen must be drawn.
 */
bool qf_drive_tick(struct qf_app *a, bool *changed);

/* Until all that was begun is done; for the scripts. */
void qf_drive_wait(struct qf_app *a);

#endif
