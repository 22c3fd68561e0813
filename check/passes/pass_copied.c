// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * COPIED must be set exactly where the stated refcount is 1; it means
 * something for the active disk alone.
 */
#include "check/passes/pass.h"

#include <inttypes.h>

/* The finding on an entry that breaks a rule as well: its flag tells nothing
 * more. It counts in there, as qemu-img check counts it. */
static struct qf_finding *told(struct qf_pass_ctx *c, uint64_t place)
{
	struct qf_finding *f = c->out->at;
	size_t i;

	for (i = 0; i < c->out->n; i++, f++)
		if (f->host_off == place && f->length == 8 &&
		    (f->problem == QF_P_L1_OUTSIDE ||
		     f->problem == QF_P_L1_UNALIGNED))
			return f;
	return NULL;
}

static void check_l1(struct qf_pass_ctx *c, const struct qf_group *g,
		     const struct qf_l2_table *t)
{
	struct qf_finding *f;
	uint64_t stated;

	if (!t->active || !t->off ||
	    qf_image_refcount(c->img, t->off >> c->img->geo.cluster_bits,
			      &stated, NULL) ||
	    (stated == 1) == t->copied)
		return;
	f = t->odd && !c->opts->all
		    ? told(c, c->img->hdr.l1_off + g->l1_index * 8ull)
		    : NULL;
	if (f) {
		f->corruptions++;
		return;
	}
	f = qf_pass_at(c, QF_P_COPIED_L1,
		       c->img->hdr.l1_off + g->l1_index * 8ull, 8);
	f->guest_off = qf_pass_guest(c->img, g->l1_index, 0);
	qf_finding_say(f,
		       "L1 entry %" PRIu32 ": it is %sset, and the L2 table "
		       "at 0x%" PRIx64 " has refcount %" PRIu64,
		       g->l1_index, t->copied ? "" : "not ", t->off, stated);
	qf_finding_owner(f, "the active disk");
}

static void check_l2(struct qf_pass_ctx *c, const struct qf_damage *d)
{
	const struct qf_l2_table *t = &c->walk.table[d->table];
	struct qf_finding *f;

	f = qf_pass_at(c, QF_P_COPIED_L2,
		       t->off + (uint64_t)d->copied_index *
					c->img->geo.l2_entry_bytes,
		       c->img->geo.l2_entry_bytes);
	f->count = d->copied;
	f->corruptions = d->copied;
	f->guest_off = qf_pass_guest(c->img, d->l1_index, d->copied_index);
	qf_finding_say(f,
		       "%s%" PRIu64 " in the L2 table at 0x%" PRIx64
		       ": entry %" PRIu32 " is 0x%016" PRIx64
		       ", its cluster has refcount %" PRIu64,
		       d->copied > 1 ? "first of " : "", d->copied, t->off,
		       d->copied_index, d->copied_entry, d->copied_stated);
	qf_finding_owner(f, "the active disk, L1 entry %" PRIu32, d->l1_index);
}

static void every_entry(struct qf_pass_ctx *c)
{
	const struct qf_odd_entry *e = c->detail.odd;
	struct qf_finding *f;
	size_t i;

	for (i = 0; i < c->detail.n_odd; i++, e++) {
		const struct qf_l2_table *t = &c->walk.table[e->table];

		if (e->odd)
			continue;
		f = qf_pass_at(c, QF_P_COPIED_L2,
			       t->off + (uint64_t)e->index *
						c->img->geo.l2_entry_bytes,
			       c->img->geo.l2_entry_bytes);
		f->guest_off = qf_pass_guest(c->img, e->l1_index, e->index);
		qf_finding_say(f,
			       "entry %" PRIu32 " of the L2 table at 0x%" PRIx64
			       " is 0x%016" PRIx64
			       ", its cluster has refcount %" PRIu64,
			       e->index, t->off, e->entry, e->stated);
		qf_finding_owner(f, "the active disk, L1 entry %" PRIu32,
				 e->l1_index);
	}
}

enum qf_err qf_pass_copied(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_group *g;
	uint32_t i, v;
	size_t k;

	(void)why;
	/* without trouble the recount has judged the flags already */
	if (!c->recount.n_troubles && !c->detail.n_damages)
		return QF_OK;
	for (i = 0; i < c->walk.n_groups; i++) {
		g = &c->walk.group[i];
		for (v = 0; v < g->n; v++)
			check_l1(c, g, &c->walk.table[g->first + v]);
	}
	if (c->opts->all) {
		every_entry(c);
		return QF_OK;
	}
	for (k = 0; k < c->detail.n_damages; k++)
		if (c->detail.damage[k].copied &&
		    !qf_detail_is_garbage(&c->detail.damage[k]))
			check_l2(c, &c->detail.damage[k]);
	return QF_OK;
}
