// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/pagewords.h"
#include "lib/base/text.h"

#include <inttypes.h>

void qf_pagewords_size(struct qf_outbuf *o, uint64_t bytes)
{
	char size[32];

	qf_outbuf_printf(o, "<td class='n'>%s</td>",
			 qf_text_bytes(bytes, size, sizeof(size)));
}

void qf_pagewords_link(struct qf_outbuf *o, const char *m, uint64_t off,
		       uint64_t bytes, const char *text)
{
	qf_outbuf_printf(o,
			 "<a href='#%s-map' data-m='%s' data-o='%" PRIu64
			 "' data-n='%" PRIu64 "'>%s</a>",
			 m, m, off, bytes, text);
}
