// SPDX-License-Identifier: GPL-2.0-or-later
/* What is wrong, folded as in the terminal, and what is lost. */
#include "viz/page/page.h"
#include "viz/page/pagewords.h"
#include "lib/base/text.h"
#include "lib/walk/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 3	   /* places of a problem that are not folded */
#define LISTED 200 /* that are folded */
#define LOST_MAX 300

static void put_host(struct qf_outbuf *o, const struct qf_finding *f)
{
	char text[64], size[32];

	snprintf(text, sizeof(text), "host 0x%" PRIx64, f->host_off);
	qf_pagewords_link(o, "file", f->host_off, f->length, text);
	if (f->length)
		qf_outbuf_printf(o, ", %s",
				 qf_text_bytes(f->length, size, sizeof(size)));
}

/* The map is of the active disk: a place on another's is no link. */
static void put_guest(struct qf_outbuf *o, const struct qf_finding *f)
{
	char text[64];

	snprintf(text, sizeof(text), "guest 0x%" PRIx64, f->guest_off);
	qf_outbuf_printf(o, "%s", f->host_off != QF_NOWHERE ? "; " : "");
	if (f->owner && strstr(f->owner, "the active disk"))
		qf_pagewords_link(o, "guest", f->guest_off, 1, text);
	else
		qf_outbuf_printf(o, "%s", text);
}

/* TEXT with its places in words, too. */
static void put_words(struct qf_outbuf *o, const char *text)
{
	char *words = qf_text_places(text);

	qf_outbuf_xml(o, words ? words : text);
	free(words);
}

/* The place number I, as an item of a list. */
static void put_place(struct qf_outbuf *o, const struct qf_finding *f, size_t i)
{
	const struct qf_problem_row *r = qf_problem_get(f->problem);

	qf_outbuf_printf(o, "<li id='f%zu' data-t='%u %s", i, r->id, r->name);
	if (f->host_off != QF_NOWHERE)
		qf_outbuf_printf(o, " at 0x%" PRIx64, f->host_off);
	qf_outbuf_printf(o, "'>");
	put_words(o, f->text ? f->text : "");
	qf_outbuf_printf(o, "<br><small>");
	if (f->host_off != QF_NOWHERE)
		put_host(o, f);
	if (f->guest_off != QF_NOWHERE)
		put_guest(o, f);
	if (f->count != 1)
		qf_outbuf_printf(o, "; count %" PRIu64, f->count);
	if (f->owner) {
		qf_outbuf_printf(o, "; owner: ");
		put_words(o, f->owner);
	}
	if (f->other) {
		qf_outbuf_printf(o, "; another: ");
		put_words(o, f->other);
	}
	qf_outbuf_printf(o, "</small></li>\n");
}

static void put_places(struct qf_outbuf *o, const struct qf_finding *f,
		       size_t first, size_t n)
{
	size_t shown = n <= SHOWN + 1 ? n : SHOWN, i;
	uint64_t rest = 0;

	qf_outbuf_printf(o, "<ul>\n");
	for (i = 0; i < shown; i++)
		put_place(o, &f[first + i], first + i);
	qf_outbuf_printf(o, "</ul>\n");
	if (shown == n)
		return;
	for (i = shown; i < n; i++)
		rest += f[first + i].collated;
	qf_outbuf_printf(o,
			 "<details><summary>... and %" PRIu64 " more places"
			 "</summary><ul>\n",
			 rest);
	for (i = shown; i < n && i < LISTED; i++) {
		rest -= f[first + i].collated;
		put_place(o, &f[first + i], first + i);
	}
	if (rest)
		qf_outbuf_printf(o,
				 "<li>%" PRIu64 " more: \"qfsck check --all\" "
				 "lists them</li>\n",
				 rest);
	qf_outbuf_printf(o, "</ul></details>\n");
}

/* All findings of one problem; returns how many. */
static size_t put_problem(struct qf_outbuf *o, const struct qf_findings *l,
			  size_t first)
{
	const struct qf_problem_row *r = qf_problem_get(l->at[first].problem);
	const char *severity = qf_problem_severity(r->severity);
	size_t n = 0;

	while (first + n < l->n &&
	       l->at[first + n].problem == l->at[first].problem)
		n++;
	qf_outbuf_printf(o, "<h3><span class='%s'>%s</span> %u %s: ", severity,
			 severity, r->id, r->name);
	qf_outbuf_xml(o, r->message);
	qf_outbuf_printf(o, "</h3>\n");
	put_places(o, l->at, first, n);
	qf_outbuf_printf(o,
			 "<details><summary>What it means, and what "
			 "repair does (fix: %s, risk: %s)</summary><p>",
			 qf_problem_fix(r->fix), qf_problem_risk(r->risk));
	qf_outbuf_xml(o, r->why);
	qf_outbuf_printf(o, "</p><p>");
	qf_outbuf_xml(o, r->repair);
	qf_outbuf_printf(o, "</p></details>\n");
	return n;
}

static void put_stories(struct qf_outbuf *o, const struct qf_report *r)
{
	unsigned int i;

	for (i = 0; i < r->n_diagnoses; i++) {
		enum qf_cause cause = r->diagnosis[i].cause;

		qf_outbuf_printf(o, "<p><b>%s (%s):</b> ",
				 qf_diagnose_heading(cause),
				 qf_diagnose_name(cause));
		qf_outbuf_xml(o, qf_diagnose_story(cause));
		qf_outbuf_printf(o, " <b>Advice:</b> ");
		qf_outbuf_xml(o, qf_diagnose_advice(cause));
		qf_outbuf_printf(o, "</p>\n");
	}
}

void qf_pagefindings_put(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_report *r = &p->sheet->model->report;
	size_t i;

	qf_outbuf_printf(o, "<section><h2 id='findings'>Findings</h2>\n");
	if (!r->findings.n)
		qf_outbuf_printf(o, "<p class='clean'>Nothing is wrong with "
				    "this image.</p>\n");
	put_stories(o, r);
	for (i = 0; i < r->findings.n;)
		i += put_problem(o, &r->findings, i);
	qf_outbuf_printf(o, "</section>\n");
}

static void put_lost(const struct qf_page *p, struct qf_outbuf *o, size_t i)
{
	const struct qf_model *m = p->sheet->model;
	const struct qf_lost_range *l = &m->report.lost.at[i];
	bool active = l->holder == QF_HOLDER_ACTIVE && !l->id[0];
	char who[128], text[64];

	qf_outbuf_printf(o, "<tr id='l%zu' data-t='lost'><td>", i);
	if (l->holder == QF_HOLDER_IMAGE) {
		qf_outbuf_printf(o,
				 "a snapshot that the header does not name: ");
		qf_outbuf_xml(o, l->id);
	} else {
		qf_outbuf_xml(o, qf_describe_holder(m->img, l->holder, who,
						    sizeof(who)));
	}
	qf_outbuf_printf(o, "</td><td class='n'>");
	snprintf(text, sizeof(text), "0x%" PRIx64, l->guest_off);
	if (active)
		qf_pagewords_link(o, "guest", l->guest_off, l->bytes, text);
	else
		qf_outbuf_printf(o, "%s", text);
	qf_outbuf_printf(o, "</td><td class='n'>0x%" PRIx64 "</td>",
			 l->guest_off + l->bytes);
	qf_pagewords_size(o, l->bytes);
	qf_outbuf_printf(o, "</tr>\n");
}

static void put_lost_rows(const struct qf_page *p, struct qf_outbuf *o,
			  size_t from, size_t to)
{
	qf_outbuf_printf(o, "<table><tr><th scope='col'>Of"
			    "<th scope='col' class='n'>From guest offset"
			    "<th scope='col' class='n'>To"
			    "<th scope='col' class='n'>Size</tr>\n");
	for (; from < to; from++)
		put_lost(p, o, from);
	qf_outbuf_printf(o, "</table>\n");
}

/* Which files were hit, as the report says it. */
static void put_hits(const struct qf_page *p, struct qf_outbuf *o)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f) {
		o->failed = true;
		return;
	}
	qf_report_hits(f, p->sheet->model->img, p->hits, false);
	if (!fclose(f) && n > 1) {
		qf_outbuf_printf(o, "<pre>");
		qf_outbuf_xml(o, text + strspn(text, "\n"));
		qf_outbuf_printf(o, "</pre>\n");
	}
	free(text);
}

void qf_pagefindings_lost(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_lost_list *l = &p->sheet->model->report.lost;
	size_t shown = l->n <= SHOWN + 1 ? l->n : SHOWN;
	size_t listed = l->n < LOST_MAX ? l->n : LOST_MAX;

	if (!l->n)
		return;
	qf_outbuf_printf(o, "<h3 class='error'>Lost, or out of reach until "
			    "repaired</h3>\n");
	put_lost_rows(p, o, 0, shown);
	if (shown < l->n) {
		qf_outbuf_printf(o,
				 "<details><summary>... and %zu more ranges"
				 "</summary>\n",
				 l->n - shown);
		put_lost_rows(p, o, shown, listed);
		if (listed < l->n)
			qf_outbuf_printf(o,
					 "<p>%zu more: \"qfsck check --all\" "
					 "lists them.</p>\n",
					 l->n - listed);
		qf_outbuf_printf(o, "</details>\n");
	}
	if (l->coarse)
		qf_outbuf_printf(o, "<p>There are so many that these cover "
				    "what lies between, too.</p>\n");
	if (l->cut)
		qf_outbuf_printf(o, "<p>There are so many that not every "
				    "snapshot is named.</p>\n");
	put_hits(p, o);
}
