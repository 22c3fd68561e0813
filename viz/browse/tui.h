/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The browser on a terminal. */
#ifndef QF_TUI_H
#define QF_TUI_H

#include "viz/browse/app.h"

enum qf_tui_colours {
	QF_COLOURS_AUTO,
	QF_COLOURS_256,
	QF_COLOURS_16,
	QF_COLOURS_MONO,
};

/*
 * Runs A until the user quits; the terminal is as before afterwards, also
 * after a signal, which then ends the process. Errors: QF_ERR_UNSUPPORTED if
 * there is no terminal that can be used, QF_ERR_IO if it goes away.
 */
enum qf_err qf_tui_run(struct qf_app *a, enum qf_tui_colours colours,
		       struct qf_why *why);

#endif
