/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: why the tool could not do its job. What is wrong with an image is
 * not an error but a finding, and lives in check/.
 *
 * Every function that can fail returns enum qf_err and takes a caller-owned
 * struct qf_why last, which may be NULL; it is written only on failure.
 */
#ifndef QF_ERR_H
#define QF_ERR_H

#include <stdbool.h>
#include <stdint.h>

enum qf_err {
	QF_OK = 0,
	QF_ERR_IO,	    /* the operating system refused or failed */
	QF_ERR_NOMEM,	    /* memory, or the bound set on it, is used up */
	QF_ERR_FOREIGN,	    /* not a qcow2 image: another format */
	QF_ERR_FORMAT,	    /* qcow2, but so damaged that it has no reading */
	QF_ERR_UNSUPPORTED, /* valid, but something that qfsck cannot do */
	QF_ERR_BUSY,	    /* held by another program */
	QF_ERR_OUTSIDE,	    /* a place past the end of the file */
	QF_ERR_USAGE,	    /* the caller asked for something meaningless */
	QF_ERR_STOPPED,	    /* interrupted by the user */
};

/* The reason for a failure, in words for the user. */
struct qf_why {
	enum qf_err err;
	int sys;	/* errno, or 0 */
	uint64_t off;	/* host offset of the trouble, UINT64_MAX: none */
	char text[512]; /* one sentence, no full stop, no file name */
	char next[256]; /* what to do about it; may be empty */
};

#define QF_NOWHERE UINT64_MAX

/*
 * Fills WHY (if not NULL) and returns ERR, so that a failing function can
 * say "return qf_err_set(why, QF_ERR_FORMAT, ...)". With a SYS other than 0,
 * its strerror is appended after a colon.
 */
enum qf_err qf_err_set(struct qf_why *why, enum qf_err err, int sys,
		       uint64_t off, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Adds the advice to an existing reason. */
void qf_err_next(struct qf_why *why, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
