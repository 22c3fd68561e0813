// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/checkone.h"
#include "check/report/hits.h"
#include "check/report/progress.h"
#include "check/report/report_pending.h"
#include "cmd.h"
#include "lib/base/pool.h"
#include "lib/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Several images have a line each. */
static size_t line_format(const struct qf_checkargs *a)
{
	return (a->many ? JSON_COMPACT : JSON_INDENT(4)) | JSON_PRESERVE_ORDER;
}

/* False where there is a line an image instead. */
static bool has_report(const struct qf_checkargs *a)
{
	return !a->summary && !a->journal;
}

/* Before something is printed: not behind a bar. */
static void make_room(const struct qf_checkone *c)
{
	if (c->out == stdout)
		qf_progress_clear();
}

/* A line of JSON, or an object that is laid out to be read. */
static void print_json(const struct qf_checkone *c, const json_t *o)
{
	json_dumpf(o, c->out, line_format(c->a));
	fputc('\n', c->out);
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

/* Returns the image's object, which is the caller's. */
static json_t *not_checked(const struct qf_checkone *c,
			   const struct qf_imagelist_name *name,
			   const struct qf_why *why, struct qf_result *r)
{
	json_t *o = qf_report_why_json(name->text, why);

	qf_result_of_why(r, why);
	weigh(c, name, why, r);
	if (r->kind == QF_RESULT_GONE)
		json_object_set_new(o, "gone", json_true());
	if (!has_report(c->a))
		return o;
	make_room(c);
	if (r->kind != QF_RESULT_IN_USE || c->a->in_use != QF_IN_USE_SKIP)
		fprintf(c->err, "qfsck: %s: %s%s%s\n", name->text, why->text,
			why->next[0] ? "\n  Next: " : "", why->next);
	if (c->a->json)
		print_json(c, o);
	return o;
}

/* Prints the report; returns the image's object, or NULL where nobody needs
 * it. */
static json_t *print_report(const struct qf_checkone *c, const char *name,
			    struct qf_image *img, const struct qf_report *rep,
			    json_t *pending)
{
	const struct qf_checkargs *a = c->a;
	struct qf_hits hits = { 0 };
	json_t *o = NULL;

	if (!a->style.no_guest && (has_report(a) || c->state))
		qf_hits_find(img, rep, &hits);
	if (a->json || c->state) {
		o = qf_report_json(img, name, rep, &hits);
		if (pending)
			json_object_set(o, "interrupted-repair", pending);
	}
	make_room(c);
	if (a->json && has_report(a))
		print_json(c, o);
	else if (has_report(a))
		qf_report_human(c->out, img, name, rep, &hits, &a->style);
	qf_hits_free(&hits);
	return o;
}

/* Checks the image and prints its report. *IMG is NULL if it was not opened.
 * Returns its object; NULL where nobody needs it, or must not keep it. */
static json_t *check(const struct qf_checkone *c,
		     const struct qf_imagelist_name *name,
		     struct qf_image **img, struct qf_result *r)
{
	struct qf_report rep;
	struct qf_undofind pending;
	struct qf_why why = { 0 };
	json_t *more, *o;

	if (qf_check_image(name->text, c->opts, img, &rep, &why)) {
		*img = NULL;
		return not_checked(c, name, &why, r);
	}
	qf_report_pending(c->err, name->text, (*img)->io, &pending);
	if (rep.leaks)
		qf_report_given_up(c->err, name->text, (*img)->io);
	more = qf_report_pending_json(&pending);
	o = print_report(c, name->text, *img, &rep, more);
	if (more) { /* it is the undo file that says so */
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	free(pending.name);
	qf_result_of_report(r, *img, &rep);
	qf_check_free(&rep);
	return o;
}

/* What is written down when no other thread does so. */
struct to_keep {
	const struct qf_checkone *c;
	const char *name;
	const struct qf_poolstate_look *look;
	struct qf_image *img;
	const struct qf_result *r;
	json_t *report;
};

static void keep(void *ctx)
{
	const struct to_keep *k = ctx;

	qf_poolstate_keep(k->c->state, k->name, k->look, k->img, k->r,
			  k->report);
}

static void say_unchanged(const struct qf_checkone *c, const char *name,
			  const struct qf_result *r, json_t *report)
{
	char word[300];

	if (!has_report(c->a))
		return;
	make_room(c);
	if (c->a->json) {
		qf_json_text(report, "filename", name);
		json_object_set_new(report, "unchanged", json_true());
		qf_json_int(report, "checked", (uint64_t)r->checked);
		print_json(c, report);
		return;
	}
	if (r->kind == QF_RESULT_CLEAN && c->a->style.quiet)
		return;
	fprintf(c->out, "%s: %s%s%s; unchanged since it was checked%s%s\n",
		name, qf_result_word(r->kind), r->note ? ", " : "",
		r->note ? r->note : "",
		r->kind == QF_RESULT_CLEAN ? ""
					   : "\n  Its report: qfsck check ",
		r->kind == QF_RESULT_CLEAN
			? ""
			: qf_text_file(name, word, sizeof(word)));
}

/* False: it has to be checked. */
static bool is_known(const struct qf_checkone *c,
		     const struct qf_imagelist_name *name,
		     const struct qf_poolstate_look *look, struct qf_result *r)
{
	json_t *report;

	if (!qf_poolstate_find(c->state, name->text, look, r, &report))
		return false;
	say_unchanged(c, name->text, r, report);
	json_decref(report);
	return true;
}

static void run(const struct qf_checkone *c,
		const struct qf_imagelist_name *name, struct qf_result *r)
{
	struct qf_poolstate_look look;
	struct qf_image *img = NULL;
	struct timespec before, after;
	json_t *o;
	bool looked = c->state && !qf_io_is_remote(name->text) &&
		      qf_poolstate_look(name->text, &look);

	if (looked && is_known(c, name, &look, r))
		return;
	clock_gettime(CLOCK_MONOTONIC, &before);
	o = check(c, name, &img, r);
	clock_gettime(CLOCK_MONOTONIC, &after);
	r->seconds = (double)(after.tv_sec - before.tv_sec) +
		     (double)(after.tv_nsec - before.tv_nsec) / 1e9;
	r->checked = time(NULL);
	if (looked && o)
		qf_pool_alone(keep, &(struct to_keep){ c, name->text, &look,
						       img, r, o });
	json_decref(o);
	qf_image_close(img);
}

void qf_checkone_run(const struct qf_checkone *c,
		     const struct qf_imagelist_name *name, struct qf_result *r)
{
	run(c, name, r);
	if (c->log)
		qf_logline_image(c->log, name->text, r, c->out);
}

void qf_checkone_chain(const struct qf_checkone *c, struct qf_layers *layers,
		       const struct qf_imagelist_name *name,
		       struct qf_result *r)
{
	struct qf_why why = { 0 };
	int code = qf_layers_image(layers, name->text, &why);

	if (code < 0) {
		json_decref(not_checked(c, name, &why, r));
		return;
	}
	*r = (struct qf_result){ .code = code,
				 .kind = qf_result_of_code(code) };
}
