// SPDX-License-Identifier: GPL-2.0-or-later
/* What several passes say in the same words. */
#include "check/passes/pass.h"
#include "check/detail/whatis.h"
#include "lib/walk/describe.h"

#include <inttypes.h>
#include <stdio.h>

/* "the active disk", "snapshot 1 ("x") and 3 others": who uses a table. */
void qf_pass_own_table(struct qf_pass_ctx *c, struct qf_finding *f,
		       uint32_t l1_index, const struct qf_l2_table *t)
{
	char who[400], more[48] = "";

	if (t->weight > 1)
		snprintf(more, sizeof(more), " and %" PRIu32 " other%s",
			 t->weight - 1, t->weight > 2 ? "s" : "");
	qf_finding_owner(f, "%s%s, L1 entry %" PRIu32,
			 qf_describe_holder(c->img, t->holder, who,
					    sizeof(who)),
			 more, l1_index);
}

enum qf_err qf_pass_metadata(struct qf_pass_ctx *c,
			     const struct qf_claim_fns *fns, struct qf_why *why)
{
	enum qf_err err = qf_walk_metadata(c->img, fns);

	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory to go through the metadata");
	return err;
}

uint64_t qf_pass_l1_place(struct qf_pass_ctx *c, uint32_t l1_index,
			  uint64_t off)
{
	uint32_t holder, entries;
	uint64_t l1_off;

	if (!qf_walk_holders(&c->walk, l1_index, off, &holder, 1) ||
	    !qf_image_l1(c->img, holder, &l1_off, &entries))
		return QF_NOWHERE;
	return l1_off + l1_index * 8ull;
}

char *qf_pass_whatis(struct qf_pass_ctx *c, uint64_t off, char *out,
		     size_t room)
{
	if (c->asked++ < QF_WHATIS_MAX)
		return qf_whatis(c->img, off, out, room);
	return qf_whatis_quick(c->img, off, out, room);
}
