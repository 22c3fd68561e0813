/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an earlier repair or undo left unfinished. */
#ifndef QF_REPORT_RESUME_H
#define QF_REPORT_RESUME_H

#include "lib/io/io.h"

enum qf_resume {
	QF_RESUME_NOTHING,  /* nothing was left */
	QF_RESUME_FINISHED, /* the image has changed: read it anew */
	QF_RESUME_LEFT,	    /* said so, and left as it is (LOOK_ONLY) */
};

/*
 * Ends what was interrupted on the image NAME behind the locked IO: a repair
 * forwards, an undo backwards. UNDO_FILE: where to look too, or NULL. If it was a
 * repair that gave pointers up, *GAVE_UP is set to its undo file's name, in
 * quotes, owned by the caller. Errors:
 * QF_ERR_FORMAT (the undo file is damaged or away: nothing must be written),
 * QF_ERR_IO (it is not known what is there), those of qf_journal_apply.
 */
enum qf_err qf_report_resume(const char *name, struct qf_io *io,
			     const char *undo_file, bool look_only,
			     enum qf_resume *done, char **gave_up,
			     struct qf_why *why);

#endif
