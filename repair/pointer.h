/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small file beside an image that tells where an undo file stands that
 * does not stand there: see lib/undofind.h. */
#ifndef QF_POINTER_H
#define QF_POINTER_H

#include "lib/undofind.h"

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

#endif
