// SPDX-License-Identifier: GPL-2.0-or-later
/* Runs the passes and sums up. */
#include "check/check.h"
#include "check/judge/questions.h"
#include "check/lost/lost_guest.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Findings of one problem that are listed before the rest is put together. */
#define COLLATE_OVER 64
/* Troubled clusters whose owners are looked for. */
#define MAX_WANTS 65536

static const struct {
	qf_pass_fn *run;
	const char *title;
} passes[] = {
#define QF_PASS(NAME, fn, title) { fn, title },
#include "check/catalogue/passes.def"
#undef QF_PASS
};

static bool needs_detail(const struct qf_recount *t)
{
	size_t i;

	for (i = 0; i < QF_ODD_KINDS; i++)
		if (t->odd[i])
			return true;
	/* what is only leaked has no owner to be found */
	for (i = 0; i < t->n_troubles; i++)
		if (t->trouble[i].stated < t->trouble[i].counted ||
		    t->trouble[i].why & (QF_TROUBLE_COPIED | QF_TROUBLE_DOUBLE))
			return true;
	return false;
}

/* What is known of the file's end. */
static enum qf_err find_cut(struct qf_pass_ctx *c, struct qf_cut *cut,
			    struct qf_why *why)
{
	c->cut = c->opts->cut ? c->opts->cut : cut;
	if (c->opts->cut || qf_cut_find(c->img, &c->blocks, cut))
		return QF_OK;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to look for the file's end");
}

static enum qf_err gather(struct qf_pass_ctx *c, struct qf_cut *cut,
			  struct qf_why *why)
{
	size_t limit = c->opts->all ? SIZE_MAX : MAX_WANTS;
	enum qf_err err = qf_walk_gather(c->img, &c->walk, why);

	if (!err)
		err = qf_recount_make(&c->walk, c->opts->jobs,
				      c->opts->max_memory, QF_RECOUNT_ALL,
				      &c->recount, why);
	if (!err)
		err = qf_blocks_judge(&c->recount, &c->blocks, why);
	if (!err)
		err = find_cut(c, cut, why);
	if (!err && needs_detail(&c->recount))
		err = qf_detail_make(&c->recount, c->cut, limit, c->opts->all,
				     &c->detail, why);
	if (!err && !c->opts->cut_told)
		err = qf_lost_find(&c->walk, &c->recount, c->opts->no_guest,
				   &c->lost, why);
	return err;
}

/* The tables without a name among what was found; NULL: none, or no memory. */
static uint64_t *nameless(const struct qf_lost *l)
{
	uint64_t *at = qf_mem_zalloc(l->n_orphans, sizeof(*at));
	size_t i;

	for (i = 0; at && i < l->n_orphans; i++)
		at[i] = l->orphan[i].off;
	return at;
}

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* The same for the tables that were erased. */
static uint64_t *erased(const struct qf_pass_ctx *c)
{
	uint64_t *at = qf_mem_zalloc(c->lost.n_erased, sizeof(*at));
	size_t i;

	for (i = 0; at && i < c->lost.n_erased; i++)
		at[i] = c->walk.table[c->lost.erased[i]].off;
	if (at)
		qsort(at, c->lost.n_erased, sizeof(*at), by_number);
	return at;
}

static enum qf_err judge(struct qf_pass_ctx *c, struct qf_questions *l,
			 struct qf_why *why)
{
	uint64_t *tables = c->lost.n_orphans ? nameless(&c->lost) : NULL;
	uint64_t *gone = c->lost.n_erased ? erased(c) : NULL;
	struct qf_facts f = { .img = c->img,
			      .walk = &c->walk,
			      .recount = &c->recount,
			      .cut = c->cut,
			      .jobs = c->opts->jobs,
			      .released = c->opts->released,
			      .no_guest = c->opts->no_guest,
			      .no_mixup = c->opts->no_mixup,
			      .whole_mixups = c->opts->whole_mixups,
			      .garbage = c->detail.garbage,
			      .n_garbage = c->detail.n_garbage,
			      .nameless = tables,
			      .n_nameless = tables ? c->lost.n_orphans : 0,
			      .erased = gone,
			      .n_erased = gone ? c->lost.n_erased : 0 };
	enum qf_err err = qf_facts_gather(&f, why);

	if (!err)
		err = qf_questions_ask(&f, l, why);
	qf_facts_free(&f);
	free(tables);
	free(gone);
	return err;
}

static void take_figures(struct qf_pass_ctx *c, struct qf_report *rep)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_report_figures *fig = &rep->fig;
	uint64_t end = c->recount.counted_end;

	if (c->recount.stated_end > end)
		end = c->recount.stated_end;
	fig->image_end_bytes = (end ? end : 1) << g->cluster_bits;
	fig->total = qf_mem_div_up(c->img->hdr.disk_bytes & ~511ull,
				   g->cluster_bytes);
	fig->allocated = c->recount.fig.allocated;
	fig->fragmented = c->recount.fig.fragmented;
	fig->compressed = c->recount.fig.compressed;
	fig->file_clusters = c->recount.clusters;
	fig->used = c->recount.used;
	if (fig->file_clusters > fig->used + c->recount.leaked)
		fig->free = fig->file_clusters - fig->used - c->recount.leaked;
}

void qf_check_sum(struct qf_report *rep)
{
	const struct qf_finding *f = rep->findings.at;
	enum qf_severity sev;
	uint64_t extra = 0;
	bool guest = false;
	size_t i;

	rep->corruptions = rep->leaks = rep->errors = rep->warnings = 0;
	rep->tables = QF_VERDICT_CLEAN;
	rep->absent = 0;
	for (i = 0; i < rep->findings.n; i++, f++) {
		rep->corruptions += f->corruptions;
		extra += f->extra;
		rep->leaks += f->leaks;
		rep->errors += f->errors;
		sev = qf_problem_get(f->problem)->severity;
		rep->warnings += sev == QF_SEV_WARNING;
		rep->absent += sev == QF_SEV_ABSENT;
		guest |= sev >= QF_SEV_ERROR &&
			 qf_problem_of_guest(rep->findings.at[i].problem);
		/* an error that qemu-img does not count is one all the same */
		if (sev >= QF_SEV_ERROR &&
		    !qf_problem_of_guest(rep->findings.at[i].problem))
			rep->tables = QF_VERDICT_CORRUPT;
	}
	/* qemu-img's number where it has one; else what we alone have seen */
	if (!rep->corruptions)
		rep->corruptions = extra;
	if (rep->tables != QF_VERDICT_CORRUPT && rep->errors)
		rep->tables = QF_VERDICT_UNCHECKED;
	else if (rep->tables != QF_VERDICT_CORRUPT && rep->leaks)
		rep->tables = QF_VERDICT_LEAKS;
	rep->verdict = guest ? QF_VERDICT_CORRUPT : rep->tables;
	if (rep->absent && rep->verdict != QF_VERDICT_CORRUPT)
		rep->verdict = QF_VERDICT_UNCHECKED;
}

enum qf_err qf_check_run(struct qf_image *img, const struct qf_check_opts *opts,
			 struct qf_report *rep, struct qf_why *why)
{
	struct qf_pass_ctx c = { .img = img,
				 .opts = opts,
				 .out = &rep->findings,
				 .questions = &rep->questions,
				 .more = &rep->questions,
				 .lost_ranges = &rep->lost };
	enum qf_err err;
	size_t i;

	memset(rep, 0, sizeof(*rep));
	rep->findings.all = opts->all;
	err = gather(&c, &rep->cut, why);
	if (!err)
		err = judge(&c, &rep->questions, why);
	for (i = 0; !err && i < sizeof(passes) / sizeof(passes[0]); i++)
		err = passes[i].run(&c, why);
	qf_lost_join(&rep->lost);
	if (!err && !opts->no_guest && rep->lost.n &&
	    qf_lost_part_free(img, &rep->lost))
		rep->lost.failed = true;
	free(rep->lost.last);
	rep->lost.last = NULL;
	rep->lost.n_last = 0;
	free(c.lost_runs.at);
	if (!err && (rep->findings.failed || rep->lost.failed))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the findings");
	if (!err) {
		qf_finding_collate(&rep->findings,
				   opts->all ? 0 : COLLATE_OVER);
		take_figures(&c, rep);
		qf_check_sum(rep);
		rep->n_diagnoses = qf_diagnose(&c, rep->diagnosis);
		rep->cut_explains = qf_cut_explains(&c);
		rep->cut_snapshots = qf_cut_took_snapshots(&c);
	}
	rep->withhold = c.withhold;
	qf_lost_free(&c.lost);
	qf_detail_free(&c.detail);
	qf_blocks_free(&c.blocks);
	qf_recount_free(&c.recount);
	qf_walk_free(&c.walk);
	return err;
}

void qf_check_free(struct qf_report *rep)
{
	qf_finding_free(&rep->findings);
	free(rep->lost.at);
	memset(&rep->lost, 0, sizeof(rep->lost));
	qf_question_free(&rep->questions);
	qf_cut_free(&rep->cut);
}

const char *qf_check_verdict(enum qf_verdict v)
{
	static const char *const names[] = { "clean", "leaks", "corrupt",
					     "unchecked" };

	return names[v];
}
