/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the pages look, and the little script that they bring along. */
#ifndef QF_PAGELOOK_H
#define QF_PAGELOOK_H

#include "viz/show/outbuf.h"

/*
 * Everything up to and with <body>: TITLE is harmless text. SCRIPT: the page
 * has maps, and the script of its own; nothing else can run in it, and nothing
 * is fetched. META is more for the head, or NULL.
 */
void qf_pagelook_head(struct qf_outbuf *o, const char *title, bool script,
		      const char *meta);

/* The end of such a page. */
void qf_pagelook_foot(struct qf_outbuf *o, bool script);

#endif
