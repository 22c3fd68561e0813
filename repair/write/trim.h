/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --trim: the room that free clusters take on the disk. A cluster is free
 * here if its refcount is 0 and nothing refers to it, in an image that the
 * repair leaves clean: while anything is wrong or given up, a free cluster
 * may be what a lost pointer led to, and stays as it is.
 */
#ifndef QF_TRIM_H
#define QF_TRIM_H

#include "repair/plan/plan.h"

/* Places are punched in whole blocks of this size. */
#define QF_TRIM_BLOCK 4096u

struct qf_trim {
	bool wanted;
	bool cut_only;		/* holes cannot be punched */
	char reason[200];	/* why nothing is trimmed; "" */
	struct qf_ranges free;	/* host ranges of free clusters, all below
				 * size_after */
	uint64_t clusters;	/* free ones, the tail's included */
	uint64_t size_before;	/* of the file, with the edits */
	uint64_t size_after;	/* and without the tail */
	uint64_t punched_bytes; /* of data that are punched out */
	uint64_t cut_bytes;	/* of data that are cut off */
	uint64_t unread_bytes;	/* left as they are: the undo file could not
				 * keep what cannot be read */
	uint64_t cluster_bytes;
};

/* True if there is something to trim. */
static inline bool qf_trim_any(const struct qf_trim *t)
{
	return t->punched_bytes || t->size_after < t->size_before;
}

/* Nothing is to be trimmed, and why. */
void qf_trim_refuse(struct qf_trim *t, const char *reason);

/* True if nobody uses the byte at OFF: no edit needs to be written there. */
bool qf_trim_has(const struct qf_trim *t, uint64_t off);

/*
 * A stretch of data to be trimmed, at FROM or behind: *OFF and *LEN. Behind
 * size_after holes are stretches too (*HOLE). False: there are no more. BASE
 * is the image as it is.
 */
bool qf_trim_next(const struct qf_trim *t, struct qf_io *base, uint64_t from,
		  uint64_t *off, uint64_t *len, bool *hole);

/*
 * Finds what P's image has to trim once P is carried out, and proves on a
 * view of the image without it that the check finds nothing wrong. REP is
 * the check of the image as planned; CAN_PUNCH: the file system punches holes.
 * What cannot be read is left out. T is freed with qf_trim_free. Errors:
 * QF_ERR_NOMEM, QF_ERR_IO.
 */
enum qf_err qf_trim_plan(const struct qf_plan *p, const struct qf_report *rep,
			 bool can_punch, unsigned int jobs, struct qf_trim *t,
			 struct qf_why *why);

/* Tells of progress: DONE bytes of what is to be trimmed. */
void qf_trim_progress(const struct qf_trim *t, uint64_t done, const char *unit);

void qf_trim_free(struct qf_trim *t);

#endif
