// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as JSON: the keys of qemu-img check and our own. */
#include "check/report.h"
#include "lib/text.h"

#include <stdlib.h>
#include <string.h>

json_t *qf_report_string(const char *s)
{
	size_t room = strlen(s) * 4 + 8;
	json_t *j = json_string(s);
	char *safe;

	if (j)
		return j;
	/* not UTF-8: shown as it would be on a terminal */
	safe = malloc(room);
	if (!safe)
		return NULL;
	j = json_string(qf_text_safe(s, safe, room));
	free(safe);
	return j;
}

/* JSON's integers end at 2^63 - 1, and so do ours. */
static void set_int(json_t *o, const char *key, uint64_t v)
{
	if (v > INT64_MAX)
		v = INT64_MAX;
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_str(json_t *o, const char *key, const char *v)
{
	if (v)
		json_object_set_new(o, key, qf_report_string(v));
}

/* What the finding says, in one sentence: message and place. */
static void set_message(json_t *o, const struct qf_finding *f)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	char *s;

	if (asprintf(&s, "%s%s%s", row->message, f->text ? ": " : "",
		     f->text ? f->text : "") < 0)
		return;
	set_str(o, "message", s);
	free(s);
}

static json_t *one_finding(const struct qf_finding *f)
{
	const struct qf_problem_row *row = qf_problem_get(f->problem);
	json_t *o = json_object();

	set_int(o, "id", row->id);
	set_str(o, "name", row->name);
	set_str(o, "severity", qf_problem_severity(row->severity));
	set_int(o, "count", f->count);
	set_message(o, f);
	if (f->host_off != QF_NOWHERE) {
		set_int(o, "host-offset", f->host_off);
		set_int(o, "length", f->length);
	}
	if (f->guest_off != QF_NOWHERE)
		set_int(o, "guest-offset", f->guest_off);
	set_str(o, "owner", f->owner);
	set_str(o, "other-owner", f->other);
	set_str(o, "fix", qf_problem_fix(row->fix));
	set_str(o, "risk", qf_problem_risk(row->risk));
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
		return qf_report_string(r->id);
	if (h == QF_HOLDER_ACTIVE || h > img->snapshots.n)
		return json_string("active");
	return qf_report_string(img->snapshots.snap[h - 1].id);
}

static json_t *lost_ranges(const struct qf_image *img,
			   const struct qf_lost_list *l)
{
	json_t *a = json_array(), *o;
	size_t i;

	for (i = 0; i < l->n; i++) {
		o = json_object();
		json_object_set_new(o, "holder", holder(img, &l->at[i]));
		set_int(o, "guest-offset", l->at[i].guest_off);
		set_int(o, "length", l->at[i].bytes);
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
		set_str(o, "cause", qf_diagnose_name(d->cause));
		set_str(o, "story", qf_diagnose_story(d->cause));
		json_object_set_new(o, "evidence", ids);
		set_str(o, "advice", qf_diagnose_advice(d->cause));
		json_array_append_new(a, o);
	}
	return a;
}

json_t *qf_report_json(const struct qf_image *img, const char *name,
		       const struct qf_report *rep)
{
	const struct qf_report_figures *fig = &rep->fig;
	json_t *o = json_object();

	set_str(o, "filename", name);
	set_str(o, "format", "qcow2");
	set_str(o, "verdict", qf_check_verdict(rep->verdict));
	set_int(o, "check-errors", rep->errors);
	set_int(o, "corruptions", rep->corruptions);
	set_int(o, "leaks", rep->leaks);
	set_int(o, "corruptions-fixed", 0);
	set_int(o, "leaks-fixed", 0);
	set_int(o, "image-end-offset", fig->image_end_bytes);
	set_int(o, "total-clusters", fig->total);
	set_int(o, "allocated-clusters", fig->allocated);
	set_int(o, "fragmented-clusters", fig->fragmented);
	set_int(o, "compressed-clusters", fig->compressed);
	set_int(o, "free-clusters", fig->free);
	json_object_set_new(o, "findings", qf_report_findings(&rep->findings));
	json_object_set_new(o, "diagnosis", diagnoses(rep));
	json_object_set_new(o, "lost", lost_ranges(img, &rep->lost));
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
