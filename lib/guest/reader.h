/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a reader of a file system is: one row of readers.def and one file
 * fs_*.c that fills this struct. A reader runs in the child (sandbox.h) and
 * sees one volume. It only says what it sees, in bytes of the volume;
 * clipping to what was asked, places on the disk, paths, sorting and bounds
 * are made of that for all readers alike (job.h, names.h).
 *
 * What every reader must keep:
 *  - a number from the disk is bounded before it is used, a tree is never
 *    deeper than its format allows, a list never longer than its volume;
 *  - what cannot be read is skipped: it is unknown, not free and not zero;
 *  - what its own checksum contradicts is skipped as well;
 *  - a callback that returns false ends the work at once.
 */
#ifndef QF_READER_H
#define QF_READER_H

#include "lib/guest/guest.h"
#include "lib/guest/volume.h"

struct qf_inode {
	uint64_t id;
	uint64_t bytes;
	int64_t modified;
	enum qf_guest_kind kind;
	bool deleted;
};

/* False: enough. */
typedef bool qf_reader_use(void *ctx, enum qf_guest_use use, uint64_t start,
			   uint64_t bytes);
typedef bool qf_reader_area(void *ctx, const char *name, uint64_t start,
			    uint64_t bytes);
typedef bool qf_reader_inode(void *ctx, const struct qf_inode *inode);
typedef bool qf_reader_extent(void *ctx, uint64_t file_off, uint64_t start,
			      uint64_t bytes);
/* In the directory DIR, NAME (not terminated) is the inode ID. */
typedef bool qf_reader_link(void *ctx, uint64_t dir, uint64_t id,
			    const char *name, size_t bytes);
/* A part of a file; the DATA of an inline one are at most QF_READER_INLINE. */
#define QF_READER_INLINE 4096u
typedef bool qf_reader_part(void *ctx, const struct qf_guest_part *p);
typedef bool qf_reader_block(void *ctx, const struct qf_guest_block *b);

struct qf_reader {
	/*
	 * Whether V holds this; fills what it can of FS, which is zeroed but
	 * for its times (none) and free bytes (not known). An opaque one has
	 * no more than this.
	 */
	bool (*probe)(struct qf_volume *v, struct qf_guest_fs *fs);

	/* In the parent, before the child is there: loads a library. NULL:
	 * needs none. */
	enum qf_err (*prepare)(struct qf_why *why);

	/* Errors: QF_ERR_NOMEM, QF_ERR_FORMAT (cannot be followed). */
	enum qf_err (*open)(struct qf_volume *v, void **fs, struct qf_why *why);
	void (*close)(void *fs);

	/* Used and free ranges, at least of what qf_volume_asked says. */
	void (*use)(void *fs, qf_reader_use *tell, void *ctx);

	/* The areas of metadata, by name. NULL: none. */
	void (*areas)(void *fs, qf_reader_area *tell, void *ctx);

	/* The id of the root directory. */
	uint64_t (*root)(void *fs);
	/* All files and directories. */
	void (*inodes)(void *fs, qf_reader_inode *tell, void *ctx);
	/* The inode ID; false: there is none. */
	bool (*inode)(void *fs, uint64_t id, struct qf_inode *inode);
	/* Where the bytes of the inode ID lie; not its holes. */
	void (*extents)(void *fs, uint64_t id, qf_reader_extent *tell,
			void *ctx);
	/* What the inode ID holds, if that is more than its extents tell: holes,
	 * room that was never written, what is packed. True: all of it was
	 * told, and the rest is holes. NULL: its extents are all that it has. */
	bool (*content)(void *fs, uint64_t id, qf_reader_part *tell, void *ctx);
	/* The entries of the directory DIR, without "." and ".."; a format
	 * that keeps them in its inodes may tell those of all directories. */
	void (*links)(void *fs, uint64_t dir, qf_reader_link *tell, void *ctx);
	/* True: links() tells those of all directories in one go. */
	bool links_all;
	bool any_case; /* names that differ in case alone are the same */

	/* The blocks in what was asked; NULL: knows of none. */
	void (*blocks)(void *fs, qf_reader_block *tell, void *ctx);
	/* The blocks in N loose BYTES that state a place; START is in them. */
	void (*loose)(void *fs, const unsigned char *bytes, uint32_t n,
		      qf_reader_block *tell, void *ctx);
};

/* The rows of readers.def, in order. */
extern const struct qf_reader *const qf_reader_table[];
extern const uint32_t qf_reader_count;

#endif
