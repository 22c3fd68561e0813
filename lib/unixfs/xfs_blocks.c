// SPDX-License-Identifier: LGPL-2.1-or-later
/* XFS: blocks of version 5 that state their own place under a checksum. */
#include "lib/unixfs/xfs_lib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a kind of block states its place: in sectors from the volume's start. */
struct form {
	const char *magic;
	uint32_t magic_at;
	uint32_t place_at, uuid_at, crc_at;
	bool dir_block; /* as long as a block of a directory */
	const char *what;
};

static const struct form forms[] = {
	{ "AB3B", 0, 16, 32, 52, false, "free space btree" },
	{ "AB3C", 0, 16, 32, 52, false, "free space btree by size" },
	{ "IAB3", 0, 16, 32, 52, false, "inode btree" },
	{ "FIB3", 0, 16, 32, 52, false, "free inode btree" },
	{ "RMB3", 0, 16, 32, 52, false, "reverse map btree" },
	{ "R3FC", 0, 16, 32, 52, false, "reference count btree" },
	{ "BMA3", 0, 24, 40, 64, false, "extent block" },
	{ "XDB3", 0, 8, 24, 4, true, "directory block" },
	{ "XDD3", 0, 8, 24, 4, true, "directory block" },
	{ "XDF3", 0, 8, 24, 4, true, "directory block" },
	{ "\x3d\xf1", 8, 16, 32, 12, true, "directory block" },
	{ "\x3d\xff", 8, 16, 32, 12, true, "directory block" },
	/* the same in the index of a directory and in that of attributes */
	{ "\x3e\xbe", 8, 16, 32, 12, true, "index block" },
	{ "\x3e\xbe", 8, 16, 32, 12, false, "index block" },
	{ "\x3b\xee", 8, 16, 32, 12, false, "attribute block" },
	{ "XARM", 0, 40, 16, 12, false, "attribute block" },
	{ "XSLM", 0, 40, 16, 12, false, "symbolic link" },
};

/* The headers of a group: they state its number. */
static const struct {
	const char *magic;
	uint32_t sector, number_at, uuid_at, crc_at;
	const char *what;
} heads[] = {
	{ "XAGF", 1, 8, 64, 216, "free space header" },
	{ "XAGI", 2, 8, 296, 312, "inode header" },
	{ "XAFL", 3, 4, 8, 32, "free list" },
};

/* The form of the block B that has N bytes, if it is whole; else NULL. */
static const struct form *form_of(const struct qf_xfs *x,
				  const unsigned char *b, uint32_t n)
{
	const struct form *f;
	uint32_t bytes;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		f = &forms[i];
		bytes = f->dir_block ? x->dir_block : x->block;
		if (memcmp(b + f->magic_at, f->magic, strlen(f->magic)))
			continue;
		if (bytes <= n && !memcmp(b + f->uuid_at, x->uuid, 16) &&
		    qf_xfs_crc_holds(b, bytes, f->crc_at))
			return f;
	}
	return NULL;
}

/* --- in place --- */

enum { TYPE_DIRECTORY = 4, TYPE_LINK = 10 };

struct seeing {
	struct qf_xfs *x;
	qf_reader_block *tell;
	void *ctx;
	const char *what;
	uint32_t ag;
	uint64_t ino;
	uint32_t type; /* of the inode */
	bool stopped;
};

static void tell(struct seeing *s, const char *what, uint64_t place,
		 uint64_t bytes, uint64_t parent, enum qf_guest_state state)
{
	struct qf_guest_block b = { .start = place,
				    .bytes = bytes,
				    .says = state == QF_GUEST_HOLDS
						    ? place
						    : QF_NOWHERE,
				    .parent = parent,
				    .bond = QF_GUEST_BY_ADDRESS,
				    .state = state };

	if (s->stopped || !qf_volume_asked(s->x->v, place, bytes))
		return;
	snprintf(b.what, sizeof(b.what), "%s", what);
	s->stopped = !s->tell(s->ctx, &b);
}

static bool see_node(void *ctx, uint64_t place, uint64_t parent,
		     enum qf_guest_state state)
{
	struct seeing *s = ctx;

	tell(s, s->what, place, s->x->block, parent, state);
	return !s->stopped;
}

static enum qf_guest_state state_of(bool read, bool holds)
{
	return !read   ? QF_GUEST_UNREAD
	       : holds ? QF_GUEST_HOLDS
		       : QF_GUEST_FAILS;
}

static void see_heads(struct seeing *s, uint32_t ag)
{
	const uint64_t at = qf_xfs_ag_place(s->x, ag, 0);
	unsigned char b[QF_XFS_MAX_BLOCK];
	uint64_t place;
	bool read, holds;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		place = at + (uint64_t)heads[i].sector * s->x->sector;
		read = qf_volume_read(s->x->v, b, s->x->sector, place);
		holds = !memcmp(b, heads[i].magic, 4) &&
			qf_xfs_get32(b, heads[i].number_at) == ag &&
			!memcmp(b + heads[i].uuid_at, s->x->uuid, 16) &&
			qf_xfs_crc_holds(b, s->x->sector, heads[i].crc_at);
		tell(s, heads[i].what, place, s->x->sector, 0,
		     state_of(read, holds));
	}
	/* each group begins with a copy of the superblock, which does not say
	 * of which group it is */
	read = qf_volume_read(s->x->v, b, s->x->sector, at);
	tell(s, "superblock", at, s->x->sector, QF_NOWHERE,
	     state_of(read, !memcmp(b, "XFSB", 4) &&
				    qf_xfs_crc_holds(b, s->x->sector, 224)));
}

/* Those in use are whole; all that a chunk has room for bear their number. */
static void see_inode_place(struct seeing *s, uint64_t ino, bool used)
{
	unsigned char inode[QF_XFS_MAX_INODE];
	uint64_t at = qf_xfs_inode_place(s->x, ino);
	bool read;

	if (at == QF_NOWHERE || !qf_volume_asked(s->x->v, at, s->x->inode))
		return;
	read = qf_volume_read(s->x->v, inode, s->x->inode, at);
	tell(s, "inode", at, s->x->inode, QF_NOWHERE,
	     state_of(read, used ? qf_xfs_inode_sound(s->x, ino, inode)
				 : !memcmp(inode, "IN", 2) &&
					    qf_xfs_get64(inode, 152) == ino));
}

static bool see_chunk(void *ctx, const unsigned char *r)
{
	struct seeing *s = ctx;
	const struct qf_xfs *x = s->x;
	uint64_t used = qf_xfs_chunk_used(x, r);
	uint64_t first = (uint64_t)s->ag << (x->ag_bits + x->inode_bits) |
			 qf_xfs_get32(r, 0);
	uint32_t holes = x->sparse_inodes ? qf_xfs_get16(r, 4) : 0, i;

	for (i = 0; i < 64 && !s->stopped; i++)
		if (!(holes >> i / 4 & 1))
			see_inode_place(s, first + i, used >> i & 1);
	return !s->stopped;
}

/* A block of attributes: what bears no mark of one may be a value that was
 * never written. */
static void see_attributes(struct seeing *s, uint64_t start)
{
	unsigned char b[QF_XFS_MAX_BLOCK];
	const struct form *f;
	bool read;

	read = qf_volume_read(s->x->v, b, s->x->block, start);
	if (memcmp(b, "XARM", 4) && memcmp(b + 8, "\x3b\xee", 2) &&
	    memcmp(b + 8, "\x3e\xbe", 2))
		return;
	f = form_of(s->x, b, s->x->block);
	tell(s, "attribute block", start, s->x->block,
	     qf_xfs_inode_place(s->x, s->ino),
	     state_of(read, f && qf_xfs_get64(b, f->place_at) == start / 512));
}

/* A block of a directory, or of a long symbolic link. */
static void see_named(struct seeing *s, uint64_t start, uint32_t n)
{
	unsigned char b[QF_XFS_MAX_BLOCK];
	const struct form *f;
	bool read;

	read = qf_volume_read(s->x->v, b, n, start);
	f = form_of(s->x, b, n);
	tell(s, s->type == TYPE_LINK ? "symbolic link" : "directory block",
	     start, n, qf_xfs_inode_place(s->x, s->ino),
	     state_of(read, f && qf_xfs_get64(b, f->place_at) == start / 512));
}

static bool see_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct seeing *s = ctx;
	uint32_t n = s->x->block;

	if (!qf_volume_asked(s->x->v, start, bytes))
		return true;
	if (file_off == QF_NOWHERE) {
		for (; bytes >= n && !s->stopped; bytes -= n, start += n)
			see_attributes(s, start);
	} else if (s->type == TYPE_DIRECTORY) {
		n = s->x->dir_block;
		for (; file_off % n == 0 && bytes >= n && !s->stopped;
		     bytes -= n, start += n)
			see_named(s, start, n);
	} else if (s->type == TYPE_LINK && bytes == n) {
		see_named(s, start, n);
	}
	return !s->stopped;
}

static bool see_inode(void *ctx, uint64_t ino)
{
	unsigned char inode[QF_XFS_MAX_INODE];
	struct seeing *s = ctx;
	const struct qf_xfs_visitor node = { .block = see_node, .ctx = s };

	if (!qf_xfs_read_inode(s->x, ino, inode))
		return true;
	s->what = "extent block";
	s->ino = ino;
	s->type = qf_xfs_get16(inode, 2) >> 12;
	qf_xfs_blocks_of(s->x, ino, inode, see_extent, s, &node);
	return !s->stopped;
}

void qf_xfs_blocks(void *fs, qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	const struct qf_xfs_visitor node = { .block = see_node, .ctx = &s };
	const struct qf_xfs_visitor inodes = { .block = see_node,
					       .record = see_chunk,
					       .ctx = &s };
	enum qf_xfs_tree i;

	if (!s.x->v5)
		return;
	for (; s.ag < s.x->ags && !s.stopped; s.ag++) {
		see_heads(&s, s.ag);
		for (i = 0; i < QF_XFS_TREES && !s.stopped; i++) {
			s.what = qf_xfs_tree_names[i];
			qf_xfs_walk(s.x, s.ag, i,
				    i == QF_XFS_INODES ? &inodes : &node);
		}
	}
	if (!s.stopped)
		qf_xfs_each_inode(s.x, see_inode, &s);
}

/* --- loose --- */

/* Two inodes of a block at least, which agree on the block's place. */
static uint64_t inode_block(const struct qf_xfs *x, const unsigned char *b)
{
	uint64_t place = QF_NOWHERE, ino;
	uint32_t i, n = 0;

	for (i = 0; i < x->block / x->inode; i++) {
		ino = qf_xfs_get64(b, i * x->inode + 152);
		if (!qf_xfs_inode_sound(x, ino, b + i * x->inode))
			continue;
		if ((ino & ((1u << x->inode_bits) - 1)) != i ||
		    (n && qf_xfs_inode_place(x, ino - i) != place))
			return QF_NOWHERE;
		place = qf_xfs_inode_place(x, ino - i);
		n++;
	}
	return place;
}

/* A group's first block, by its headers. */
static uint64_t head_block(const struct qf_xfs *x, const unsigned char *b,
			   uint32_t n)
{
	uint32_t at;
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		at = heads[i].sector * x->sector;
		if (at + x->sector <= n && !memcmp(b + at, heads[i].magic, 4) &&
		    !memcmp(b + at + heads[i].uuid_at, x->uuid, 16) &&
		    qf_xfs_crc_holds(b + at, x->sector, heads[i].crc_at))
			return qf_xfs_ag_place(
				x, qf_xfs_get32(b + at, heads[i].number_at), 0);
	}
	return QF_NOWHERE;
}

static void see_loose(struct seeing *s, const unsigned char *p, uint32_t n,
		      uint32_t at)
{
	struct qf_guest_block b = { .start = at,
				    .bytes = s->x->block,
				    .says = QF_NOWHERE,
				    .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_ADDRESS };
	const struct form *f = form_of(s->x, p, n);

	if (f) {
		b.says = qf_xfs_get64(p, f->place_at);
		b.says = b.says < INT64_MAX / 512 ? b.says * 512 : QF_NOWHERE;
		b.bytes = f->dir_block ? s->x->dir_block : s->x->block;
		strcpy(b.what, f->what);
	} else if (!memcmp(p, "IN", 2)) {
		b.says = inode_block(s->x, p);
		strcpy(b.what, "inodes");
	} else if (!memcmp(p, "XFSB", 4)) {
		b.says = head_block(s->x, p, n);
		strcpy(b.what, "group headers");
	}
	if (b.says != QF_NOWHERE)
		s->stopped = !s->tell(s->ctx, &b);
}

void qf_xfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		  qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	uint32_t at;

	for (at = 0; s.x->v5 && n - at >= s.x->block && !s.stopped;
	     at += s.x->block)
		see_loose(&s, bytes + at, n - at, at);
}
