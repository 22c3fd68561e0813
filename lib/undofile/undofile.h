/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The undo file of a repair: what every changed place of the image held
 * before, and what it holds after. Reading only; no qcow2 in it.
 *
 * All numbers are big-endian. A header of 512 bytes; then the records, in
 * the order in which they are written to the image, each padded to 8 bytes,
 * and all of them to 512; then the commit mark; then state marks, of which
 * the last one counts. Header and records are durable before the commit mark
 * is written, and the image is not touched before that mark is durable:
 * behind a commit mark a record that is not whole has rotted.
 *
 *	header	0  8  "QFSCKUN1"
 *		8  4  version: 2
 *		12 4  crc32 of the header, this field as 0
 *		16 8  the image's size before
 *		24 8  its size after
 *		32 8  its inode number
 *		40 8  number of records
 *		48 8  their length in the file, with headers and padding
 *		56 4  bytes of the image's first cluster (or of the file, if
 *		      that is smaller)
 *		60 4  crc32 of them before
 *		64 4  flags: bit 0, the repair gave up pointers, so that
 *		      leaked clusters may be what they led to; bit 1, the
 *		      image itself bears a mark that says so
 *		68 4  length of the image's name
 *		72    the name, without its folder
 *	record	0  4  "QREC"
 *		4  4  phase: 0 mark, 1 fresh places, 2 tables, 3 header,
 *		      4 sector 0 as it stays, 5 (between 3 and 4) trimmed
 *		8  8  host offset
 *		16 4  bytes after
 *		20 4  bytes before: fewer where the file ended
 *		24 4  crc32 of the record, this field as 0, without padding
 *		28 4  0
 *		32    the bytes before, the bytes after
 *	mark	0  4  "QCMT" (commit) or "QSTA" (state)
 *		4  4  state: 1 applied, 2 rolled back, 3 undo begun, 4 undone
 *		8  8  the image's last write then, in nanoseconds; of the
 *		      commit mark: before the repair, 0 if not known
 *		16 8  the image's size then
 *		24 4  crc32 of the 24 bytes before
 *		28 4  0
 *
 * A trimmed place is one that nobody uses: it holds zeros after, or lies past
 * the end of the file. Its record has no bytes after, but their number; no
 * bytes before either (0) where all of them were zeros. There are records for
 * all of the file behind its size after.
 *
 * Without a commit mark nothing has been written to the image yet.
 */
#ifndef QF_UNDOFILE_H
#define QF_UNDOFILE_H

#include "lib/base/be.h"
#include "lib/io/io.h"

#define QF_UNDO_MAGIC "QFSCKUN1"
#define QF_UNDO_VERSION 2u /* version 1 knew no trimming */
#define QF_UNDO_RECORD 0x51524543u
#define QF_UNDO_COMMIT 0x51434d54u
#define QF_UNDO_STATE 0x51535441u
#define QF_UNDO_HEADER_BYTES 512u
#define QF_UNDO_MARK_BYTES 32u
#define QF_UNDO_MARKS_BYTES 512u /* room for marks, at the file's end */
#define QF_UNDO_RECORD_HEAD 32u
#define QF_UNDO_MAX_RECORD (1u << 20) /* bytes after, at most */
#define QF_UNDO_NAME_ROOM 440u
#define QF_UNDO_GAVE_UP 1u
#define QF_UNDO_MARKED 2u

struct qf_wire_undo {
	char magic[8];
	struct qf_be32 version;
	struct qf_be32 crc;
	struct qf_be64 size_before;
	struct qf_be64 size_after;
	struct qf_be64 inode;
	struct qf_be64 records;
	struct qf_be64 record_bytes;
	struct qf_be32 first_bytes;
	struct qf_be32 first_crc;
	struct qf_be32 flags;
	struct qf_be32 name_len;
	char name[QF_UNDO_NAME_ROOM];
};

struct qf_wire_undo_record {
	struct qf_be32 magic;
	struct qf_be32 phase;
	struct qf_be64 off;
	struct qf_be32 len;
	struct qf_be32 before_len;
	struct qf_be32 crc;
	struct qf_be32 reserved;
};

struct qf_wire_undo_mark {
	struct qf_be32 magic;
	struct qf_be32 state;
	struct qf_be64 mtime;
	struct qf_be64 size;
	struct qf_be32 crc;
	struct qf_be32 reserved;
};

enum qf_undo_phase {
	QF_UNDO_PHASE_MARK,
	QF_UNDO_PHASE_FRESH,
	QF_UNDO_PHASE_TABLES,
	QF_UNDO_PHASE_HEADER,
	QF_UNDO_PHASE_END,
	QF_UNDO_PHASE_TRIM, /* between HEADER and END */
	QF_UNDO_PHASES
};

enum qf_undo_state {
	QF_UNDO_PENDING, /* the repair has begun and has not ended */
	QF_UNDO_APPLIED,
	QF_UNDO_ROLLED_BACK,
	QF_UNDO_BEGUN, /* undo has begun and has not ended */
	QF_UNDO_UNDONE,
};

struct qf_undo_record {
	enum qf_undo_phase phase;
	uint64_t off;
	uint32_t len, before_len;
	const unsigned char *before, *after; /* until the next one is read;
						of a trimmed place: NULL */
};

enum qf_undo_health {
	QF_UNDO_WHOLE,
	QF_UNDO_UNFINISHED, /* never committed: the image was not touched */
	QF_UNDO_DAMAGED,    /* was whole once, and is not any more */
};

struct qf_undofile {
	struct qf_io *io; /* owned */
	uint64_t size_before, size_after, inode;
	uint64_t record_bytes;
	uint32_t first_bytes, first_crc, flags;
	uint32_t crc; /* of the header */
	char name[QF_UNDO_NAME_ROOM + 1];
	enum qf_undo_health health;
	uint64_t bad_off;    /* damaged: where in the undo file */
	uint64_t n;	     /* records */
	uint64_t n_whole;    /* whole ones, from the first on */
	uint64_t *pos;	     /* owned: their places */
	uint64_t *off;	     /* owned: the places in the image */
	uint32_t *len;	     /* owned: their bytes after */
	uint8_t *phase;	     /* owned */
	uint64_t trim_bytes; /* kept of trimmed places */
	bool committed;	     /* the commit mark is there */
	bool ended;	   /* a whole mark says so, and none behind it rotted */
	uint64_t mark_off; /* where the next state mark goes */
	enum qf_undo_state state;
	uint64_t state_mtime, state_size;
	uint64_t mtime_before; /* 0: not known */
	unsigned char *buf;    /* owned: the record read last */
};

/*
 * Opens the undo file NAME and verifies every checksum. Errors: QF_ERR_IO,
 * QF_ERR_FOREIGN (no undo file), QF_ERR_FORMAT (the header is damaged),
 * QF_ERR_NOMEM. That a record or a mark is not whole is no error: see HEALTH.
 */
enum qf_err qf_undofile_open(const char *name, struct qf_undofile **out,
			     struct qf_why *why);

/* The same without the records: header and marks alone. */
enum qf_err qf_undofile_peek(const char *name, struct qf_undofile **out,
			     struct qf_why *why);
void qf_undofile_close(struct qf_undofile *u);

/* Reads record I. Errors: QF_ERR_IO, QF_ERR_FORMAT. */
enum qf_err qf_undofile_read(struct qf_undofile *u, uint64_t i,
			     struct qf_undo_record *r, struct qf_why *why);

/* True if the repair or the undo that U records has not ended. */
bool qf_undofile_unfinished(const struct qf_undofile *u);

/* The checksum of LEN bytes, going on from CRC (0 at first). */
uint32_t qf_undofile_crc(uint32_t crc, const void *buf, uint64_t len);

#endif
