/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clusters that are allocated and that nobody refers to. Where a pointer is
 * damaged, one of them may be what it pointed to.
 */
#ifndef QF_ORPHAN_H
#define QF_ORPHAN_H

#include "repair/fix.h"

/* True if the aligned OFF is such a cluster. */
bool qf_orphan_is(const struct qf_fix_ctx *c, uint64_t off);

/* True if OFF holds L2 entries and nothing else, at least one, and what they
 * point to counts as allocated. */
bool qf_orphan_is_l2(const struct qf_fix_ctx *c, uint64_t off);

/* What a damaged pointer may have been. */
enum qf_orphan_answer {
	QF_ORPHAN_NONE,	 /* nothing fits, and nothing is there that could */
	QF_ORPHAN_FOUND, /* one cluster fits, and no other */
	QF_ORPHAN_MANY,	 /* cannot be told: leave all as it is */
};

/*
 * Looks for the cluster that the damaged offset OFF of an L2 entry meant:
 * OFF rounded down, OFF with one bit turned, or what stands between the
 * clusters of its neighbours at PREV and NEXT (0: none).
 */
enum qf_orphan_answer qf_orphan_data(const struct qf_fix_ctx *c, uint64_t off,
				     uint64_t prev, uint64_t next,
				     uint64_t *found);

/* The same for an L1 entry: the cluster must look like an L2 table. */
enum qf_orphan_answer qf_orphan_table(const struct qf_fix_ctx *c, uint64_t off,
				      uint64_t *found);

/* The only cluster without an owner, if there is but one. */
bool qf_orphan_only(const struct qf_fix_ctx *c, uint64_t *off);

#endif
