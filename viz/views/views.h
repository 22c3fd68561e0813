/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The views, one file each: view_*.c. */
#ifndef QF_VIEWS_H
#define QF_VIEWS_H

#include "viz/browse/app.h"

/* A stretch of rows of the screen. */
struct qf_area {
	int y, h, w;
};

struct qf_page;

struct qf_view {
	const char *name, *brief;   /* brief: where the name has no room */
	char letter;		    /* as in keys.def */
	const char *hint;	    /* its own keys, for the last line */
	const struct qf_page *page; /* what it asks another command, or NULL */
	void (*draw)(struct qf_app *a, struct qf_area area);
	/* true if the action meant something */
	bool (*act)(struct qf_app *a, enum qf_action act);
	/* looks for a->pattern, from the cursor on or back, round the end
	 * (then a->wrapped is set); may be NULL */
	bool (*find)(struct qf_app *a, bool back);
	/* the same for what is wrong */
	bool (*damage)(struct qf_app *a, bool back);
	/* a click into the area drawn last; may be NULL */
	void (*click)(struct qf_app *a, int x, int y, bool twice);
};

extern const struct qf_view qf_view_guest, qf_view_map, qf_view_snapshots,
	qf_view_findings, qf_view_owners, qf_view_hex, qf_view_info,
	qf_view_diff, qf_view_space, qf_view_plan;

extern const struct qf_view *const qf_views[QF_VIEWS];

#endif
