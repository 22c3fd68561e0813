// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/api/api.h"
#include "lib/base/mem.h"

#include <stdlib.h>

_Static_assert((int)QFSCK_UNCHECKED == (int)QF_VERDICT_UNCHECKED &&
		       (int)QFSCK_CORRUPT == (int)QF_VERDICT_CORRUPT,
	       "verdicts are numbered as check's");

struct qfsck_report {
	struct qf_report rep;
	const struct qf_image *img;
};

/* Free room is no loss. */
static void drop_free(struct qf_lost_list *l)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++)
		if (!l->at[i].free)
			l->at[n++] = l->at[i];
	l->n = n;
}

QF_PUBLIC int qfsck_check(struct qfsck_image *q, unsigned int flags,
			  unsigned int jobs, struct qfsck_report **out,
			  struct qfsck_error *error)
{
	struct qf_check_opts opts = { .jobs = jobs,
				      .data = flags & QFSCK_CHECK_DATA };
	struct qfsck_report *r = qf_mem_zalloc(1, sizeof(*r));
	struct qf_why why = { 0 };
	enum qf_err err;

	if (!r)
		err = qf_err_set(&why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory");
	else
		err = qf_check_run(q->img, &opts, &r->rep, &why);
	if (err) {
		qfsck_report_free(r);
		return qf_api_fail(&why, err, error);
	}
	r->img = q->img;
	drop_free(&r->rep.lost);
	*out = r;
	return QFSCK_OK;
}

QF_PUBLIC void qfsck_report_free(struct qfsck_report *r)
{
	if (!r)
		return;
	qf_check_free(&r->rep);
	free(r);
}

QF_PUBLIC int qfsck_report_result(const struct qfsck_report *r,
				  struct qfsck_result *out, size_t size)
{
	struct qfsck_result x = {
		.verdict = (int)r->rep.verdict,
		.corruptions = r->rep.corruptions,
		.leaks = r->rep.leaks,
		.unread = r->rep.errors,
		.findings = r->rep.findings.n,
		.lost = r->rep.lost.n,
	};

	return qf_api_give(out, size, &x, sizeof(x));
}

QF_PUBLIC int qfsck_report_finding(const struct qfsck_report *r, size_t n,
				   struct qfsck_finding *out, size_t size)
{
	const struct qf_problem_row *row;
	const struct qf_finding *f;
	struct qfsck_finding x = { 0 };

	if (n >= r->rep.findings.n)
		return QFSCK_OUTSIDE;
	f = &r->rep.findings.at[n];
	row = qf_problem_get(f->problem);
	x.id = row->id;
	x.name = row->name;
	x.severity = qf_problem_severity(row->severity);
	x.what = row->message;
	x.meaning = row->why;
	x.message = f->text ? f->text : row->message;
	x.owner = f->owner;
	x.other_owner = f->other;
	x.count = f->count;
	x.host_offset = f->host_off;
	x.length = f->length;
	x.guest_offset = f->guest_off;
	return qf_api_give(out, size, &x, sizeof(x));
}

QF_PUBLIC int qfsck_report_lost(const struct qfsck_report *r, size_t n,
				struct qfsck_lost *out, size_t size)
{
	const struct qf_lost_range *l;
	struct qfsck_lost x = { 0 };

	if (n >= r->rep.lost.n)
		return QFSCK_OUTSIDE;
	l = &r->rep.lost.at[n];
	x.holder = l->holder;
	x.id = l->holder == QF_HOLDER_ACTIVE ? "active"
	       : l->holder == QF_HOLDER_IMAGE
		       ? l->id
		       : r->img->snapshots.snap[l->holder - 1].id;
	x.guest_offset = l->guest_off;
	x.length = l->bytes;
	return qf_api_give(out, size, &x, sizeof(x));
}
