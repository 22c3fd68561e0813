// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dirty and the corrupt bit: cleared when, and only when, the image as
 * planned so far is free of corruption.
 */
#include "repair/fixes/fix.h"

#include <stddef.h>

#define INCOMPAT_OFF offsetof(struct qf_wire_header, incompatible_features)

enum qf_err qf_fix_bits(struct qf_fix_ctx *c, struct qf_why *why)
{
	uint64_t bits = c->img->hdr.incompatible;
	enum qf_err err = QF_OK;

	if (c->img->hdr.version < 3 || (c->rep->tables != QF_VERDICT_CLEAN &&
					c->rep->tables != QF_VERDICT_LEAKS))
		return QF_OK;
	if (bits & QF_INCOMPAT_DIRTY &&
	    qf_plan_allows(c->plan, QF_P_HEADER_DIRTY)) {
		bits &= ~QF_INCOMPAT_DIRTY;
		err = qf_plan_put64(c->plan, QF_P_HEADER_DIRTY, INCOMPAT_OFF,
				    bits, why, "clear the dirty bit");
	}
	if (!err && bits & QF_INCOMPAT_CORRUPT &&
	    qf_plan_allows(c->plan, QF_P_HEADER_CORRUPT)) {
		bits &= ~QF_INCOMPAT_CORRUPT;
		err = qf_plan_put64(c->plan, QF_P_HEADER_CORRUPT, INCOMPAT_OFF,
				    bits, why, "clear the corrupt bit");
	}
	return err;
}
