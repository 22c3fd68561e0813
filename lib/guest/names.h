/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of ranges and ranges of files, out of what any reader has: areas,
 * inodes, extents, links. In the child. Internal to lib/guest.
 */
#ifndef QF_NAMES_H
#define QF_NAMES_H

#include "lib/guest/job.h"

/* Tells the files and areas that have bytes in what was asked, and those
 * pieces of them. Errors: QF_ERR_NOMEM. */
enum qf_err qf_names_of_ranges(struct qf_job *j, const struct qf_reader *r,
			       void *fs, struct qf_why *why);

/* Tells the file j->path, if there is one, and its pieces. Errors: as above. */
enum qf_err qf_names_of_path(struct qf_job *j, const struct qf_reader *r,
			     void *fs, struct qf_why *why);

/* The inode that PATH leads to; false: none. */
bool qf_names_find(const struct qf_reader *r, void *fs, const char *path,
		   uint64_t *id);

#endif
