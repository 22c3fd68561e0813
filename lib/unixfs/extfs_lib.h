/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An ext2, ext3 or ext4 file system by libext2fs, loaded when needed, with
 * an io_manager that reads a volume. Internal to the reader of ext.
 *
 * What to mind: a *_csum_verify says "good" where the file system has no
 * checksums, see qf_extfs.csum; what is lost is served as zeros.
 */
#ifndef QF_EXTFS_LIB_H
#define QF_EXTFS_LIB_H

#include "lib/guest/reader.h"

#include <ext2fs/ext2fs.h>

#define QF_EXTFS_SUPER_BYTES 1024u

#define QF_EXTFS_FUNCTIONS          \
	X(open2)                    \
	X(free)                     \
	X(bg_flags_test)            \
	X(bg_itable_unused)         \
	X(bg_free_blocks_count)     \
	X(block_bitmap_loc)         \
	X(inode_bitmap_loc)         \
	X(inode_table_loc)          \
	X(super_and_bgd_loc2)       \
	X(group_first_block2)       \
	X(group_blocks_count)       \
	X(descriptor_block_loc2)    \
	X(read_inode_full)          \
	X(open_inode_scan)          \
	X(close_inode_scan)         \
	X(get_next_inode_full)      \
	X(inode_has_valid_blocks2)  \
	X(file_acl_block)           \
	X(extent_open2)             \
	X(extent_get)               \
	X(extent_free)              \
	X(block_iterate3)           \
	X(group_desc_csum_verify)   \
	X(block_bitmap_csum_verify) \
	X(inode_bitmap_csum_verify) \
	X(inode_csum_verify)        \
	X(swap_inode_full)          \
	X(extent_block_csum_verify) \
	X(dir_block_csum_verify)    \
	X(ext_attr_block_csum_verify)

struct qf_extfs_functions {
#define X(f) __typeof__(ext2fs_##f) *f;
	QF_EXTFS_FUNCTIONS
#undef X
};

extern struct qf_extfs_functions qf_extfs_fn;

/* An open one. */
struct qf_extfs {
	struct qf_volume *v;
	ext2_filsys fs;
	unsigned char super[QF_EXTFS_SUPER_BYTES]; /* the one that is believed */
	uint32_t block;				   /* bytes */
	uint64_t blocks;
	bool csum;	 /* metadata are under checksums */
	bool group_csum; /* at least the group descriptors are */
	bool clean;
	unsigned char *buf; /* a block, for who needs one */
};

/* Which superblock to believe. */
enum qf_extfs_super {
	QF_EXTFS_NONE,
	QF_EXTFS_PRIMARY,
	QF_EXTFS_COPY,	  /* the primary one is damaged */
	QF_EXTFS_DAMAGED, /* the primary one, and no copy is better */
};

enum qf_extfs_super qf_extfs_find_super(struct qf_volume *v,
					unsigned char *super);

/* Loads the library; QF_ERR_UNSUPPORTED. */
enum qf_err qf_extfs_prepare(struct qf_why *why);
/* See struct qf_reader. */
enum qf_err qf_extfs_open(struct qf_volume *v, void **fs, struct qf_why *why);
void qf_extfs_close(void *fs);

/* Whether the N bytes at SUPER pass as a superblock, its checksum too. */
bool qf_extfs_super_sound(const unsigned char *super);

/* The group's descriptor, as far as its checksum says. */
bool qf_extfs_group_sound(const struct qf_extfs *x, dgrp_t g);

/* extfs_names.c: see struct qf_reader */
void qf_extfs_inodes(void *fs, qf_reader_inode *tell, void *ctx);
bool qf_extfs_inode(void *fs, uint64_t id, struct qf_inode *out);
void qf_extfs_extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx);
void qf_extfs_links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx);

/* Reads the inode, of any size, if it is sound; owned by the caller. */
struct ext2_inode *qf_extfs_read_inode(struct qf_extfs *x, uint64_t id);

/* extfs_content.c: see struct qf_reader */
bool qf_extfs_content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx);

/* The same as qf_extfs_inodes, with the inodes themselves; only sound ones. */
typedef bool qf_extfs_see(void *ctx, ext2_ino_t ino, struct ext2_inode *inode);
void qf_extfs_scan(struct qf_extfs *x, qf_extfs_see *see, void *ctx);

/* The blocks of an inode: those that map others have FILE_OFF QF_NOWHERE. */
void qf_extfs_blocks_of(struct qf_extfs *x, ext2_ino_t ino,
			struct ext2_inode *inode, qf_reader_extent *tell,
			void *ctx);

/* extfs_blocks.c: see struct qf_reader */
void qf_extfs_blocks(void *fs, qf_reader_block *tell, void *ctx);
void qf_extfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		    qf_reader_block *tell, void *ctx);

#endif
