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

/*
 * The lost L2 table in whose midst the damaged L1 entry OFF leads: as its own
 * entries and the refcounts have it, nobody else leads there. False: there is
 * none.
 */
bool qf_orphan_under(const struct qf_fix_ctx *c, uint64_t off, uint64_t *found);

/* The only lost L2 table among the clusters without an owner. */
bool qf_orphan_only_table(const struct qf_fix_ctx *c, uint64_t *found);

#endif
