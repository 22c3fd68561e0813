/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small files beside an image: the one that tells where an undo file stands
 * that does not stand there (lib/undofile/undofind.h), and the one that tells that a
 * repair gave something up (lib/undofile/undokept.h). */
#ifndef QF_POINTER_H
#define QF_POINTER_H

#include "lib/undofile/undofind.h"

/*
 * Leaves the pointer to UNDO_FILE beside the image NAME behind IO, durable,
 * in place of an old one; does nothing if UNDO_FILE has a name by which it is
 * found anyhow. Errors: QF_ERR_IO, QF_ERR_NOMEM: an interruption will not be
 * noticed by itself.
 */
enum qf_err qf_pointer_leave(const char *name, struct qf_io *io,
			     const char *undo_file, struct qf_why *why);

/* Takes it away, if there is one. */
void qf_pointer_remove(const char *name);

/*
 * Leaves the note that a repair of the image NAME behind IO gives up pointers,
 * durable; one that is there and counts stays. U: its undo file, or NULL where
 * it is a copy of an image that has such a note. If NAME is a symbolic link,
 * it stands where that leads to. *NOTE is its name, owned by the caller; not
 * set after an error. Errors: QF_ERR_IO, QF_ERR_NOMEM.
 */
enum qf_err qf_pointer_note(const char *name, struct qf_io *io,
			    const struct qf_undofile *u, char **note,
			    struct qf_why *why);

/* Takes away the note of the repair that U records and that has been taken back
 * on the image NAME behind IO, also if the image had another name then. U is
 * NULL: all notes of the image, of whatever repair. */
void qf_pointer_forget(const char *name, const struct qf_io *io,
		       const struct qf_undofile *u);

#endif
