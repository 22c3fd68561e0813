// SPDX-License-Identifier: LGPL-2.1-or-later
/* XFS: inodes as files, directories. */
#include "lib/unixfs/xfs_lib.h"

#include <stdlib.h>
#include <string.h>

/* Directories have their names below this offset, indexes above. */
#define NAMES_END (32ull << 30)

static int64_t modified(const unsigned char *inode)
{
	/* wide times count nanoseconds from the least of 32 bits */
	if (inode[4] == 3 && qf_xfs_get64(inode, 120) >> 3 & 1)
		return (int64_t)(qf_xfs_get64(inode, 40) / 1000000000u) -
		       2147483648;
	return (int32_t)qf_xfs_get32(inode, 40);
}

static struct qf_inode describe(uint64_t ino, const unsigned char *inode)
{
	const uint32_t type = qf_xfs_get16(inode, 2) >> 12;

	return (struct qf_inode){
		.id = ino,
		.bytes = qf_xfs_get64(inode, 56),
		.modified = modified(inode),
		.kind = type == 8   ? QF_GUEST_FILE
			: type == 4 ? QF_GUEST_DIRECTORY
				    : QF_GUEST_OTHER,
	};
}

bool qf_xfs_inode(void *fs, uint64_t id, struct qf_inode *out)
{
	unsigned char inode[QF_XFS_MAX_INODE];

	if (!qf_xfs_read_inode(fs, id, inode))
		return false;
	*out = describe(id, inode);
	return true;
}

struct telling {
	struct qf_xfs *x;
	qf_reader_inode *tell;
	void *ctx;
};

static bool see_inode(void *ctx, uint64_t ino)
{
	struct telling *t = ctx;
	struct qf_inode i;

	return !qf_xfs_inode(t->x, ino, &i) || t->tell(t->ctx, &i);
}

void qf_xfs_inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	struct telling t = { fs, tell, ctx };

	qf_xfs_each_inode(fs, see_inode, &t);
}

void qf_xfs_extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	unsigned char inode[QF_XFS_MAX_INODE];

	if (qf_xfs_read_inode(fs, id, inode))
		qf_xfs_blocks_of(fs, id, inode, tell, ctx, NULL);
}

/* --- directories --- */

struct listing {
	struct qf_xfs *x;
	uint64_t dir;
	qf_reader_link *tell;
	void *ctx;
	bool stopped;
};

static void tell(struct listing *l, uint64_t ino, const unsigned char *name,
		 uint32_t n)
{
	if (n && !(n <= 2 && !memcmp(name, "..", n)))
		l->stopped =
			!l->tell(l->ctx, l->dir, ino, (const char *)name, n);
}

/* A small directory lies in N bytes of its inode. */
static void list_short(struct listing *l, const unsigned char *p, uint32_t n)
{
	const uint32_t number = p[1] ? 8 : 4;
	uint32_t i, at = 2 + number, len;

	for (i = 0; i < p[0] && at + 3 <= n && !l->stopped; i++) {
		len = p[at];
		if (at + 3 + len + l->x->file_types + number > n)
			return;
		at += 3;
		tell(l,
		     number == 8 ? qf_xfs_get64(p, at + len + l->x->file_types)
				 : qf_xfs_get32(p, at + len + l->x->file_types),
		     p + at, len);
		at += len + l->x->file_types + number;
	}
}

static bool block_sound(const struct listing *l, const unsigned char *b,
			uint64_t place)
{
	const struct qf_xfs *x = l->x;

	if (!x->v5)
		return !memcmp(b, "XD2B", 4) || !memcmp(b, "XD2D", 4);
	return (!memcmp(b, "XDB3", 4) || !memcmp(b, "XDD3", 4)) &&
	       qf_xfs_get64(b, 8) == place / 512 &&
	       qf_xfs_get64(b, 40) == l->dir && !memcmp(b + 24, x->uuid, 16) &&
	       qf_xfs_crc_holds(b, x->dir_block, 4);
}

/* A block of names; in a directory of one block, an index ends it. */
static void list_block(struct listing *l, const unsigned char *b)
{
	uint32_t end = l->x->dir_block, at = l->x->v5 ? 64 : 16, len, index;

	if (b[3] == 'B' || !memcmp(b, "XDB3", 4)) {
		index = qf_xfs_get32(b, end - 8);
		if (index > end / 8 - 1)
			return;
		end -= 8 + 8 * index;
	}
	for (; at + 16 <= end && !l->stopped; at += len) {
		if (qf_xfs_get16(b, at) == 0xffff) { /* unused */
			len = qf_xfs_get16(b, at + 2);
		} else {
			len = (8u + 1 + b[at + 8] + l->x->file_types + 2 + 7) &
			      ~7u;
			if (len > end - at)
				return;
			tell(l, qf_xfs_get64(b, at), b + at + 9, b[at + 8]);
		}
		if (len < 8 || len % 8)
			return;
	}
}

static bool list_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	unsigned char b[QF_XFS_MAX_BLOCK];
	struct listing *l = ctx;
	const uint32_t n = l->x->dir_block;

	if (file_off == QF_NOWHERE || file_off % n)
		return true;
	for (; bytes >= n && file_off < NAMES_END && !l->stopped;
	     bytes -= n, start += n, file_off += n)
		if (qf_volume_read(l->x->v, b, n, start) &&
		    block_sound(l, b, start))
			list_block(l, b);
	return !l->stopped;
}

void qf_xfs_links(void *fs, uint64_t dir, qf_reader_link *tell_fn, void *ctx)
{
	struct listing l = { .x = fs, .dir = dir, .tell = tell_fn, .ctx = ctx };
	unsigned char inode[QF_XFS_MAX_INODE];
	uint32_t data, room;

	if (!qf_xfs_read_inode(fs, dir, inode) ||
	    qf_xfs_get16(inode, 2) >> 12 != 4)
		return;
	data = qf_xfs_inode_data(inode);
	room = inode[82] ? inode[82] * 8u : l.x->inode - data;
	if (inode[5] == 1 && data + room <= l.x->inode)
		list_short(&l, inode + data, room);
	else
		qf_xfs_blocks_of(fs, dir, inode, list_extent, &l, NULL);
}
