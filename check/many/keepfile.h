/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a check keeps for the next one and for others: a pool's state,
 * figures for a monitor. The only writer in check/. It replaces nothing but
 * what begins with the same MAGIC text, or is empty: never an image.
 */
#ifndef QF_KEEPFILE_H
#define QF_KEEPFILE_H

#include "lib/base/err.h"

#include <stddef.h>

/*
 * Puts the N bytes at BUF in the place of the file NAME in one step: whoever
 * reads it sees the old ones or the new ones, also after a crash. Errors:
 * QF_ERR_IO, QF_ERR_USAGE (it is a file of another kind), QF_ERR_NOMEM.
 */
enum qf_err qf_keepfile_replace(const char *name, const char *magic,
				const void *buf, size_t n, struct qf_why *why);

/*
 * Opens NAME to add to it, for one program at a time; a new one begins with
 * MAGIC. *FD is the caller's to close. Errors: as above; QF_ERR_BUSY.
 */
enum qf_err qf_keepfile_open(const char *name, const char *magic, int *fd,
			     struct qf_why *why);

/* Adds N bytes to FD's file. False: it cannot be written. */
bool qf_keepfile_add(int fd, const void *buf, size_t n);

#endif
