/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The undo files and notes of a folder, whatever image they are named after:
 * an image that was renamed has left its own behind under the old name.
 */
#ifndef QF_UNDOSCAN_H
#define QF_UNDOSCAN_H

#include "lib/io/io.h"

#define QF_UNDOSCAN_UNDO ".qfsck-undo"
#define QF_UNDOSCAN_NOTE ".qfsck-gave-up"

/* Sees the file at PATH; NOTE: its name says that it is a note, else that it
 * is an undo file. Returns false to see no more. */
typedef bool qf_undoscan_fn(void *ctx, const char *path, bool note);

/*
 * Shows FN what lies in the folder of the image NAME, and, if that is a
 * symbolic link, in the folder of what it leads to; in no promised order.
 * A folder that cannot be read shows nothing. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_undoscan_folders(const char *name, qf_undoscan_fn *fn, void *ctx,
				struct qf_why *why);

/* The folder of FILE alone, and any name in it (NOTE is false). */
enum qf_err qf_undoscan_all(const char *file, qf_undoscan_fn *fn, void *ctx,
			    struct qf_why *why);

/* What the symbolic link NAME leads to: owned by the caller; NULL if it is
 * none. */
char *qf_undoscan_target(const char *name);

/* When the file behind IO was created, in nanoseconds since 1970; 0: the file
 * system does not tell. */
uint64_t qf_undoscan_born(const struct qf_io *io);

/*
 * True if the image behind IO was created after the last write to the file
 * PATH, which so cannot be of it, though inode numbers agree: a number is
 * given out again. False where the file system does not tell.
 */
bool qf_undoscan_is_younger(const struct qf_io *io, const char *path);

#endif
