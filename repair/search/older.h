/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables whose content is lost, for those who look for an older version. */
#ifndef QF_OLDER_H
#define QF_OLDER_H

#include "repair/fixes/fix.h"

/* The problem by which the content of T is lost, if it may be repaired; else
 * -1. */
int qf_older_fault(const struct qf_fix_ctx *c, const struct qf_l2_table *t);

/* True if nothing in TABLE, of one cluster, is an entry that could be its
 * own. */
bool qf_older_nothing_sound(const struct qf_fix_ctx *c, const void *table);

/* How many clusters have no owner: lost tables may have had them. */
uint64_t qf_older_orphans(const struct qf_fix_ctx *c);

#endif
