/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report on an image as a page: one file that needs nothing else. Whatever
 * comes from the image or from the system goes through qf_outbuf_xml.
 */
#ifndef QF_PAGE_H
#define QF_PAGE_H

#include "viz/draw/sheet.h"

struct qf_page {
	const struct qf_sheet *sheet;
	struct qf_guestmap *disk;   /* the sheet's, to ask for its files */
	const char *command;	    /* that makes the page; "": not told */
	const char *sha256;	    /* of the image; NULL: not asked for */
	const struct qf_hits *hits; /* what was lost */
};

/* Errors: QF_ERR_NOMEM. */
enum qf_err qf_page_make(const struct qf_page *p, struct qf_outbuf *out,
			 struct qf_why *why);

/* --- parts, each a section of the page --- */

/* The map of M ("guest" or "file") with its scale and its legend. */
void qf_pagemap_put(const struct qf_page *p, const char *m,
		    struct qf_outbuf *o);

/* What the script tells of its cells. */
void qf_pagecells_put(const struct qf_page *p, const char *m,
		      struct qf_outbuf *o);

/* What is wrong, worst first; and what is lost. */
void qf_pagefindings_put(const struct qf_page *p, struct qf_outbuf *o);
void qf_pagefindings_lost(const struct qf_page *p, struct qf_outbuf *o);

/* The active disk and the snapshots, each with its bar. */
void qf_pagestates_put(const struct qf_page *p, struct qf_outbuf *o);

/* The image: its file, header, backing files; and how the page was made. */
void qf_pagefacts_put(const struct qf_page *p, struct qf_outbuf *o);

#endif
