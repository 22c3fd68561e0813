/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inodes of a file system that has no list of them: down from the root,
 * directory by directory. Internal to lib/guest. */
#ifndef QF_TREEWALK_H
#define QF_TREEWALK_H

#include "lib/guest/reader.h"

/*
 * Tells every inode that R's links lead to, each once, by R's inode(). What
 * does not fit into memory is left out.
 */
void qf_treewalk_inodes(const struct qf_reader *r, void *fs,
			qf_reader_inode *tell, void *ctx);

#endif
