/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recount's second half: counted against stated. Internal to recount. */
#ifndef QF_RECOUNT_COMPARE_H
#define QF_RECOUNT_COMPARE_H

#include "lib/walk/recount.h"

/*
 * Compares the clusters [FIRST, FIRST + N), which the ledger covers and which
 * begin a refcount block; adds to t->trouble and the counts beside it.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_recount_compare(struct qf_recount *t, uint64_t first, uint64_t n,
			       struct qf_why *why);

#endif
