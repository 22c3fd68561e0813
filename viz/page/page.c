// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/page/page.h"
#include "lib/base/text.h"
#include "viz/page/pagelook.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* For qfsck report: which image this is, wherever the page lies. */
static void put_meta(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_io *io = p->sheet->model->img->io;
	char path[PATH_MAX], safe[PATH_MAX];

	qf_outbuf_printf(o, "<meta name='qfsck-image' content='");
	qf_outbuf_xml(o, qf_text_safe(io->fd >= 0 && realpath(io->name, path)
					      ? path
					      : io->name,
				      safe, sizeof(safe)));
	qf_outbuf_printf(o, "'>\n");
}

/* What the verdict means, and what to do: the report's own words. */
static void put_verdict(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_model *m = p->sheet->model;
	const struct qf_report_style st = { .quiet = true };
	char *text = NULL, *at, *from;
	size_t n = 0, skip;
	FILE *f = open_memstream(&text, &n);

	if (!f) {
		o->failed = true;
		return;
	}
	qf_report_verdict(f, m->img, p->sheet->name, &m->report, &st);
	if (fclose(f)) {
		o->failed = true;
	} else {
		/* the name and the verdict stand above */
		skip = strlen(p->sheet->name) + 2;
		if (m->report.verdict == QF_VERDICT_CORRUPT)
			skip = (size_t)(strchrnul(text, '\n') - text);
		skip = skip < n ? skip : 0;
		/* it was laid out for a terminal */
		for (at = text, from = text + skip; *from; from++) {
			if (*from == '\n')
				from += strspn(from + 1, " ");
			*at++ = *from;
		}
		*at = '\0';
		if (m->report.verdict != QF_VERDICT_CLEAN) {
			qf_outbuf_printf(o, "<p>");
			qf_outbuf_xml(o, text);
			qf_outbuf_printf(o, "</p>\n");
		}
	}
	free(text);
}

static void put_header(const struct qf_page *p, struct qf_outbuf *o)
{
	const char *verdict = qf_check_verdict(p->sheet->model->report.verdict);
	char fact[300];
	int k;

	qf_outbuf_printf(o, "<header><h1>");
	qf_outbuf_xml(o, p->sheet->name);
	qf_outbuf_printf(o, ": <span class='%s'>%s</span></h1>\n", verdict,
			 verdict);
	put_verdict(p, o);
	qf_outbuf_printf(o, "<p>");
	for (k = 0; k < 2 && qf_sheet_fact(p->sheet, k, fact, sizeof(fact));
	     k++)
		qf_outbuf_printf(o, "%s%s", k ? "<br>" : "", fact);
	qf_outbuf_printf(o, "</p>\n<nav aria-label='parts of this page'>"
			    "<a href='#disk'>The guest's disk</a>"
			    "<a href='#file'>The file</a>"
			    "<a href='#findings'>Findings</a>"
			    "<a href='#states'>Snapshots</a>"
			    "<a href='#image'>The image</a></nav></header>\n");
}

enum qf_err qf_page_make(const struct qf_page *p, struct qf_outbuf *o,
			 struct qf_why *why)
{
	struct qf_outbuf meta = { 0 };

	put_meta(p, &meta);
	qf_pagelook_head(o, p->sheet->name, true, meta.at);
	o->failed |= meta.failed;
	qf_outbuf_free(&meta);
	put_header(p, o);
	qf_outbuf_printf(o, "<main>\n<section><h2 id='disk'>The guest's disk"
			    "</h2>\n");
	qf_pagemap_put(p, "guest", o);
	qf_pagefindings_lost(p, o);
	qf_outbuf_printf(o, "</section>\n<section><h2 id='file'>The file</h2>"
			    "\n");
	qf_pagemap_put(p, "file", o);
	qf_outbuf_printf(o, "</section>\n");
	qf_pagefindings_put(p, o);
	qf_pagestates_put(p, o);
	qf_pagefacts_put(p, o);
	qf_outbuf_printf(o, "</main>\n");
	qf_pagecells_put(p, "guest", o);
	qf_pagecells_put(p, "file", o);
	qf_pagelook_foot(o, true);
	if (!o->failed)
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the page");
}
