// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose loss it is: who names a table, and who names an entry of it. */
#include "check/lost.h"
#include "check/pass.h"
#include "lib/mem.h"

#include <stdlib.h>

/* The unit in which file systems keep holes. */
#define PAGE_BYTES 4096u

/* True if the second page at OFF, of a cluster, lies in a hole. */
static bool is_hole(const struct qf_image *img, uint64_t off)
{
	uint64_t end;

	return off < img->io->size &&
	       qf_io_extent(img->io, off + PAGE_BYTES, off + 2 * PAGE_BYTES,
			    &end) == QF_IO_HOLE;
}

bool qf_lost_holes_tell(const struct qf_image *img)
{
	return img->geo.cluster_bytes < 2 * PAGE_BYTES ||
	       (!is_hole(img, 0) && !is_hole(img, img->hdr.reftable_off));
}

void qf_lost_for_table(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off,
		       uint64_t guest, uint64_t bytes)
{
	uint32_t room = qf_image_holders(c->img), n, i;
	uint32_t *holder = qf_mem_zalloc(room, sizeof(*holder));

	if (!holder) {
		c->lost_ranges->failed = true;
		return;
	}
	n = qf_walk_holders(&c->walk, l1_index, off, holder, room);
	for (i = 0; i < n; i++)
		qf_lost_add(c->img, c->lost_ranges, holder[i], guest, bytes);
	free(holder);
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

bool qf_lost_l1_entry(const struct qf_image *img, uint32_t holder,
		      uint32_t l1_index, uint64_t *entry)
{
	struct qf_be64 w;
	uint32_t entries;
	uint64_t off;

	if (!qf_image_l1(img, holder, &off, &entries) || l1_index >= entries ||
	    qf_io_read_pad(img->io, &w, sizeof(w), off + l1_index * 8ull, NULL))
		return false;
	*entry = qf_be_get64(w);
	return true;
}

/* True if the entry E with its BITMAP maps something. */
static bool maps(const struct qf_geometry *g, uint64_t e, uint64_t bitmap)
{
	return qf_entry_kind(g, e) != QF_ENTRY_KIND_NONE || bitmap;
}

void qf_lost_table(struct qf_pass_ctx *c, uint32_t holder, uint32_t l1_index,
		   uint64_t off)
{
	const struct qf_geometry *g = &c->img->geo;
	uint64_t words = g->l2_entry_bytes / 8, i;
	struct qf_be64 *buf = qf_mem_zalloc(1, g->cluster_bytes);
	uint64_t e, bitmap;

	if (!buf ||
	    qf_io_read_pad(c->img->io, buf, g->cluster_bytes, off, NULL)) {
		c->lost_ranges->failed |= !buf;
		qf_lost_add(c->img, c->lost_ranges, holder,
			    qf_pass_guest(c->img, l1_index, 0),
			    g->cluster_bytes << g->l2_bits);
		free(buf);
		return;
	}
	for (i = 0; i < g->l2_entries; i++) {
		e = qf_be_get64(buf[i * words]);
		bitmap = g->extl2 ? qf_be_get64(buf[i * words + 1]) : 0;
		if (maps(g, e, bitmap))
			qf_lost_add(c->img, c->lost_ranges, holder,
				    qf_pass_guest(c->img, l1_index, i),
				    g->cluster_bytes);
	}
	free(buf);
}
