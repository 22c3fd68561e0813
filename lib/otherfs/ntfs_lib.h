/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTFS: the master file table, attributes, runs. Internal to its reader. */
#ifndef QF_NTFS_LIB_H
#define QF_NTFS_LIB_H

#include "lib/guest/reader.h"

#define QF_NTFS_MAX_RECORD 4096u

/* Numbers of the records that the reader needs. */
enum {
	QF_NTFS_MFT = 0,
	QF_NTFS_LOG = 2,
	QF_NTFS_VOLUME = 3,
	QF_NTFS_ROOT = 5,
	QF_NTFS_BITMAP = 6,
};

/* Types of attributes. */
enum {
	QF_NTFS_STANDARD = 0x10,
	QF_NTFS_LIST = 0x20,
	QF_NTFS_FILE_NAME = 0x30,
	QF_NTFS_VOLUME_NAME = 0x60,
	QF_NTFS_VOLUME_INFO = 0x70,
	QF_NTFS_DATA = 0x80,
	QF_NTFS_INDEX_ROOT = 0x90,
	QF_NTFS_INDEX = 0xa0,
	QF_NTFS_BITS = 0xb0,
	QF_NTFS_REPARSE = 0xc0,
};

/* Clusters behind each other; LCN is QF_NOWHERE for a hole. */
struct qf_ntfs_run {
	uint64_t vcn, lcn, n;
};

struct qf_ntfs {
	struct qf_volume *v;
	uint32_t cluster, record; /* bytes */
	uint64_t clusters;
	uint64_t bytes;
	uint64_t mft_at, mirror_at; /* bytes */
	uint64_t records;	    /* behind them nothing was written yet */
	uint64_t table_bytes;	    /* that were written */
	struct qf_ntfs_run *run;    /* of the table; owned */
	size_t n_runs, room;
};

/* One attribute, all of it within its record. */
struct qf_ntfs_attribute {
	uint32_t type, bytes;
	bool resident, named;
	const unsigned char *name; /* UTF-16 */
	uint32_t name_bytes;
	const unsigned char *value; /* of a resident one */
	uint32_t value_bytes;
	const unsigned char *runs; /* of another */
	uint32_t runs_bytes;
	uint64_t vcn;	     /* of its first run */
	uint64_t data_bytes; /* size of what it holds */
	/* of that which starts with the first run: */
	uint64_t valid_bytes; /* that were written; zeros follow */
	bool coded;	      /* compressed or encrypted */
};

/* The boot sector B into X; false if it is none. */
bool qf_ntfs_parse(const unsigned char *b, struct qf_ntfs *x);

/* See struct qf_reader; the table is found by its copy if need be. */
enum qf_err qf_ntfs_open(struct qf_volume *v, void **fs, struct qf_why *why);
void qf_ntfs_close(void *fs);

/* Where record N is; QF_NOWHERE: there is none, or not in one piece. */
uint64_t qf_ntfs_record_place(const struct qf_ntfs *x, uint64_t n);
/* Reads it, undoes its fix-ups. False: it is not sound, or another's. */
bool qf_ntfs_read_record(struct qf_ntfs *x, uint64_t n, unsigned char *r);
/* The same for one that lies in R. */
bool qf_ntfs_fix_record(const struct qf_ntfs *x, unsigned char *r);

/* The same for any structure B of BYTES that has MAGIC. */
bool qf_ntfs_fix(const char *magic, unsigned char *b, uint32_t bytes);

/* False stops. */
typedef bool qf_ntfs_see(void *ctx, const struct qf_ntfs_attribute *a);
/* The attributes of record R. */
void qf_ntfs_each(const struct qf_ntfs *x, const unsigned char *r,
		  qf_ntfs_see *see, void *ctx);
/* Those of file N, also in its further records. False: no such file. */
bool qf_ntfs_each_of(struct qf_ntfs *x, uint64_t n, qf_ntfs_see *see,
		     void *ctx);

typedef bool qf_ntfs_see_run(void *ctx, const struct qf_ntfs_run *run);
void qf_ntfs_each_run(const struct qf_ntfs *x,
		      const struct qf_ntfs_attribute *a, qf_ntfs_see_run *see,
		      void *ctx);

/* ntfs_blocks.c: see struct qf_reader. */
void qf_ntfs_blocks(void *fs, qf_reader_block *tell, void *ctx);
void qf_ntfs_loose(void *fs, const unsigned char *bytes, uint32_t n,
		   qf_reader_block *tell, void *ctx);

#endif
