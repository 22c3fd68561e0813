// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/checkone.h"
#include "check/report/hits.h"
#include "check/report/report_pending.h"
#include "cmd.h"

#include <errno.h>
#include <stdlib.h>

/* Several images have a line each. */
static size_t line_format(const struct qf_checkargs *a)
{
	return (a->many ? JSON_COMPACT : JSON_INDENT(4)) | JSON_PRESERVE_ORDER;
}

/* An object an image, also for this one. */
static void print_why(const struct qf_checkone *c, const char *name,
		      const struct qf_result *r, const struct qf_why *why)
{
	json_t *o = qf_report_why_json(name, why);

	if (r->kind == QF_RESULT_GONE)
		json_object_set_new(o, "gone", json_true());
	json_dumpf(o, c->out, line_format(c->a));
	fputc('\n', c->out);
	json_decref(o);
}

/* What a pool's owner counts as a failure. */
static void weigh(const struct qf_checkone *c,
		  const struct qf_imagelist_name *name,
		  const struct qf_why *why, struct qf_result *r)
{
	if (r->kind == QF_RESULT_IN_USE &&
	    (c->a->in_use == QF_IN_USE_SKIP ||
	     (c->a->in_use != QF_IN_USE_FAIL && c->a->many)))
		r->code = QF_EXIT_CLEAN;
	/* a machine was deleted meanwhile */
	if (name->found && why->err == QF_ERR_IO && why->sys == ENOENT) {
		r->kind = QF_RESULT_GONE;
		r->code = QF_EXIT_CLEAN;
	}
}

static void not_checked(const struct qf_checkone *c,
			const struct qf_imagelist_name *name,
			const struct qf_why *why, struct qf_result *r)
{
	qf_result_of_why(r, why);
	weigh(c, name, why, r);
	if (c->a->summary)
		return;
	if (r->kind != QF_RESULT_IN_USE || c->a->in_use != QF_IN_USE_SKIP)
		fprintf(c->err, "qfsck: %s: %s%s%s\n", name->text, why->text,
			why->next[0] ? "\n  Next: " : "", why->next);
	if (c->a->json)
		print_why(c, name->text, r, why);
}

static void print_report(const struct qf_checkone *c, const char *name,
			 struct qf_image *img, const struct qf_report *rep,
			 const struct qf_undofind *pending)
{
	json_t *o, *more = qf_report_pending_json(pending);
	const struct qf_checkargs *a = c->a;
	struct qf_hits hits = { 0 };

	if (!a->style.no_guest)
		qf_hits_find(img, rep, &hits);
	if (!a->json) {
		qf_report_human(c->out, img, name, rep, &hits, &a->style);
		qf_hits_free(&hits);
		json_decref(more);
		return;
	}
	o = qf_report_json(img, name, rep, &hits);
	qf_hits_free(&hits);
	if (more)
		json_object_set_new(o, "interrupted-repair", more);
	json_dumpf(o, c->out, line_format(a));
	fputc('\n', c->out);
	json_decref(o);
}

void qf_checkone_run(const struct qf_checkone *c,
		     const struct qf_imagelist_name *name, struct qf_result *r)
{
	struct qf_image *img;
	struct qf_report rep;
	struct qf_undofind pending;
	struct qf_why why = { 0 };

	if (qf_check_image(name->text, c->opts, &img, &rep, &why)) {
		not_checked(c, name, &why, r);
		return;
	}
	qf_report_pending(c->err, name->text, img->io, &pending);
	if (rep.leaks)
		qf_report_given_up(c->err, name->text, img->io);
	if (!c->a->summary)
		print_report(c, name->text, img, &rep, &pending);
	free(pending.name);
	qf_result_of_report(r, img, &rep);
	qf_check_free(&rep);
	qf_image_close(img);
}

void qf_checkone_chain(const struct qf_checkone *c, struct qf_layers *layers,
		       const struct qf_imagelist_name *name,
		       struct qf_result *r)
{
	struct qf_why why = { 0 };
	int code = qf_layers_image(layers, name->text, &why);

	if (code < 0) {
		not_checked(c, name, &why, r);
		return;
	}
	*r = (struct qf_result){ .code = code,
				 .kind = qf_result_of_code(code) };
}
