// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as JSON: the keys of qemu-img check and our own. */
#include "check/report/report.h"
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

static json_t *lost_ranges(const struct qf_image *img,
			   const struct qf_lost_list *l)
{
	json_t *a = json_array(), *o;
	size_t i;

	for (i = 0; i < l->n; i++) {
		o = json_object();
		json_object_set_new(o, "holder", holder(img, &l->at[i]));
		qf_json_int(o, "guest-offset", l->at[i].guest_off);
		qf_json_int(o, "length", l->at[i].bytes);
		json_array_append_new(a, o);
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
		qf_json_text(o, "story", qf_diagnose_story(d->cause));
		json_object_set_new(o, "evidence", ids);
		qf_json_text(o, "advice", qf_diagnose_advice(d->cause));
		json_array_append_new(a, o);
	}
	return a;
}

json_t *qf_report_json(const struct qf_image *img, const char *name,
		       const struct qf_report *rep)
{
	const struct qf_report_figures *fig = &rep->fig;
	json_t *o = json_object();

	qf_json_text(o, "filename", name);
	qf_json_text(o, "format", "qcow2");
	qf_json_text(o, "verdict", qf_check_verdict(rep->verdict));
	qf_json_int(o, "check-errors", rep->errors);
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
	json_object_set_new(o, "lost", lost_ranges(img, &rep->lost));
	if (rep->lost.coarse)
		json_object_set_new(o, "lost-coarse", json_true());
	if (rep->lost.cut)
		json_object_set_new(o, "lost-cut", json_true());
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
