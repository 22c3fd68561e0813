/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A line an image for the system's log: with fields of its own where our
 * output goes to systemd's journal, else plain, with the priority in front of
 * it as sd-daemon(3) has it.
 */
#ifndef QF_LOGLINE_H
#define QF_LOGLINE_H

#include "check/many/imagelist.h"
#include "check/many/result.h"

struct qf_logline {
	int fd; /* a socket to the journal; -1: plain lines */
	bool quiet;
};

/*
 * The journal is asked for if standard output leads to it, or
 * QFSCK_JOURNAL_SOCKET names its socket. With QUIET nothing is said of clean
 * images.
 */
void qf_logline_open(struct qf_logline *l, bool quiet);
void qf_logline_close(struct qf_logline *l);

/* Tells of the image NAME; a plain line goes to OUT. By any thread. */
void qf_logline_image(const struct qf_logline *l, const char *name,
		      const struct qf_result *r, FILE *out);

/* How N images ended. */
void qf_logline_totals(const struct qf_logline *l, const struct qf_result *r,
		       size_t n);

#endif
