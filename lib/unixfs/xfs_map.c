// SPDX-License-Identifier: LGPL-2.1-or-later
/* XFS: the blocks of an inode, out of its extents or its btree. */
#include "lib/unixfs/xfs_lib.h"

#include <string.h>

struct map {
	struct qf_xfs *x;
	uint64_t ino;
	qf_reader_extent *tell; /* or PART */
	qf_reader_part *part;
	void *ctx;
	const struct qf_xfs_visitor *node;
	uint64_t left; /* blocks that the map may have: no circle */
	bool attributes;
	bool stopped;
	bool broken; /* a part of it cannot be followed */
};

static bool tell_part(const struct map *m, uint64_t file_off, uint64_t at,
		      uint64_t bytes, bool unwritten)
{
	const struct qf_guest_part p = { .file_off = file_off,
					 .bytes = bytes,
					 .start = at,
					 .content = unwritten
							    ? QF_GUEST_ZEROS
							    : QF_GUEST_BYTES };

	return m->attributes || m->part(m->ctx, &p);
}

static void tell_extent(struct map *m, const unsigned char *r)
{
	const uint64_t high = qf_xfs_get64(r, 0), low = qf_xfs_get64(r, 8);
	uint64_t off = high >> 9 & ((1ull << 54) - 1);
	uint64_t block = (high & 0x1ff) << 43 | low >> 21;
	uint64_t n = low & 0x1fffff, at, end;

	at = qf_xfs_place(m->x, block);
	end = n ? qf_xfs_place(m->x, block + n - 1) : QF_NOWHERE;
	/* an extent lies in one group */
	if (at == QF_NOWHERE || end != at + (n - 1) * m->x->block) {
		m->broken = true;
		return;
	}
	if (m->part)
		m->stopped = !tell_part(m, off * m->x->block, at,
					n * m->x->block, high >> 63);
	else
		m->stopped = !m->tell(
			m->ctx, m->attributes ? QF_NOWHERE : off * m->x->block,
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

	if (place == QF_NOWHERE || !m->left--) {
		m->broken = true;
		return;
	}
	if (m->tell)
		m->stopped = !m->tell(m->ctx, QF_NOWHERE, place, m->x->block);
	read = qf_volume_read(m->x->v, b, m->x->block, place);
	sound = read && node_sound(m, b, place, level);
	if (m->node && !m->stopped)
		m->stopped = !m->node->block(m->node->ctx, place, parent,
					     !read   ? QF_GUEST_UNREAD
					     : sound ? QF_GUEST_HOLDS
						     : QF_GUEST_FAILS);
	n = qf_xfs_get16(b, 6);
	if (!sound || n > max) {
		m->broken = true;
		return;
	}
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

	m->broken = true;
	if (bytes < 4 + 16)
		return;
	level = qf_xfs_get16(root, 0);
	n = qf_xfs_get16(root, 2);
	if (!level || level > QF_XFS_MAX_LEVELS || n > max)
		return;
	m->broken = false;
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
	else
		m->broken = true;
}

/* The extents of the data: many have wider counters. */
static uint64_t data_extents(const unsigned char *inode, bool large)
{
	return large ? qf_xfs_get64(inode, 24) : qf_xfs_get32(inode, 76);
}

static bool is_large(const unsigned char *inode)
{
	return inode[4] == 3 && qf_xfs_get64(inode, 120) >> 4 & 1;
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
	bool large = is_large(inode);

	if (fork > room)
		return;
	/* what lies on the realtime device is not here */
	if (!(qf_xfs_get16(inode, 90) & 1))
		walk_fork(&m, inode + data, fork ? fork : room, inode[5],
			  data_extents(inode, large));
	if (!fork || m.stopped)
		return;
	m.attributes = true;
	walk_fork(&m, inode + data + fork, room - fork, inode[83],
		  large ? qf_xfs_get32(inode, 76) : qf_xfs_get16(inode, 80));
}

bool qf_xfs_content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx)
{
	unsigned char inode[QF_XFS_MAX_INODE];
	struct qf_xfs *x = fs;
	struct map m = {
		.x = x, .ino = id, .part = tell, .ctx = ctx, .left = x->blocks
	};
	uint32_t data, room, fork;

	if (!qf_xfs_read_inode(x, id, inode))
		return false;
	data = qf_xfs_inode_data(inode);
	room = x->inode - data;
	fork = inode[82] * 8u;
	/* what lies on the realtime device is not here */
	if (fork > room || qf_xfs_get16(inode, 90) & 1)
		return false;
	walk_fork(&m, inode + data, fork ? fork : room, inode[5],
		  data_extents(inode, is_large(inode)));
	return !m.broken;
}
