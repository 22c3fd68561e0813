// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/versions.h"

/* So many versions of a table are looked at. */
#define MAX_VERSIONS 64u

/* The cluster that the entry at AT names and that lacks an owner, or 0. */
static uint64_t named_at(const struct qf_facts *f, uint64_t at)
{
	const struct qf_geometry *g = &f->img->geo;
	struct qf_be64 w;
	uint64_t e, off;

	if (qf_io_read_pad(f->img->io, &w, sizeof(w), at, NULL))
		return 0;
	e = qf_be_get64(w);
	off = e & QF_ENTRY_OFFSET_MASK;
	if (qf_entry_kind(g, e) != QF_ENTRY_KIND_DATA || !off ||
	    off & (g->cluster_bytes - 1) || !qf_facts_lacking(f, off))
		return 0;
	return off;
}

unsigned int qf_versions_look(const struct qf_facts *f, uint64_t pointer_off,
			      uint64_t guest_off, uint64_t *value,
			      unsigned int room)
{
	const struct qf_geometry *g = &f->img->geo;
	uint64_t in = pointer_off & (g->cluster_bytes - 1), off;
	const struct qf_group *grp = qf_walk_group(
		f->walk,
		(uint32_t)(guest_off >> (g->l2_bits + g->cluster_bits)));
	const struct qf_l2_table *t;
	unsigned int n = 0, k;
	uint32_t v;

	for (v = 0; grp && v < grp->n && v < MAX_VERSIONS; v++) {
		t = &f->walk->table[grp->first + v];
		if (!t->off || t->odd || t->unread ||
		    t->off + in == pointer_off ||
		    qf_facts_is_garbage(f, t->off))
			continue;
		off = named_at(f, t->off + in);
		for (k = 0; k < n && value[k] != off; k++)
			;
		if (off && k == n && n < room)
			value[n++] = off;
	}
	return n;
}
