/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The undo file of a repair: what every changed place held before, and what
 * it holds after. Reading only; no qcow2 in it.
 *
 * All numbers are big-endian. A header of 512 bytes; then the records, in
 * the order in which they are written to the image, each padded to 8 bytes;
 * then the commit mark; then state marks, of which the last one counts:
 *
 *	header	0  8  "QFSCKUN1"
 *		8  4  version: 1
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
 *		      leaked clusters may be what they led to
 *		68 4  length of the image's name
 *		72    the name, without its folder
 *	record	0  4  "QREC"
 *		4  4  phase: 0 mark, 1 fresh places, 2 tables, 3 header,
 *		      4 sector 0 as it stays
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
 * Without a commit mark nothing has been written to the image yet.
 */
#ifndef QF_UNDOFILE_H
#define QF_UNDOFILE_H

#include "lib/be.h"
#include "lib/io.h"

#define QF_UNDO_MAGIC "QFSCKUN1"
#define QF_UNDO_VERSION 1u
#define QF_UNDO_RECORD 0x51524543u
#define QF_UNDO_COMMIT 0x51434d54u
#define QF_UNDO_STATE 0x51535441u
#define QF_UNDO_HEADER_BYTES 512u
#define QF_UNDO_MARK_BYTES 32u
#define QF_UNDO_RECORD_HEAD 32u
#define QF_UNDO_MAX_RECORD (1u << 20) /* bytes after, at most */
#define QF_UNDO_NAME_ROOM 440u
#define QF_UNDO_GAVE_UP 1u

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
	const unsigned char *before, *after; /* until the next one is read */
};

struct qf_undofile {
	struct qf_io *io; /* owned */
	uint64_t size_before, size_after, inode;
	uint32_t first_bytes, first_crc, flags;
	char name[QF_UNDO_NAME_ROOM + 1];
	uint64_t n;	   /* records */
	uint64_t *pos;	   /* owned: their places */
	uint64_t *off;	   /* owned: the places in the image */
	uint8_t *phase;	   /* owned */
	bool committed;	   /* all records are whole, and the mark is there */
	uint64_t mark_off; /* where the next state mark goes */
	enum qf_undo_state state;
	uint64_t state_mtime, state_size;
	uint64_t mtime_before; /* 0: not known */
	unsigned char *buf;    /* owned: the record read last */
};

/*
 * Opens the undo file NAME and verifies every checksum. Errors: QF_ERR_IO,
 * QF_ERR_FOREIGN (no undo file), QF_ERR_FORMAT (damaged), QF_ERR_NOMEM. A
 * file that was never finished is no error: see COMMITTED.
 */
enum qf_err qf_undofile_open(const char *name, struct qf_undofile **out,
			     struct qf_why *why);
void qf_undofile_close(struct qf_undofile *u);

/* Reads record I. Errors: QF_ERR_IO, QF_ERR_FORMAT. */
enum qf_err qf_undofile_read(struct qf_undofile *u, uint64_t i,
			     struct qf_undo_record *r, struct qf_why *why);

/* True if the repair or the undo that U records has not ended. */
bool qf_undofile_unfinished(const struct qf_undofile *u);

/*
 * The name of undo file number N (0, 1, ...) beside the image: owned by the
 * caller, NULL without memory.
 */
char *qf_undofile_name(const char *image, unsigned int n);

/*
 * *FOUND is the name of the undo file beside IMAGE whose repair has not ended,
 * owned by the caller; NULL if there is none. INODE: the image's. Errors, with
 * which it is not known: QF_ERR_IO, QF_ERR_NOMEM.
 */
enum qf_err qf_undofile_pending(const char *image, uint64_t inode, char **found,
				struct qf_why *why);

/*
 * The name of an undo file beside IMAGE whose repair was carried out and gave
 * up pointers, owned by the caller; NULL if there is none.
 */
char *qf_undofile_gave_up(const char *image, uint64_t inode);

/* The checksum of LEN bytes, going on from CRC (0 at first). */
uint32_t qf_undofile_crc(uint32_t crc, const void *buf, uint64_t len);

#endif
