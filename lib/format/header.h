/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header: its bytes to a struct, and the figures that follow from it.
 * Pure: no reading, no judgement beyond "there is no way to read this".
 */
#ifndef QF_HEADER_H
#define QF_HEADER_H

#include "lib/base/err.h"
#include "lib/format/format.h"

struct qf_header {
	uint32_t version;
	uint64_t backing_name_off;
	uint32_t backing_name_bytes;
	uint32_t cluster_bits;
	uint64_t disk_bytes;   /* the virtual size */
	uint32_t crypt_method; /* enum qf_crypt */
	uint32_t l1_entries;
	uint64_t l1_off;
	uint64_t reftable_off;
	uint32_t reftable_clusters;
	uint32_t snapshot_count;
	uint64_t snapshots_off;
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t refcount_order;
	uint32_t header_bytes;
	uint8_t compression; /* enum qf_compression */
	uint8_t padding[7];
	/* what the file has instead, where the user vouches for it: believe.h */
	bool magic_wrong, version_wrong;
	bool version_open; /* version 2 fits as well as 3 */
	uint32_t stated_magic, stated_version;
};

/* What follows from the header alone. */
struct qf_geometry {
	uint32_t cluster_bits;
	uint64_t cluster_bytes;
	uint32_t refcount_bits; /* width of one refcount */
	uint64_t refcount_max;
	uint32_t refblock_bits;	 /* log2 of the refcounts a block holds */
	uint32_t l2_entry_bytes; /* 8, or 16 with extended L2 entries */
	uint32_t l2_bits;	 /* log2 of the entries of an L2 table */
	uint32_t l2_entries;
	uint32_t csize_shift; /* compressed descriptors, "x" */
	uint64_t csize_mask;
	uint64_t coffset_mask;
	uint64_t subcluster_bytes; /* cluster_bytes without subclusters */
	bool extl2;
	bool data_file;
	uint64_t l1_needed; /* L1 entries that the disk needs */
};

/*
 * Decodes BYTES (at least 4) bytes at BUF. Errors: QF_ERR_FOREIGN without
 * the magic, QF_ERR_FORMAT for a header that is cut short or states
 * something without a meaning (version, cluster_bits, refcount_order,
 * header_length), QF_ERR_UNSUPPORTED for unknown incompatible features.
 * Section "Header".
 */
enum qf_err qf_header_parse(const void *buf, uint64_t bytes,
			    struct qf_header *h, struct qf_why *why);

/* Fills G from a header that qf_header_parse accepted. */
void qf_header_geometry(const struct qf_header *h, struct qf_geometry *g);

/* The L1 entries that a disk of DISK_BYTES needs. */
uint64_t qf_header_l1_needed(const struct qf_geometry *g, uint64_t disk_bytes);

/* The name of bit BIT of feature word TYPE (0 incompatible, 1 compatible,
 * 2 autoclear) as the format names it, or NULL. */
const char *qf_header_feature(unsigned int type, unsigned int bit);

#endif
