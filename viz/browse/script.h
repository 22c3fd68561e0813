/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The browser without a terminal: a script presses keys and saves screens.
 * A line holds one command; empty lines and lines that begin with # do
 * nothing:
 *
 *	size 80x24	    the screen's size from now on
 *	key Down Down x	    presses keys, by the names of the help
 *	type TEXT	    presses the characters of the rest of the line
 *	click X Y	    the mouse; also double, drag, wheel-up, wheel-down
 *	wait		    until all that goes on in the background is done
 *	save FILE	    the screen as text, or as a picture if FILE ends
 *			    in .svg; - is standard output
 *	random SEED N	    presses N keys by chance, and draws each time
 *	storm SEED N	    takes N sizes by chance, 1x1 to 300x100
 */
#ifndef QF_SCRIPT_H
#define QF_SCRIPT_H

#include "viz/browse/app.h"

/* Errors: QF_ERR_USAGE (a line without a meaning; WHY names it), QF_ERR_IO. */
enum qf_err qf_script_run(struct qf_app *a, const char *file,
			  struct qf_why *why);

#endif
