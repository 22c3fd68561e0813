// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An L2 table where the header has the active L1 table: its first entries are
 * zeros, and so the disk looks empty, but behind them it leads to clusters
 * without an owner. QEMU writes nothing behind an L1 table's entries. What
 * is in their cluster by chance is not the map of the very leaks.
 */
#include "check/lost_search.h"
#include "lib/mem.h"

/* True if no L1 entry of the active disk is in use. */
static bool is_empty(const struct qf_search *s)
{
	uint64_t i;

	for (i = 0; i < s->w->n_tables; i++)
		if (s->w->table[i].active)
			return false;
	return !s->w->n_gaps;
}

/* True if the entry, which is not zero, leads to a leaked cluster; *SOUND: it
 * is an L2 entry at all. */
static bool leads_to_leak(const struct qf_search *s, uint64_t entry,
			  uint64_t bitmap, bool *sound)
{
	const struct qf_image *img = s->img;

	*sound = !qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
				  entry, bitmap);
	return *sound && !(entry & QF_ENTRY_COMPRESSED) &&
	       entry & QF_ENTRY_OFFSET_MASK &&
	       qf_lost_leaked(s->t, (entry & QF_ENTRY_OFFSET_MASK) >>
					    img->geo.cluster_bits);
}

bool qf_lost_find_l1(struct qf_search *s)
{
	const struct qf_geometry *g = &s->img->geo;
	const struct qf_be64 *word = (const struct qf_be64 *)s->buf;
	uint64_t step = g->l2_entry_bytes / 8, used = 0, leaked = 0, i;
	uint64_t bytes = s->img->hdr.l1_entries * 8ull, entry, bitmap;
	bool sound = true;

	if (s->img->l1_state != QF_PART_OK || g->data_file || !bytes ||
	    bytes >= g->cluster_bytes || !is_empty(s) ||
	    qf_io_read_pad(s->img->io, s->buf, g->cluster_bytes,
			   s->img->hdr.l1_off, NULL))
		return true;
	i = qf_mem_div_up(bytes, g->l2_entry_bytes) * step;
	for (; sound && i < g->cluster_bytes / 8; i += step) {
		entry = qf_be_get64(word[i]);
		bitmap = g->extl2 ? qf_be_get64(word[i + 1]) : 0;
		if (!entry && !bitmap)
			continue;
		used++;
		leaked += leads_to_leak(s, entry, bitmap, &sound);
	}
	/* most of it, and of the leaks */
	if (sound && leaked && leaked * 2 >= used && leaked * 2 >= s->t->leaked)
		s->l->l1_leads = leaked;
	return true;
}
