// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose loss it is: who names a table, and who names an entry of it. */
#include "check/lost.h"
#include "check/pass.h"

#define MAX_HOLDERS 256u

void qf_lost_for_table(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off,
		       uint64_t guest, uint64_t bytes)
{
	uint32_t holder[MAX_HOLDERS], n, i;

	n = qf_walk_holders(&c->walk, l1_index, off, holder, MAX_HOLDERS);
	for (i = 0; i < n && i < MAX_HOLDERS; i++)
		qf_lost_add(c->img, c->lost_ranges, holder[i], guest, bytes);
}

static const struct qf_group *group_at(const struct qf_walk *w,
				       uint32_t l1_index)
{
	uint32_t lo = 0, hi = w->n_groups, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->group[mid].l1_index < l1_index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n_groups && w->group[lo].l1_index == l1_index
		       ? &w->group[lo]
		       : NULL;
}

/* The host cluster or compressed range that an entry names. */
static uint64_t target_of(uint64_t entry)
{
	return entry & (entry & QF_ENTRY_COMPRESSED ? ~QF_ENTRY_COPIED
						    : QF_ENTRY_OFFSET_MASK);
}

void qf_lost_entries(struct qf_pass_ctx *c, uint32_t l1_index,
		     uint32_t l2_index, uint64_t entry, uint64_t n)
{
	const struct qf_group *g = group_at(&c->walk, l1_index);
	uint64_t at, guest = qf_pass_guest(c->img, l1_index, l2_index);
	const struct qf_l2_table *t;
	struct qf_be64 w;
	uint32_t v;

	for (v = 0; g && v < g->n; v++) {
		t = &c->walk.table[g->first + v];
		at = t->off + (uint64_t)l2_index * c->img->geo.l2_entry_bytes;
		if (!t->off || t->odd || t->unread ||
		    qf_io_read_pad(c->img->io, &w, sizeof(w), at, NULL) ||
		    target_of(qf_be_get64(w)) != target_of(entry))
			continue;
		qf_lost_for_table(c, l1_index, t->off, guest,
				  n << c->img->geo.cluster_bits);
	}
}
