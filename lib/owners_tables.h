/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which holders name which L2 table. Internal to owners. */
#ifndef QF_OWNERS_TABLES_H
#define QF_OWNERS_TABLES_H

#include "lib/sets.h"
#include "lib/walk.h"

/*
 * The set of holders of every table of W, by its number, in *OUT, which the
 * caller frees. Holders that use the very same L1 table are read once.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_owners_tables(const struct qf_walk *w, struct qf_sets *sets,
			     uint32_t **out);

#endif
