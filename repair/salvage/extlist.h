/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes to the header's list of extensions and its autoclear bits. */
#ifndef QF_EXTLIST_H
#define QF_EXTLIST_H

#include "repair/fixes/fix.h"

/* Takes E out; those behind it move up. */
enum qf_err qf_extlist_drop(struct qf_fix_ctx *c, enum qf_problem p,
			    const struct qf_ext *e, struct qf_why *why);

/* Clears an autoclear bit, if it is set. */
enum qf_err qf_extlist_clear_bit(struct qf_fix_ctx *c, enum qf_problem p,
				 uint64_t bit, const char *what,
				 struct qf_why *why);

#endif
