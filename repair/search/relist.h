/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots that no table lists any more: their L1 tables are still in the
 * file, without an owner, and what they name counts as many references more
 * than it has.
 */
#ifndef QF_RELIST_H
#define QF_RELIST_H

#include "repair/search/l1find.h"

#define QF_RELIST_MOST 256u
#define QF_RELIST_BYTES 128u /* at the most, of an entry made here */

/*
 * True if each of the N L1 tables (END: their entries) belongs to a snapshot
 * that is not listed: the table has no owner, and the L2 tables that they name
 * lack at least as many owners as they are named; EXACTLY: so many.
 */
bool qf_relist_proves(const struct qf_fix_ctx *c,
		      const struct qf_l1find_table *t, uint32_t n,
		      bool exactly);

/* Finds the L1 tables of snapshots that are not listed; room for
 * QF_RELIST_MOST. EXACTLY as above: there are no others. Returns how many, 0 if
 * it cannot be told. */
uint32_t qf_relist_find(const struct qf_fix_ctx *c, struct qf_l1find_table *t,
			bool exactly);

/* Writes a snapshot table entry for T at OUT, by the number ID and a name made
 * of it; its length with the padding. */
uint64_t qf_relist_entry(const struct qf_image *img,
			 const struct qf_l1find_table *t, uint64_t id,
			 unsigned char *out);

#endif
