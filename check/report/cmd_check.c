// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck check. */
#include "check/check.h"
#include "check/many/checkargs.h"
#include "check/report/cmd_layers.h"
#include "check/report/hits.h"
#include "check/report/report.h"
#include "check/report/report_pending.h"
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the report on one image goes. */
struct streams {
	FILE *out, *err;
};

/* Several images have a line each. */
static size_t line_format(const struct qf_checkargs *a)
{
	return (a->list.n > 1 ? JSON_COMPACT : JSON_INDENT(4)) |
	       JSON_PRESERVE_ORDER;
}

/* Reports that an image could not be checked; returns the exit code. */
static int not_checked(const struct qf_checkargs *a, const char *name,
		       const struct qf_why *why, const struct streams *to)
{
	int code = why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN
					      : QF_EXIT_FAILED;
	json_t *o;

	fprintf(to->err, "qfsck: %s: %s%s%s\n", name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	if (!a->json)
		return code;
	/* an object an image, also for this one */
	o = qf_report_why_json(name, why);
	json_dumpf(o, to->out, line_format(a));
	fputc('\n', to->out);
	json_decref(o);
	return code;
}

static void print_report(const struct qf_checkargs *a, const char *name,
			 struct qf_image *img, const struct qf_report *rep,
			 const struct qf_undofind *pending, FILE *out)
{
	json_t *o, *more = qf_report_pending_json(pending);
	struct qf_hits hits = { 0 };

	if (!a->style.no_guest)
		qf_hits_find(img, rep, &hits);
	if (!a->json) {
		qf_report_human(out, img, name, rep, &hits, &a->style);
		qf_hits_free(&hits);
		json_decref(more);
		return;
	}
	o = qf_report_json(img, name, rep, &hits);
	qf_hits_free(&hits);
	if (more)
		json_object_set_new(o, "interrupted-repair", more);
	json_dumpf(o, out, line_format(a));
	fputc('\n', out);
	json_decref(o);
}

static int check_one(const struct qf_checkargs *a, const char *name,
		     const struct qf_check_opts *opts, struct qf_layers *layers,
		     const struct streams *to)
{
	struct qf_image *img;
	struct qf_report rep;
	struct qf_undofind pending;
	struct qf_why why = { 0 };
	enum qf_err err;
	int code;

	if (a->chain) {
		code = qf_layers_image(layers, name, &why);
		return code < 0 ? not_checked(a, name, &why, to) : code;
	}
	if (opts->shared)
		err = qf_check_shared(name, opts, &img, &rep, &why);
	else
		err = qf_check_alone(name, opts, &img, &rep, &why);
	if (err)
		return not_checked(a, name, &why, to);
	qf_report_pending(to->err, name, img->io, &pending);
	if (rep.leaks)
		qf_report_given_up(to->err, name, img->io);
	print_report(a, name, img, &rep, &pending, to->out);
	free(pending.name);
	code = qf_report_exit(rep.verdict);
	qf_check_free(&rep);
	qf_image_close(img);
	return code;
}

/* One after another, each with all jobs. */
static int check_in_turn(const struct qf_checkargs *a, int *codes)
{
	struct qf_layers layers = { .check = &a->check,
				    .style = &a->style,
				    .json = a->json,
				    .progress = a->progress,
				    .many = a->list.n > 1 };
	struct streams to = { stdout, stderr };
	int code = QF_EXIT_CLEAN;
	size_t i;

	for (i = 0; i < a->list.n; i++) {
		if (!a->chain)
			qf_progress_start(a->list.at[i].text, a->progress);
		codes[i] = check_one(a, a->list.at[i].text, &a->check, &layers,
				     &to);
		if (!a->chain)
			qf_progress_stop();
		fflush(stdout);
		code = qf_report_gravest(code, codes[i]);
	}
	qf_layers_end(&layers);
	return code;
}

/* Several at once: each is kept until those before it are printed. */
struct batch {
	const struct qf_checkargs *a;
	int *codes;
	struct text {
		char *out, *err;
		size_t n_out, n_err;
		bool done;
	} * text;
	size_t printed;
};

static void print_ended(void *ctx)
{
	struct batch *b = ctx;
	struct text *t;

	for (; b->printed < b->a->list.n; b->printed++) {
		t = &b->text[b->printed];
		if (!t->done)
			break;
		fwrite(t->out, 1, t->n_out, stdout);
		fflush(stdout);
		fwrite(t->err, 1, t->n_err, stderr);
		free(t->out);
		free(t->err);
	}
}

static bool check_item(void *ctx, uint64_t i, unsigned int worker)
{
	struct batch *b = ctx;
	struct text *t = &b->text[i];
	struct qf_check_opts opts = b->a->check;
	struct streams to;

	(void)worker;
	opts.jobs = 1;
	to.out = open_memstream(&t->out, &t->n_out);
	to.err = open_memstream(&t->err, &t->n_err);
	if (to.out && to.err)
		b->codes[i] = check_one(b->a, b->a->list.at[i].text, &opts,
					NULL, &to);
	else
		b->codes[i] = QF_EXIT_FAILED;
	if (to.out)
		fclose(to.out);
	if (to.err)
		fclose(to.err);
	t->done = true;
	qf_pool_alone(print_ended, b);
	return true;
}

static int check_at_once(const struct qf_checkargs *a, int *codes)
{
	struct batch b = { .a = a, .codes = codes };
	int code = QF_EXIT_CLEAN;
	size_t i;

	b.text = calloc(a->list.n, sizeof(*b.text));
	if (!b.text)
		return QF_EXIT_FAILED;
	qf_progress_start("images", a->progress);
	qf_pool_for(a->check.jobs, a->list.n, 1, check_item, &b);
	qf_progress_stop();
	for (i = 0; i < a->list.n; i++)
		code = qf_report_gravest(code, codes[i]);
	free(b.text);
	return code;
}

/* How many images ended how; not into the lines of JSON. */
static void summary(const struct qf_checkargs *a, const int *codes)
{
	static const struct {
		int code;
		const char *word;
	} kinds[] = { { QF_EXIT_CLEAN, "clean" },
		      { QF_EXIT_LEAKS, "with leaks" },
		      { QF_EXIT_CORRUPT, "corrupt" },
		      { QF_EXIT_FAILED, "not checked" },
		      { QF_EXIT_FOREIGN, "of another format" } };
	FILE *out = a->json ? stderr : stdout;
	bool some = false;
	size_t i, k, n;

	fprintf(out, "%zu images:", a->list.n);
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (n = i = 0; i < a->list.n; i++)
			n += codes[i] == kinds[k].code;
		if (n)
			fprintf(out, "%s %zu %s", some ? "," : "", n,
				kinds[k].word);
		some |= n > 0;
	}
	fputc('\n', out);
}

static int check_all(struct qf_checkargs *a)
{
	int *codes = calloc(a->list.n, sizeof(*codes)), code;

	if (!codes)
		return QF_EXIT_FAILED;
	/* enough images: a job for each; few: all jobs for one */
	if (!a->chain && a->list.n >= 2 &&
	    a->list.n >= qf_pool_jobs(a->check.jobs) &&
	    qf_pool_jobs(a->check.jobs) > 1)
		code = check_at_once(a, codes);
	else
		code = check_in_turn(a, codes);
	if (a->list.n > 1 && !a->style.quiet && !a->chain)
		summary(a, codes);
	free(codes);
	return code;
}

int qf_cmd_check(int argc, char **argv)
{
	struct qf_checkargs a = { 0 };
	int code;

	a.style.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	code = qf_checkargs_parse(&a, argc, argv);
	if (code < 0)
		code = check_all(&a);
	qf_checkargs_free(&a);
	return code;
}
