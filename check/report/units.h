/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a file is a sound image if one field of its header is taken for
 * another: the size of clusters, the width of refcounts, the bits that say how
 * entries are read. Where it is wrong, all findings are its consequences.
 */
#ifndef QF_UNITS_H
#define QF_UNITS_H

#include "check/check.h"

/*
 * *SOUND: the image behind IO, with the N BYTES at OFF of its header, has tables
 * where it says, and a check of it finds nothing but leaks at the most, and
 * something that is mapped. Errors: QF_ERR_NOMEM, QF_ERR_IO.
 */
enum qf_err qf_units_try(struct qf_io *io, uint64_t off, const void *bytes,
			 uint64_t n, bool *sound, struct qf_why *why);

/*
 * The cluster_bits with which alone the file of IMG is a sound image, if what
 * the report found makes one doubt the stated ones; 0: none, or several.
 */
uint32_t qf_units_cluster_bits(const struct qf_image *img,
			       const struct qf_report *rep);

#endif
