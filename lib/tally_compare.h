/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tally's second half: counted against stated. Internal to tally. */
#ifndef QF_TALLY_COMPARE_H
#define QF_TALLY_COMPARE_H

#include "lib/tally.h"

/* Fills t->trouble and the counts beside it. Errors: QF_ERR_NOMEM. */
enum qf_err qf_tally_compare(struct qf_tally *t, struct qf_why *why);

#endif
