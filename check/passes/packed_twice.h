/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressed clusters that two guest clusters name. Their host clusters have
 * many owners anyway, so that nothing but too low a refcount tells.
 */
#ifndef QF_PACKED_TWICE_H
#define QF_PACKED_TWICE_H

#include "check/passes/pass.h"

/* Reports them, where refcounts are too low; but not those of tables
 * that are reported as copies. Walks the tables once more. Errors:
 * QF_ERR_NOMEM. */
enum qf_err qf_packed_twice(struct qf_pass_ctx *c, struct qf_why *why);

#endif
