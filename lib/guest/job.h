/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One question to one volume, as the child works on it, and the records in
 * which it tells. All ranges are of the volume: it is the parent who says
 * where that is on the disk, so that a volume can only tell of itself.
 * Internal to lib/guest.
 */
#ifndef QF_JOB_H
#define QF_JOB_H

#include "lib/guest/reader.h"
#include "lib/guest/sandbox.h"

enum qf_job_op {
	QF_JOB_VOLUMES, /* which volumes there are */
	QF_JOB_PROBE,	/* what a volume holds */
	QF_JOB_USE,
	QF_JOB_NAMES,
	QF_JOB_LIST, /* names, and also of files without bytes */
	QF_JOB_PATH,
	QF_JOB_CONTENT,
	QF_JOB_BLOCKS,
	QF_JOB_PLACES,
	QF_JOB_AGREE,
};

struct qf_job {
	enum qf_job_op op;
	struct qf_volume vol; /* of the parent; src is the child's */
	uint32_t reader;
	const char *path;
	const struct qf_guest_loose *loose;
	size_t n_loose;
	const struct qf_sandbox_teller *teller; /* set in the child */
};

/* See struct qf_sandbox; CTX is the job. */
enum qf_err qf_job_work(void *ctx, struct qf_source *src,
			const struct qf_sandbox_teller *t, struct qf_why *why);

/* Types of records, and what they hold. */
enum qf_record {
	QF_RECORD_TABLE,   /* struct qf_record_table */
	QF_RECORD_VOLUME,  /* struct qf_guest_volume */
	QF_RECORD_SEGMENT, /* struct qf_guest_segment, of the last volume */
	QF_RECORD_AREA,	   /* struct qf_guest_area */
	QF_RECORD_FS,	   /* struct qf_record_fs */
	QF_RECORD_RUN,	   /* struct qf_guest_run */
	QF_RECORD_FILE,	   /* struct qf_record_file */
	QF_RECORD_PIECE,   /* struct qf_guest_piece */
	QF_RECORD_BLOCK,   /* struct qf_guest_block */
	QF_RECORD_PART,	   /* struct qf_record_part */
	QF_RECORD_WHOLE,   /* no more: all parts were told */
};

struct qf_record_table {
	char table[8];
	char note[160];
	bool cut;
};

struct qf_record_fs {
	struct qf_guest_fs fs;
	uint32_t reader;
};

/* File number N of those that are told, from 0 on. */
#define QF_RECORD_PATH 4096u
struct qf_record_file {
	struct qf_inode inode;
	uint32_t path_bytes; /* 0: not named */
	char path[QF_RECORD_PATH];
};

/* With as many bytes of DATA as an inline part has. */
struct qf_record_part {
	uint64_t file_off, bytes, start;
	uint32_t content;
	unsigned char data[QF_READER_INLINE];
};

/* Tells RECORD of N bytes; false: stop. */
bool qf_job_tell(struct qf_job *j, enum qf_record type, const void *record,
		 size_t n);

#endif
