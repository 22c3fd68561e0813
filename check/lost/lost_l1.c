// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk that looks empty, though clusters without an owner hold data.
 *
 * It may be an L2 table that stands where the header has the active L1 table:
 * its first entries are zeros, but behind them it leads to those clusters.
 * QEMU writes nothing behind an L1 table's entries, and what is in their
 * cluster by chance is not the map of the very leaks.
 *
 * Or the L1 table was erased, and the L2 tables with it. QEMU names an L2
 * table before it takes a cluster for data: a writer that was killed leaves
 * none without. What does so is the emptying of an image (commit), which
 * sets the dirty bit first, and the going back to a snapshot that is empty.
 *
 * Or the refcount table stands there: its first block counts the header, the
 * table and itself once each, and what the header has for the refcount table
 * does not count the header.
 */
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"

#include <stdlib.h>
#include <string.h>

/* So many clusters with content tell; so many are read at most. */
#define CONTENTS 4u
#define MAX_CONTENTS 256u
/* Of so many snapshots so many entries are looked at. */
#define MAX_SNAPSHOTS 256u
#define MAX_ENTRIES 65536u

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

/* True if CLUSTER holds anything but zeros. */
static bool has_content(const struct qf_search *s, uint64_t cluster)
{
	uint64_t bytes = s->img->geo.cluster_bytes;

	return !qf_io_read_pad(s->img->io, s->buf, bytes,
			       cluster << s->img->geo.cluster_bits, NULL) &&
	       (s->buf[0] || memcmp(s->buf, s->buf + 1, (size_t)bytes - 1));
}

/* True if a snapshot, to which one may have gone back, maps nothing either;
 * also where that is not known. */
static bool has_empty_snapshot(const struct qf_search *s)
{
	const struct qf_snapshot_table *t = &s->img->snapshots;
	struct qf_lost_l1 l1;
	uint64_t entry;
	uint32_t h, i;

	if (s->img->hdr.snapshot_count != t->n || t->n > MAX_SNAPSHOTS)
		return true;
	for (h = 1; h <= t->n; h++) {
		qf_lost_l1_open(s->img, h, &l1);
		for (i = 0, entry = 0; !entry && i < MAX_ENTRIES; i++)
			if (!qf_lost_l1_at(s->img, &l1, i, &entry))
				break;
		if (!entry)
			return true;
	}
	return false;
}

static bool is_erased(const struct qf_search *s)
{
	const struct qf_trouble *tr = s->t->trouble;
	unsigned int found = 0, read = 0;
	uint64_t cl;
	size_t i;

	if (has_empty_snapshot(s) || s->l->n_orphans || s->l->snapshots.n ||
	    s->old_tables || s->old_snapshots ||
	    s->img->hdr.incompatible & QF_INCOMPAT_DIRTY)
		return false;
	for (i = 0; i < s->t->n_troubles; i++, tr++)
		for (cl = tr->first; cl < tr->first + tr->n; cl++) {
			if (!qf_lost_leaked(s->t, cl) || tr->counted)
				continue;
			if (found >= CONTENTS || read++ >= MAX_CONTENTS)
				return found >= CONTENTS;
			found += has_content(s, cl);
		}
	return found >= CONTENTS;
}

/* The refcount that BLOCK, as the block for the file's first clusters, states
 * for the cluster at OFF; UINT64_MAX: none. */
static uint64_t count_in(const struct qf_image *img, const void *block,
			 uint64_t off)
{
	uint64_t each = img->geo.cluster_bytes * 8 >> img->hdr.refcount_order;

	off >>= img->geo.cluster_bits;
	return off < each ? qf_refblock_get(block, img->hdr.refcount_order, off)
			  : UINT64_MAX;
}

bool qf_lost_l1_counts(const struct qf_image *img)
{
	const struct qf_geometry *g = &img->geo;
	uint64_t off = img->hdr.l1_off, at, stated;
	unsigned char *block;
	struct qf_be64 w;
	bool counts;

	/* an image that counts its own header has its refcounts elsewhere */
	if (img->l1_state != QF_PART_OK || !img->hdr.l1_entries ||
	    (!qf_image_refcount(img, 0, &stated, NULL) && stated) ||
	    qf_io_read_pad(img->io, &w, sizeof(w), off, NULL))
		return false;
	at = qf_be_get64(w);
	if (!at || at & (g->cluster_bytes - 1) || at >= img->io->size ||
	    !(block = qf_mem_zalloc(1, g->cluster_bytes)))
		return false;
	counts = !qf_io_read_pad(img->io, block, g->cluster_bytes, at, NULL) &&
		 count_in(img, block, 0) == 1 &&
		 count_in(img, block, off) == 1 &&
		 count_in(img, block, at) == 1;
	free(block);
	return counts;
}

bool qf_lost_find_l1(struct qf_search *s)
{
	const struct qf_geometry *g = &s->img->geo;
	const struct qf_be64 *word = (const struct qf_be64 *)s->buf;
	uint64_t step = g->l2_entry_bytes / 8, used = 0, leaked = 0, i;
	uint64_t bytes = s->img->hdr.l1_entries * 8ull, entry, bitmap;
	bool sound = true;

	if (s->img->l1_state != QF_PART_OK || g->data_file || !bytes ||
	    !is_empty(s))
		return true;
	s->l->l1_blank = is_erased(s);
	if (bytes >= g->cluster_bytes ||
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
	s->l->l1_blank = s->l->l1_blank && !s->l->l1_leads;
	return true;
}
