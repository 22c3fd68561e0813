/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XFS, versions 4 and 5: superblock, btrees, inodes and their blocks ("XFS
 * Algorithms & Data Structures"). Internal to the reader of XFS.
 */
#ifndef QF_XFS_LIB_H
#define QF_XFS_LIB_H

#include "lib/base/be.h"
#include "lib/guest/reader.h"

static inline uint16_t qf_xfs_get16(const void *buf, size_t at)
{
	struct qf_be16 v;

	memcpy(&v, (const unsigned char *)buf + at, sizeof(v));
	return qf_be_get16(v);
}

static inline uint32_t qf_xfs_get32(const void *buf, size_t at)
{
	struct qf_be32 v;

	memcpy(&v, (const unsigned char *)buf + at, sizeof(v));
	return qf_be_get32(v);
}

static inline uint64_t qf_xfs_get64(const void *buf, size_t at)
{
	struct qf_be64 v;

	memcpy(&v, (const unsigned char *)buf + at, sizeof(v));
	return qf_be_get64(v);
}

#define QF_XFS_SUPER_BYTES 512u
#define QF_XFS_MAX_BLOCK 65536u
#define QF_XFS_MAX_INODE 2048u
#define QF_XFS_MAX_LEVELS 10

struct qf_xfs {
	struct qf_volume *v;
	uint32_t block, sector, inode; /* bytes */
	uint32_t ag_blocks, ags;
	uint64_t blocks;
	uint32_t ag_bits;    /* of a block in its group, in block numbers */
	uint32_t inode_bits; /* of an inode in its block */
	uint32_t dir_block;  /* bytes */
	uint64_t root;
	uint64_t log_start, log_blocks; /* a block number; 0: elsewhere */
	unsigned char uuid[16];		/* that metadata bear */
	uint32_t trees; /* features of v5: bits for the trees besides */
	bool v5, file_types, sparse_inodes;
};

/* The superblock S into X; false if it is none, or damaged. */
bool qf_xfs_parse(const unsigned char *s, struct qf_xfs *x);
/* The primary superblock, else one of a later group. */
bool qf_xfs_load(struct qf_volume *v, unsigned char *s, struct qf_xfs *x,
		 bool *by_copy);

/* Whether the CRC at AT of the N bytes holds. */
bool qf_xfs_crc_holds(const unsigned char *buf, uint32_t n, uint32_t at);

/* --- places --- */

/* A group's block in bytes of the volume; QF_NOWHERE: there is none. */
uint64_t qf_xfs_ag_place(const struct qf_xfs *x, uint32_t ag, uint64_t block);
/* The same for a block number of the file system. */
uint64_t qf_xfs_place(const struct qf_xfs *x, uint64_t block);
/* The blocks that group AG has. */
uint32_t qf_xfs_ag_blocks(const struct qf_xfs *x, uint32_t ag);

/* --- the groups' headers and btrees --- */

enum qf_xfs_tree {
	QF_XFS_BY_BLOCK, /* free space */
	QF_XFS_BY_COUNT,
	QF_XFS_INODES,
	QF_XFS_FREE_INODES,
	QF_XFS_OWNERS,
	QF_XFS_REFCOUNTS,
	QF_XFS_TREES,
};

/* The header sector of group AG that has TREE's root (AGF or AGI), if it is
 * sound; its place in *PLACE (may be NULL). */
bool qf_xfs_header(struct qf_xfs *x, uint32_t ag, enum qf_xfs_tree tree,
		   unsigned char *h, uint64_t *place);

/* What is seen of a tree. Each returns false to stop; may be NULL. */
struct qf_xfs_visitor {
	bool (*block)(void *ctx, uint64_t place, uint64_t parent,
		      enum qf_guest_state state);
	bool (*record)(void *ctx, const unsigned char *record);
	void *ctx;
};

/* True if the whole of TREE was seen and is sound; false too if there is no
 * such tree. */
bool qf_xfs_walk(struct qf_xfs *x, uint32_t ag, enum qf_xfs_tree tree,
		 const struct qf_xfs_visitor *see);

extern const char *const qf_xfs_tree_names[QF_XFS_TREES];

/* --- inodes --- */

/* The place of inode INO; QF_NOWHERE: there can be none. */
uint64_t qf_xfs_inode_place(const struct qf_xfs *x, uint64_t ino);
/* Reads it if it is in use and sound. */
bool qf_xfs_read_inode(struct qf_xfs *x, uint64_t ino, unsigned char *inode);
bool qf_xfs_inode_sound(const struct qf_xfs *x, uint64_t ino,
			const unsigned char *inode);
/* Where its data begin. */
uint32_t qf_xfs_inode_data(const unsigned char *inode);

/* The inodes that the groups' trees list as in use. */
typedef bool qf_xfs_see_inode(void *ctx, uint64_t ino);
void qf_xfs_each_inode(struct qf_xfs *x, qf_xfs_see_inode *see, void *ctx);
/* The inodes of a chunk's record, one bit each: there and in use. */
uint64_t qf_xfs_chunk_used(const struct qf_xfs *x, const unsigned char *record);

/*
 * The blocks of an inode: those of its data at their offset, those that map
 * them and its attributes at QF_NOWHERE. NODE (may be NULL) sees the blocks
 * of the map, as in a visitor.
 */
void qf_xfs_blocks_of(struct qf_xfs *x, uint64_t ino,
		      const unsigned char *inode, qf_reader_extent *tell,
		      void *ctx, const struct qf_xfs_visitor *node);

/* xfs_names.c and xfs_blocks.c: see struct qf_reader. */
void qf_xfs_inodes(void *fs, qf_reader_inode *tell, void *ctx);
bool qf_xfs_inode(void *fs, uint64_t id, struct qf_inode *out);
void qf_xfs_extents(void *fs, uint64_t id, qf_reader_extent *tell, void *ctx);
bool qf_xfs_content(void *fs, uint64_t id, qf_reader_part *tell, void *ctx);
void qf_xfs_links(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx);
void qf_xfs_blocks(void *fs, qf_reader_block *tell, void *ctx);
void qf_xfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		  qf_reader_block *tell, void *ctx);

#endif
