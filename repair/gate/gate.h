/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last gate: whatever was planned, what the guest reads before and after
 * is compared, in every state of the disk. It knows no damage and no rule, so
 * that it is right where they are wrong. A range that reads otherwise needs a
 * licence: it read nothing before; or the check says that it was lost there;
 * or the plan gives it up, and tells so. What the check calls lost may be one
 * of two, and right: bytes that the plan writes where they would be decrypted
 * otherwise are garbage in any case, and no licence is for them.
 */
#ifndef QF_GATE_H
#define QF_GATE_H

#include "repair/plan/plan.h"

/* What would read otherwise, without a licence. */
struct qf_gate_breach {
	enum qf_problem problem; /* of the edit that does it */
	uint32_t holder;	 /* of the image as it is */
	uint64_t guest_off, bytes;
	const char *how; /* a fixed text */
	bool header;	 /* it is an edit of the header's cluster */
};

/*
 * Compares the image behind P's base with P's overlay. *FOUND: false, or the
 * first breach in *B. Costs one walk of the tables, and the reading of what
 * changed. Errors: QF_ERR_NOMEM, QF_ERR_IO.
 */
enum qf_err qf_gate_compare(const struct qf_plan *p, struct qf_gate_breach *b,
			    bool *found, struct qf_why *why);

#endif
