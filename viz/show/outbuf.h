/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes that grow: what a picture or a page is put together in. */
#ifndef QF_OUTBUF_H
#define QF_OUTBUF_H

#include <stdbool.h>
#include <stddef.h>

struct qf_outbuf {
	char *at; /* owned; N bytes and a NUL */
	size_t n, room;
	bool failed; /* memory ran out: it is not whole */
};

void qf_outbuf_add(struct qf_outbuf *b, const void *bytes, size_t n);
void qf_outbuf_printf(struct qf_outbuf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* TEXT as it must stand in XML and HTML, between tags or in quotes. */
void qf_outbuf_xml(struct qf_outbuf *b, const char *text);
void qf_outbuf_free(struct qf_outbuf *b);

#endif
