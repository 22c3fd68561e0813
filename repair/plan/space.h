/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room for what a repair has to put somewhere. It is taken behind the end of
 * all that anyone has or claims: a cluster inside the file that looks free
 * may hold what a destroyed table mapped.
 */
#ifndef QF_SPACE_H
#define QF_SPACE_H

#include "repair/fixes/fix.h"

/*
 * Takes N clusters in one piece: *OFF is their host offset. They are noted
 * as the plan's, and count no references yet. Errors: QF_ERR_NOMEM, QF_ERR_IO
 * (a block device has no such room).
 */
enum qf_err qf_space_take(struct qf_fix_ctx *c, uint64_t n, uint64_t *off,
			  struct qf_why *why);

#endif
