// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/outbuf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct qf_outbuf *b, size_t n)
{
	size_t want = b->room ? b->room : 4096;
	char *p;

	if (b->failed || n > SIZE_MAX / 4 || b->n > SIZE_MAX / 4) {
		b->failed = true;
		return false;
	}
	while (want < b->n + n + 1)
		want *= 2;
	if (want == b->room)
		return true;
	p = realloc(b->at, want);
	if (!p) {
		b->failed = true;
		return false;
	}
	b->at = p;
	b->room = want;
	return true;
}

void qf_outbuf_add(struct qf_outbuf *b, const void *bytes, size_t n)
{
	if (!make_room(b, n))
		return;
	memcpy(b->at + b->n, bytes, n);
	b->n += n;
	b->at[b->n] = '\0';
}

void qf_outbuf_printf(struct qf_outbuf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && make_room(b, (size_t)n))
		b->n += (size_t)vsnprintf(b->at + b->n, (size_t)n + 1, fmt,
					  again);
	va_end(again);
}

void qf_outbuf_xml(struct qf_outbuf *b, const char *text)
{
	static const struct {
		char ch;
		const char *as;
	} special[] = { { '&', "&amp;" },
			{ '<', "&lt;" },
			{ '>', "&gt;" },
			{ '"', "&quot;" },
			{ '\'', "&#39;" } };
	size_t i, n;

	while (*text) {
		n = strcspn(text, "&<>\"'");
		qf_outbuf_add(b, text, n);
		text += n;
		for (i = 0; i < 5 && *text; i++)
			if (special[i].ch == *text) {
				qf_outbuf_add(b, special[i].as,
					      strlen(special[i].as));
				text++;
				break;
			}
	}
}

void qf_outbuf_free(struct qf_outbuf *b)
{
	free(b->at);
	memset(b, 0, sizeof(*b));
}
