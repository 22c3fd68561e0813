// SPDX-License-Identifier: LGPL-2.1-or-later
/* ext2, ext3, ext4: what it is, its use, its metadata. */
#include "lib/unixfs/extfs_lib.h"
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

/* --- what it is --- */

static int64_t time_at(const unsigned char *s, size_t low, size_t high)
{
	uint64_t t = (uint64_t)s[high] << 32 | qf_le_get32(s, low);

	return t ? (int64_t)t : QF_GUEST_NO_TIME;
}

static const char *kind_of(const unsigned char *s)
{
	const uint32_t four = EXT3_FEATURE_INCOMPAT_EXTENTS |
			      EXT4_FEATURE_INCOMPAT_64BIT |
			      EXT4_FEATURE_INCOMPAT_FLEX_BG;

	if (qf_le_get32(s, 0x60) & four ||
	    qf_le_get32(s, 0x64) & EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
		return "ext4";
	return qf_le_get32(s, 0x5c) & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3"
								      : "ext2";
}

static void tell_state(const unsigned char *s, struct qf_guest_fs *fs)
{
	uint16_t state = qf_le_get16(s, 0x3a);
	bool journal = qf_le_get32(s, 0x60) & EXT3_FEATURE_INCOMPAT_RECOVER;

	fs->clean = (state & 3) == 1 && !journal ? QF_GUEST_CLEAN
						 : QF_GUEST_UNCLEAN;
	if (journal)
		strcpy(fs->note, "its journal has not been replayed");
	else if (state & 2)
		strcpy(fs->note, "it has noted errors of its own");
}

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	unsigned char s[QF_EXTFS_SUPER_BYTES];
	enum qf_extfs_super which = qf_extfs_find_super(v, s);
	uint64_t blocks, unused;

	if (which == QF_EXTFS_NONE)
		return false;
	strcpy(fs->kind, kind_of(s));
	qf_ident_text(s + 0x78, 16, fs->label, sizeof(fs->label));
	qf_ident_uuid(s + 0x68, fs->uuid, sizeof(fs->uuid));
	if (which == QF_EXTFS_DAMAGED) {
		strcpy(fs->note, "its superblock is damaged, and so is the "
				 "first copy");
		fs->opaque = true;
		return true;
	}
	fs->block_bytes = 1024u << qf_le_get32(s, 0x18);
	blocks = qf_le_get32(s, 4);
	unused = qf_le_get32(s, 0xc);
	if (qf_le_get32(s, 0x60) & EXT4_FEATURE_INCOMPAT_64BIT) {
		blocks |= (uint64_t)qf_le_get32(s, 0x150) << 32;
		unused |= (uint64_t)qf_le_get32(s, 0x158) << 32;
	}
	if (!qf_mem_mul(blocks, fs->block_bytes, &fs->bytes))
		return false;
	fs->made = time_at(s, 0x108, 0x276);
	fs->mounted = time_at(s, 0x2c, 0x275);
	fs->written = time_at(s, 0x30, 0x274);
	if (which == QF_EXTFS_COPY) {
		strcpy(fs->note, "its superblock is damaged, it is read by a "
				 "copy");
		return true;
	}
	if (unused <= blocks)
		fs->free_bytes = unused * fs->block_bytes;
	tell_state(s, fs);
	return true;
}

/* --- use --- */

struct telling {
	struct qf_extfs *x;
	qf_reader_use *use;
	qf_reader_area *area;
	void *ctx;
	bool stopped;
};

static bool tell_blocks(struct telling *t, enum qf_guest_use use,
			uint64_t first, uint64_t n)
{
	if (!t->stopped)
		t->stopped = !t->use(t->ctx, use, first * t->x->block,
				     n * t->x->block);
	return !t->stopped;
}

/* The end of the bits that are all USED, beginning at I; at most N. */
static uint64_t alike(const unsigned char *bits, uint64_t i, uint64_t n,
		      bool used)
{
	const unsigned char whole = used ? 0xff : 0;

	while (i < n) {
		if (!(i % 8) && bits[i / 8] == whole)
			i += 8;
		else if ((bits[i / 8] >> (i % 8) & 1) == used)
			i++;
		else
			break;
	}
	return i < n ? i : n;
}

/* The bits of BLOCKS blocks from FIRST on, RATIO blocks a bit. */
static void tell_bits(struct telling *t, const unsigned char *bits,
		      uint64_t first, uint64_t blocks, uint64_t ratio)
{
	uint64_t n = qf_mem_div_up(blocks, ratio), i, next, end;
	bool used;

	for (i = 0; i < n; i = next) {
		used = bits[i / 8] >> (i % 8) & 1;
		next = alike(bits, i, n, used);
		end = next * ratio < blocks ? next * ratio : blocks;
		if (!tell_blocks(t, used ? QF_GUEST_USED : QF_GUEST_FREE,
				 first + i * ratio, end - i * ratio))
			return;
	}
}

/* A group's own bitmap, as far as something vouches for it. */
static bool read_bitmap(struct qf_extfs *x, dgrp_t g, uint64_t blocks,
			uint64_t ratio)
{
	uint64_t at, n = blocks / ratio, i, unused = 0;
	const uint32_t bytes = EXT2_CLUSTERS_PER_GROUP(x->fs->super) / 8;

	if (!qf_mem_mul(qf_extfs_fn.block_bitmap_loc(x->fs, g), x->block,
			&at) ||
	    !at || !qf_volume_read(x->v, x->buf, x->block, at) ||
	    bytes > x->block)
		return false;
	if (x->csum)
		return qf_extfs_fn.block_bitmap_csum_verify(
			x->fs, g, (char *)x->buf, (int)bytes);
	/* without a checksum, the count of free blocks is what there is */
	for (i = 0; i < n; i++)
		unused += !(x->buf[i / 8] >> (i % 8) & 1);
	return !x->clean ||
	       unused == qf_extfs_fn.bg_free_blocks_count(x->fs, g);
}

/* The part of N blocks at AT that lies in the group becomes set bits. */
static void set_bits(unsigned char *bits, uint64_t first, uint64_t blocks,
		     uint64_t at, uint64_t n)
{
	uint64_t i;

	for (i = at; i < at + n; i++)
		if (i >= first && i - first < blocks)
			bits[(i - first) / 8] |=
				(unsigned char)(1u << ((i - first) % 8));
}

/* What a group without a bitmap has in use is its own metadata alone. */
static void make_bitmap(struct qf_extfs *x, dgrp_t g, uint64_t first,
			uint64_t blocks)
{
	blk64_t super = 0, old = 0, new = 0;
	blk_t used = 0;

	memset(x->buf, 0, x->block);
	qf_extfs_fn.super_and_bgd_loc2(x->fs, g, &super, &old, &new, &used);
	if (super || !g)
		set_bits(x->buf, first, blocks, super, 1);
	if (old)
		set_bits(x->buf, first, blocks, old,
			 x->fs->desc_blocks +
				 x->fs->super->s_reserved_gdt_blocks);
	if (new)
		set_bits(x->buf, first, blocks, new, 1);
	set_bits(x->buf, first, blocks, qf_extfs_fn.block_bitmap_loc(x->fs, g),
		 1);
	set_bits(x->buf, first, blocks, qf_extfs_fn.inode_bitmap_loc(x->fs, g),
		 1);
	set_bits(x->buf, first, blocks, qf_extfs_fn.inode_table_loc(x->fs, g),
		 x->fs->inode_blocks_per_group);
}

static void tell_group(struct telling *t, dgrp_t g)
{
	struct qf_extfs *x = t->x;
	uint64_t first = qf_extfs_fn.group_first_block2(x->fs, g);
	uint64_t n = (uint64_t)qf_extfs_fn.group_blocks_count(x->fs, g);
	uint64_t ratio = (uint64_t)EXT2FS_CLUSTER_RATIO(x->fs);

	if (!qf_volume_asked(x->v, first * x->block, n * x->block) ||
	    n > 8 * (uint64_t)x->block * ratio || !qf_extfs_group_sound(x, g))
		return;
	if (x->group_csum &&
	    qf_extfs_fn.bg_flags_test(x->fs, g, EXT2_BG_BLOCK_UNINIT) &&
	    ratio == 1)
		make_bitmap(x, g, first, n);
	else if (!read_bitmap(x, g, n, ratio))
		return;
	tell_bits(t, x->buf, first, n, ratio);
}

static void use(void *fs, qf_reader_use *tell, void *ctx)
{
	struct telling t = { .x = fs, .use = tell, .ctx = ctx };
	dgrp_t g;

	/* with blocks of 1 KiB, what lies before the first group */
	tell_blocks(&t, QF_GUEST_USED, 0, t.x->fs->super->s_first_data_block);
	for (g = 0; g < t.x->fs->group_desc_count && !t.stopped; g++)
		tell_group(&t, g);
}

/* --- areas --- */

static void tell_area(struct telling *t, const char *what, dgrp_t g,
		      uint64_t first, uint64_t n)
{
	char name[64];

	if (t->stopped || (!first && g) || first > t->x->blocks ||
	    n > t->x->blocks - first)
		return;
	snprintf(name, sizeof(name), what, (unsigned int)g);
	t->stopped =
		!t->area(t->ctx, name, first * t->x->block, n * t->x->block);
}

static void tell_group_areas(struct telling *t, dgrp_t g)
{
	struct qf_extfs *x = t->x;
	blk64_t super = 0, old = 0, new = 0;
	blk_t used = 0;

	qf_extfs_fn.super_and_bgd_loc2(x->fs, g, &super, &old, &new, &used);
	if (!g)
		tell_area(t, "superblock", g, super, 1);
	else
		tell_area(t, "copy of the superblock in group %u", g, super, 1);
	if (old) {
		tell_area(t, "group descriptors in group %u", g, old,
			  x->fs->desc_blocks);
		tell_area(t, "room for group descriptors in group %u", g,
			  old + x->fs->desc_blocks,
			  x->fs->super->s_reserved_gdt_blocks);
	}
	if (new)
		tell_area(t, "group descriptors in group %u", g, new, 1);
	tell_area(t, "block bitmap of group %u", g,
		  qf_extfs_fn.block_bitmap_loc(x->fs, g), 1);
	tell_area(t, "inode bitmap of group %u", g,
		  qf_extfs_fn.inode_bitmap_loc(x->fs, g), 1);
	tell_area(t, "inode table of group %u", g,
		  qf_extfs_fn.inode_table_loc(x->fs, g),
		  x->fs->inode_blocks_per_group);
}

/* The inode whose extents are an area. */
struct special {
	struct telling *t;
	const char *name;
};

static bool tell_special(void *ctx, uint64_t file_off, uint64_t start,
			 uint64_t bytes)
{
	struct special *s = ctx;

	(void)file_off;
	s->t->stopped = !s->t->area(s->t->ctx, s->name, start, bytes);
	return !s->t->stopped;
}

static void tell_specials(struct telling *t)
{
	const struct ext2_super_block *s = t->x->fs->super;
	const struct {
		const char *name;
		ext2_ino_t ino;
	} inodes[] = {
		{ "bad blocks", EXT2_BAD_INO },
		{ "user quota", EXT4_USR_QUOTA_INO },
		{ "group quota", EXT4_GRP_QUOTA_INO },
		{ "project quota", s->s_prj_quota_inum },
		{ "journal", s->s_journal_inum },
		{ "orphan file", ext2fs_has_feature_orphan_file(t->x->fs->super)
					 ? s->s_orphan_file_inum
					 : 0 },
	};
	struct special special = { .t = t };
	size_t i;

	for (i = 0; i < sizeof(inodes) / sizeof(inodes[0]); i++) {
		special.name = inodes[i].name;
		if (inodes[i].ino && !t->stopped)
			qf_extfs_extents(t->x, inodes[i].ino, tell_special,
					 &special);
	}
}

static void areas(void *fs, qf_reader_area *tell, void *ctx)
{
	struct telling t = { .x = fs, .area = tell, .ctx = ctx };
	struct ext2_inode resize;
	dgrp_t g;

	if (t.x->fs->super->s_first_data_block)
		tell_area(&t, "boot block", 0, 0, 1);
	for (g = 0; g < t.x->fs->group_desc_count && !t.stopped; g++)
		if (qf_extfs_group_sound(t.x, g))
			tell_group_areas(&t, g);
	tell_specials(&t);
	/* its other blocks are the room for descriptors */
	if (ext2fs_has_feature_resize_inode(t.x->fs->super) &&
	    !qf_extfs_fn.read_inode_full(t.x->fs, EXT2_RESIZE_INO, &resize,
					 sizeof(resize)) &&
	    resize.i_block[EXT2_DIND_BLOCK])
		tell_area(&t, "resize inode", 0,
			  resize.i_block[EXT2_DIND_BLOCK], 1);
}

static uint64_t root(void *fs)
{
	(void)fs;
	return EXT2_ROOT_INO;
}

const struct qf_reader qf_fs_ext_reader = {
	.probe = probe,
	.prepare = qf_extfs_prepare,
	.open = qf_extfs_open,
	.close = qf_extfs_close,
	.use = use,
	.areas = areas,
	.root = root,
	.inodes = qf_extfs_inodes,
	.inode = qf_extfs_inode,
	.extents = qf_extfs_extents,
	.content = qf_extfs_content,
	.links = qf_extfs_links,
	.blocks = qf_extfs_blocks,
	.loose = qf_extfs_loose,
};
