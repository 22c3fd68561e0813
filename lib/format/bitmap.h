/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Persistent bitmaps: the directory. Section "Bitmaps". As with snapshots, a
 * damaged entry does not hide those before it. The bitmap tables are read by
 * the walker.
 */
#ifndef QF_BITMAP_H
#define QF_BITMAP_H

#include "lib/format/ext.h"
#include "lib/format/header.h"
#include "lib/io/io.h"

enum qf_bitmap_table_state {
	QF_BITMAP_TABLE_OK,
	QF_BITMAP_TABLE_OFFSET, /* unaligned, or past the end */
	QF_BITMAP_TABLE_SIZE,	/* 0 entries or more than QEMU takes */
};

struct qf_bitmap {
	uint64_t entry_off;   /* host offset of the directory entry */
	uint32_t entry_bytes; /* with its padding */
	uint64_t table_off;
	uint32_t table_entries;
	uint32_t flags;
	uint8_t type;
	uint8_t granularity_bits;
	uint32_t extra_bytes;
	uint16_t name_bytes;
	char *name;	    /* owned, NUL terminated */
	bool padding_dirty; /* the entry's padding is not zero */
	enum qf_bitmap_table_state table_state;
};

enum qf_bitmap_dir_state {
	QF_BITMAPS_OK,
	QF_BITMAPS_OFFSET,     /* directory unaligned or past the end */
	QF_BITMAPS_SIZE,       /* directory size without a meaning */
	QF_BITMAPS_COUNT,      /* 0 or too many, or not what the size holds */
	QF_BITMAPS_UNREADABLE, /* an I/O error */
	QF_BITMAPS_CUT,	       /* entry N does not fit the directory */
	QF_BITMAPS_GARBLED,    /* entry N cannot be one */
};

struct qf_bitmap_dir {
	struct qf_bitmap *bm;
	uint32_t n;
	uint32_t stated;
	uint64_t off, bytes;
	enum qf_bitmap_dir_state state;
	uint64_t bad_off;
};

/*
 * Reads the directory that the bitmaps extension names (all zero without
 * one). Errors: QF_ERR_NOMEM. Free with qf_bitmap_free.
 */
enum qf_err qf_bitmap_read(struct qf_io *io, const struct qf_geometry *g,
			   const struct qf_ext_list *ext,
			   struct qf_bitmap_dir *dir, struct qf_why *why);

void qf_bitmap_free(struct qf_bitmap_dir *dir);

/* Table entries that a bitmap of that granularity needs for a disk. */
uint64_t qf_bitmap_table_needed(const struct qf_geometry *g,
				uint8_t granularity_bits, uint64_t disk_bytes);

#endif
