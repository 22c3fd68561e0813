/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies on a guest's disk: partitions and volumes, the file system of
 * each, and what such a file system knows of the disk:
 *
 *	use	which ranges are in use, which are free
 *	names	which file a range belongs to, which ranges a file has
 *	blocks	which blocks state their own place or are vouched for by a
 *		checksum, and whether that holds
 *
 * Everything is a range of the disk in bytes, whatever volumes lie between.
 *
 * The guest may be hostile. All that looks at its bytes runs in a child
 * process that can do nothing but ask for bytes and tell (sandbox.h); what
 * it tells is bounded and checked here. A reader that fails, dies or takes
 * too long leaves "unknown" and a reason in the volume's TROUBLE; it is
 * never an error.
 *
 * A new file system is one line in readers.def and one file: reader.h.
 */
#ifndef QF_GUEST_H
#define QF_GUEST_H

#include "lib/model/disk.h"

#define QF_GUEST_NO_TIME INT64_MIN
#define QF_GUEST_UNKNOWN_BYTES UINT64_MAX

enum qf_guest_clean {
	QF_GUEST_CLEAN_UNKNOWN,
	QF_GUEST_CLEAN,
	QF_GUEST_UNCLEAN, /* in use when it was last seen, or with errors */
};

/* A file system, or what else fills a volume. */
struct qf_guest_fs {
	char kind[16]; /* "ext4", "XFS", "LUKS"; "": nothing that is known */
	char label[136], uuid[40]; /* "": none */
	char note[160];	     /* what there is to say besides; "": nothing */
	uint64_t bytes;	     /* as it states */
	uint64_t free_bytes; /* as it states, or QF_GUEST_UNKNOWN_BYTES */
	int64_t made, mounted, written; /* seconds since the Epoch, UTC */
	uint32_t block_bytes;
	enum qf_guest_clean clean;
	bool opaque; /* can be named, and no more */
};

/* What a volume is a part of. */
enum qf_guest_level {
	QF_GUEST_WHOLE,	    /* the disk itself */
	QF_GUEST_PARTITION, /* in a partition table */
	QF_GUEST_LOGICAL,   /* a logical volume of LVM2 */
};

struct qf_guest_volume {
	enum qf_guest_level level;
	uint32_t number;   /* of the partition, as the guest counts */
	char name[264];	   /* "vg/root", or what GPT calls it */
	char type[40];	   /* "Linux", "0x83", "striped" */
	char note[160];	   /* it overlaps, ends past the disk, ... */
	char trouble[160]; /* why nothing could be learned of it */
	uint64_t start;	   /* of its first byte, on the disk */
	uint64_t bytes;
	uint32_t segment, segments; /* where it lies: see volume.h */
	struct qf_guest_fs fs;
	uint32_t reader; /* its row in readers.def; QF_GUEST_NO_READER */
};

#define QF_GUEST_NO_READER UINT32_MAX
#define QF_GUEST_NO_VOLUME UINT32_MAX /* of a file: it is beside them all */

/*
 * One column of a piece of a volume. A linear piece has one; a striped one
 * has COLUMNS rows like this, behind each other, that take turns of
 * STRIPE_BYTES.
 */
struct qf_guest_segment {
	uint64_t start, bytes; /* in the volume */
	uint64_t at;	       /* on the disk; QF_NOWHERE: not on this disk */
	uint64_t stripe_bytes;
	uint32_t columns, column;
};

/* How a block knows its place. GUEST.md calls them A, B and C. */
enum qf_guest_bond {
	QF_GUEST_BY_ADDRESS, /* its own address is under its checksum */
	QF_GUEST_BY_NUMBER,  /* states its address, without a checksum */
	QF_GUEST_BY_PARENT,  /* its parent holds its checksum */
};

enum qf_guest_state {
	QF_GUEST_HOLDS,
	QF_GUEST_FAILS,	 /* is not what belongs there */
	QF_GUEST_UNREAD, /* cannot be read */
};

struct qf_guest_block {
	uint64_t start, bytes; /* where it stands on the disk */
	uint64_t says;	       /* where it says that it belongs; QF_NOWHERE */
	uint64_t parent;       /* of the block that names or vouches for it */
	enum qf_guest_bond bond;
	enum qf_guest_state state;
	char what[48]; /* "group descriptor", "extent block" */
};

/* What lies on the disk beside the volumes: "partition table", ... */
struct qf_guest_area {
	uint64_t start, bytes;
	char name[48];
};

/* Bytes that a part of the disk is taken to hold; whole sectors. */
struct qf_guest_patch {
	uint64_t start, bytes; /* on the disk */
	const unsigned char *data;
};

struct qf_guest {
	char table[8];	/* "GPT", "MBR", "": none */
	char note[160]; /* what there is to say of it; "": nothing */
	struct qf_guest_volume *volume;
	uint32_t n;
	struct qf_guest_segment *segment;
	uint32_t n_segments;
	struct qf_guest_area *area;
	uint32_t n_areas;
	/* the copies of the partition table; their blocks' places are on the
	 * disk */
	struct qf_guest_block *block;
	uint32_t n_blocks;
	bool cut; /* there are more volumes than are looked at */
	/* set by the caller: of blocks, leave out what files hold; tell only
	 * those that fail */
	bool metadata_only, faults_only;
	/* private: */
	struct qf_disk *disk;
	const struct qf_guest_patch *patch;
	size_t n_patches;
	bool uncaged, encrypted;
	size_t room, segment_room, area_room, block_room;
};

/*
 * Looks for the volumes of DISK, which stays the caller's and must live as
 * long; nothing that it has lost (qf_disk_lose) is believed, whatever it reads
 * as, and whom it tells of doubts is forgotten. UNCAGED runs the readers in this process: for tests of the readers
 * alone. Errors: QF_ERR_NOMEM. Free with qf_guest_close (NULL-safe); the
 * volumes can be looked at, but not asked, when the disk is closed.
 */
enum qf_err qf_guest_open(struct qf_disk *disk, bool uncaged,
			  struct qf_guest **out, struct qf_why *why);
void qf_guest_close(struct qf_guest *g);

/*
 * From now on, what is asked of G is asked of a disk that holds the N patches,
 * also where it has lost what it had. They stay the caller's, lie side by
 * side, and must live until others (or none) are laid.
 */
void qf_guest_lay(struct qf_guest *g, const struct qf_guest_patch *patch,
		  size_t n);

/* Both at once: also the volumes are looked for on a disk that holds the
 * patches. Errors, and what belongs to whom: as both. */
enum qf_err qf_guest_open_laid(struct qf_disk *disk,
			       const struct qf_guest_patch *patch, size_t n,
			       struct qf_guest **out, struct qf_why *why);

/* "partition 2", "the whole disk", "vg/root", made harmless for a report.
 * Returns BUF. */
char *qf_guest_name(const struct qf_guest *g, uint32_t volume, char *buf,
		    size_t room);

/* "partition 2 (ext4 "root")", made harmless for a report. Returns BUF. */
char *qf_guest_title(const struct qf_guest *g, uint32_t volume, char *buf,
		     size_t room);

struct qf_guest_range {
	uint64_t start, bytes; /* on the disk */
};

/* --- use --- */

enum qf_guest_use {
	QF_GUEST_UNKNOWN,
	QF_GUEST_FREE,
	QF_GUEST_USED,
};

struct qf_guest_run {
	uint64_t start, bytes;
	enum qf_guest_use use;
};

struct qf_guest_runs {
	struct qf_guest_run *at; /* owned; in order, without gaps in what was
				    asked, never two alike that touch */
	size_t n;
	/* private: */
	size_t room;
};

/*
 * The use of the ASKED ranges, as the file systems' own allocation maps have
 * it. What no file system answers for is unknown. Errors: QF_ERR_NOMEM,
 * QF_ERR_USAGE (past the end of the disk). Free with qf_guest_runs_free.
 */
enum qf_err qf_guest_use(struct qf_guest *g, const struct qf_guest_range *asked,
			 size_t n, struct qf_guest_runs *out,
			 struct qf_why *why);
void qf_guest_runs_free(struct qf_guest_runs *r);

/* --- names --- */

enum qf_guest_kind {
	QF_GUEST_FILE,
	QF_GUEST_DIRECTORY,
	QF_GUEST_OTHER,	   /* a symbolic link, a device, ... */
	QF_GUEST_METADATA, /* of the file system: "inode table of group 12" */
};

struct qf_guest_file {
	char *path;	/* owned; NULL: no directory names it */
	uint64_t id;	/* inode number, or what stands for it */
	uint64_t bytes; /* its size */
	uint64_t hit;	/* of the ranges that were asked for */
	int64_t modified;
	uint32_t volume;
	enum qf_guest_kind kind;
	bool deleted;
};

struct qf_guest_piece {
	uint64_t start, bytes; /* on the disk */
	uint64_t file_off;     /* of its first byte, in the file */
	uint32_t file;	       /* its place in the list of files */
};

struct qf_guest_names {
	struct qf_guest_file *file; /* owned */
	size_t n;
	struct qf_guest_piece *piece; /* owned; in the order of the disk */
	size_t pieces;
	bool cut; /* there are more than are listed */
	/* private: */
	size_t file_room, piece_room;
};

/*
 * The files and the metadata areas that have bytes in the ASKED ranges, and
 * which. Errors: as qf_guest_use. Free with qf_guest_names_free.
 */
enum qf_err qf_guest_names(struct qf_guest *g,
			   const struct qf_guest_range *asked, size_t n,
			   struct qf_guest_names *out, struct qf_why *why);

/* The same for the whole disk, with the files that have no bytes there. */
enum qf_err qf_guest_list(struct qf_guest *g, struct qf_guest_names *out,
			  struct qf_why *why);

/*
 * The file PATH of VOLUME: one file, or none if there is none, and its
 * pieces in the order of the disk. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_guest_path(struct qf_guest *g, uint32_t volume, const char *path,
			  struct qf_guest_names *out, struct qf_why *why);
void qf_guest_names_free(struct qf_guest_names *n);

/* --- what a file holds --- */

enum qf_guest_content {
	QF_GUEST_BYTES,	 /* what the disk has there */
	QF_GUEST_ZEROS,	 /* a hole, or room that was never written to */
	QF_GUEST_INLINE, /* kept with the inode */
	QF_GUEST_CODED,	 /* compressed or encrypted: not read here */
};

struct qf_guest_part {
	uint64_t file_off, bytes;
	uint64_t start; /* on the disk, of BYTES */
	enum qf_guest_content content;
	unsigned char *data; /* owned; of INLINE */
};

/* A file. Of what is told twice, the disk has copies. */
struct qf_guest_contents {
	bool found;
	struct qf_guest_file file;
	struct qf_guest_part *at; /* owned; by offset in the file */
	size_t n;
	bool whole; /* what no part tells of is a hole; else it is not known */
	/* private: */
	size_t room;
};

/* What the file PATH of VOLUME holds, part by part. Errors: QF_ERR_NOMEM.
 * Free with qf_guest_contents_free. */
enum qf_err qf_guest_contents(struct qf_guest *g, uint32_t volume,
			      const char *path, struct qf_guest_contents *out,
			      struct qf_why *why);
void qf_guest_contents_free(struct qf_guest_contents *c);

/* --- blocks --- */

typedef bool qf_guest_see(void *ctx, uint32_t volume,
			  const struct qf_guest_block *b);

/*
 * Every block in the ASKED ranges of which the living tree of its file
 * system, or the partition table (QF_GUEST_NO_VOLUME), says what belongs
 * there. SEE returns false to stop. Errors: as
 * qf_guest_use, QF_ERR_STOPPED.
 */
enum qf_err qf_guest_blocks(struct qf_guest *g,
			    const struct qf_guest_range *asked, size_t n,
			    qf_guest_see *see, void *ctx, struct qf_why *why);

/*
 * Ranges that a file or an area of metadata has, though its file system's
 * allocation map calls them free: told as blocks that fail, WHAT names whose
 * they are. Errors: as qf_guest_blocks.
 */
enum qf_err qf_guest_agree(struct qf_guest *g,
			   const struct qf_guest_range *asked, size_t n,
			   qf_guest_see *see, void *ctx, struct qf_why *why);

/* Bytes that have lost their place. */
struct qf_guest_loose {
	const void *bytes;
	uint32_t n; /* a multiple of 512 */
};

/*
 * Asks every file system where the blocks in N loose pieces belong: START of
 * a block is then PIECE << 32 | offset in it, SAYS is on the disk, and only
 * those that hold are told. What the file system keeps twice is told for
 * each of its places. Errors: as qf_guest_blocks.
 */
enum qf_err qf_guest_places(struct qf_guest *g,
			    const struct qf_guest_loose *piece, size_t n,
			    qf_guest_see *see, void *ctx, struct qf_why *why);

#endif
