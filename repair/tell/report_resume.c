// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/tell/report_resume.h"
#include "lib/undofile/undomatch.h"
#include "repair/write/journal.h"
#include "repair/write/pointer.h"

#include <stdio.h>
#include <stdlib.h>

/* A repair that gives pointers up may have been cut short before it left its
 * note. */
static enum qf_err remember(const char *name, struct qf_io *io,
			    const struct qf_undofile *u, char **gave_up,
			    struct qf_why *why)
{
	struct qf_why none = { 0 };
	char *note = NULL;

	if (!(u->flags & QF_UNDO_GAVE_UP) || u->state == QF_UNDO_BEGUN)
		return QF_OK;
	/* who asked for the repair tells if there can be no note */
	(void)qf_pointer_note(name, io, u, &note, &none);
	free(note);
	if (asprintf(gave_up, "\"%s\"", u->io->name) >= 0)
		return QF_OK;
	*gave_up = NULL;
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
}

static enum qf_err finish(const char *name, struct qf_io *io, const char *file,
			  char **gave_up, struct qf_why *why)
{
	struct qf_undofile *u;
	enum qf_err err = qf_undofile_open(file, &u, why);

	if (err)
		return err;
	err = remember(name, io, u, gave_up, why);
	if (err) {
		qf_undofile_close(u);
		return err;
	}
	if (u->state == QF_UNDO_BEGUN)
		err = qf_journal_undo(io, u, false, why);
	else
		err = qf_journal_apply(io, u, true, why);
	if (err)
		fprintf(stderr, "qfsck: %s: a repair was interrupted (%s)\n",
			name, file);
	if (err == QF_ERR_USAGE && !why->next[0])
		qf_err_next(why,
			    "it can be neither finished nor taken back then; "
			    "keep its undo file, but move it away: \"qfsck "
			    "repair\" then repairs what is there now");
	if (!err)
		fprintf(stderr,
			"qfsck: %s: an interrupted %s was finished (%s)\n",
			name, u->state == QF_UNDO_UNDONE ? "undo" : "repair",
			file);
	qf_undofile_close(u);
	return err;
}

static enum qf_err cannot(const struct qf_undofind *f, const char *name,
			  struct qf_why *why)
{
	if (f->sight == QF_UNDO_ROTTEN) {
		qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			   "a repair of this image was interrupted, and its "
			   "undo file \"%s\" cannot be used: %s",
			   f->name, f->why.text);
		qf_err_next(why,
			    "keep a copy of both; put a good copy of the undo "
			    "file in its place, or move it away: \"qfsck "
			    "repair\" then repairs what is there now, but "
			    "cannot lead back to before the first repair");
	} else {
		qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
			   "a repair of this image was interrupted, and its "
			   "undo file \"%s\" cannot be had: %s",
			   f->name, f->why.text);
		qf_err_next(why,
			    "bring it back, or say where it is now with "
			    "--undo=FILE. If it is lost, or if that repair had "
			    "ended, remove \"%s.qfsck-pending\"",
			    name);
	}
	return QF_ERR_FORMAT;
}

enum qf_err qf_report_resume(const char *name, struct qf_io *io,
			     const char *undo_file, bool look_only,
			     enum qf_resume *done, char **gave_up,
			     struct qf_why *why)
{
	struct qf_undofind f;
	enum qf_err err = qf_undofind_pending(name, undo_file, io, &f, why);

	*done = QF_RESUME_NOTHING;
	if (!err && f.sight == QF_UNDO_NONE)
		err = qf_undofind_renamed(name, io, &f, why);
	if (err) {
		qf_err_next(why,
			    "an undo file of the image cannot be read, and may "
			    "tell of an interrupted repair; make it readable, "
			    "or move it away if you know that it does not");
		return err;
	}
	if (f.sight == QF_UNDO_ROTTEN || f.sight == QF_UNDO_AWAY) {
		err = cannot(&f, name, why);
	} else if (f.sight == QF_UNDO_AT_WORK && look_only) {
		fprintf(stderr,
			"qfsck: %s: a repair of this image was interrupted "
			"(%s); it is finished by the next \"qfsck repair\" "
			"without -n\n",
			name, f.name);
		*done = QF_RESUME_LEFT;
	} else if (f.sight == QF_UNDO_AT_WORK) {
		err = finish(name, io, f.name, gave_up, why);
		if (!err)
			*done = QF_RESUME_FINISHED;
	}
	if (!err && f.sight == QF_UNDO_NONE && qf_undomatch_is_marked(io))
		fprintf(stderr,
			"qfsck: %s: it is marked as corrupt, by QEMU or by a "
			"repair that was cut short\n  Next: if there is an "
			"undo file of it elsewhere, give that: --undo=FILE\n",
			name);
	/* what it pointed to, if anything, has ended */
	if (!err && !look_only)
		qf_pointer_remove(name);
	free(f.name);
	return err;
}
