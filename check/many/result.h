/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the check of one image of several came to, in a line. */
#ifndef QF_RESULT_H
#define QF_RESULT_H

#include "check/report/report.h"

/* The worst first. */
enum qf_result_kind {
	QF_RESULT_CORRUPT,
	QF_RESULT_UNCHECKED,
	QF_RESULT_LEAKS,
	QF_RESULT_IN_USE,
	QF_RESULT_FOREIGN,
	QF_RESULT_GONE, /* found in a folder, and not there any more */
	QF_RESULT_CLEAN,
	QF_RESULT_KINDS
};

struct qf_result {
	enum qf_result_kind kind;
	int code; /* the exit code of this image alone */
	uint64_t errors;
	uint64_t leaked_bytes;
	uint64_t lost_bytes; /* of all states of the disk, at the most */
	int64_t checked;     /* when: seconds since the Epoch */
	double seconds;	     /* that it took */
	bool unchanged;	     /* since then: it was not read again */
	char *note;	     /* owned: what is wrong; "" or NULL: nothing */
};

/* From a report; no memory for a note leaves it away. */
void qf_result_of_report(struct qf_result *r, const struct qf_image *img,
			 const struct qf_report *rep);

/* Of an image that could not be checked. */
void qf_result_of_why(struct qf_result *r, const struct qf_why *why);

/* What an exit code of check says of an image. */
enum qf_result_kind qf_result_of_code(int code);

/* "corrupt", "not checked", ...: a word for people. */
const char *qf_result_word(enum qf_result_kind kind);

/* "corrupt", "unchecked", "in-use", ...: a word for programs. */
const char *qf_result_key(enum qf_result_kind kind);

void qf_result_free(struct qf_result *r);

#endif
