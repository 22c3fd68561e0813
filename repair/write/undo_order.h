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

#endif
