// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/findings/finding_text.h"
#include "lib/base/text.h"
#include "lib/walk/describe.h"
#include "viz/browse/widget.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Questions that are told of one row. */
#define QUESTIONS 8u

void qf_finding_lost_text(const struct qf_app *a, size_t i, char *buf,
			  size_t room)
{
	const struct qf_lost_range *l = &a->model->report.lost.at[i];
	char who[128], size[32];

	if (l->holder == QF_HOLDER_IMAGE)
		snprintf(who, sizeof(who),
			 "snapshot %s, which the header does "
			 "not name",
			 l->id);
	else
		qf_describe_holder(a->img, l->holder, who, sizeof(who));
	snprintf(buf, room, "%s: guest offset 0x%" PRIx64 ", %s", who,
		 l->guest_off, qf_text_bytes(l->bytes, size, sizeof(size)));
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b ? b - a < a_bytes : a - b < b_bytes;
}

/* Whether Q is asked of what the row is about. */
static bool is_about(const struct qf_app *a, const struct qf_finding_row *r,
		     const struct qf_question *q)
{
	const struct qf_lost_range *l;
	const struct qf_finding *f;

	if (r->of == QF_ROW_LOST) {
		l = &a->model->report.lost.at[r->first];
		return overlap(q->guest_off, q->bytes, l->guest_off, l->bytes);
	}
	f = &a->model->report.findings.at[r->first];
	return f->host_off != QF_NOWHERE &&
	       (overlap(q->place_off, 8, f->host_off, f->length) ||
		(q->shared_off &&
		 overlap(q->shared_off, 1, f->host_off, f->length)));
}

static void add_head(struct qf_outbuf *out, const char *title)
{
	qf_outbuf_printf(out, "%s%c%s\n", out->n ? "\n" : "", QF_WIDGET_HEAD,
			 title);
}

/* The judge's own words, as check --why has them. */
static void add_evidence(const struct qf_app *a, const struct qf_finding_row *r,
			 struct qf_outbuf *out)
{
	const struct qf_questions *all = &a->model->report.questions;
	struct qf_question some[QUESTIONS];
	struct qf_questions few = { .at = some };
	char *text = NULL;
	const char *from;
	size_t i, room;
	FILE *to;

	for (i = 0; i < all->n; i++) {
		if (!is_about(a, r, &all->at[i]))
			continue;
		if (few.n < QUESTIONS)
			some[few.n++] = all->at[i];
		else
			few.left_out++;
	}
	to = few.n ? open_memstream(&text, &room) : NULL;
	if (!to)
		return;
	qf_report_why(to, a->name, &few, true);
	if (fclose(to) == 0) {
		add_head(out, "Evidence for and against");
		/* without its own heading and the blank line before */
		from = strstr(text, "    the L");
		qf_outbuf_printf(out, "%s", from ? from : text);
	}
	free(text);
}

static void add_lost(const struct qf_app *a, const struct qf_finding_row *r,
		     struct qf_outbuf *out)
{
	char text[300];

	if (r->level) {
		qf_finding_lost_text(a, r->first, text, sizeof(text));
		qf_outbuf_printf(out, "%s\n", text);
	}
	add_head(out, "What it means");
	qf_outbuf_printf(out, "Whoever reads it gets zeros, other bytes or an "
			      "error, and not what was written there. What "
			      "has no owner in the file may be what is "
			      "missing.\n");
	if (r->level)
		add_evidence(a, r, out);
	add_head(out, "What repair does");
	qf_outbuf_printf(out,
			 "Gives back what is proven or likely, and frees "
			 "nothing that may be part of it: the view Plan shows "
			 "what that is. \"qfsck extract\" gets out the rest "
			 "of the disk, with a list of what is missing.\n");
}

/* TEXT behind WHAT, its places in words, too. */
static void add_text(struct qf_outbuf *out, const char *what, const char *text)
{
	char *words = qf_text_places(text ? text : "(no memory)");

	qf_outbuf_printf(out, "%s%s\n", what, words ? words : "(no memory)");
	free(words);
}

static void add_finding(const struct qf_app *a, const struct qf_finding_row *r,
			struct qf_outbuf *out)
{
	const struct qf_finding *f = &a->model->report.findings.at[r->first];
	const struct qf_problem_row *p = qf_problem_get(f->problem);

	if (!r->level) {
		qf_outbuf_printf(out,
				 "%zu finding%s of the severity \"%s\". What "
				 "is worse stands above.\n",
				 r->n, r->n == 1 ? "" : "s",
				 qf_problem_severity(p->severity));
		return;
	}
	if (r->level == 1)
		qf_outbuf_printf(out, "%s\n", p->message);
	else
		add_text(out, "", f->text);
	if (r->level == 2 && f->owner)
		add_text(out, "owner: ", f->owner);
	if (r->level == 2 && f->other)
		add_text(out, "and: ", f->other);
	add_head(out, "What it means");
	qf_outbuf_printf(out, "%s\n", p->why);
	if (r->level == 2)
		add_evidence(a, r, out);
	add_head(out, "What repair does");
	qf_outbuf_printf(out, "%s\n", p->repair);
}

void qf_finding_all_text(const struct qf_app *a, const struct qf_finding_row *r,
			 struct qf_outbuf *out)
{
	const struct qf_diagnosis *d;

	switch (r->of) {
	case QF_ROW_STORY:
		d = &a->model->report.diagnosis[r->first];
		qf_outbuf_printf(out, "%s\n", qf_diagnose_story(d->cause));
		add_head(out, "What to do");
		qf_outbuf_printf(out, "%s\n", qf_diagnose_advice(d->cause));
		break;
	case QF_ROW_LOST:
		add_lost(a, r, out);
		break;
	case QF_ROW_FINDING:
		add_finding(a, r, out);
		break;
	}
}
