/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * btrfs on one device: superblock, chunks, trees ("On-disk Format" of the
 * btrfs documentation). Internal to its reader.
 */
#ifndef QF_BTRFS_LIB_H
#define QF_BTRFS_LIB_H

#include "lib/guest/reader.h"

#define QF_BTRFS_SUPER_AT 65536ull
#define QF_BTRFS_SUPER_BYTES 4096u
#define QF_BTRFS_MAX_NODE 65536u
#define QF_BTRFS_MAX_LEVEL 7
#define QF_BTRFS_COPIES 2

/* Kinds of checksums. */
enum {
	QF_BTRFS_CRC32C,
	QF_BTRFS_XXHASH,
	QF_BTRFS_SHA256,
	QF_BTRFS_BLAKE2,
};

/* Types of items that are read. */
enum {
	QF_BTRFS_INODE_ITEM = 1,
	QF_BTRFS_DIR_INDEX = 96,
	QF_BTRFS_EXTENT_DATA = 108,
	QF_BTRFS_EXTENT_CSUM = 128,
	QF_BTRFS_ROOT_ITEM = 132,
	QF_BTRFS_EXTENT_ITEM = 168,
	QF_BTRFS_METADATA_ITEM = 169,
	QF_BTRFS_CHUNK_ITEM = 228,
};

/* Numbers of trees. */
enum {
	QF_BTRFS_ROOT_TREE = 1,
	QF_BTRFS_EXTENT_TREE = 2,
	QF_BTRFS_CHUNK_TREE = 3,
	QF_BTRFS_FS_TREE = 5,
	QF_BTRFS_CSUM_TREE = 7,
	QF_BTRFS_FIRST_SUBVOLUME = 256,
};
#define QF_BTRFS_LAST_SUBVOLUME (UINT64_MAX - 256)

struct qf_btrfs_key {
	uint64_t id, offset;
	uint8_t type;
};

struct qf_btrfs_root {
	uint64_t id, at, generation;
	uint8_t level;
};

/* Logical addresses behind each other, and where their copies are. */
struct qf_btrfs_chunk {
	uint64_t start, bytes;
	uint64_t place[QF_BTRFS_COPIES];
	uint32_t copies;
};

struct qf_btrfs {
	struct qf_volume *v;
	unsigned char super[QF_BTRFS_SUPER_BYTES];
	unsigned char node_id[16]; /* that the nodes bear */
	uint32_t node, sector;	   /* bytes */
	uint32_t csum_type;
	uint64_t bytes;		      /* of the device */
	struct qf_btrfs_chunk *chunk; /* in order; owned */
	size_t chunks, chunk_room;
	struct qf_btrfs_root *root; /* owned */
	size_t roots, root_room;
	bool no_memory;
};

/* The first sound superblock, of any copy; false: none. */
bool qf_btrfs_find_super(struct qf_volume *v, unsigned char *s, bool *by_copy);

/* See struct qf_reader. */
enum qf_err qf_btrfs_open(struct qf_volume *v, void **fs, struct qf_why *why);
void qf_btrfs_close(void *fs);

/* Whether SUM is the checksum of N bytes; of an unknown kind, all pass. */
bool qf_btrfs_sum_holds(const struct qf_btrfs *x, const unsigned char *sum,
			const void *buf, size_t n);

/* Bytes of a checksum; 0: of an unknown kind. */
uint32_t qf_btrfs_sum_bytes(const struct qf_btrfs *x);

/* Whether S is a superblock that belongs at AT. */
bool qf_btrfs_super_sound(const unsigned char *s, uint64_t at);

/* The chunk of a logical address; NULL: there is none. */
const struct qf_btrfs_chunk *qf_btrfs_chunk_of(const struct qf_btrfs *x,
					       uint64_t logical);
/* Where copy I of the logical address is; QF_NOWHERE: there is none. */
uint64_t qf_btrfs_place(const struct qf_btrfs *x, uint64_t logical, uint32_t i);

/* Whether the node B is the one of that address; GENERATION 0 is any. */
bool qf_btrfs_node_sound(const struct qf_btrfs *x, const unsigned char *b,
			 uint64_t logical, uint64_t generation);

const struct qf_btrfs_root *qf_btrfs_root_of(const struct qf_btrfs *x,
					     uint64_t id);

/* What is seen of a tree; each returns false to stop, and may be NULL. */
struct qf_btrfs_visitor {
	/* a node, before it is read; PARENT is where the one above stands */
	bool (*node)(void *ctx, uint64_t logical, uint64_t generation,
		     uint64_t parent);
	bool (*item)(void *ctx, const struct qf_btrfs_key *key,
		     const unsigned char *data, uint32_t bytes);
	void *ctx;
	/* only items whose id is in between */
	uint64_t first_id, last_id;
};

/* True if all of the tree (of what was to be seen) is sound. */
bool qf_btrfs_walk(struct qf_btrfs *x, const struct qf_btrfs_root *root,
		   const struct qf_btrfs_visitor *see);

/* btrfs_blocks.c: see struct qf_reader. */
void qf_btrfs_blocks(void *fs, qf_reader_block *tell, void *ctx);
void qf_btrfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		    qf_reader_block *tell, void *ctx);

#endif
