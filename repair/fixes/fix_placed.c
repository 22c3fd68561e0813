// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tables that the user gives a place (--place): the active disk's L1 entry then
 * names them. The word stands before all verdicts, but it must make sense: an
 * L2 table that nobody has.
 */
#include "repair/fixes/fix.h"

#include <inttypes.h>

/* Why the table cannot be put there, or NULL. */
static const char *refusal(const struct qf_fix_ctx *c,
			   const struct qf_choice *p)
{
	const struct qf_image *img = c->img;
	uint64_t l1;
	uint32_t entries;

	if (!qf_image_l1(img, QF_HOLDER_ACTIVE, &l1, &entries))
		return "the L1 table cannot be followed";
	if (p->value >= entries)
		return "the L1 table has no such entry";
	if (!p->place || p->place & (img->geo.cluster_bytes - 1) ||
	    p->place >= img->io->size)
		return "no table can stand at that host offset";
	if (qf_fix_shared(c, l1 + p->value * 8))
		return "the L1 table shares its cluster with something else";
	if (qf_ledger_count(c->recount.ledger,
			    p->place >> img->geo.cluster_bits, NULL) ||
	    qf_ranges_has(&c->plan->released, p->place))
		return "somebody has what stands there";
	return NULL;
}

static enum qf_err place(struct qf_fix_ctx *c, const struct qf_choice *p,
			 struct qf_why *why)
{
	uint64_t span = c->img->geo.cluster_bytes << c->img->geo.l2_bits, l1;
	struct qf_be64 now = { 0 };
	const char *no;
	uint32_t entries;

	if (qf_image_l1(c->img, QF_HOLDER_ACTIVE, &l1, &entries) &&
	    p->value < entries &&
	    !qf_io_read_pad(c->img->io, &now, 8, l1 + p->value * 8, NULL) &&
	    (qf_be_get64(now) & QF_ENTRY_OFFSET_MASK) == p->place)
		return QF_OK; /* done in an earlier round */
	no = refusal(c, p);
	if (no)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the table at 0x%" PRIx64
				  " cannot be put to L1 entry %" PRIu64 ": %s",
				  p->place, p->value, no);
	if (!qf_plan_licence(c->plan, QF_HOLDER_ACTIVE, p->value * span, span))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	return qf_plan_put64(c->plan, QF_P_L2_ORPHAN, l1 + p->value * 8,
			     p->place, why,
			     "let the L1 entry name the table that you chose");
}

enum qf_err qf_fix_placed(struct qf_fix_ctx *c, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	size_t i;

	if (!qf_plan_allows(c->plan, QF_P_L2_ORPHAN))
		return QF_OK;
	for (i = 0; !err && i < c->plan->n_places; i++)
		err = place(c, &c->plan->placed[i], why);
	return err;
}
