/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in a cluster that should hold something else. */
#ifndef QF_WHATIS_H
#define QF_WHATIS_H

#include "lib/image.h"

#include <stddef.h>

/*
 * Judges the cluster at OFF by its structure first (zeros, a refcount block,
 * an L2 table of this image, a snapshot table, the header), and by libmagic
 * for what a guest may have written. In words, into OUT; returns OUT. Not
 * for several threads at once.
 */
char *qf_whatis(const struct qf_image *img, uint64_t off, char *out,
		size_t room);

#endif
