/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several views draw. */
#ifndef QF_WIDGET_H
#define QF_WIDGET_H

#include "viz/browse/app.h"

/* A part of one bar of WIDTH columns. */
void qf_widget_bar(struct qf_app *a, int x, int y, int width, double part,
		   enum qf_tint tint);

/* Wraps TEXT into W columns and at most ROWS rows; returns its lines. */
int qf_widget_wrap(struct qf_app *a, int x, int y, int w, int rows,
		   enum qf_tint tint, const char *text);

/* The same, without the first SKIP lines and above row END. */
int qf_widget_wrap_from(struct qf_app *a, int x, int y, int w, int skip,
			int end, enum qf_tint tint, const char *text);

/* A line of a page that begins with it is a heading. */
#define QF_WIDGET_HEAD '\1'

/* The same for a text of several lines, with headings. */
int qf_widget_page(struct qf_app *a, int x, int y, int w, int skip, int end,
		   enum qf_tint tint, enum qf_tint head, const char *text);

/* Marks where a->pattern stands in row Y of the screen. */
void qf_widget_mark(struct qf_app *a, int y);

#endif
