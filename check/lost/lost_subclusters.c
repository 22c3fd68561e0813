// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Subcluster bitmaps that stand at the wrong entries. An entry without a
 * cluster that has subclusters, and one with a cluster that has none, in one
 * table: the bitmaps have changed places, or moved by an entry. Which of them
 * did cannot be told, only that one whose neighbours have the same bitmap
 * reads as before.
 */
#include "check/lost/lost_subclusters.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define ALLOCATED 0xffffffffull

struct table {
	struct qf_be64 *buf;
	uint32_t entries;
};

static uint64_t bitmap_of(const struct table *t, uint32_t i)
{
	return qf_be_get64(t->buf[2ull * i + 1]);
}

static bool has_cluster(const struct table *t, uint32_t i)
{
	uint64_t e = qf_be_get64(t->buf[2ull * i]);

	return !(e & QF_ENTRY_COMPRESSED) && e & QF_ENTRY_OFFSET_MASK;
}

/* True if a cluster of the table has no subclusters, as none is written. */
static bool lacks_bitmap(const struct table *t)
{
	uint32_t i;

	for (i = 0; i < t->entries; i++)
		if (has_cluster(t, i) && !(bitmap_of(t, i) & ALLOCATED))
			return true;
	return false;
}

/* True if the entry's bitmap may be a neighbour's. */
static bool is_doubtful(const struct table *t, uint32_t i)
{
	uint64_t mine = bitmap_of(t, i);

	return has_cluster(t, i) &&
	       ((i && bitmap_of(t, i - 1) != mine) ||
		(i + 1 < t->entries && bitmap_of(t, i + 1) != mine));
}

bool qf_lost_subclusters(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off)
{
	const struct qf_geometry *g = &c->img->geo;
	struct table t = { .entries = (uint32_t)g->l2_entries };
	uint32_t i;

	t.buf = qf_mem_zalloc(1, g->cluster_bytes);
	if (!t.buf)
		return false;
	if (!qf_io_read_pad(c->img->io, t.buf, g->cluster_bytes, off, NULL) &&
	    lacks_bitmap(&t))
		for (i = 0; i < t.entries; i++)
			if (is_doubtful(&t, i))
				qf_lost_for_table(c, l1_index, off,
						  qf_pass_guest(c->img,
								l1_index, i),
						  g->cluster_bytes);
	free(t.buf);
	return true;
}
