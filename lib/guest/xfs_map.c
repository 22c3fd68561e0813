// SPDX-License-Identifier: LGPL-2.1-or-later
/* XFS: the blocks of an inode, out of its extents or its btree. */
#include "lib/guest/xfs_lib.h"

#include <string.h>

struct map {
	struct qf_xfs *x;
	uint64_t ino;
	qf_reader_extent *tell;
	void *ctx;
	const struct qf_xfs_visitor *node;
	uint64_t left; /* blocks that the map may have: no circle */
	bool attributes;
	bool stopped;
};

static void tell_extent(struct map *m, const unsigned char *r)
{
	const uint64_t high = qf_xfs_get64(r, 0), low = qf_xfs_get64(r, 8);
	uint64_t off = high >> 9 & ((1ull << 54) - 1);
	uint64_t block = (high & 0x1ff) << 43 | low >> 21;
	uint64_t n = low & 0x1fffff, at, end;

	at = qf_xfs_place(m->x, block);
	end = n ? qf_xfs_place(m->x, block + n - 1) : QF_NOWHERE;
	/* an extent lies in one group */
	if (at == QF_NOWHERE || end != at + (n - 1) * m->x->block)
		return;
	m->stopped = !m->tell(m->ctx,
			      m->attributes ? QF_NOWHERE : off * m->x->block,
			      at, n * m->x->block);
}

static void tell_extents(struct map *m, const unsigned char *r, uint64_t n)
{
	for (; n && !m->stopped; n--, r += 16)
		tell_extent(m, r);
}

static bool node_sound(const struct map *m, const unsigned char *b,
		       uint64_t place, uint32_t level)
{
	const struct qf_xfs *x = m->x;

	return !memcmp(b, x->v5 ? "BMA3" : "BMAP", 4) &&
	       qf_xfs_get16(b, 4) == level &&
	       (!x->v5 || (qf_xfs_get64(b, 24) == place / 512 &&
			   qf_xfs_get64(b, 56) == m->ino &&
			   !memcmp(b + 40, x->uuid, 16) &&
			   qf_xfs_crc_holds(b, x->block, 64)));
}

static void walk_node(struct map *m, uint64_t block, uint32_t level,
		      uint64_t parent)
{
	unsigned char b[QF_XFS_MAX_BLOCK];
	const uint32_t head = m->x->v5 ? 72 : 24;
	const uint32_t max = (m->x->block - head) / 16;
	uint64_t place = qf_xfs_place(m->x, block);
	bool read, sound;
	uint32_t n, i;

	if (place == QF_NOWHERE || !m->left--)
		return;
	m->stopped = !m->tell(m->ctx, QF_NOWHERE, place, m->x->block);
	read = qf_volume_read(m->x->v, b, m->x->block, place);
	sound = read && node_sound(m, b, place, level);
	if (m->node && !m->stopped)
		m->stopped = !m->node->block(m->node->ctx, place, parent,
					     !read   ? QF_GUEST_UNREAD
					     : sound ? QF_GUEST_HOLDS
						     : QF_GUEST_FAILS);
	n = qf_xfs_get16(b, 6);
	if (!sound || n > max)
		return;
	if (!level)
		tell_extents(m, b + head, n);
	for (i = 0; level && i < n && !m->stopped; i++)
		walk_node(m, qf_xfs_get64(b, head + max * 8 + i * 8), level - 1,
			  place);
}

/* The root of a map, in BYTES of the inode. */
static void walk_root(struct map *m, const unsigned char *root, uint32_t bytes,
		      uint64_t parent)
{
	const uint32_t max = (bytes - 4) / 16;
	uint32_t level, n, i;

	if (bytes < 4 + 16)
		return;
	level = qf_xfs_get16(root, 0);
	n = qf_xfs_get16(root, 2);
	if (!level || level > QF_XFS_MAX_LEVELS || n > max)
		return;
	for (i = 0; i < n && !m->stopped; i++)
		walk_node(m, qf_xfs_get64(root, 4 + max * 8 + i * 8), level - 1,
			  parent);
}

/* One fork: FORMAT 2 is a list of N extents, 3 is a btree. */
static void walk_fork(struct map *m, const unsigned char *fork, uint32_t bytes,
		      uint32_t format, uint64_t n)
{
	if (format == 2 && n <= bytes / 16)
		tell_extents(m, fork, n);
	else if (format == 3)
		walk_root(m, fork, bytes, qf_xfs_inode_place(m->x, m->ino));
}

void qf_xfs_blocks_of(struct qf_xfs *x, uint64_t ino,
		      const unsigned char *inode, qf_reader_extent *tell,
		      void *ctx, const struct qf_xfs_visitor *node)
{
	struct map m = { .x = x,
			 .ino = ino,
			 .tell = tell,
			 .ctx = ctx,
			 .node = node,
			 .left = x->blocks };
	const uint32_t data = qf_xfs_inode_data(inode);
	const uint32_t room = x->inode - data;
	uint32_t fork = inode[82] * 8u;
	/* many extents have wider counters */
	bool large = inode[4] == 3 && qf_xfs_get64(inode, 120) >> 4 & 1;

	if (fork > room)
		return;
	walk_fork(&m, inode + data, fork ? fork : room, inode[5],
		  large ? qf_xfs_get64(inode, 24) : qf_xfs_get32(inode, 76));
	if (!fork || m.stopped)
		return;
	m.attributes = true;
	walk_fork(&m, inode + data + fork, room - fork, inode[83],
		  large ? qf_xfs_get32(inode, 76) : qf_xfs_get16(inode, 80));
}
