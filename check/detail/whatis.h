/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in a cluster that should hold something else. */
#ifndef QF_WHATIS_H
#define QF_WHATIS_H

#include "lib/model/image.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Judges the cluster at OFF by its structure first (zeros, a refcount block,
 * an L2 table of this image, a snapshot table, the header), and by libmagic
 * for what a guest may have written. In words, into OUT; returns OUT. Not
 * for several threads at once.
 */
char *qf_whatis(const struct qf_image *img, uint64_t off, char *out,
		size_t room);

/* The same in a hundredth of the time: without libmagic, a guest's data are
 * told from tables, but not what they are. */
char *qf_whatis_quick(const struct qf_image *img, uint64_t off, char *out,
		      size_t room);

/* So many of a check's questions are worth libmagic's time. */
#define QF_WHATIS_MAX 256u

/*
 * True if the cluster at OFF surely holds something that no L2 table holds,
 * however few of its words look odd: a copy of the header, of the refcount
 * table or of a refcount block, a snapshot table, a directory.
 */
bool qf_whatis_foreign(const struct qf_image *img, uint64_t off);

#endif
