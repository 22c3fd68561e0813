// SPDX-License-Identifier: GPL-2.0-or-later
/* One repair, step by step, with what it has to say. */
#include "cmd.h"
#include "lib/open.h"
#include "repair/ask.h"
#include "repair/journal.h"
#include "repair/run.h"
#include "repair/sink.h"
#include "repair/stop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a run holds until its end. */
struct run {
	const struct qf_run_opts *o;
	const char *name;      /* of the image that is written */
	struct qf_image *img;  /* as it was found */
	struct qf_image *held; /* holds the lock, if that is not img */
	struct qf_mend mend;
	struct qf_report real; /* of the image as it is after the repair */
	struct qf_image *now;  /* as it is then */
	bool applied;
	char *undo_name; /* owned */
	char *gave_up;	 /* owned: undo file of a repair that gave up some */
};

static int failed(const struct run *r, const struct qf_why *why)
{
	fprintf(stderr, "qfsck: %s: %s%s%s\n", r->name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	return why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
}

static int exit_code(enum qf_verdict v)
{
	static const int codes[] = { QF_EXIT_CLEAN, QF_EXIT_LEAKS,
				     QF_EXIT_CORRUPT, QF_EXIT_FAILED };

	return codes[v];
}

/* The undo file that is still at work on the image: its name, or NULL. If one
 * cannot be read, a new repair might start in the midst of another. */
static enum qf_err find_pending(const struct run *r, char **name,
				struct qf_why *why)
{
	enum qf_err err;
	struct qf_undofile *u;
	bool found;

	if (r->o->undo_file && !access(r->o->undo_file, F_OK) &&
	    !qf_undofile_open(r->o->undo_file, &u, NULL)) {
		found = qf_undofile_unfinished(u) &&
			u->inode == r->img->io->id[1];
		qf_undofile_close(u);
		*name = found ? strdup(r->o->undo_file) : NULL;
		if (found)
			return *name ? QF_OK
				     : qf_err_set(why, QF_ERR_NOMEM, 0,
						  QF_NOWHERE, "no memory");
	}
	err = qf_undofile_pending(r->name, r->img->io->id[1], name, why);
	if (err)
		qf_err_next(why,
			    "an undo file beside the image cannot be read, "
			    "and may tell of an interrupted repair; make "
			    "it readable, or move it away if you know "
			    "that it does not");
	return err;
}

/* Ends what was interrupted: a repair forwards, an undo backwards. */
static enum qf_err finish_pending(struct run *r, const char *name,
				  struct qf_why *why)
{
	struct qf_undofile *u;
	enum qf_err err = qf_undofile_open(name, &u, why);

	if (err)
		return err;
	if (u->state == QF_UNDO_BEGUN)
		err = qf_journal_undo(r->img->io, u, false, why);
	else
		err = qf_journal_apply(r->img->io, u, true, why);
	if (!err)
		fprintf(stderr,
			"qfsck: %s: an interrupted %s was finished (%s)\n",
			r->name, u->state == QF_UNDO_UNDONE ? "undo" : "repair",
			name);
	qf_undofile_close(u);
	return err;
}

/* Reads the image again while the file that holds the lock stays open. */
static enum qf_err read_anew(struct run *r, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err;

	r->held = r->img;
	r->img = NULL;
	err = qf_io_file_open(r->name, &io, why);
	return err ? err : qf_image_open(io, &r->img, why);
}

/*
 * Opens and locks the image. Returns -1, or the exit code: of an interrupted
 * repair that must not be finished now, or that cannot be.
 */
static int start(struct run *r)
{
	struct qf_why why = { 0 };
	enum qf_err err =
		qf_open_image(r->name, QF_LOCK_WRITE, false, &r->img, &why);
	char *pending;

	if (err)
		return failed(r, &why);
	err = find_pending(r, &pending, &why);
	if (err)
		return failed(r, &why);
	if (!pending)
		return -1;
	if (r->o->mode == QF_RUN_SHOW) {
		fprintf(stderr,
			"qfsck: %s: a repair of this image was interrupted "
			"(%s); it is finished by the next \"qfsck repair\" "
			"without -n\n",
			r->name, pending);
		free(pending);
		return QF_EXIT_CORRUPT;
	}
	err = finish_pending(r, pending, &why);
	free(pending);
	if (err)
		return failed(r, &why);
	err = read_anew(r, &why);
	return err ? failed(r, &why) : -1;
}

static enum qf_err make_plan(struct run *r, const bool *refused,
			     struct qf_why *why)
{
	struct qf_mend_opts opts = { .limit = r->o->limit,
				     .refused = refused,
				     .leaks_only = r->o->leaks_only,
				     .withhold_leaks = r->gave_up != NULL,
				     .jobs = r->o->jobs };

	qf_mend_free(&r->mend);
	return qf_mend_plan(r->img->io, &opts, &r->mend, why);
}

/* True if the plan is to be carried out. */
static bool agreed(struct run *r, struct qf_why *why, enum qf_err *err)
{
	bool refused[QF_PROBLEMS] = { false }, any;

	if (!r->mend.plan->n || r->mend.refused || r->o->mode == QF_RUN_SHOW)
		return false;
	if (r->o->mode != QF_RUN_ASK)
		return true;
	if (!r->o->terminal || !qf_ask_plan(&r->mend, refused, &any) || !any)
		return false;
	*err = make_plan(r, refused, why);
	return !*err && r->mend.plan->n && !r->mend.refused;
}

/* The name for a new undo file. */
static enum qf_err choose_undo_name(struct run *r, struct qf_why *why)
{
	unsigned int n;

	if (r->o->undo_file) {
		r->undo_name = strdup(r->o->undo_file);
		return r->undo_name ? QF_OK : QF_ERR_NOMEM;
	}
	for (n = 0; n < 1000; n++) {
		r->undo_name = qf_undofile_name(r->name, n);
		if (!r->undo_name || access(r->undo_name, F_OK) < 0)
			break;
		free(r->undo_name);
		r->undo_name = NULL;
	}
	return r->undo_name ? QF_OK
			    : qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
					 "no name is left for the undo file");
}

static enum qf_err carry_out(struct run *r, struct qf_why *why)
{
	struct qf_undofile *u = NULL;
	enum qf_err err = choose_undo_name(r, why);

	if (err)
		return err;
	/* until here a signal ends the program, and nothing is written */
	qf_stop_catch();
	err = qf_journal_record(&r->mend, r->undo_name, why);
	if (!err && qf_stop_asked()) {
		qf_sink_remove(r->undo_name);
		return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
				  "stopped; nothing was written");
	}
	if (!err)
		err = qf_undofile_open(r->undo_name, &u, why);
	if (!err)
		err = qf_journal_apply(r->img->io, u, false, why);
	r->applied = !err;
	qf_undofile_close(u);
	return err;
}

/* Checks what is really in the file now. */
static enum qf_err recheck(struct run *r, struct qf_why *why)
{
	struct qf_check_opts opts = { .jobs = r->o->jobs };
	struct qf_io *io;
	enum qf_err err = qf_io_file_open(r->name, &io, why);

	if (!err)
		err = qf_image_open(io, &r->now, why);
	return err ? err : qf_check_run(r->now, &opts, &r->real, why);
}

static int conclude(struct run *r)
{
	const struct qf_report *left = &r->mend.before;
	struct qf_outcome out = { .name = r->name, .applied = r->applied };

	if (r->applied)
		left = &r->real;
	else if (r->mend.plan->n && !r->mend.refused && r->o->json)
		left = &r->mend.after; /* as it would be */
	out.left = left;
	out.undo_file = r->applied ? r->undo_name : NULL;
	if (r->gave_up && left->leaks)
		fprintf(stderr,
			"qfsck: %s: leaked clusters are kept: they may be what "
			"an earlier repair could not find a way to (%s)\n"
			"  Next: if nothing is missed in the guest, remove that "
			"file and repair again to free them\n",
			r->name, r->gave_up);
	if (r->o->report)
		r->o->report(r->o, r->now ? r->now : r->img, &r->mend, &out);
	else if (r->o->json)
		qf_report_plan_json(stdout, r->img, &r->mend, &out);
	else if (r->applied)
		qf_report_outcome(stdout, &r->mend, &out);
	fflush(stdout);
	return exit_code(r->applied ? r->real.verdict : r->mend.before.verdict);
}

static int repair(struct run *r)
{
	struct qf_why why = { 0 };
	enum qf_err err;
	int code = start(r);

	if (code >= 0)
		return code;
	r->gave_up = qf_undofile_gave_up(r->name, r->img->io->id[1]);
	qf_progress_start(r->name, false);
	err = make_plan(r, NULL, &why);
	qf_progress_stop();
	if (err)
		return failed(r, &why);
	if (!r->o->json && !r->o->report)
		qf_report_plan(stdout, r->img, &r->mend, r->name);
	fflush(stdout);
	if (agreed(r, &why, &err)) {
		err = carry_out(r, &why);
		if (!err)
			err = recheck(r, &why);
	}
	return err ? failed(r, &why) : conclude(r);
}

/* --output-image: the copy is what gets repaired. */
static int make_copy(struct run *r)
{
	struct qf_why why = { 0 };
	struct qf_image *img;
	enum qf_err err;

	r->name = r->o->name;
	/* nobody may write to it while it is copied */
	err = qf_open_image(r->name, QF_LOCK_READ, false, &img, &why);
	if (!err) {
		err = qf_sink_copy(r->name, r->o->output_image, &why);
		qf_image_close(img);
	}
	if (err)
		return failed(r, &why);
	r->name = r->o->output_image;
	return -1;
}

int qf_run_repair(const struct qf_run_opts *o)
{
	struct run r = { .o = o, .name = o->name };
	int code = -1;

	if (o->output_image && o->mode != QF_RUN_SHOW)
		code = make_copy(&r);
	if (code < 0)
		code = repair(&r);
	qf_mend_free(&r.mend);
	qf_check_free(&r.real);
	qf_image_close(r.img);
	qf_image_close(r.held);
	qf_image_close(r.now);
	free(r.undo_name);
	free(r.gave_up);
	return code;
}
