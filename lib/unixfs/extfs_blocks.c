// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ext2, ext3, ext4: blocks that state their own place or that a parent
 * vouches for. All but copies of the superblock need metadata_csum.
 */
#include "lib/guest/crc.h"
#include "lib/unixfs/extfs_lib.h"
#include "lib/guest/le.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seeing {
	struct qf_extfs *x;
	qf_reader_block *tell;
	void *ctx;
	unsigned char *buf;  /* a block */
	unsigned char *bits; /* another: the inode bitmap of a group */
	bool stopped;
	/* the inode whose blocks are looked at */
	ext2_ino_t ino;
	struct ext2_inode *inode;
};

static bool wants(const struct seeing *s, uint64_t block)
{
	return block && block < s->x->blocks && !s->stopped &&
	       qf_volume_asked(s->x->v, block * s->x->block, s->x->block);
}

/* Tells of BLOCK, for which PARENT (bytes) vouches. */
static void tell(struct seeing *s, const char *what, enum qf_guest_bond bond,
		 enum qf_guest_state state, uint64_t block, uint64_t parent)
{
	struct qf_guest_block b = { .start = block * s->x->block,
				    .bytes = s->x->block,
				    .says = block * s->x->block,
				    .parent = parent,
				    .bond = bond,
				    .state = state };

	if (bond == QF_GUEST_BY_PARENT || state != QF_GUEST_HOLDS)
		b.says = QF_NOWHERE;
	snprintf(b.what, sizeof(b.what), "%s", what);
	s->stopped = !s->tell(s->ctx, &b);
}

static enum qf_guest_state state_of(bool read, bool holds)
{
	return !read   ? QF_GUEST_UNREAD
	       : holds ? QF_GUEST_HOLDS
		       : QF_GUEST_FAILS;
}

static bool read_block(struct seeing *s, uint64_t block)
{
	return qf_volume_read(s->x->v, s->buf, s->x->block,
			      block * s->x->block);
}

/* --- superblocks --- */

/* Whether P is a superblock of this file system; then its group in *GROUP. */
static bool is_super(const struct qf_extfs *x, const unsigned char *p,
		     uint32_t *group)
{
	*group = qf_le_get16(p, 0x5a);
	return qf_extfs_super_sound(p) &&
	       !memcmp(p + 0x68, x->super + 0x68, 16) &&
	       *group < x->fs->group_desc_count;
}

static void see_super(struct seeing *s, dgrp_t g, uint64_t block)
{
	uint32_t at = g || s->x->block == 1024 ? 0 : 1024, group;
	bool read;

	if (s->stopped || block >= s->x->blocks ||
	    !qf_volume_asked(s->x->v, block * s->x->block + at,
			     QF_EXTFS_SUPER_BYTES))
		return;
	read = read_block(s, block);
	/* a copy under an older UUID, or of an old revision, says nothing */
	if (g && (memcmp(s->buf + 0x68, s->x->super + 0x68, 16)
			  ? qf_extfs_super_sound(s->buf)
			  : !qf_le_get32(s->buf, 0x4c)))
		return;
	tell(s, "superblock",
	     s->x->csum ? QF_GUEST_BY_ADDRESS : QF_GUEST_BY_NUMBER,
	     state_of(read, is_super(s->x, s->buf + at, &group) && group == g),
	     block, QF_NOWHERE);
}

/* --- groups --- */

/* Where the first superblock is, which stands above all. */
static uint64_t top(const struct seeing *s)
{
	return (uint64_t)s->x->fs->super->s_first_data_block * s->x->block;
}

/* The blocks of the descriptors in use. */
static void see_descriptors(struct seeing *s)
{
	struct qf_extfs *x = s->x;
	const dgrp_t a_block = (dgrp_t)EXT2_DESC_PER_BLOCK(x->fs->super);
	uint64_t block;
	dgrp_t i, g;
	bool read, holds;

	for (i = 0; i < x->fs->desc_blocks; i++) {
		block = qf_extfs_fn.descriptor_block_loc2(
			x->fs, x->fs->super->s_first_data_block, i);
		if (!wants(s, block))
			continue;
		read = read_block(s, block);
		holds = true;
		for (g = i * a_block;
		     g < (i + 1) * a_block && g < x->fs->group_desc_count; g++)
			holds = holds && qf_extfs_group_sound(x, g);
		tell(s, "group descriptors", QF_GUEST_BY_ADDRESS,
		     state_of(read, holds), block, top(s));
	}
}

static uint64_t descriptor_place(const struct seeing *s, dgrp_t g)
{
	const dgrp_t a_block = (dgrp_t)EXT2_DESC_PER_BLOCK(s->x->fs->super);

	return qf_extfs_fn.descriptor_block_loc2(
		       s->x->fs, s->x->fs->super->s_first_data_block,
		       g / a_block) *
	       s->x->block;
}

static void see_bitmaps(struct seeing *s, dgrp_t g)
{
	ext2_filsys fs = s->x->fs;
	uint64_t block = qf_extfs_fn.block_bitmap_loc(fs, g);
	bool read;

	if (wants(s, block) &&
	    !qf_extfs_fn.bg_flags_test(fs, g, EXT2_BG_BLOCK_UNINIT)) {
		read = read_block(s, block);
		tell(s, "block bitmap", QF_GUEST_BY_PARENT,
		     state_of(read,
			      qf_extfs_fn.block_bitmap_csum_verify(
				      fs, g, (char *)s->buf,
				      (int)EXT2_CLUSTERS_PER_GROUP(fs->super) /
					      8)),
		     block, descriptor_place(s, g));
	}
	block = qf_extfs_fn.inode_bitmap_loc(fs, g);
	if (wants(s, block) &&
	    !qf_extfs_fn.bg_flags_test(fs, g, EXT2_BG_INODE_UNINIT)) {
		read = read_block(s, block);
		tell(s, "inode bitmap", QF_GUEST_BY_PARENT,
		     state_of(read,
			      qf_extfs_fn.inode_bitmap_csum_verify(
				      fs, g, (char *)s->buf,
				      (int)EXT2_INODES_PER_GROUP(fs->super) /
					      8)),
		     block, descriptor_place(s, g));
	}
}

/* The inodes in use of a group, by its bitmap, if that is sound. */
static bool read_inode_bitmap(struct seeing *s, dgrp_t g, unsigned char *bits)
{
	ext2_filsys fs = s->x->fs;
	const uint32_t bytes = EXT2_INODES_PER_GROUP(fs->super) / 8;
	uint64_t block = qf_extfs_fn.inode_bitmap_loc(fs, g);

	return block && block < s->x->blocks && bytes <= s->x->block &&
	       qf_volume_read(s->x->v, bits, s->x->block,
			      block * s->x->block) &&
	       qf_extfs_fn.inode_bitmap_csum_verify(fs, g, (char *)bits,
						    (int)bytes);
}

/* Whether the inode INO at P belongs there: one in use, by the BITS of its
 * group (NULL: not known), does not read as nothing. The reserved ones may. */
static bool inode_belongs(const struct seeing *s, ext2_ino_t ino,
			  struct ext2_inode *p, const unsigned char *bits,
			  bool *any)
{
	const uint32_t a_group = EXT2_INODES_PER_GROUP(s->x->fs->super);
	const uint32_t i = (ino - 1) % a_group;
	bool empty = !p->i_mode && !p->i_links_count;

	if (bits ? !(bits[i / 8] >> (i % 8) & 1) : empty)
		return true;
	if (empty && ino < EXT2_FIRST_INO(s->x->fs->super) &&
	    ino != EXT2_ROOT_INO)
		return true;
	*any = true;
	return !empty &&
	       qf_extfs_fn.inode_csum_verify(
		       s->x->fs, ino, (struct ext2_inode_large *)(void *)p);
}

/* One block of an inode table, whose first inode is FIRST. One without any
 * inode in use says nothing. */
static void see_inode_block(struct seeing *s, uint64_t block, ext2_ino_t first,
			    uint64_t parent, const unsigned char *bits)
{
	const uint32_t bytes = EXT2_INODE_SIZE(s->x->fs->super);
	bool read = read_block(s, block), any = !read, holds = true;
	uint32_t i;

	for (i = 0; read && i < s->x->block / bytes; i++)
		holds &= inode_belongs(
			s, first + i,
			(struct ext2_inode *)(void *)(s->buf + i * bytes), bits,
			&any);
	if (any)
		tell(s, "inode table", QF_GUEST_BY_ADDRESS,
		     state_of(read, holds), block, parent);
}

static void see_inode_table(struct seeing *s, dgrp_t g)
{
	ext2_filsys fs = s->x->fs;
	const uint32_t a_group = EXT2_INODES_PER_GROUP(fs->super);
	const uint32_t a_block = (uint32_t)EXT2_INODES_PER_BLOCK(fs->super);
	uint64_t block = qf_extfs_fn.inode_table_loc(fs, g);
	uint32_t used = a_group, i;
	bool known;

	if (qf_extfs_fn.bg_flags_test(fs, g, EXT2_BG_INODE_UNINIT))
		return;
	if (qf_extfs_fn.bg_itable_unused(fs, g) <= used)
		used -= qf_extfs_fn.bg_itable_unused(fs, g);
	known = used && read_inode_bitmap(s, g, s->bits);
	for (i = 0; i < used; i += a_block, block++)
		if (wants(s, block))
			see_inode_block(s, block, g * a_group + i + 1,
					descriptor_place(s, g),
					known ? s->bits : NULL);
}

static void see_group(struct seeing *s, dgrp_t g)
{
	blk64_t super = 0, old = 0, new = 0;
	blk_t used = 0;

	qf_extfs_fn.super_and_bgd_loc2(s->x->fs, g, &super, &old, &new, &used);
	if (super || !g)
		see_super(s, g, super);
	if (!s->x->csum || !qf_extfs_group_sound(s->x, g))
		return;
	see_bitmaps(s, g);
	see_inode_table(s, g);
}

/* --- blocks that belong to an inode --- */

/* Where an inode stands. */
static uint64_t inode_place(const struct seeing *s, ext2_ino_t ino)
{
	ext2_filsys fs = s->x->fs;
	const uint32_t a_group = EXT2_INODES_PER_GROUP(fs->super);
	uint64_t at =
		(uint64_t)((ino - 1) % a_group) * EXT2_INODE_SIZE(fs->super);

	return (qf_extfs_fn.inode_table_loc(fs, (ino - 1) / a_group) +
		at / s->x->block) *
	       s->x->block;
}

static bool is_extent_block(struct seeing *s)
{
	return qf_le_get16(s->buf, 0) == 0xf30a &&
	       qf_extfs_fn.extent_block_csum_verify(
		       s->x->fs, s->ino,
		       (struct ext3_extent_header *)(void *)s->buf);
}

/* A block of attributes has its own number under its checksum. */
static bool is_attribute_block(const struct seeing *s, const unsigned char *p,
			       uint64_t *block)
{
	static const unsigned char zeros[8];
	uint32_t crc = qf_le_get32(p, 0x10);

	if (qf_le_get32(p, 0) != 0xea020000)
		return false;
	crc = qf_crc_32c_before(crc, p + 0x14, s->x->block - 0x14);
	crc = qf_crc_32c_before(crc, zeros, 4);
	crc = qf_crc_32c_before(crc, p, 0x10);
	/* the upper half of the number is taken to be 0 */
	crc = qf_crc_32c_before(crc, zeros, 8);
	*block = crc ^ s->x->fs->csum_seed;
	return *block && *block < s->x->blocks;
}

/* The same for the block in the buffer, of any number. */
static bool is_attribute_block_of(const struct seeing *s, uint64_t block)
{
	return qf_le_get32(s->buf, 0) == 0xea020000 &&
	       qf_extfs_fn.ext_attr_block_csum_verify(
		       s->x->fs, s->ino, block,
		       (struct ext2_ext_attr_header *)(void *)s->buf);
}

static bool see_mapping(struct seeing *s, uint64_t block)
{
	bool read;

	if (!wants(s, block))
		return !s->stopped;
	read = read_block(s, block);
	if (block == qf_extfs_fn.file_acl_block(s->x->fs, s->inode))
		tell(s, "attribute block", QF_GUEST_BY_ADDRESS,
		     state_of(read, is_attribute_block_of(s, block)), block,
		     inode_place(s, s->ino));
	else if (s->inode->i_flags & EXT4_EXTENTS_FL)
		tell(s, "extent block", QF_GUEST_BY_PARENT,
		     state_of(read, is_extent_block(s)), block,
		     inode_place(s, s->ino));
	return !s->stopped;
}

static bool see_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	struct seeing *s = ctx;
	uint64_t block = start / s->x->block, end;
	bool read;

	end = block + bytes / s->x->block;
	if (!qf_volume_asked(s->x->v, start, bytes))
		return true;
	for (; block < end && !s->stopped; block++) {
		if (file_off == QF_NOWHERE) {
			see_mapping(s, block);
		} else if (wants(s, block)) {
			read = read_block(s, block);
			tell(s, "directory block", QF_GUEST_BY_PARENT,
			     state_of(read, qf_extfs_fn.dir_block_csum_verify(
						    s->x->fs, s->ino,
						    (void *)s->buf)),
			     block, inode_place(s, s->ino));
		}
	}
	return !s->stopped;
}

/* Of a file, only the blocks that map the others. */
static bool see_file_extent(void *ctx, uint64_t file_off, uint64_t start,
			    uint64_t bytes)
{
	return file_off != QF_NOWHERE ||
	       see_extent(ctx, file_off, start, bytes);
}

static bool see_inode(void *ctx, ext2_ino_t ino, struct ext2_inode *inode)
{
	struct seeing *s = ctx;

	s->ino = ino;
	s->inode = inode;
	qf_extfs_blocks_of(
		s->x, ino, inode,
		LINUX_S_ISDIR(inode->i_mode) ? see_extent : see_file_extent, s);
	return !s->stopped;
}

void qf_extfs_blocks(void *fs, qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	dgrp_t g;

	s.buf = malloc(2 * (size_t)s.x->block);
	if (!s.buf)
		return;
	s.bits = s.buf + s.x->block;
	for (g = 0; g < s.x->fs->group_desc_count && !s.stopped; g++)
		see_group(&s, g);
	if (s.x->group_csum)
		see_descriptors(&s);
	if (s.x->csum && !s.stopped)
		qf_extfs_scan(s.x, see_inode, &s);
	free(s.buf);
}

/* --- loose blocks --- */

/* The number of the inode at P, out of its checksum; 0: it has none. */
static uint32_t solve_inode(const struct qf_extfs *x, const unsigned char *p)
{
	static const unsigned char zeros[4];
	const uint32_t bytes = EXT2_INODE_SIZE(x->fs->super);
	unsigned char body[1024];
	uint32_t crc, ino;

	if (bytes <= EXT2_GOOD_OLD_INODE_SIZE || bytes > sizeof(body) ||
	    !qf_le_get16(p, 0) || !qf_le_get16(p, 0x1a) ||
	    qf_le_get16(p, 0x80) < 4 || qf_le_get16(p, 0x80) > bytes - 128)
		return 0;
	memcpy(body, p, bytes);
	crc = qf_le_get16(p, 0x7c) | (uint32_t)qf_le_get16(p, 0x82) << 16;
	memset(body + 0x7c, 0, 2);
	memset(body + 0x82, 0, 2);
	crc = qf_crc_32c_before(crc, body, bytes);
	crc = qf_crc_32c_before(crc, p + 0x64, 4);
	ino = qf_crc_32c_before(crc, zeros, 4) ^ x->fs->csum_seed;
	return ino <= x->fs->super->s_inodes_count ? ino : 0;
}

/* The block of an inode table: at least two inodes name the same one. */
static bool is_inode_block(struct seeing *s, const unsigned char *p,
			   uint64_t *block)
{
	const uint32_t bytes = EXT2_INODE_SIZE(s->x->fs->super);
	uint32_t i, ino, agree = 0;
	ext2_ino_t first = 0;

	for (i = 0; i < s->x->block / bytes; i++) {
		ino = solve_inode(s->x, p + i * bytes);
		if (ino <= i)
			continue;
		if (first && ino - i != first)
			return false;
		first = ino - i;
		agree++;
	}
	if (agree < 2)
		return false;
	*block = inode_place(s, first) / s->x->block;
	return true;
}

/* The first block of a directory: its own entry leads to its inode. */
static bool first_block(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	uint64_t *block = ctx;

	(void)bytes;
	if (file_off)
		return true;
	*block = start;
	return false;
}

static bool is_directory_block(struct seeing *s, const unsigned char *p,
			       uint64_t *block)
{
	uint64_t start = QF_NOWHERE;
	uint32_t ino = qf_le_get32(p, 0);
	struct qf_inode inode;

	if (!ino || p[6] != 1 || p[8] != '.' || qf_le_get16(p, 4) != 12 ||
	    p[18] != 2 || p[20] != '.' || p[21] != '.' ||
	    !qf_extfs_inode(s->x, ino, &inode) ||
	    inode.kind != QF_GUEST_DIRECTORY)
		return false;
	memcpy(s->buf, p, s->x->block);
	if (!qf_extfs_fn.dir_block_csum_verify(s->x->fs, ino, (void *)s->buf))
		return false;
	qf_extfs_extents(s->x, ino, first_block, &start);
	s->ino = ino;
	*block = start / s->x->block;
	return start != QF_NOWHERE;
}

static void see_loose(struct seeing *s, const unsigned char *p, uint32_t at)
{
	struct qf_guest_block b = { .start = at,
				    .bytes = s->x->block,
				    .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_ADDRESS };
	uint64_t block = 0;
	uint32_t group;

	if (is_super(s->x, p, &group) && group) {
		strcpy(b.what, "superblock");
		block = qf_extfs_fn.group_first_block2(s->x->fs, group);
		if (!s->x->csum)
			b.bond = QF_GUEST_BY_NUMBER;
	} else if (!s->x->csum) {
		return;
	} else if (is_attribute_block(s, p, &block)) {
		strcpy(b.what, "attribute block");
	} else if (is_inode_block(s, p, &block)) {
		strcpy(b.what, "inode table");
	} else if (is_directory_block(s, p, &block)) {
		strcpy(b.what, "directory block");
		b.bond = QF_GUEST_BY_PARENT;
		b.parent = inode_place(s, s->ino);
	} else {
		return;
	}
	b.says = block * s->x->block;
	s->stopped = !s->tell(s->ctx, &b);
}

void qf_extfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		    qf_reader_block *tell_fn, void *ctx)
{
	struct seeing s = { .x = fs, .tell = tell_fn, .ctx = ctx };
	uint32_t at;

	s.buf = malloc(s.x->block);
	if (!s.buf)
		return;
	for (at = 0; n - at >= s.x->block && !s.stopped; at += s.x->block)
		see_loose(&s, bytes + at, at);
	free(s.buf);
}
