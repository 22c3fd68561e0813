// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck check. */
#include "check/check.h"
#include "check/many/checkone.h"
#include "check/many/promfile.h"
#include "check/many/summary.h"
#include "check/report/progress.h"
#include "cmd.h"
#include "lib/base/pool.h"
#include "lib/io/io.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What an image takes, by what its file takes; no more than a guess. */
static uint64_t weight(const struct qf_imagelist_name *name)
{
	struct stat st;

	return stat(name->text, &st) ? 1 : (uint64_t)st.st_blocks * 512 + 65536;
}

/* Progress over all of them, where anyone looks at it. Returns the weights,
 * which are the caller's; NULL: nobody does. */
static uint64_t *begin_pool(const struct qf_checkargs *a)
{
	uint64_t *w = NULL, sum = 0;
	size_t i;

	if (a->progress || isatty(STDERR_FILENO))
		w = calloc(a->list.n + 1, sizeof(*w));
	for (i = 0; w && i < a->list.n; i++)
		sum += w[i] = weight(&a->list.at[i]);
	qf_progress_pool(a->list.n, sum, a->progress);
	return w;
}

/* One after another, each with all jobs. */
static void check_in_turn(const struct qf_checkone *c, struct qf_result *r)
{
	const struct qf_checkargs *a = c->a;
	uint64_t *w = a->many ? begin_pool(a) : NULL;
	size_t i;

	for (i = 0; i < a->list.n; i++) {
		if (a->many)
			qf_progress_image(a->list.at[i].text);
		else
			qf_progress_start(a->list.at[i].text, a->progress);
		qf_checkone_run(c, &a->list.at[i], &r[i]);
		if (a->many)
			qf_progress_done(w ? w[i] : 0);
		else
			qf_progress_stop();
		fflush(stdout);
	}
	if (a->many)
		qf_progress_stop();
	free(w);
}

static void check_chains(const struct qf_checkone *c, struct qf_result *r)
{
	const struct qf_checkargs *a = c->a;
	struct qf_layers layers = { .check = &a->check,
				    .style = &a->style,
				    .json = a->json,
				    .progress = a->progress,
				    .many = a->many };
	size_t i;

	for (i = 0; i < a->list.n; i++)
		qf_checkone_chain(c, &layers, &a->list.at[i], &r[i]);
	qf_layers_end(&layers);
}

/* Several at once: each is kept until those before it are printed. */
struct batch {
	const struct qf_checkone *c;
	struct qf_result *r;
	const uint64_t *weight; /* or NULL */
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

	for (; b->printed < b->c->a->list.n; b->printed++) {
		t = &b->text[b->printed];
		if (!t->done)
			break;
		if (t->n_out + t->n_err)
			qf_progress_clear();
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
	struct qf_check_opts opts = *b->c->opts;
	struct qf_checkone one = *b->c;

	(void)worker;
	opts.jobs = 1;
	one.opts = &opts;
	one.out = open_memstream(&t->out, &t->n_out);
	one.err = open_memstream(&t->err, &t->n_err);
	if (one.out && one.err)
		qf_checkone_run(&one, &b->c->a->list.at[i], &b->r[i]);
	else
		b->r[i] = (struct qf_result){ .kind = QF_RESULT_UNCHECKED,
					      .code = QF_EXIT_FAILED };
	if (one.out)
		fclose(one.out);
	if (one.err)
		fclose(one.err);
	t->done = true;
	qf_progress_done(b->weight ? b->weight[i] : 0);
	qf_pool_alone(print_ended, b);
	return true;
}

static bool check_at_once(const struct qf_checkone *c, struct qf_result *r)
{
	const struct qf_checkargs *a = c->a;
	struct batch b = { .c = c, .r = r };
	uint64_t *w;

	b.text = calloc(a->list.n, sizeof(*b.text));
	if (!b.text)
		return false;
	b.weight = w = begin_pool(a);
	qf_pool_for(a->check.jobs, a->list.n, 1, check_item, &b);
	qf_progress_stop();
	free(w);
	free(b.text);
	return true;
}

/* What is said of all together; not into the lines of JSON. */
static void say_all(const struct qf_checkargs *a, const struct qf_logline *log,
		    const struct qf_result *r)
{
	if (a->journal)
		qf_logline_totals(log, r, a->list.n);
	else if (a->summary && a->json)
		qf_summary_json(stdout, &a->list, r);
	else if (a->summary)
		qf_summary_print(stdout, &a->list, r, a->style.quiet);
	else if (a->many && a->list.n && !a->style.quiet && !a->chain)
		qf_summary_totals(a->json ? stderr : stdout, r, a->list.n);
}

/* The file of --state; NULL without one. Returns -1, or the exit code. */
static int open_state(const struct qf_checkargs *a, struct qf_poolstate **state)
{
	struct qf_why why = { 0 };
	char how[240];

	*state = NULL;
	if (!a->state)
		return -1;
	snprintf(how, sizeof(how),
		 "qfsck %s format=%s data=%d guest=%d all=%d held=%d%.60s",
		 QFSCK_VERSION, a->check.format ? a->check.format : "",
		 a->check.data, !a->style.no_guest, a->check.all,
		 a->check.guest,
		 a->check.guest_state ? a->check.guest_state : "");
	if (!qf_poolstate_open(a->state, how, state, &why))
		return -1;
	fprintf(stderr, "qfsck: %s: %s%s%s\n", a->state, why.text,
		why.next[0] ? "\n  Next: " : "", why.next);
	return QF_EXIT_FAILED;
}

static bool check_each(const struct qf_checkone *c, struct qf_result *r)
{
	unsigned int jobs = qf_pool_jobs(c->opts->jobs);
	size_t n = c->a->list.n;

	/* enough images: a job for each; few: all jobs for one */
	if (c->a->chain)
		check_chains(c, r);
	else if (n >= 2 && n >= jobs && jobs > 1)
		return check_at_once(c, r);
	else
		check_in_turn(c, r);
	return true;
}

static double clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The file of --prom; false, and said, if it cannot be written. */
static bool tell_monitor(const struct qf_checkargs *a,
			 const struct qf_result *r, double start)
{
	struct qf_why why = { 0 };

	if (!a->prom ||
	    !qf_promfile_write(a->prom, &a->list, r, clock_seconds() - start,
			       time(NULL), &why))
		return true;
	fprintf(stderr, "qfsck: %s: %s%s%s\n", a->prom, why.text,
		why.next[0] ? "\n  Next: " : "", why.next);
	return false;
}

static int check_all(const struct qf_checkargs *a)
{
	struct qf_checkone c = { a, &a->check, stdout, stderr, NULL, NULL };
	struct qf_result *r = calloc(a->list.n + 1, sizeof(*r));
	struct qf_logline log = { .fd = -1 };
	double start = clock_seconds();
	int code = open_state(a, &c.state);
	size_t i;

	if (!r || code >= 0) {
		free(r);
		return QF_EXIT_FAILED;
	}
	if (a->journal) {
		qf_logline_open(&log, a->style.quiet);
		c.log = &log;
	}
	code = check_each(&c, r) && !a->unread ? QF_EXIT_CLEAN : QF_EXIT_FAILED;
	say_all(a, &log, r);
	qf_logline_close(&log);
	if (!tell_monitor(a, r, start))
		code = QF_EXIT_FAILED;
	for (i = 0; i < a->list.n; i++) {
		code = qf_report_gravest(code, r[i].code);
		qf_result_free(&r[i]);
	}
	free(r);
	if (!qf_poolstate_close(c.state))
		code = qf_report_gravest(code, QF_EXIT_FAILED);
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
