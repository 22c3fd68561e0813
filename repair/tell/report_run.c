// SPDX-License-Identifier: GPL-2.0-or-later
/* One repair, step by step, with what it has to say. */
#include "cmd.h"
#include "lib/base/text.h"
#include "lib/model/open.h"
#include "lib/undofile/undokept.h"
#include "lib/walk/describe.h"
#include "repair/tell/ask.h"
#include "repair/write/journal.h"
#include "repair/write/pointer.h"
#include "repair/tell/report_resume.h"
#include "repair/tell/run.h"
#include "repair/write/sink.h"
#include "repair/write/stop.h"

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
	struct qf_planner mend;
	struct qf_answers answers;
	struct qf_report real; /* of the image as it is after the repair */
	struct qf_image *now;  /* as it is then */
	bool applied;
	char *undo_name; /* owned */
	char *stem;	 /* owned: with --undo-dir, what its names begin with */
	char *note;	 /* owned: that this one gives up some */
	char *gave_up;	 /* owned: what tells of a repair that gave up some */
	bool forgets;	 /* and nothing of that is missed */
};

static int failed(const struct run *r, const struct qf_why *why)
{
	json_t *o;

	fprintf(stderr, "qfsck: %s: %s%s%s\n", r->name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	if (r->o->json) {
		o = qf_report_why_json(r->name, why);
		json_dumpf(o, stdout,
			   (r->o->many ? JSON_COMPACT : JSON_INDENT(4)) |
				   JSON_PRESERVE_ORDER);
		putchar('\n');
		fflush(stdout);
		json_decref(o);
	}
	if (r->o->in_use)
		*r->o->in_use = why->err == QF_ERR_BUSY;
	return why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
}

static int exit_code(enum qf_verdict v)
{
	static const int codes[] = { QF_EXIT_CLEAN, QF_EXIT_LEAKS,
				     QF_EXIT_CORRUPT, QF_EXIT_FAILED };

	return codes[v];
}

/* Reads the image again while the file that holds the lock stays open. */
static enum qf_err read_anew(struct run *r, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err;

	r->held = r->img;
	r->img = NULL;
	err = qf_io_file_open(r->name, &io, why);
	if (!err)
		io->believed = r->held->io->believed;
	return err ? err : qf_image_open(io, &r->img, why);
}

/*
 * Opens and locks the image, and ends what was interrupted. Returns -1, or
 * the exit code if it must not be ended now, or cannot be.
 */
static int start(struct run *r)
{
	struct qf_why why = { 0 };
	enum qf_resume done = QF_RESUME_NOTHING;
	enum qf_err err = qf_open_image(r->name, r->o->format, QF_LOCK_WRITE,
					false, &r->img, &why);

	if (!err)
		err = qf_report_resume(r->name, r->img->io, r->o->undo_file,
				       r->o->mode == QF_RUN_SHOW, &done,
				       &r->gave_up, &why);
	if (!err && done == QF_RESUME_FINISHED)
		err = read_anew(r, &why);
	if (err)
		return failed(r, &why);
	return done == QF_RESUME_LEFT ? QF_EXIT_CORRUPT : -1;
}

/* True if it is not only about the plan. */
static bool may_write(const struct run *r)
{
	return r->o->mode == QF_RUN_ASK ? r->o->terminal
					: r->o->mode != QF_RUN_SHOW;
}

/* On a terminal the plan has it, and the question follows. */
static bool drops_in_use(const struct qf_run_opts *o)
{
	return o->bitmaps == QF_RUN_BITMAPS_REMOVE ||
	       (o->bitmaps == QF_RUN_BITMAPS_ASK && o->mode == QF_RUN_ASK &&
		o->terminal);
}

/* What the gate stopped is a defect of ours, and says so. */
static void tell_breach(const struct run *r, const struct qf_gate_breach *b)
{
	const struct qf_problem_row *row = qf_problem_get(b->problem);
	char who[400];

	fprintf(stderr,
		"qfsck: %s: a repair of %u %s was planned and left out: %s "
		"(%s, guest offset 0x%" PRIx64 ", %" PRIu64 " bytes)\n"
		"  This is a defect of qfsck, not of your image; nothing was "
		"changed by it. Please report it.\n",
		r->name, row->id, row->name, b->how,
		qf_describe_holder(r->img, b->holder, who, sizeof(who)),
		b->guest_off, b->bytes);
}

static enum qf_err make_plan(struct run *r, const struct qf_answers *a,
			     struct qf_why *why)
{
	struct qf_planner_opts opts = { .limit = r->o->limit,
					.refused = a ? a->refused : NULL,
					.spared = a ? a->spared : NULL,
					.n_spared = a ? a->n_spared : 0,
					.leaks_only = r->o->leaks_only,
					.guess = r->o->guess,
					.guest = r->o->guest,
					.choice = r->o->choice,
					.n_choices = r->o->n_choices,
					.placed = r->o->placed,
					.n_places = r->o->n_places,
					.drop_in_use = drops_in_use(r->o),
					.withhold_leaks = r->gave_up &&
							  !r->forgets,
					.forget = r->forgets,
					.jobs = r->o->jobs };
	enum qf_err err;
	unsigned int i;

	qf_planner_free(&r->mend);
	qf_progress_start(r->name, false);
	err = qf_planner_plan(r->img->io, &opts, &r->mend, why);
	if (!err && r->o->trim && r->mend.refused)
		qf_trim_refuse(&r->mend.trim, "the repair is refused");
	else if (!err && r->o->trim)
		err = qf_trim_plan(r->mend.plan, &r->mend.after,
				   !may_write(r) ||
					   qf_journal_can_punch(r->img->io),
				   r->o->jobs, &r->mend.trim, why);
	qf_progress_stop();
	for (i = 0; !err && i < r->mend.n_breaches; i++)
		tell_breach(r, &r->mend.breach[i]);
	return err;
}

/* True if there is something to write. */
static bool has_work(const struct run *r)
{
	return !r->mend.refused &&
	       (r->mend.plan->n || qf_trim_any(&r->mend.trim));
}

/* Asks about the plan, and makes it anew without what is refused. */
static bool is_wanted(struct run *r, struct qf_why *why, enum qf_err *err)
{
	struct qf_answers *a = &r->answers;
	bool go_on;

	go_on = qf_ask_plan(&r->mend, a);
	if (go_on && r->mend.plan->n)
		*err = make_plan(r, a, why);
	if (*err)
		return false;
	if (go_on && qf_trim_any(&r->mend.trim) && !qf_ask_trim(&r->mend.trim))
		qf_trim_free(&r->mend.trim);
	if (go_on && has_work(r))
		return true;
	fprintf(stderr, "\n%s: nothing was written.\n", r->name);
	return false;
}

/* True if the plan is to be carried out. */
static bool agreed(struct run *r, struct qf_why *why, enum qf_err *err)
{
	if (!has_work(r) || !may_write(r))
		return false;
	return r->o->mode != QF_RUN_ASK || is_wanted(r, why, err);
}

/* The name for a new undo file. */
static enum qf_err choose_undo_name(struct run *r, struct qf_why *why)
{
	unsigned int n;

	if (r->o->undo_file) {
		r->undo_name = strdup(r->o->undo_file);
		if (!r->undo_name)
			return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					  "no memory");
		if (qf_undofind_is_leftover(r->undo_name, r->img->io))
			qf_sink_remove(r->undo_name);
		return QF_OK;
	}
	if (!r->stem && r->img->io->block_dev && qf_sink_is_memory(r->name)) {
		qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
			   "the undo file would lie beside the device, in "
			   "memory, and be gone after a restart");
		qf_err_next(why, "say where it is to be: --undo=FILE");
		return QF_ERR_USAGE;
	}
	for (n = 0; n < 1000; n++) {
		r->undo_name = qf_undofind_name(r->stem ? r->stem : r->name, n);
		if (!r->undo_name || access(r->undo_name, F_OK) < 0)
			break;
		if (qf_undofind_is_leftover(r->undo_name, r->img->io)) {
			qf_sink_remove(r->undo_name);
			break;
		}
		free(r->undo_name);
		r->undo_name = NULL;
	}
	return r->undo_name ? QF_OK
			    : qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
					 "no name is left for the undo file");
}

/* A file in the folder of the undo files, if that is not the image's. */
static const char *beside(const struct run *r)
{
	return r->o->undo_file ? r->o->undo_file : r->stem;
}

/* Without it an interruption is not noticed by itself; that is no reason not
 * to repair. */
static void leave_pointer(const struct run *r)
{
	struct qf_why why = { 0 };

	if (qf_pointer_leave(r->name, r->img->io, r->undo_name, &why))
		fprintf(stderr,
			"qfsck: %s: %s\n  Next: if this repair is "
			"interrupted, give --undo=%s again\n",
			r->name, why.text, QF_TEXT_WORD(r->undo_name));
}

/* Before anything is written, so that no interruption can forget it. Without
 * mark and note the undo file alone remembers. U is NULL if another repair did. */
static void leave_note(struct run *r, const struct qf_undofile *u)
{
	struct qf_why why = { 0 };

	free(r->note);
	r->note = NULL;
	if (u ? (u->flags & QF_UNDO_MARKED) != 0
	      : qf_undokept_is_marked(r->img->io)) {
		/* the image remembers it by itself */
		(void)qf_pointer_note(r->name, r->img->io, u, &r->note, NULL);
		return;
	}
	if (r->img->io->block_dev && qf_sink_is_memory(r->name))
		qf_err_set(&why, QF_ERR_IO, 0, QF_NOWHERE,
			   "beside a device no note can stay that this repair "
			   "gives something up");
	else if (!qf_pointer_note(r->name, r->img->io, u, &r->note, &why))
		return;
	fprintf(stderr, "qfsck: %s: %s\n  Next: ", r->name, why.text);
	if (u)
		fprintf(stderr,
			"keep \"%s\" where it is, and give the next repair an "
			"--undo=FILE in the same folder: else it frees what "
			"may be lost data\n",
			u->io->name);
	else
		fprintf(stderr,
			"do not repair it again: that frees what may be lost "
			"data\n");
}

static enum qf_err carry_out(struct run *r, struct qf_why *why)
{
	struct qf_undofile *u = NULL;
	enum qf_err err = choose_undo_name(r, why);

	if (err)
		return err;
	/* until here a signal ends the program, and nothing is written */
	qf_stop_catch();
	qf_progress_start(r->name, false);
	err = qf_journal_record(&r->mend, r->undo_name, why);
	qf_progress_stop();
	if (!err && qf_stop_asked()) {
		qf_sink_remove(r->undo_name);
		return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
				  "stopped; nothing was written");
	}
	if (!err)
		err = qf_undofile_open(r->undo_name, &u, why);
	if (!err)
		leave_pointer(r);
	if (!err && qf_plan_gives_up(r->mend.plan))
		leave_note(r, u);
	if (!err)
		err = qf_journal_apply(r->img->io, u, false, why);
	r->applied = !err;
	/* else the image may be half written, and the next repair needs it */
	if (u && !qf_undofile_unfinished(u))
		qf_pointer_remove(r->name);
	if (u && u->state == QF_UNDO_ROLLED_BACK)
		qf_pointer_forget(r->name, r->img->io, u);
	qf_undofile_close(u);
	return err;
}

/* Checks what is really in the file now. */
static enum qf_err recheck(struct run *r, struct qf_why *why)
{
	struct qf_check_opts opts = { .jobs = r->o->jobs,
				      .guest = r->o->guest };
	struct qf_io *io;
	enum qf_err err = qf_io_file_open(r->name, &io, why);

	if (!err) {
		io->believed = r->img->io->believed;
		err = qf_image_open(io, &r->now, why);
	}
	return err ? err : qf_check_run(r->now, &opts, &r->real, why);
}

static int conclude(struct run *r)
{
	const struct qf_report *left = &r->mend.before;
	struct qf_outcome out = { .name = r->name,
				  .applied = r->applied,
				  .in_a_line = r->o->many };

	if (r->applied)
		left = &r->real;
	else if (r->mend.plan->n && !r->mend.refused && r->o->json)
		left = &r->mend.after; /* as it would be */
	out.left = left;
	out.undo_file = r->applied ? r->undo_name : NULL;
	out.note = r->applied ? r->note : NULL;
	out.gave_up = r->applied && qf_plan_gives_up(r->mend.plan);
	if (r->gave_up && !r->forgets && (left->leaks || r->o->trim))
		fprintf(stderr,
			"qfsck: %s: leaked clusters are kept, and free ones are "
			"not trimmed: they may be what an earlier repair could "
			"not find a way to (%s)\n"
			"  Next: if nothing is missed in the guest: qfsck repair "
			"--forget %s\n",
			r->name, r->gave_up, QF_TEXT_WORD(r->name));
	if (!r->applied && has_work(r) && r->o->mode == QF_RUN_ASK &&
	    !r->o->terminal)
		fprintf(stderr,
			"qfsck: %s: nothing was written: \"qfsck repair -y "
			"%s\" does it\n",
			r->name, QF_TEXT_WORD(r->name));
	if (r->o->report)
		r->o->report(r->o, r->now ? r->now : r->img, &r->mend, &out);
	else if (r->o->json)
		qf_report_plan_json(stdout, r->img, &r->mend, &out);
	else if (r->applied)
		qf_report_outcome(stdout, &r->mend, &out);
	fflush(stdout);
	return exit_code(r->applied ? r->real.verdict : r->mend.before.verdict);
}

/* What an earlier repair gave up: of the image, or one that was finished just
 * now, or of the image that it is a copy of, which remembers it by itself. */
static enum qf_err look_for_given_up(struct run *r, struct qf_why *why)
{
	if (!r->gave_up) {
		r->forgets = r->o->forget;
		return qf_undokept_find(r->name, beside(r), r->img->io,
					&r->gave_up, why);
	}
	leave_note(r, NULL);
	/* what was given up just now cannot have been missed yet */
	if (r->o->forget)
		fprintf(stderr,
			"qfsck: %s: nothing is forgotten yet: the repair that "
			"was finished just now gave something up\n",
			r->name);
	return QF_OK;
}

/* The image does not tell any more; nor must anything else. */
static enum qf_err forget(struct run *r, struct qf_why *why)
{
	char *still = NULL;
	enum qf_err err;

	if (!r->gave_up || !may_write(r) || (has_work(r) && !r->applied))
		return QF_OK;
	if (!qf_plan_gives_up(r->mend.plan))
		qf_pointer_forget(r->name, r->img->io, NULL);
	err = qf_undokept_find(r->name, beside(r), r->img->io, &still, why);
	if (still && !qf_plan_gives_up(r->mend.plan))
		fprintf(stderr,
			"qfsck: %s: %s still tells that something was given "
			"up\n  Next: remove it, or move it to another folder\n",
			r->name, still);
	free(still);
	return err;
}

static int repair(struct run *r)
{
	struct qf_why why = { 0 };
	enum qf_err err;
	int code = start(r);

	if (code >= 0)
		return code;
	err = look_for_given_up(r, &why);
	if (err)
		return failed(r, &why);
	err = make_plan(r, NULL, &why);
	if (err)
		return failed(r, &why);
	if (!r->o->json && !r->o->report)
		qf_report_plan(stdout, r->img, &r->mend, r->name, r->o->all,
			       !may_write(r));
	fflush(stdout);
	if (agreed(r, &why, &err)) {
		err = carry_out(r, &why);
		if (!err)
			err = recheck(r, &why);
	}
	if (!err && r->forgets)
		err = forget(r, &why);
	return err ? failed(r, &why) : conclude(r);
}

/* What the image remembers, its copy remembers from the first moment on. */
static enum qf_err copy(struct run *r, struct qf_io *io, struct qf_why *why)
{
	const char *new = r->o->output_image;

	if (r->gave_up && access(new, F_OK) < 0)
		(void)qf_pointer_note(new, io, NULL, &r->note, NULL);
	return qf_sink_copy(r->name, new, why);
}

/* --output-image: the copy is what gets repaired. */
static int make_copy(struct run *r)
{
	struct qf_why why = { 0 };
	struct qf_image *img;
	enum qf_err err;

	/* nobody may write to it while it is copied */
	err = qf_open_image(r->name, r->o->format, QF_LOCK_READ, false, &img,
			    &why);
	if (!err) {
		err = qf_undokept_find(r->name, beside(r), img->io, &r->gave_up,
				       &why);
		if (!err)
			err = copy(r, img->io, &why);
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
	const char *slash = strrchr(o->name, '/');
	int code = -1;

	if (o->undo_dir && asprintf(&r.stem, "%s/%s", o->undo_dir,
				    slash ? slash + 1 : o->name) < 0)
		return QF_EXIT_FAILED;
	if (o->output_image && o->mode != QF_RUN_SHOW)
		code = make_copy(&r);
	if (code < 0)
		code = repair(&r);
	qf_planner_free(&r.mend);
	qf_ask_free(&r.answers);
	qf_check_free(&r.real);
	qf_image_close(r.img);
	qf_image_close(r.held);
	qf_image_close(r.now);
	free(r.undo_name);
	free(r.stem);
	free(r.gave_up);
	free(r.note);
	return code;
}
