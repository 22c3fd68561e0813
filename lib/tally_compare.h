/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tally's second half: counted against stated. Internal to tally. */
#ifndef QF_TALLY_COMPARE_H
#define QF_TALLY_COMPARE_H

#include "lib/tally.h"

/*
 * Compares the clusters [FIRST, FIRST + N), which the ledger covers and which
 * begin a refcount block; adds to t->trouble and the counts beside it.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_tally_compare(struct qf_tally *t, uint64_t first, uint64_t n,
			     struct qf_why *why);

#endif
