/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes in the pages' tables, and links to their maps. */
#ifndef QF_PAGEWORDS_H
#define QF_PAGEWORDS_H

#include "viz/show/outbuf.h"

#include <stdint.h>

/* A number of bytes in words, as a cell of a table; <td class=n>. */
void qf_pagewords_size(struct qf_outbuf *o, uint64_t bytes);

/* TEXT, with a link to BYTES at OFF on the map of M, "guest" or "file". */
void qf_pagewords_link(struct qf_outbuf *o, const char *m, uint64_t off,
		       uint64_t bytes, const char *text);

#endif
