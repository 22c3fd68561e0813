/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is kept of a run as evidence: one line of JSON. */
#ifndef QF_RUNLOG_H
#define QF_RUNLOG_H

#include "lib/base/err.h"

#include <stddef.h>

/* A file at one moment. */
struct qf_runlog_state {
	bool there;
	uint64_t bytes;
	char sha256[65]; /* "": it could not be read */
	char error[200]; /* why */
};

struct qf_runlog_file {
	char *path; /* owned */
	struct qf_runlog_state before, after;
};

struct qf_runlog {
	char **argv;		     /* the caller's; ends with NULL */
	struct qf_runlog_file *file; /* owned */
	size_t n, room;
	uint64_t began_ns;   /* since the Epoch */
	uint64_t seconds_ns; /* how long the run took */
	/* how it ended: */
	int code;   /* the exit code, if signal is 0 */
	int signal; /* that killed it */
};

/*
 * Notes the files that the arguments ARGV of a run name, and what they hold.
 * The value of --key-file is none of them: a hash tells a short passphrase.
 * Errors: QF_ERR_NOMEM, QF_ERR_UNSUPPORTED (no libcrypto), QF_ERR_USAGE: LOG
 * is one of them. Free with qf_runlog_free, also after an error.
 */
enum qf_err qf_runlog_begin(struct qf_runlog *l, char **argv, const char *log,
			    struct qf_why *why);

/* Reads the files once more, and appends the line to LOG. Errors: QF_ERR_IO,
 * QF_ERR_NOMEM. */
enum qf_err qf_runlog_end(struct qf_runlog *l, const char *version,
			  const char *commit, const char *log,
			  struct qf_why *why);
void qf_runlog_free(struct qf_runlog *l);

#endif
