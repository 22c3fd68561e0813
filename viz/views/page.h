/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views that show what another command says: info, diff, du, the plan of
 * repair -n. It is run beside the browser, when its view is looked at.
 */
#ifndef QF_PAGE_H
#define QF_PAGE_H

#include "viz/views/views.h"

/* The arguments of a command, without the options that all have. */
struct qf_page_ask {
	const char *arg[10];
	int n;
	char text[3][160]; /* room for those that are put together */
};

struct qf_page {
	int parts; /* commands, one after the other */
	/* no argument: that one is not asked */
	void (*ask)(const struct qf_app *a, int part, struct qf_page_ask *ask);
	/* adds to the page what that command said; NULL: as it stands */
	void (*take)(struct qf_app *a, int part, const char *said, int code);
	/* rows above the lines, from Y on, at most ROWS; returns how many */
	int (*head)(struct qf_app *a, int y, int rows);
	enum qf_tint (*tint)(const char *line);
	/* what the status line says of the line; may be NULL */
	void (*status)(struct qf_app *a, const char *line, char *buf,
		       size_t room);
	const char *empty; /* there is nothing to ask */
};

/* Of the view that shows PAGE. */
void qf_page_draw(struct qf_app *a, struct qf_area area,
		  const struct qf_page *page);
bool qf_page_act(struct qf_app *a, enum qf_action act);
bool qf_page_find(struct qf_app *a, bool back);
/* True if a line is there. */
bool qf_page_click(struct qf_app *a, int y);

/* Begins what the view needs, which shows PAGE (NULL: none), and takes what is
 * there. WAIT: until there is more. True if something changed. */
bool qf_page_tick(struct qf_app *a, const struct qf_page *page, bool wait);

/* The line under the cursor, or NULL. */
const char *qf_page_line(struct qf_app *a);
/* The first "0x..." of a line; false if it has none. */
bool qf_page_offset(const char *line, uint64_t *off);

/* Whether the page that is being filled has that line already. */
bool qf_page_has(struct qf_app *a, const char *line);
void qf_page_add(struct qf_app *a, const char *text);
void qf_page_printf(struct qf_app *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
