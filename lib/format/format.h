/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 format's numbers, after docs/interop/qcow2.rst of QEMU, and the
 * limits that QEMU sets on top of it. Wire structures only; no functions.
 */
#ifndef QF_FORMAT_H
#define QF_FORMAT_H

#include "lib/base/be.h"

#define QF_MAGIC 0x514649fbu /* "QFI\xfb" */

#define QF_V2_HEADER_BYTES 72
#define QF_V3_HEADER_BYTES 104

#define QF_MIN_CLUSTER_BITS 9
#define QF_MAX_CLUSTER_BITS 21	     /* QEMU's limit: 2 MiB */
#define QF_MIN_EXTL2_CLUSTER_BITS 14 /* section "Extended L2 Entries" */

/* QEMU's limits on the sizes that a header may state. */
#define QF_MAX_L1_BYTES (32u << 20)
#define QF_MAX_REFTABLE_BYTES (8u << 20)
#define QF_MAX_SNAPSHOT_TABLE_BYTES (64u << 20)
#define QF_MAX_SNAPSHOTS 65536
#define QF_MAX_SNAPSHOT_EXTRA 1024
#define QF_MAX_BITMAPS 65535
#define QF_MAX_BITMAP_DIRECTORY_BYTES (QF_MAX_BITMAPS * 1024ull)
#define QF_MAX_BITMAP_TABLE_ENTRIES 0x8000000u
#define QF_MAX_BITMAP_NAME 1023
#define QF_MIN_GRANULARITY_BITS 9
#define QF_MAX_GRANULARITY_BITS 31
#define QF_MAX_BACKING_NAME 1023

/* Header, "Byte 72 - 79: incompatible_features". */
#define QF_INCOMPAT_DIRTY (1ull << 0)
#define QF_INCOMPAT_CORRUPT (1ull << 1)
#define QF_INCOMPAT_DATA_FILE (1ull << 2)
#define QF_INCOMPAT_COMPRESSION (1ull << 3)
#define QF_INCOMPAT_EXTL2 (1ull << 4)
#define QF_INCOMPAT_KNOWN 0x1full
#define QF_COMPAT_LAZY_REFCOUNTS (1ull << 0)
#define QF_COMPAT_KNOWN 0x1ull
#define QF_AUTOCLEAR_BITMAPS (1ull << 0)
#define QF_AUTOCLEAR_RAW_DATA (1ull << 1)
#define QF_AUTOCLEAR_KNOWN 0x3ull

enum qf_crypt {
	QF_CRYPT_NONE = 0,
	QF_CRYPT_AES = 1,
	QF_CRYPT_LUKS = 2,
};

enum qf_compression {
	QF_COMPRESSION_ZLIB = 0,
	QF_COMPRESSION_ZSTD = 1,
};

struct qf_wire_header {
	struct qf_be32 magic;
	struct qf_be32 version;
	struct qf_be64 backing_file_offset;
	struct qf_be32 backing_file_size;
	struct qf_be32 cluster_bits;
	struct qf_be64 size;
	struct qf_be32 crypt_method;
	struct qf_be32 l1_size;
	struct qf_be64 l1_table_offset;
	struct qf_be64 refcount_table_offset;
	struct qf_be32 refcount_table_clusters;
	struct qf_be32 nb_snapshots;
	struct qf_be64 snapshots_offset;
	/* version 3 */
	struct qf_be64 incompatible_features;
	struct qf_be64 compatible_features;
	struct qf_be64 autoclear_features;
	struct qf_be32 refcount_order;
	struct qf_be32 header_length;
	/* "Additional fields" */
	uint8_t compression_type;
	uint8_t padding[7];
};

/* Section "Header extensions". */
#define QF_EXT_END 0x00000000u
#define QF_EXT_BACKING_FORMAT 0xe2792acau
#define QF_EXT_FEATURE_NAMES 0x6803f857u
#define QF_EXT_BITMAPS 0x23852875u
#define QF_EXT_CRYPTO 0x0537be77u
#define QF_EXT_DATA_FILE 0x44415441u
/* "QFGU", of qfsck: lib/undofile/undokept.h */
#define QF_EXT_GAVE_UP 0x51464755u

struct qf_wire_ext {
	struct qf_be32 type;
	struct qf_be32 len;
};

struct qf_wire_feature_name {
	uint8_t type;
	uint8_t bit;
	char name[46];
};

struct qf_wire_bitmaps_ext {
	struct qf_be32 nb_bitmaps;
	struct qf_be32 reserved;
	struct qf_be64 directory_size;
	struct qf_be64 directory_offset;
};

struct qf_wire_crypto_ext {
	struct qf_be64 offset;
	struct qf_be64 length;
};

/* Section "Snapshots", the fixed part of a snapshot table entry. */
struct qf_wire_snapshot {
	struct qf_be64 l1_table_offset;
	struct qf_be32 l1_size;
	struct qf_be16 id_len;
	struct qf_be16 name_len;
	struct qf_be32 date_sec;
	struct qf_be32 date_nsec;
	struct qf_be64 vm_clock_nsec;
	struct qf_be32 vm_state_size;
	struct qf_be32 extra_len;
};

/* The known part of a snapshot's extra data. */
struct qf_wire_snapshot_extra {
	struct qf_be64 vm_state_size;
	struct qf_be64 disk_size;
	struct qf_be64 icount;
};

/* Section "Bitmaps", "Bitmap directory entry". */
struct qf_wire_bitmap {
	struct qf_be64 table_offset;
	struct qf_be32 table_size; /* entries */
	struct qf_be32 flags;
	uint8_t type;
	uint8_t granularity_bits;
	struct qf_be16 name_len;
	struct qf_be32 extra_len;
};

#define QF_BITMAP_IN_USE (1u << 0)
#define QF_BITMAP_AUTO (1u << 1)
#define QF_BITMAP_EXTRA_COMPATIBLE (1u << 2)
#define QF_BITMAP_FLAGS_KNOWN 7u
#define QF_BITMAP_TYPE_DIRTY 1

#define QF_BME_OFFSET_MASK 0x00fffffffffffe00ull
#define QF_BME_RESERVED_MASK 0xff000000000001feull
#define QF_BME_ALL_ONES 1ull

/* Section "Host cluster management". */
#define QF_REFT_OFFSET_MASK 0xfffffffffffffe00ull
#define QF_REFT_RESERVED_MASK 0x1ffull

/* Section "Cluster mapping". */
#define QF_ENTRY_COPIED (1ull << 63)
#define QF_ENTRY_COMPRESSED (1ull << 62)
#define QF_ENTRY_ZERO (1ull << 0)
#define QF_ENTRY_OFFSET_MASK 0x00fffffffffffe00ull
#define QF_L1_RESERVED_MASK 0x7f000000000001ffull
#define QF_L2_RESERVED_MASK 0x3f000000000001feull

#define QF_SUBCLUSTERS 32

#endif
