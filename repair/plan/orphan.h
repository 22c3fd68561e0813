/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clusters that are allocated and that nobody refers to. Where a pointer is
 * damaged, one of them may be what it pointed to.
 */
#ifndef QF_ORPHAN_H
#define QF_ORPHAN_H

#include "repair/fixes/fix.h"

/* True if the aligned OFF is such a cluster. */
bool qf_orphan_is(const struct qf_fix_ctx *c, uint64_t off);

/* True if OFF holds L2 entries and nothing else, at least one, and what they
 * point to counts as allocated. */
bool qf_orphan_is_l2(const struct qf_fix_ctx *c, uint64_t off);

/* True if the entry R names clusters, and each of them has fewer owners than
 * its refcount says. */
bool qf_orphan_lacks(const struct qf_fix_ctx *c, const struct qf_run *r);

/* True if OFF is a lost L2 table: at least half of its entries point to
 * clusters that have fewer owners than their refcount says. */
bool qf_orphan_is_table(const struct qf_fix_ctx *c, uint64_t off);

/*
 * The entries in use of the L2 table at OFF, if it can be the one that the
 * active disk, or else a snapshot, had at L1 index INDEX; else 0. Every
 * cluster lacks an owner. In the active disk's, nothing lies behind the disk's
 * end and COPIED is set exactly where the refcount is 1; in a snapshot's it
 * is not set.
 */
uint64_t qf_orphan_suits(const struct qf_fix_ctx *c, uint64_t off,
			 uint64_t index, bool active);

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

/* The lost L2 table that the damaged offset OFF of an L1 entry meant: OFF
 * rounded down, or OFF with one bit turned. False: none, or more than one. */
bool qf_orphan_like(const struct qf_fix_ctx *c, uint64_t off, uint64_t *found);

/* The only lost L2 table among the clusters without an owner. */
bool qf_orphan_only_table(const struct qf_fix_ctx *c, uint64_t *found);

/*
 * The cluster that another version of the L2 table has for the guest offset,
 * if it has fewer owners than its refcount says: then the entry at
 * POINTER_OFF had it, too, before it was bent. 0: there is none, or more.
 */
uint64_t qf_orphan_of_version(const struct qf_fix_ctx *c, uint64_t guest_off,
			      uint64_t pointer_off);

/* The only cluster without an owner, if there is but one. */
bool qf_orphan_only(const struct qf_fix_ctx *c, uint64_t *off);

#endif
