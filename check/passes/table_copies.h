/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * L2 tables that hold the bytes of another one. Where they map plain data, two
 * owners of each cluster show it. Compressed clusters share host clusters
 * anyway, so that nothing but too low a refcount tells; there the entries are
 * compared.
 */
#ifndef QF_TABLE_COPIES_H
#define QF_TABLE_COPIES_H

#include "check/passes/pass.h"

/* True if the L2 tables at A_OFF and B_OFF hold the same entries. */
bool qf_table_copies_alike(const struct qf_image *img, uint64_t a_off,
			   uint64_t b_off);

/* Reports the tables of compressed clusters that are copies. Looks only where
 * refcounts are too low. Errors: QF_ERR_NOMEM. */
enum qf_err qf_table_copies_packed(struct qf_pass_ctx *c, struct qf_why *why);

#endif
