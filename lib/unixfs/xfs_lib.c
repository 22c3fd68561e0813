// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/unixfs/xfs_lib.h"
#include "lib/guest/crc.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <string.h>

/* --- superblock --- */

bool qf_xfs_crc_holds(const unsigned char *buf, uint32_t n, uint32_t at)
{
	static const unsigned char zeros[4];
	uint32_t crc = qf_crc_32c(~0u, buf, at);

	crc = qf_crc_32c(crc, zeros, 4);
	crc = qf_crc_32c(crc, buf + at + 4, n - at - 4);
	return ~crc == qf_le_get32(buf, at);
}

bool qf_xfs_parse(const unsigned char *s, struct qf_xfs *x)
{
	uint32_t block_bits = s[120], version = qf_xfs_get16(s, 100) & 15;

	if (memcmp(s, "XFSB", 4) || block_bits < 9 || block_bits > 16 ||
	    version < 4 || version > 5)
		return false;
	x->v5 = version == 5;
	x->block = qf_xfs_get32(s, 4);
	x->sector = qf_xfs_get16(s, 102);
	x->inode = qf_xfs_get16(s, 104);
	x->ag_blocks = qf_xfs_get32(s, 84);
	x->ags = qf_xfs_get32(s, 88);
	x->blocks = qf_xfs_get64(s, 8);
	x->ag_bits = s[124];
	x->inode_bits = s[123];
	x->root = qf_xfs_get64(s, 56);
	x->log_start = qf_xfs_get64(s, 48);
	x->log_blocks = qf_xfs_get32(s, 96);
	x->dir_block = s[192] <= 16 - block_bits ? x->block << s[192]
						 : x->block;
	memcpy(x->uuid, s + 32, 16);
	if (x->v5) {
		x->trees = qf_xfs_get32(s, 212);
		x->file_types = qf_xfs_get32(s, 216) & 1;
		x->sparse_inodes = qf_xfs_get32(s, 216) & 2;
		if (qf_xfs_get32(s, 216) & 4)
			memcpy(x->uuid, s + 248, 16);
	} else {
		x->file_types = qf_xfs_get32(s, 200) & 0x200;
	}
	return x->block == 1u << block_bits && x->sector >= 512 &&
	       x->sector <= x->block && x->inode >= 256 &&
	       x->inode <= QF_XFS_MAX_INODE && x->inode <= x->block &&
	       x->block / x->inode == 1u << (x->inode_bits & 15) &&
	       x->ag_bits <= 32 && x->ag_blocks >= 4 &&
	       x->ag_blocks <= 1ull << x->ag_bits && x->ags && x->blocks &&
	       x->blocks <= INT64_MAX / x->block &&
	       qf_mem_div_up(x->blocks, x->ag_blocks) == x->ags;
}

static bool read_super(struct qf_volume *v, uint64_t at, unsigned char *s,
		       struct qf_xfs *x)
{
	unsigned char whole[QF_XFS_MAX_BLOCK];

	memset(x, 0, sizeof(*x));
	x->v = v;
	if (!qf_volume_read(v, s, QF_XFS_SUPER_BYTES, at) ||
	    !qf_xfs_parse(s, x))
		return false;
	return !x->v5 || (qf_volume_read(v, whole, x->sector, at) &&
			  qf_xfs_crc_holds(whole, x->sector, 224));
}

/* mkfs.xfs makes four groups of equal size, or a fixed size for large disks:
 * the second superblock is looked for where it makes those. */
static bool find_copy(struct qf_volume *v, unsigned char *s, struct qf_xfs *x)
{
	const uint64_t places[] = { v->bytes / 4 / 4096 * 4096,
				    qf_mem_div_up(v->bytes / 4096, 4) * 4096,
				    v->bytes / 2 / 4096 * 4096, 1ull << 40 };
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (read_super(v, places[i], s, x) &&
		    (uint64_t)x->ag_blocks * x->block == places[i])
			return true;
	return false;
}

bool qf_xfs_load(struct qf_volume *v, unsigned char *s, struct qf_xfs *x,
		 bool *by_copy)
{
	*by_copy = false;
	if (read_super(v, 0, s, x))
		return true;
	*by_copy = true;
	return find_copy(v, s, x);
}

/* --- places --- */

uint32_t qf_xfs_ag_blocks(const struct qf_xfs *x, uint32_t ag)
{
	uint64_t before = (uint64_t)ag * x->ag_blocks;

	return x->blocks - before < x->ag_blocks
		       ? (uint32_t)(x->blocks - before)
		       : x->ag_blocks;
}

uint64_t qf_xfs_ag_place(const struct qf_xfs *x, uint32_t ag, uint64_t block)
{
	if (ag >= x->ags || block >= qf_xfs_ag_blocks(x, ag))
		return QF_NOWHERE;
	return ((uint64_t)ag * x->ag_blocks + block) * x->block;
}

uint64_t qf_xfs_place(const struct qf_xfs *x, uint64_t block)
{
	uint64_t ag = block >> x->ag_bits;

	if (ag >= x->ags)
		return QF_NOWHERE;
	return qf_xfs_ag_place(x, (uint32_t)ag,
			       block & ((1ull << x->ag_bits) - 1));
}

uint64_t qf_xfs_inode_place(const struct qf_xfs *x, uint64_t ino)
{
	uint64_t at = qf_xfs_place(x, ino >> x->inode_bits);

	if (at == QF_NOWHERE)
		return at;
	return at + (ino & ((1u << x->inode_bits) - 1)) * x->inode;
}

/* --- btrees of a group --- */

const char *const qf_xfs_tree_names[QF_XFS_TREES] = {
	"free space btree", "free space btree by size", "inode btree",
	"free inode btree", "reverse map btree",	"reference count btree",
};

/* Where the header tells the root and the levels, and what a tree holds. */
static const struct {
	const char *magic, *magic5;
	uint32_t header; /* the number of its sector in the group */
	uint32_t root, levels;
	uint32_t key, record; /* bytes */
	uint32_t feature;     /* that it needs */
} trees[QF_XFS_TREES] = {
	{ "ABTB", "AB3B", 1, 16, 28, 8, 8, 0 },
	{ "ABTC", "AB3C", 1, 20, 32, 8, 8, 0 },
	{ "IABT", "IAB3", 2, 20, 24, 4, 16, 0 },
	{ "FIBT", "FIB3", 2, 328, 332, 4, 16, 1 },
	{ "", "RMB3", 1, 24, 36, 40, 24, 2 },
	{ "", "R3FC", 1, 88, 92, 4, 12, 4 },
};

bool qf_xfs_header(struct qf_xfs *x, uint32_t ag, enum qf_xfs_tree tree,
		   unsigned char *h, uint64_t *place)
{
	bool agf = trees[tree].header == 1;
	uint64_t at = qf_xfs_ag_place(x, ag, 0);

	if (at == QF_NOWHERE)
		return false;
	at += (uint64_t)trees[tree].header * x->sector;
	if (place)
		*place = at;
	return qf_volume_read(x->v, h, x->sector, at) &&
	       !memcmp(h, agf ? "XAGF" : "XAGI", 4) &&
	       qf_xfs_get32(h, 8) == ag &&
	       (!x->v5 || (!memcmp(h + (agf ? 64 : 296), x->uuid, 16) &&
			   qf_xfs_crc_holds(h, x->sector, agf ? 216 : 312)));
}

struct walk {
	struct qf_xfs *x;
	uint32_t ag;
	enum qf_xfs_tree tree;
	const struct qf_xfs_visitor *see;
	uint64_t left; /* blocks that it may have: no circle */
	bool stopped;
};

/* A block of the tree at PLACE, on LEVEL. */
static bool block_sound(const struct walk *w, const unsigned char *b,
			uint64_t place, uint32_t level)
{
	const struct qf_xfs *x = w->x;
	const char *magic = x->v5 ? trees[w->tree].magic5
				  : trees[w->tree].magic;

	return !memcmp(b, magic, 4) && qf_xfs_get16(b, 4) == level &&
	       (!x->v5 || (qf_xfs_get64(b, 16) == place / 512 &&
			   !memcmp(b + 32, x->uuid, 16) &&
			   qf_xfs_crc_holds(b, x->block, 52)));
}

static bool walk_block(struct walk *w, uint32_t block, uint32_t level,
		       uint64_t parent)
{
	unsigned char b[QF_XFS_MAX_BLOCK];
	const uint32_t head = w->x->v5 ? 56 : 16;
	const uint32_t bytes = trees[w->tree].record, key = trees[w->tree].key;
	uint64_t place = qf_xfs_ag_place(w->x, w->ag, block);
	uint32_t i, n, max;
	bool read, sound, whole = true;

	if (place == QF_NOWHERE || !w->left--)
		return false;
	read = qf_volume_read(w->x->v, b, w->x->block, place);
	sound = read && block_sound(w, b, place, level);
	if (w->see->block && !w->see->block(w->see->ctx, place, parent,
					    !read   ? QF_GUEST_UNREAD
					    : sound ? QF_GUEST_HOLDS
						    : QF_GUEST_FAILS))
		w->stopped = true;
	n = qf_xfs_get16(b, 6);
	max = (w->x->block - head) / (level ? key + 4 : bytes);
	if (!sound || n > max)
		return false;
	for (i = 0; i < n && !w->stopped; i++) {
		if (level)
			whole &= walk_block(
				w, qf_xfs_get32(b, head + max * key + i * 4),
				level - 1, place);
		else if (w->see->record &&
			 !w->see->record(w->see->ctx, b + head + i * bytes))
			w->stopped = true;
	}
	return whole;
}

bool qf_xfs_walk(struct qf_xfs *x, uint32_t ag, enum qf_xfs_tree tree,
		 const struct qf_xfs_visitor *see)
{
	struct walk w = { .x = x, .ag = ag, .tree = tree, .see = see };
	unsigned char h[QF_XFS_MAX_BLOCK];
	uint64_t place;
	uint32_t levels;

	if (~x->trees & trees[tree].feature ||
	    !qf_xfs_header(x, ag, tree, h, &place))
		return false;
	levels = qf_xfs_get32(h, trees[tree].levels);
	if (!levels || levels > QF_XFS_MAX_LEVELS)
		return false;
	w.left = qf_xfs_ag_blocks(x, ag);
	return walk_block(&w, qf_xfs_get32(h, trees[tree].root), levels - 1,
			  place) &&
	       !w.stopped;
}

/* --- inodes --- */

uint32_t qf_xfs_inode_data(const unsigned char *inode)
{
	return inode[4] == 3 ? 176 : 100;
}

bool qf_xfs_inode_sound(const struct qf_xfs *x, uint64_t ino,
			const unsigned char *inode)
{
	return !memcmp(inode, "IN", 2) && qf_xfs_get16(inode, 2) &&
	       (!x->v5 || (inode[4] == 3 && qf_xfs_get64(inode, 152) == ino &&
			   !memcmp(inode + 160, x->uuid, 16) &&
			   qf_xfs_crc_holds(inode, x->inode, 100)));
}

bool qf_xfs_read_inode(struct qf_xfs *x, uint64_t ino, unsigned char *inode)
{
	uint64_t at = qf_xfs_inode_place(x, ino);

	return at != QF_NOWHERE && qf_volume_read(x->v, inode, x->inode, at) &&
	       qf_xfs_inode_sound(x, ino, inode);
}

uint64_t qf_xfs_chunk_used(const struct qf_xfs *x, const unsigned char *r)
{
	uint64_t used = ~qf_xfs_get64(r, 8);
	uint32_t holes = x->sparse_inodes ? qf_xfs_get16(r, 4) : 0, i;

	for (i = 0; i < 16; i++)
		if (holes >> i & 1)
			used &= ~(15ull << (4 * i));
	return used;
}

struct each_inode {
	struct qf_xfs *x;
	uint32_t ag;
	qf_xfs_see_inode *see;
	void *ctx;
	bool stopped;
};

static bool see_chunk(void *ctx, const unsigned char *r)
{
	struct each_inode *e = ctx;
	uint64_t used = qf_xfs_chunk_used(e->x, r);
	uint64_t first = (uint64_t)e->ag << (e->x->ag_bits + e->x->inode_bits) |
			 qf_xfs_get32(r, 0);
	uint32_t i;

	for (i = 0; i < 64 && !e->stopped; i++)
		if (used >> i & 1)
			e->stopped = !e->see(e->ctx, first + i);
	return !e->stopped;
}

void qf_xfs_each_inode(struct qf_xfs *x, qf_xfs_see_inode *see, void *ctx)
{
	struct each_inode e = { .x = x, .see = see, .ctx = ctx };
	const struct qf_xfs_visitor v = { .record = see_chunk, .ctx = &e };

	for (; e.ag < x->ags && !e.stopped; e.ag++)
		qf_xfs_walk(x, e.ag, QF_XFS_INODES, &v);
}
