/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether an image holds what its undo file expects to find. Reads only. */
#ifndef QF_VERIFY_H
#define QF_VERIFY_H

#include "lib/undofile/undofile.h"

enum qf_want {
	QF_WANT_BEFORE, /* nothing has been done */
	QF_WANT_EITHER, /* something was interrupted */
	QF_WANT_AFTER,	/* all has been done */
};

/*
 * Compares every sector that U records; IO's size is the present one. Errors:
 * QF_ERR_USAGE (it holds something else), QF_ERR_IO, QF_ERR_FORMAT (U has
 * rotted), QF_ERR_NOMEM.
 */
enum qf_err qf_verify_image(struct qf_io *io, struct qf_undofile *u,
			    enum qf_want want, struct qf_why *why);

#endif
