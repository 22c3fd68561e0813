// SPDX-License-Identifier: LGPL-2.1-or-later
/* ext2, ext3, ext4: what a file holds. */
#include "lib/unixfs/extfs_lib.h"
#include "lib/guest/le.h"

#include <stdlib.h>
#include <string.h>

#define XATTR_MAGIC 0xea020000u
#define XATTR_SYSTEM 7

struct telling {
	struct qf_extfs *x;
	qf_reader_part *tell;
	void *ctx;
	struct qf_guest_part next; /* is told when it ends; no bytes: none */
	bool stopped, broken;
};

static bool flush(struct telling *t)
{
	if (t->next.bytes && !t->stopped)
		t->stopped = !t->tell(t->ctx, &t->next);
	t->next.bytes = 0;
	return !t->stopped;
}

static bool add(struct telling *t, enum qf_guest_content content,
		uint64_t file_block, uint64_t block, uint64_t n)
{
	const uint64_t bytes = t->x->block;
	struct qf_guest_part *p = &t->next;

	if (!block || block > t->x->blocks || n > t->x->blocks - block) {
		t->broken = true;
		return true;
	}
	if (p->bytes && p->content == content &&
	    p->file_off + p->bytes == file_block * bytes &&
	    p->start + p->bytes == block * bytes) {
		p->bytes += n * bytes;
		return true;
	}
	if (!flush(t))
		return false;
	*p = (struct qf_guest_part){ .file_off = file_block * bytes,
				     .bytes = n * bytes,
				     .start = block * bytes,
				     .content = content };
	return true;
}

/* A block that maps others: one that is lost reads as holes. */
static bool is_known(const struct telling *t, uint64_t block)
{
	return block && block < t->x->blocks &&
	       qf_volume_read(t->x->v, t->x->buf, t->x->block,
			      block * t->x->block);
}

static void walk_extents(struct telling *t, ext2_ino_t ino,
			 struct ext2_inode *inode)
{
	const uint32_t leaf = EXT2_EXTENT_FLAGS_LEAF;
	struct ext2fs_extent e;
	ext2_extent_handle_t h;
	int op = EXT2_EXTENT_ROOT;
	uint64_t n = 0;
	errcode_t err;

	t->broken = true;
	if (qf_extfs_fn.extent_open2(t->x->fs, ino, inode, &h))
		return;
	t->broken = false;
	/* more extents than blocks are a circle */
	while (!(err = qf_extfs_fn.extent_get(h, op, &e)) &&
	       n++ <= t->x->blocks) {
		op = EXT2_EXTENT_NEXT;
		if (e.e_flags & EXT2_EXTENT_FLAGS_SECOND_VISIT)
			continue;
		if (!(e.e_flags & leaf)) {
			if (!is_known(t, e.e_pblk))
				t->broken = true;
		} else if (!add(t,
				e.e_flags & EXT2_EXTENT_FLAGS_UNINIT
					? QF_GUEST_ZEROS
					: QF_GUEST_BYTES,
				e.e_lblk, e.e_pblk, e.e_len)) {
			break;
		}
	}
	if (err != EXT2_ET_EXTENT_NO_NEXT)
		t->broken = true;
	qf_extfs_fn.extent_free(h);
}

static int see_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t n,
		     blk64_t ref_block, int ref_offset, void *ctx)
{
	struct telling *t = ctx;

	(void)fs;
	(void)ref_block;
	(void)ref_offset;
	if (n < 0 && !is_known(t, *block))
		t->broken = true;
	return n < 0 || add(t, QF_GUEST_BYTES, (uint64_t)n, *block, 1)
		       ? 0
		       : BLOCK_ABORT;
}

/* The value of "system.data" among the attributes in the inode, which has
 * all of its bytes at P. NULL: there is none. */
static const unsigned char *rest_of_inline(const unsigned char *p, uint32_t n,
					   uint32_t *bytes)
{
	uint32_t first, at, name, off;

	if (n < 132)
		return NULL;
	first = 128u + qf_le_get16(p, 128) + 4;
	if (first > n || qf_le_get32(p, first - 4) != XATTR_MAGIC)
		return NULL;
	for (at = first; at + 16 <= n && qf_le_get32(p, at);
	     at += 16 + ((name + 3) & ~3u)) {
		name = p[at];
		off = qf_le_get16(p, at + 2);
		*bytes = qf_le_get32(p, at + 8);
		if (name != 4 || p[at + 1] != XATTR_SYSTEM || at + 20 > n ||
		    memcmp(p + at + 16, "data", 4))
			continue;
		return off <= n - first && *bytes <= n - first - off
			       ? p + first + off
			       : NULL;
	}
	return NULL;
}

static void tell_inline(struct telling *t, struct ext2_inode *inode)
{
	unsigned char *all = (unsigned char *)inode;
	struct qf_guest_part p = { .bytes = sizeof(inode->i_block),
				   .content = QF_GUEST_INLINE,
				   .data = (unsigned char *)inode->i_block };
	const unsigned char *rest;
	uint32_t bytes;

	t->stopped = !t->tell(t->ctx, &p);
	rest = rest_of_inline(all, EXT2_INODE_SIZE(t->x->fs->super), &bytes);
	if (!rest || !bytes || bytes > QF_READER_INLINE || t->stopped)
		return;
	p.file_off = p.bytes;
	p.bytes = bytes;
	p.data = all + (rest - all);
	t->stopped = !t->tell(t->ctx, &p);
}

/* False: there may be more than was told. */
static bool tell_all(struct telling *t, ext2_ino_t ino,
		     struct ext2_inode *inode)
{
	struct qf_guest_part coded = { .bytes = INT64_MAX,
				       .content = QF_GUEST_CODED };

	if (inode->i_flags & EXT4_ENCRYPT_FL)
		return t->tell(t->ctx, &coded);
	if (inode->i_flags & EXT4_INLINE_DATA_FL) {
		tell_inline(t, inode);
		return false;
	}
	if (inode->i_flags & EXT4_EXTENTS_FL)
		walk_extents(t, ino, inode);
	else if (qf_extfs_fn.block_iterate3(t->x->fs, ino, BLOCK_FLAG_READ_ONLY,
					    NULL, see_block, t))
		t->broken = true;
	flush(t);
	return !t->broken;
}

bool qf_extfs_content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx)
{
	struct telling t = { .x = fs, .tell = tell, .ctx = ctx };
	struct ext2_inode *inode = qf_extfs_read_inode(fs, id);
	bool whole = inode && tell_all(&t, (ext2_ino_t)id, inode);

	free(inode);
	return whole;
}
