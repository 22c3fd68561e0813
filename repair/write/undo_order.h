/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Repairs that came after another one: they are taken back in the opposite
 * order. Reads only. */
#ifndef QF_UNDO_ORDER_H
#define QF_UNDO_ORDER_H

#include "lib/undofile/undofile.h"

#include <sys/stat.h>

/* The time of the last write, as the undo file has it. */
static inline uint64_t qf_undo_order_mtime(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u +
	       (uint64_t)st->st_mtim.tv_nsec;
}

/*
 * The undo file of the last repair of the image NAME since the one that U
 * records, each of which began where the one before had ended; MTIME is the
 * image's last write. It lies beside the image or beside U. Owned by the
 * caller; NULL if there is none, or if somebody else has written since.
 */
char *qf_undo_order_find(const struct qf_undofile *u, const char *name,
			 uint64_t mtime);

/*
 * True if the image behind IO is not the file that U's repair was done on, but
 * may be a copy of it: by its inode number, or because it was created since.
 */
bool qf_undo_order_is_copy(const struct qf_undofile *u, const struct qf_io *io);

/*
 * True if the copy behind IO was written to after the undo file U came beside
 * it; where U came first, or the file system does not tell when a file was
 * created, that is not known, and false.
 */
bool qf_undo_order_is_written(const struct qf_undofile *u,
			      const struct qf_io *io);

#endif
