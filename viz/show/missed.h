/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a bitmap is true: what differs from the state that a backup was
 * made of and is not marked would be missing in the next incremental one.
 */
#ifndef QF_MISSED_H
#define QF_MISSED_H

#include "lib/model/dirty.h"

struct qf_missed {
	struct qf_dirty *dirty;
	/* Gets the ranges in order. UNKNOWN: cannot be compared; MISSED: it
	 * differs and is not marked. False stops. */
	bool (*range)(void *ctx, uint64_t start, uint64_t bytes, bool unknown,
		      bool missed);
	void *ctx;
	struct qf_why *why; /* of err */
	/* set: */
	uint64_t missed; /* bytes */
	uint64_t first;	 /* where the first of them are */
	uint64_t first_bytes;
	enum qf_err err; /* why qf_missed_add stopped */
};

/* Takes a range that differs: see struct qf_diff. CTX is a qf_missed. What
 * is marked and what is not are handed on apart. */
bool qf_missed_add(void *ctx, uint64_t start, uint64_t bytes, bool unknown);

/*
 * Hands on the marked ranges of a disk of DISK_BYTES, merged, and their sum in
 * *MARKED. Without TELL they are only summed up. Errors: as qf_dirty_at,
 * QF_ERR_STOPPED.
 */
enum qf_err qf_missed_marked(struct qf_missed *m, uint64_t disk_bytes,
			     bool tell, uint64_t *marked);

#endif
