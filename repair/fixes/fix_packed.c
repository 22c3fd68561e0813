// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Compressed clusters that two guest clusters name. Whose the bytes are is not
 * known: each gets them for itself, and reads what it read before. A higher
 * refcount would bless the sharing.
 */
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "repair/plan/space.h"

#include <inttypes.h>

#define SECTOR 512u
#define MAX_OWNERS 4096u
/* So many a round; the next one takes the rest. */
#define MAX_FINDINGS 1024u

/* Copies the sectors of the stream that ENTRY names, and gives the entry of
 * the copy. */
static enum qf_err copy_stream(struct qf_fix_ctx *c, uint64_t entry,
			       uint64_t guest, uint64_t *copy,
			       struct qf_why *why)
{
	const struct qf_geometry *g = &c->img->geo;
	uint64_t off, bytes, from, to, len;
	enum qf_err err;

	qf_entry_compressed(g, entry, &off, &bytes);
	from = off & ~(SECTOR - 1ull);
	len = off - from + bytes;
	if (from >= c->img->io->size)
		return QF_OK;
	if (len > c->img->io->size - from)
		len = c->img->io->size - from;
	err = qf_space_take(c, qf_mem_div_up(len, g->cluster_bytes), &to, why);
	if (!err)
		err = qf_plan_copy(c->plan, QF_P_PACKED_TWICE, to, from, len,
				   why,
				   "copy the compressed cluster at 0x%" PRIx64
				   " for guest offset 0x%" PRIx64,
				   off, guest);
	*copy = (entry & ~g->coffset_mask) | (to + off - from);
	/* what is allocated without an owner may be what one of them had */
	c->plan->cloned_beside_leaks |= c->recount.leaked > 0;
	return err;
}

/* All pointers of the guest cluster at GUEST that say ENTRY. */
static enum qf_err point_to_copy(struct qf_fix_ctx *c,
				 const struct qf_owner_list *l, uint64_t guest,
				 uint64_t entry, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint64_t copy = 0;
	size_t i;

	for (i = 0; !err && i < l->n; i++) {
		if (l->at[i].guest_off != guest || l->at[i].pointer != entry ||
		    l->at[i].pointer_off == QF_NOWHERE ||
		    qf_fix_shared(c, l->at[i].pointer_off))
			continue;
		if (!copy)
			err = copy_stream(c, entry, guest, &copy, why);
		if (!err && copy)
			err = qf_plan_put64(c->plan, QF_P_PACKED_TWICE,
					    l->at[i].pointer_off, copy, why,
					    "point to the copy");
	}
	return err;
}

/* Of those who name the stream of the finding F, the first keeps it. The owners
 * of one kind are in the order of the guest. */
static enum qf_err part(struct qf_fix_ctx *c, const struct qf_owner_list *l,
			const struct qf_finding *f, struct qf_why *why)
{
	uint64_t done = QF_NOWHERE, pointer = 0;
	enum qf_err err = QF_OK;
	size_t i;

	for (i = 0; !err && i < l->n; i++) {
		if (l->at[i].kind != QF_REF_COMPRESSED ||
		    l->at[i].host_off != f->host_off)
			continue;
		if (done == QF_NOWHERE)
			pointer = l->at[i].pointer;
		else if (l->at[i].pointer == pointer &&
			 l->at[i].guest_off != done)
			err = point_to_copy(c, l, l->at[i].guest_off, pointer,
					    why);
		done = l->at[i].guest_off;
	}
	return err;
}

enum qf_err qf_fix_packed(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_finding *f = c->rep->findings.at;
	struct qf_owner_list l = { 0 };
	struct qf_ranges done = { 0 };
	enum qf_err err = QF_OK;
	unsigned int seen = 0;
	uint64_t cluster;
	size_t i;

	if (!qf_fix_found(c, QF_P_PACKED_TWICE) || !qf_fix_can_take(c) ||
	    !qf_plan_allows(c->plan, QF_P_PACKED_TWICE))
		return QF_OK;
	for (i = 0; !err && i < c->rep->findings.n; i++, f++) {
		if (f->problem != QF_P_PACKED_TWICE ||
		    f->host_off == QF_NOWHERE ||
		    qf_ranges_has(&done, f->host_off) || seen >= MAX_FINDINGS)
			continue;
		/* each who names it has a finding: all are parted at once */
		seen++;
		if (!qf_ranges_add(&done, f->host_off, 1)) {
			err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					 "no memory for the plan");
			break;
		}
		cluster = f->host_off >> c->img->geo.cluster_bits;
		err = qf_owners_find_all(&c->walk, 1, &cluster, 1, MAX_OWNERS,
					 &l, why);
		if (!err && l.total == l.n)
			err = part(c, &l, f, why);
		qf_owners_list_free(&l);
	}
	qf_ranges_free(&done);
	return err;
}
