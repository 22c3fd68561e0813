// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as JSON: the keys of qemu-img check and our own. */
#include "check/report/report.h"
#include "check/report/report_hits.h"
#include "check/report/units.h"
#include "cmd.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

/* What the finding says, in one sentence: message and place. */
static void set_message(json_t *o, const struct qf_finding *f)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	char *s;

	if (asprintf(&s, "%s%s%s", row->message, f->text ? ": " : "",
		     f->text ? f->text : "") < 0)
		return;
	qf_json_text(o, "message", s);
	free(s);
}

static json_t *one_finding(const struct qf_finding *f)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	json_t *o = json_object();

	qf_json_int(o, "id", row->id);
	qf_json_text(o, "name", row->name);
	qf_json_text(o, "severity", qf_problem_severity(row->severity));
	qf_json_int(o, "count", f->count);
	set_message(o, f);
	if (f->host_off != QF_NOWHERE) {
		qf_json_int(o, "host-offset", f->host_off);
		qf_json_int(o, "length", f->length);
	}
	if (f->guest_off != QF_NOWHERE)
		qf_json_int(o, "guest-offset", f->guest_off);
	qf_json_text(o, "owner", f->owner);
	qf_json_text(o, "other-owner", f->other);
	qf_json_text(o, "fix", qf_problem_fix(row->fix));
	qf_json_text(o, "risk", qf_problem_risk(row->risk));
	return o;
}

json_t *qf_report_findings(const struct qf_findings *l)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < l->n; i++)
		json_array_append_new(a, one_finding(&l->at[i]));
	return a;
}

/* Whose: "active", or the snapshot's id. */
static json_t *holder(const struct qf_image *img, const struct qf_lost_range *r)
{
	uint32_t h = r->holder;

	if (r->id[0])
		return qf_json_string(r->id);
	if (h == QF_HOLDER_ACTIVE || h > img->snapshots.n)
		return json_string("active");
	return qf_json_string(img->snapshots.snap[h - 1].id);
}

/* BYTES of the lost range R from GUEST on. */
static json_t *lost_range(const struct qf_image *img,
			  const struct qf_lost_range *r, uint64_t guest,
			  uint64_t bytes)
{
	json_t *o = json_object();

	json_object_set_new(o, "holder", holder(img, r));
	qf_json_int(o, "guest-offset", guest);
	qf_json_int(o, "length", bytes);
	return o;
}

/* True if A and the one before it read alike: of snapshots whose entries are
 * garbled there may be very many without an id. */
static bool is_repeated(const struct qf_image *img,
			const struct qf_lost_range *a)
{
	const struct qf_lost_range *b = a - 1;
	uint32_t n = img->snapshots.n;

	return a->holder && b->holder && a->holder <= n && b->holder <= n &&
	       !a->id[0] && !b->id[0] && a->guest_off == b->guest_off &&
	       a->bytes == b->bytes && a->free == b->free &&
	       !img->snapshots.snap[a->holder - 1].id[0] &&
	       !img->snapshots.snap[b->holder - 1].id[0];
}

/* Those that were free, or the others. A range that several volumes share is
 * told part by part. */
static json_t *lost_ranges(const struct qf_image *img,
			   const struct qf_lost_list *l,
			   const struct qf_hits *hits, bool is_free)
{
	const struct qf_lost_range *r = l->at;
	json_t *a = json_array(), *o;
	uint64_t at, end;
	size_t i, k = 0;

	for (i = 0; i < l->n; i++, r++) {
		at = r->guest_off;
		end = at + r->bytes;
		while (hits && k < hits->n && hits->at[k].range < i)
			k++;
		if (r->free != is_free || (i && is_repeated(img, r)))
			continue;
		for (; hits && k < hits->n && hits->at[k].range == i; k++) {
			o = lost_range(img, r, at, hits->at[k].bytes);
			qf_report_hit_json(o, hits, k);
			json_array_append_new(a, o);
			at += hits->at[k].bytes;
		}
		if (at < end)
			json_array_append_new(a,
					      lost_range(img, r, at, end - at));
	}
	return a;
}

static json_t *diagnoses(const struct qf_report *rep)
{
	json_t *a = json_array(), *o, *ids;
	const struct qf_diagnosis *d;
	unsigned int i, k;

	for (i = 0; i < rep->n_diagnoses; i++) {
		d = &rep->diagnosis[i];
		o = json_object();
		ids = json_array();
		for (k = 0; k < d->n; k++)
			json_array_append_new(
				ids, json_integer((json_int_t)qf_problem_get(
							  d->evidence[k])
							  ->id));
		qf_json_text(o, "cause", qf_diagnose_name(d->cause));
		qf_json_text(
			o, "verdict",
			qf_question_grade_name(qf_diagnose_grade(d->cause)));
		qf_json_text(o, "story", qf_diagnose_story(d->cause));
		json_object_set_new(o, "evidence", ids);
		qf_json_text(o, "advice", qf_diagnose_advice(d->cause));
		json_array_append_new(a, o);
	}
	return a;
}

/* The witnesses of a set, by name. */
static json_t *witnesses(uint64_t set)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; i < QF_WITNESSES; i++)
		if (set & qf_witness_bit((enum qf_witness)i))
			json_array_append_new(
				a,
				json_string(qf_witness_get((enum qf_witness)i)
						    ->name));
	return a;
}

static json_t *hypothesis(const struct qf_hypothesis *h)
{
	json_t *o = json_object();

	qf_json_text(o, "what", qf_question_hypo_name(h->kind));
	if (h->kind >= QF_HYPO_VALUE) {
		qf_json_int(o, "pointer-offset", h->pointer_off);
		qf_json_int(o, "value", h->value);
	}
	qf_json_int(o, "bits", qf_question_bits(h, NULL));
	json_object_set_new(o, "evidence", witnesses(h->said));
	if (h->against)
		json_object_set_new(o, "excluded-by", witnesses(h->against));
	if (h->doubted)
		json_object_set_new(o, "doubted-by", witnesses(h->doubted));
	return o;
}

/* So many questions are told: what a machine reads is not to be a flood. */
#define QUESTIONS_SHOWN 32u

static json_t *questions(const struct qf_questions *l)
{
	json_t *a = json_array(), *o, *h;
	const struct qf_question *q = l->at;
	unsigned int k;
	size_t i;

	for (i = 0; i < l->n && i < QUESTIONS_SHOWN; i++, q++) {
		o = json_object();
		h = json_array();
		for (k = 0; k < q->n; k++)
			json_array_append_new(h, hypothesis(&q->h[k]));
		qf_json_text(o, "kind", qf_question_kind_name(q->kind));
		qf_json_int(o, "place", q->place_off);
		qf_json_int(o, "guest-offset", q->guest_off);
		qf_json_int(o, "length", q->bytes);
		if (q->shared_off)
			qf_json_int(o, "host-offset", q->shared_off);
		json_object_set_new(o, "hypotheses", h);
		qf_json_text(o, "verdict", qf_question_grade_name(q->grade));
		qf_json_text(o, "answer",
			     q->grade
				     ? qf_question_hypo_name(q->h[q->best].kind)
				     : "open");
		if (q->grade && q->h[q->best].kind >= QF_HYPO_VALUE) {
			qf_json_int(o, "pointer-offset",
				    q->h[q->best].pointer_off);
			qf_json_int(o, "value", q->h[q->best].value);
		}
		json_array_append_new(a, o);
	}
	return a;
}

/* What the header states wrongly, so that all else follows from it. */
static void set_units(json_t *j, const struct qf_image *img,
		      const struct qf_report *rep)
{
	uint32_t bits = qf_units_cluster_bits(img, rep);
	json_t *o;

	if (!bits)
		return;
	o = json_object();
	qf_json_text(o, "field", "cluster_bits");
	qf_json_int(o, "stated", img->geo.cluster_bits);
	qf_json_int(o, "likely", bits);
	json_object_set_new(j, "wrong-field", o);
}

json_t *qf_report_json(const struct qf_image *img, const char *name,
		       const struct qf_report *rep, const struct qf_hits *hits)
{
	const struct qf_report_figures *fig = &rep->fig;
	json_t *o = json_object();

	qf_json_text(o, "filename", name);
	qf_json_text(o, "format", "qcow2");
	qf_json_text(o, "verdict", qf_check_verdict(rep->verdict));
	qf_json_int(o, "check-errors", rep->errors + rep->absent);
	qf_json_int(o, "corruptions", rep->corruptions);
	qf_json_int(o, "leaks", rep->leaks);
	qf_json_int(o, "corruptions-fixed", 0);
	qf_json_int(o, "leaks-fixed", 0);
	qf_json_int(o, "image-end-offset", fig->image_end_bytes);
	qf_json_int(o, "total-clusters", fig->total);
	qf_json_int(o, "allocated-clusters", fig->allocated);
	qf_json_int(o, "fragmented-clusters", fig->fragmented);
	qf_json_int(o, "compressed-clusters", fig->compressed);
	qf_json_int(o, "free-clusters", fig->free);
	json_object_set_new(o, "findings", qf_report_findings(&rep->findings));
	json_object_set_new(o, "diagnosis", diagnoses(rep));
	json_object_set_new(o, "lost",
			    lost_ranges(img, &rep->lost, hits, false));
	if (qf_lost_free_bytes(&rep->lost))
		json_object_set_new(o, "lost-free",
				    lost_ranges(img, &rep->lost, hits, true));
	if (rep->questions.n)
		json_object_set_new(o, "questions", questions(&rep->questions));
	if (rep->questions.n > QUESTIONS_SHOWN || rep->questions.left_out)
		json_object_set_new(o, "questions-cut", json_true());
	set_units(o, img, rep);
	if (rep->lost.coarse)
		json_object_set_new(o, "lost-coarse", json_true());
	if (rep->lost.cut)
		json_object_set_new(o, "lost-cut", json_true());
	return o;
}

json_t *qf_report_no_json(const char *name, const char *format,
			  const char *verdict, const char *error)
{
	json_t *o = json_object();

	qf_json_text(o, "filename", name);
	qf_json_text(o, "format", format);
	qf_json_text(o, "verdict", verdict);
	if (error) {
		qf_json_int(o, "check-errors", 1);
		qf_json_text(o, "error", error);
	}
	json_object_set_new(o, "findings", json_array());
	return o;
}

json_t *qf_report_why_json(const char *name, const struct qf_why *why)
{
	const char *verdict = why->err == QF_ERR_BUSY	   ? "in-use"
			      : why->err == QF_ERR_FOREIGN ? "foreign"
							   : "unchecked";
	json_t *o = qf_report_no_json(name, NULL, verdict, why->text);

	if (why->next[0])
		qf_json_text(o, "next", why->next);
	return o;
}

int qf_report_exit(enum qf_verdict v)
{
	static const int codes[] = {
		[QF_VERDICT_CLEAN] = 0,
		[QF_VERDICT_LEAKS] = 3,
		[QF_VERDICT_CORRUPT] = 2,
		[QF_VERDICT_UNCHECKED] = 1,
	};

	return codes[v];
}

int qf_report_gravest(int a, int b)
{
	static const int order[] = { QF_EXIT_CORRUPT, QF_EXIT_FAILED,
				     QF_EXIT_LEAKS, QF_EXIT_FOREIGN };
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return QF_EXIT_CLEAN;
}
