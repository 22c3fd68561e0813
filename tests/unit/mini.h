/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A builder of small sound qcow2 images in memory, of any version, cluster
 * size and refcount width, and bytes that fail to be read. It shares no code
 * with the reader under test: the format is written out by hand here.
 */
#ifndef QF_TEST_MINI_H
#define QF_TEST_MINI_H

#include "lib/model/image.h"

#define MINI_COPIED (1ull << 63)
#define MINI_COMPRESSED (1ull << 62)

struct mini_opts {
	uint32_t version;      /* 2 or 3 */
	uint32_t cluster_bits; /* 9 to 21 */
	uint32_t refcount_order;
	uint64_t disk_bytes;
	uint64_t incompatible, compatible, autoclear;
};

struct mini {
	struct mini_opts o;
	unsigned char *buf;
	uint64_t bytes; /* of the image */
	uint64_t room;
	uint64_t cluster_bytes;
	uint64_t l1_off;
	uint32_t l1_entries;
	uint32_t l2_bits, l2_words;
	uint64_t reftable_off;
	uint64_t snap_off, snap_bytes;
	uint32_t snaps;
};

/* Header, refcounts, an empty L1 table. Free with mini_free. */
void mini_make(struct mini *m, const struct mini_opts *o);
void mini_free(struct mini *m);

void mini_put16(struct mini *m, uint64_t off, uint16_t v);
void mini_put32(struct mini *m, uint64_t off, uint32_t v);
void mini_put64(struct mini *m, uint64_t off, uint64_t v);
uint64_t mini_get64(const struct mini *m, uint64_t off);

/* N fresh clusters at the end of the file with refcount 1: their place. */
uint64_t mini_alloc(struct mini *m, uint64_t n);

/* The refcount of the cluster at OFF; setting makes a block if need be. */
uint64_t mini_refcount(const struct mini *m, uint64_t off);
void mini_set_refcount(struct mini *m, uint64_t off, uint64_t n);

/* The L2 table for that L1 entry, made if it is not there. */
uint64_t mini_l2(struct mini *m, uint32_t l1_index);
/* Where the L2 entry of a guest cluster stands (its table is made). */
uint64_t mini_entry_off(struct mini *m, uint64_t guest_cluster);
/* Maps a guest cluster to fresh data; a shared cluster is left behind. */
uint64_t mini_data(struct mini *m, uint64_t guest_cluster);
/* Maps it to a fresh compressed cluster of BYTES. */
uint64_t mini_packed(struct mini *m, uint64_t guest_cluster, uint64_t bytes);

/* Freezes the disk: an internal snapshot of all that is mapped. */
void mini_snapshot(struct mini *m, const char *id, const char *name);

/* Adds a header extension behind those that are there. */
void mini_extension(struct mini *m, uint32_t type, const void *data,
		    uint32_t bytes);

/* A persistent bitmap whose table has one data cluster. */
void mini_bitmap(struct mini *m, const char *name);

/* The image, opened; the bytes stay the builder's. */
struct qf_image *mini_open(const struct mini *m);

/*
 * Bytes that fail: read number FAIL_READ (1 is the first; 0: none) and every
 * read that touches [fail_off, fail_off + fail_bytes) end in EIO.
 */
struct mini_faulty {
	struct qf_io io;
	const struct mini *m;
	uint64_t reads, fail_read;
	uint64_t fail_off, fail_bytes;
	bool no_cache; /* read_cached always says -EAGAIN */
	uint64_t hints;
};

/* F as an io whose close frees nothing but the name. */
struct qf_io *mini_faulty_io(struct mini_faulty *f, const struct mini *m);

#endif
