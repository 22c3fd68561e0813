// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An L2 table that no L1 entry names, put back where it was: done only where
 * its place is beyond doubt. There is one such table, every cluster in it has
 * no owner, and one L1 entry of the active disk is empty. There is no snapshot
 * whose table it could be, nor was it one's that is deleted: its entries have
 * the COPIED flag, which taking a snapshot clears.
 */
#include "lib/mem.h"
#include "repair/orphan.h"

#include <inttypes.h>
#include <stdlib.h>

/* The only table without an L1 entry; false if there are none or more. */
static bool only_table(const struct qf_fix_ctx *c, uint64_t *off)
{
	const struct qf_finding *f = c->rep->findings.at;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++) {
		if (f->problem != QF_P_L2_ORPHAN)
			continue;
		*off = f->host_off;
		n += f->count > 1 ? f->count : 1;
	}
	return n == 1 && qf_orphan_is(c, *off);
}

/* The only empty L1 entry of the active disk, if all others are sound. */
static bool only_empty(const struct qf_fix_ctx *c, uint32_t *index)
{
	const struct qf_image *img = c->img;
	uint64_t needed = img->geo.l1_needed, named = 0, sum = 0;
	const struct qf_l2_table *t;
	uint32_t i, v;

	if (img->l1_state != QF_PART_OK || img->hdr.l1_entries < needed ||
	    c->walk.n_gaps)
		return false;
	for (i = 0; i < c->walk.n_groups; i++) {
		if (c->walk.group[i].l1_index >= needed)
			continue;
		for (v = 0; v < c->walk.group[i].n; v++) {
			t = &c->walk.table[c->walk.group[i].first + v];
			if (t->odd || !t->off)
				return false;
			named += t->active;
			sum += t->active ? c->walk.group[i].l1_index : 0;
		}
	}
	if (named + 1 != needed)
		return false;
	/* what lacks of 0 + 1 + ... + (needed - 1) */
	*index = (uint32_t)(needed * (needed - 1) / 2 - sum);
	return true;
}

/* The entries in use, if all fit the table of L1 entry INDEX; else 0. */
static uint64_t entries_that_fit(const struct qf_fix_ctx *c, uint64_t table,
				 uint32_t index)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_be64 *buf = qf_mem_zalloc(1, g->cluster_bytes);
	uint64_t entry, bitmap, guest, used = 0, i, at;
	bool sound;

	sound = buf &&
		!qf_io_read_pad(c->img->io, buf, g->cluster_bytes, table, NULL);
	for (i = 0; sound && i < g->l2_entries; i++) {
		at = i * (g->l2_entry_bytes / 8);
		entry = qf_be_get64(buf[at]);
		bitmap = g->extl2 ? qf_be_get64(buf[at + 1]) : 0;
		if (!entry && !bitmap)
			continue;
		guest = (((uint64_t)index << g->l2_bits) + i)
			<< g->cluster_bits;
		sound = guest < c->img->hdr.disk_bytes &&
			!(entry & QF_ENTRY_COMPRESSED) &&
			!qf_entry_l2_odd(g, c->img->hdr.version,
					 c->img->io->size, entry, bitmap);
		if (!sound || !(entry & QF_ENTRY_OFFSET_MASK))
			continue;
		sound = entry & QF_ENTRY_COPIED &&
			qf_orphan_is(c, entry & QF_ENTRY_OFFSET_MASK);
		used++;
	}
	free(buf);
	return sound ? used : 0;
}

enum qf_err qf_fix_unnamed(struct qf_fix_ctx *c, struct qf_why *why)
{
	uint32_t bits = c->img->geo.cluster_bits, index, entries;
	uint64_t table = 0, stated, used, l1_off;
	struct qf_be64 w;

	if (!qf_plan_allows(c->plan, QF_P_L2_ORPHAN) || c->img->snapshots.n ||
	    c->img->hdr.snapshot_count || !only_table(c, &table))
		return QF_OK;
	/* what another lost table or snapshot had may be the same */
	if (qf_fix_found(c, QF_P_L2_ERASED) ||
	    qf_fix_found(c, QF_P_L2_GARBAGE) ||
	    qf_fix_found(c, QF_P_SNAP_ORPHANS) || !only_empty(c, &index))
		return QF_OK;
	used = entries_that_fit(c, table, index);
	if (!used ||
	    !qf_image_l1(c->img, QF_HOLDER_ACTIVE, &l1_off, &entries) ||
	    qf_fix_shared(c, l1_off + index * 8ull) ||
	    qf_image_refcount(c->img, table >> bits, &stated, NULL))
		return QF_OK;
	w = qf_be_put64(table | (stated == 1 ? QF_ENTRY_COPIED : 0));
	return qf_plan_put(
		c->plan, QF_P_L2_ORPHAN, l1_off + index * 8ull, &w, sizeof(w),
		why,
		"point the only empty L1 entry, %" PRIu32
		", to the only table that no entry names, at 0x%" PRIx64
		": all its %" PRIu64
		" entries point to clusters that now have no owner",
		index, table, used);
}
