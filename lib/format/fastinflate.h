/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libdeflate for sound streams of raw deflate, where it is installed: two to
 * three times as fast as zlib.
 *
 * It takes some streams that zlib refuses (codes that are not complete, symbols
 * that no one may use, lengths that run over), and QEMU reads with zlib. So its
 * word counts only where the heads of all blocks are such that both must read
 * the same; for every other stream nothing is said, and zlib is to be asked.
 */
#ifndef QF_FASTINFLATE_H
#define QF_FASTINFLATE_H

#include <stdbool.h>
#include <stddef.h>

struct qf_fastinflate;

/* For one thread at a time. NULL without libdeflate, or without memory. Free
 * with qf_fastinflate_free (NULL-safe). May be called by any thread. */
struct qf_fastinflate *qf_fastinflate_new(void);
void qf_fastinflate_free(struct qf_fastinflate *f);

/*
 * True if zlib would inflate the stream at IN to exactly OUT_BYTES and meet its
 * end there; OUT holds them. False: not known, and OUT holds anything.
 */
bool qf_fastinflate_whole(struct qf_fastinflate *f, const void *in,
			  size_t in_bytes, void *out, size_t out_bytes);

#endif
