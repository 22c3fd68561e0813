/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole disk, put out: every processor reads, inflates and writes pieces of
 * it, while the caller's thread takes them in order for what needs the order:
 * the hash, a stream, and the list of what is lost.
 */
#ifndef QF_EXTRACT_DISK_H
#define QF_EXTRACT_DISK_H

#include "repair/salvage/extract.h"

/* For qf_extract.run. */
enum qf_err qf_extract_disk_run(struct qf_extract *x);

#endif
