/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of several copies of a lost L2 table the guest agrees with. */
#ifndef QF_GUESTCOPY_H
#define QF_GUESTCOPY_H

#include "repair/fixes/fix.h"

/* A table's content, of one cluster; and of the clusters that it names where
 * the copies differ, how many pass there, and how many are ruled out. */
struct qf_guestcopy {
	const unsigned char *table;
	uint64_t holds, fails;
};

/*
 * Holds the N copies of the L2 table at TABLE_OFF, that of L1 entry L1_INDEX,
 * against what the guest's file systems say, read through what the copies
 * agree on. Nothing passes and nothing fails where the guest does not know.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_guestcopy_weigh(const struct qf_fix_ctx *c, uint32_t l1_index,
			       uint64_t table_off, struct qf_guestcopy *copy,
			       size_t n, struct qf_why *why);

#endif
