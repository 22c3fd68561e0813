// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck check. */
#include "check/check.h"
#include "check/many/checkone.h"
#include "check/many/summary.h"
#include "cmd.h"
#include "lib/base/pool.h"
#include "lib/io/io.h"

#include <stdlib.h>
#include <unistd.h>

/* One after another, each with all jobs. */
static void check_in_turn(const struct qf_checkargs *a, struct qf_result *r)
{
	struct qf_layers layers = { .check = &a->check,
				    .style = &a->style,
				    .json = a->json,
				    .progress = a->progress,
				    .many = a->many };
	struct qf_checkone one = { a, &a->check, stdout, stderr };
	size_t i;

	for (i = 0; i < a->list.n; i++) {
		if (a->chain) {
			qf_checkone_chain(&one, &layers, &a->list.at[i], &r[i]);
		} else {
			qf_progress_start(a->list.at[i].text, a->progress);
			qf_checkone_run(&one, &a->list.at[i], &r[i]);
			qf_progress_stop();
		}
		fflush(stdout);
	}
	qf_layers_end(&layers);
}

/* Several at once: each is kept until those before it are printed. */
struct batch {
	const struct qf_checkargs *a;
	struct qf_result *r;
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
	struct qf_checkone one = { b->a, &opts, NULL, NULL };

	(void)worker;
	opts.jobs = 1;
	one.out = open_memstream(&t->out, &t->n_out);
	one.err = open_memstream(&t->err, &t->n_err);
	if (one.out && one.err)
		qf_checkone_run(&one, &b->a->list.at[i], &b->r[i]);
	else
		b->r[i] = (struct qf_result){ .kind = QF_RESULT_UNCHECKED,
					      .code = QF_EXIT_FAILED };
	if (one.out)
		fclose(one.out);
	if (one.err)
		fclose(one.err);
	t->done = true;
	qf_pool_alone(print_ended, b);
	return true;
}

static bool check_at_once(const struct qf_checkargs *a, struct qf_result *r)
{
	struct batch b = { .a = a, .r = r };

	b.text = calloc(a->list.n, sizeof(*b.text));
	if (!b.text)
		return false;
	qf_progress_start("images", a->progress);
	qf_pool_for(a->check.jobs, a->list.n, 1, check_item, &b);
	qf_progress_stop();
	free(b.text);
	return true;
}

/* What is said of all together; not into the lines of JSON. */
static void say_all(const struct qf_checkargs *a, const struct qf_result *r)
{
	if (a->summary && a->json)
		qf_summary_json(stdout, &a->list, r);
	else if (a->summary)
		qf_summary_print(stdout, &a->list, r, a->style.quiet);
	else if (a->many && a->list.n && !a->style.quiet && !a->chain)
		qf_summary_totals(a->json ? stderr : stdout, r, a->list.n);
}

static int check_all(const struct qf_checkargs *a)
{
	struct qf_result *r = calloc(a->list.n + 1, sizeof(*r));
	unsigned int jobs = qf_pool_jobs(a->check.jobs);
	int code = a->unread ? QF_EXIT_FAILED : QF_EXIT_CLEAN;
	size_t i;

	if (!r)
		return QF_EXIT_FAILED;
	/* enough images: a job for each; few: all jobs for one */
	if (a->chain || a->list.n < 2 || a->list.n < jobs || jobs < 2)
		check_in_turn(a, r);
	else if (!check_at_once(a, r))
		code = QF_EXIT_FAILED;
	say_all(a, r);
	for (i = 0; i < a->list.n; i++) {
		code = qf_report_gravest(code, r[i].code);
		qf_result_free(&r[i]);
	}
	free(r);
	return code;
}

bool qf_check_is_there(const char *name)
{
	return qf_io_is_remote(name) || !access(name, F_OK);
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
