/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The snapshot table. Section "Snapshots". A damaged entry does not hide the
 * others: the table is read as far as its entries follow one another.
 */
#ifndef QF_SNAPSHOT_H
#define QF_SNAPSHOT_H

#include "lib/format/header.h"
#include "lib/io/io.h"

struct qf_snapshot {
	uint64_t entry_off;   /* host offset of the table entry */
	uint32_t entry_bytes; /* without the padding behind it */
	uint64_t l1_off;
	uint32_t l1_entries;
	char *id;   /* owned, NUL terminated */
	char *name; /* owned, NUL terminated */
	uint16_t id_bytes, name_bytes;
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_nsec;
	uint32_t vm_state_small; /* the 32-bit field */
	uint32_t extra_bytes;
	uint64_t vm_state_bytes; /* extra data if there, else the small one */
	uint64_t disk_bytes;	 /* extra data if there, else the header's */
	uint64_t icount;	 /* UINT64_MAX: not recorded */
};

enum qf_snapshot_state {
	QF_SNAPSHOTS_OK,	 /* all entries that the header counts */
	QF_SNAPSHOTS_COUNT,	 /* the count is over QEMU's limit */
	QF_SNAPSHOTS_OFFSET,	 /* table unaligned or past the end */
	QF_SNAPSHOTS_UNREADABLE, /* an I/O error at bad_off */
	QF_SNAPSHOTS_CUT,	 /* entry N runs past the file or the limit */
	QF_SNAPSHOTS_GARBLED,	 /* entry N cannot be one: see bad_off */
};

struct qf_snapshot_table {
	struct qf_snapshot *snap;
	uint32_t n;	 /* entries read */
	uint32_t whole;	 /* of them, those before the first bad one */
	bool resumed;	 /* there are entries behind a bad one */
	uint32_t stated; /* entries that the header states */
	uint64_t off;	 /* host offset of the table */
	uint64_t bytes;	 /* the table's length, as far as read */
	enum qf_snapshot_state state;
	uint64_t bad_off;
};

/*
 * Reads the table that H points to. Damage goes into the table's state. A bad
 * entry does not hide those behind it: they are looked for, and what of the
 * bad one still makes sense is kept, its id and name where they can be told.
 * Errors: QF_ERR_NOMEM only. Free with qf_snapshot_free.
 */
enum qf_err qf_snapshot_read(struct qf_io *io, const struct qf_header *h,
			     struct qf_snapshot_table *t, struct qf_why *why);

void qf_snapshot_free(struct qf_snapshot_table *t);

/* The number of the snapshot with that id, else that name; -1 if none. */
int64_t qf_snapshot_find(const struct qf_snapshot_table *t,
			 const char *id_or_name);

#endif
