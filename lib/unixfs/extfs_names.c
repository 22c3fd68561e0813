// SPDX-License-Identifier: LGPL-2.1-or-later
/* ext2, ext3, ext4: inodes, their blocks, directories. */
#include "lib/unixfs/extfs_lib.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* --- inodes --- */

static bool is_living(const struct ext2_inode *inode)
{
	return inode->i_links_count && inode->i_mode;
}

/*
 * The checksum is of the inode as the disk has it. libext2fs gives it in the
 * machine's order: on a big-endian one it is turned back for this.
 */
static bool inode_sound(struct qf_extfs *x, ext2_ino_t ino, void *inode)
{
	int bytes = (int)EXT2_INODE_SIZE(x->fs->super);
	struct ext2_inode_large *raw;
	bool sound;

	if (!x->csum)
		return true;
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return qf_extfs_fn.inode_csum_verify(x->fs, ino, inode);
	raw = calloc(1, (size_t)bytes);
	if (!raw)
		return false;
	qf_extfs_fn.swap_inode_full(x->fs, raw, inode, 1, bytes);
	sound = qf_extfs_fn.inode_csum_verify(x->fs, ino, raw);
	free(raw);
	return sound;
}

/* The largest inode has the size of a block. */
void qf_extfs_scan(struct qf_extfs *x, qf_extfs_see *see, void *ctx)
{
	int bytes = (int)EXT2_INODE_SIZE(x->fs->super);
	struct ext2_inode *inode = malloc((size_t)bytes);
	ext2_inode_scan scan = NULL;
	ext2_ino_t ino;

	if (!inode || qf_extfs_fn.open_inode_scan(x->fs, 0, &scan))
		goto out;
	while (!qf_extfs_fn.get_next_inode_full(scan, &ino, inode, bytes) &&
	       ino) {
		if (!is_living(inode) || !inode_sound(x, ino, inode))
			continue;
		if (!see(ctx, ino, inode))
			break;
	}
out:
	if (scan)
		qf_extfs_fn.close_inode_scan(scan);
	free(inode);
}

static enum qf_guest_kind kind_of(const struct ext2_inode *inode)
{
	if (LINUX_S_ISREG(inode->i_mode))
		return QF_GUEST_FILE;
	return LINUX_S_ISDIR(inode->i_mode) ? QF_GUEST_DIRECTORY
					    : QF_GUEST_OTHER;
}

static struct qf_inode describe(ext2_ino_t ino, const struct ext2_inode *inode)
{
	return (struct qf_inode){
		.id = ino,
		.bytes = (uint64_t)inode->i_size_high << 32 | inode->i_size,
		.modified = (int32_t)inode->i_mtime,
		.kind = kind_of(inode),
	};
}

struct telling_inodes {
	struct qf_extfs *x;
	qf_reader_inode *tell;
	void *ctx;
};

static bool see_inode(void *ctx, ext2_ino_t ino, struct ext2_inode *inode)
{
	struct telling_inodes *t = ctx;
	const struct qf_inode i = describe(ino, inode);
	const struct ext2_super_block *s = t->x->fs->super;

	/* the file system's own files are areas */
	if ((ino < EXT2_FIRST_INO(s) && ino != EXT2_ROOT_INO) ||
	    ino == s->s_journal_inum || ino == s->s_prj_quota_inum ||
	    ino == s->s_orphan_file_inum)
		return true;
	return t->tell(t->ctx, &i);
}

void qf_extfs_inodes(void *fs, qf_reader_inode *tell, void *ctx)
{
	struct telling_inodes t = { fs, tell, ctx };

	qf_extfs_scan(fs, see_inode, &t);
}

struct ext2_inode *qf_extfs_read_inode(struct qf_extfs *x, uint64_t id)
{
	int bytes = (int)EXT2_INODE_SIZE(x->fs->super);
	struct ext2_inode *inode;

	if (!id || id > x->fs->super->s_inodes_count)
		return NULL;
	inode = malloc((size_t)bytes);
	if (inode &&
	    !qf_extfs_fn.read_inode_full(x->fs, (ext2_ino_t)id, inode, bytes) &&
	    inode_sound(x, (ext2_ino_t)id, inode))
		return inode;
	free(inode);
	return NULL;
}

bool qf_extfs_inode(void *fs, uint64_t id, struct qf_inode *out)
{
	struct ext2_inode *inode = qf_extfs_read_inode(fs, id);
	bool living = inode && is_living(inode);

	if (living)
		*out = describe((ext2_ino_t)id, inode);
	free(inode);
	return living;
}

/* --- blocks of an inode --- */

/* Stretches are told when they end. */
struct stretch {
	struct qf_extfs *x;
	qf_reader_extent *tell;
	void *ctx;
	uint64_t file_block, block, n; /* N is 0: none yet */
	bool maps;
	bool stopped;
};

static bool flush(struct stretch *s)
{
	if (s->n && !s->stopped)
		s->stopped = !s->tell(
			s->ctx,
			s->maps ? QF_NOWHERE : s->file_block * s->x->block,
			s->block * s->x->block, s->n * s->x->block);
	s->n = 0;
	return !s->stopped;
}

static bool add(struct stretch *s, bool maps, uint64_t file_block,
		uint64_t block, uint64_t n)
{
	if (!block || block > s->x->blocks || n > s->x->blocks - block)
		return true;
	if (s->n && maps == s->maps && s->block + s->n == block &&
	    (maps || s->file_block + s->n == file_block)) {
		s->n += n;
		return true;
	}
	if (!flush(s))
		return false;
	s->maps = maps;
	s->file_block = file_block;
	s->block = block;
	s->n = n;
	return true;
}

static void walk_extents(struct stretch *s, ext2_ino_t ino,
			 struct ext2_inode *inode)
{
	struct ext2fs_extent e;
	ext2_extent_handle_t h;
	int op = EXT2_EXTENT_ROOT;
	uint64_t n = 0;

	if (qf_extfs_fn.extent_open2(s->x->fs, ino, inode, &h))
		return;
	/* more extents than blocks are a circle */
	while (n++ <= s->x->blocks && !qf_extfs_fn.extent_get(h, op, &e)) {
		op = EXT2_EXTENT_NEXT;
		if (e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT)
			continue;
		if (!add(s, !(e.e_flags & EXT2_EXTENT_FLAGS_LEAF), e.e_lblk,
			 e.e_pblk,
			 e.e_flags & EXT2_EXTENT_FLAGS_LEAF ? e.e_len : 1))
			break;
	}
	qf_extfs_fn.extent_free(h);
}

static int see_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t n,
		     blk64_t ref_block, int ref_offset, void *ctx)
{
	struct stretch *s = ctx;

	(void)fs;
	(void)ref_block;
	(void)ref_offset;
	return add(s, n < 0, n < 0 ? 0 : (uint64_t)n, *block, 1) ? 0
								 : BLOCK_ABORT;
}

void qf_extfs_blocks_of(struct qf_extfs *x, ext2_ino_t ino,
			struct ext2_inode *inode, qf_reader_extent *tell,
			void *ctx)
{
	struct stretch s = { .x = x, .tell = tell, .ctx = ctx };
	blk64_t attributes = qf_extfs_fn.file_acl_block(x->fs, inode);

	if (attributes && !(inode->i_flags & EXT4_EA_INODE_FL))
		add(&s, true, 0, attributes, 1);
	if (!qf_extfs_fn.inode_has_valid_blocks2(x->fs, inode) ||
	    inode->i_flags & EXT4_INLINE_DATA_FL) {
		flush(&s);
		return;
	}
	if (inode->i_flags & EXT4_EXTENTS_FL)
		walk_extents(&s, ino, inode);
	else
		qf_extfs_fn.block_iterate3(x->fs, ino, BLOCK_FLAG_READ_ONLY,
					   NULL, see_block, &s);
	flush(&s);
}

void qf_extfs_extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx)
{
	struct ext2_inode *inode = qf_extfs_read_inode(fs, id);

	if (inode)
		qf_extfs_blocks_of(fs, (ext2_ino_t)id, inode, tell, ctx);
	free(inode);
}

/* --- directories --- */

struct listing {
	struct qf_extfs *x;
	uint64_t dir;
	qf_reader_link *tell;
	void *ctx;
	uint64_t left; /* bytes of it that can be there still */
	bool stopped;
};

/* The entries in N bytes of a directory. */
static void list_entries(struct listing *l, const unsigned char *p, uint32_t n)
{
	uint32_t at, len, name, id;

	for (at = 0; at + 8 <= n && !l->stopped; at += len) {
		id = qf_le_get32(p, at);
		len = qf_le_get16(p, at + 4);
		if (n == 65536 && (len == 0 || len == 65535))
			len = 65536;
		name = p[at + 6];
		if (len < 8 || len > n - at || name > len - 8)
			return;
		if (!id || !name ||
		    (name <= 2 && !memcmp(p + at + 8, "..", name)))
			continue;
		l->stopped = !l->tell(l->ctx, l->dir, id,
				      (const char *)p + at + 8, name);
	}
}

static bool list_extent(void *ctx, uint64_t file_off, uint64_t start,
			uint64_t bytes)
{
	struct listing *l = ctx;
	struct qf_extfs *x = l->x;

	if (file_off == QF_NOWHERE)
		return true;
	for (; bytes >= x->block && !l->stopped && l->left >= x->block;
	     bytes -= x->block, start += x->block, l->left -= x->block)
		if (qf_volume_read(x->v, x->buf, x->block, start))
			list_entries(l, x->buf, x->block);
	return !l->stopped;
}

void qf_extfs_links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx)
{
	struct listing l = { fs, dir, tell, ctx, 0, false };
	struct ext2_inode *inode = qf_extfs_read_inode(fs, dir);

	if (inode && LINUX_S_ISDIR(inode->i_mode)) {
		l.left = (uint64_t)inode->i_size_high << 32 | inode->i_size;
		/* what lies in the inode itself: its parent, then entries */
		if (inode->i_flags & EXT4_INLINE_DATA_FL)
			list_entries(&l, (unsigned char *)inode->i_block + 4,
				     sizeof(inode->i_block) - 4);
		else
			qf_extfs_blocks_of(fs, (ext2_ino_t)dir, inode,
					   list_extent, &l);
	}
	free(inode);
}
