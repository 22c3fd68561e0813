/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands in clusters that nobody owns: freed ones keep their content,
 * and leaked ones may be what a lost pointer led to. Older versions of
 * tables are found there.
 */
#ifndef QF_STALE_H
#define QF_STALE_H

#include "repair/fixes/fix.h"

/*
 * Calls SEE with the content of every cluster without an owner that holds
 * data, in ascending order, until it returns false; BUF is one cluster.
 * LEAKED: those that are allocated too, not only the free ones. No more than
 * a bounded amount is read, and some may not be readable: *ALL says whether
 * every one was seen, as far as SEE wanted to go on. Errors:
 * QF_ERR_NOMEM.
 */
enum qf_err qf_stale_scan(const struct qf_fix_ctx *c, bool leaked,
			  bool (*see)(void *ctx, uint64_t off,
				      const struct qf_be64 *buf),
			  void *ctx, bool *all, struct qf_why *why);

#endif
