/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one writer of images that exist. Its promises open journal.c. */
#ifndef QF_JOURNAL_H
#define QF_JOURNAL_H

#include "lib/undofile/undofile.h"
#include "repair/plan/planner.h"

/* True if holes can be punched into the image behind IO, as far as that can be
 * told without changing anything in it. */
bool qf_journal_can_punch(const struct qf_io *io);

/*
 * Writes the undo file NAME, which must not be there yet, for the plan of M.
 * The image is not touched. Errors: QF_ERR_IO (also when the file system
 * lacks room), QF_ERR_NOMEM.
 */
enum qf_err qf_journal_record(const struct qf_planner *m, const char *name,
			      struct qf_why *why);

/*
 * Carries out what the undo file U records, on the image that IO shows and
 * holds locked. INTERRUPTED: part of it may have been done before. If a write
 * fails, all is rolled back. Errors: QF_ERR_IO, QF_ERR_USAGE (the image is another one, or not as
 * recorded: nothing was written).
 */
enum qf_err qf_journal_apply(struct qf_io *io, struct qf_undofile *u,
			     bool interrupted, struct qf_why *why);

/*
 * Takes back what U records. CHECK_ONLY: only looks whether it can. Errors
 * as above.
 */
enum qf_err qf_journal_undo(struct qf_io *io, struct qf_undofile *u,
			    bool check_only, struct qf_why *why);

#endif
