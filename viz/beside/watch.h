/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the file is still the one that was read: nobody is kept from
 * writing to it meanwhile. */
#ifndef QF_WATCH_H
#define QF_WATCH_H

#include "lib/io/io.h"

#include <sys/stat.h>

enum qf_watch_state {
	QF_WATCH_SAME,
	QF_WATCH_CHANGED,  /* written to, or resized */
	QF_WATCH_REPLACED, /* another file has its name */
	QF_WATCH_GONE,	   /* no file has its name */
};

struct qf_watch {
	struct stat st;
	unsigned char header[512]; /* a disk has no times to look at */
	bool on;		   /* there is a file to look at */
	bool late; /* it changed between the opening and qf_watch_start */
};

/* Notes how the file behind IO is now. */
void qf_watch_start(struct qf_watch *w, struct qf_io *io);

/* How it stands to what was noted; IO as then. Costs two calls of stat and
 * one short read. */
enum qf_watch_state qf_watch_look(const struct qf_watch *w, struct qf_io *io);

#endif
