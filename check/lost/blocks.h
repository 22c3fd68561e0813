/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refcount blocks that do not hold refcounts: overwritten, erased, rolled
 * back. What such a block states says nothing about a single cluster.
 */
#ifndef QF_BLOCKS_H
#define QF_BLOCKS_H

#include "lib/walk/recount.h"

/* A block that is wrong throughout. */
struct qf_bad_block {
	uint64_t number; /* in the refcount table */
	bool garbage;	 /* it does not hold refcounts */
};

struct qf_blocks {
	struct qf_bad_block *bad; /* by number */
	size_t n, room;
	unsigned int asked; /* what a block holds */
};

/*
 * Finds the blocks of T that state next to no refcount rightly, and marks the
 * troubles of those that hold garbage as doubted. Free with qf_blocks_free.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_blocks_judge(struct qf_recount *t, struct qf_blocks *b,
			    struct qf_why *why);
void qf_blocks_free(struct qf_blocks *b);

/* The block NUMBER if it is wrong throughout, else NULL. */
const struct qf_bad_block *qf_blocks_at(const struct qf_blocks *b,
					uint64_t number);

#endif
