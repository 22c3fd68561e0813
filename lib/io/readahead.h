/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a known list of places fast, cached or not: while the page cache
 * has them, each is a plain read. The first that it has not turns on hints,
 * which keep the next QF_READAHEAD items on their way while one is awaited.
 */
#ifndef QF_READAHEAD_H
#define QF_READAHEAD_H

#include "lib/io/io.h"

#include <stdatomic.h>

#define QF_READAHEAD 64u

struct qf_readahead {
	struct qf_io *io;
	uint64_t n; /* items */
	/* Hints item I; called by any worker. */
	void (*hint)(void *ctx, uint64_t i);
	void *ctx;
	/* private */
	atomic_bool cold;
	atomic_uint_fast64_t hinted;
};

/*
 * As qf_io_read_pad, for a piece of item I. To be called by several workers
 * that take the items about in order.
 */
enum qf_err qf_readahead_read(struct qf_readahead *ra, uint64_t i, void *buf,
			      uint64_t len, uint64_t off, struct qf_why *why);

#endif
