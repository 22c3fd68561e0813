/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clusters without an owner, got out of the image: each run of them a file. */
#ifndef QF_ORPHANS_H
#define QF_ORPHANS_H

#include "lib/model/image.h"

/* One run, and what was made of it. */
struct qf_orphan_run {
	uint64_t host_off, bytes;
	uint64_t unread; /* bytes that could not be read: zeros in the file */
	char kind[120];	 /* what the first cluster seems to hold */
	char name[48];	 /* the file's, in the folder */
};

struct qf_orphan_runs {
	struct qf_orphan_run *at; /* ascending */
	size_t n, room;
	uint64_t bytes, unread;
};

/*
 * Writes each run of clusters of IMG that are allocated and that nobody owns to
 * a file of its own in the new folder DIR, by the name of its host offset,
 * and to DIR/orphans.map where all of them lie in the image: what was read (+)
 * and what could not be (-), in the format of GNU ddrescue. Errors: QF_ERR_IO
 * (DIR is there already, or cannot be written to), QF_ERR_NOMEM,
 * QF_ERR_STOPPED. Free with qf_orphans_free, also after an error.
 */
enum qf_err qf_orphans_write(struct qf_image *img, const char *dir,
			     struct qf_orphan_runs *runs, struct qf_why *why);

/* Tells people, or JSON, what was written of the image NAME to DIR. */
void qf_orphans_tell(const struct qf_image *img, const char *name,
		     const char *dir, const struct qf_orphan_runs *l,
		     bool json);

void qf_orphans_free(struct qf_orphan_runs *runs);

#endif
