/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where two disks, or two states of one, differ. */
#ifndef QF_DIFF_H
#define QF_DIFF_H

#include "lib/model/disk.h"

/* One side: a disk and the chain that it is read through. */
struct qf_diff_side {
	const struct qf_chain *chain;
	struct qf_disk *guest;
};

struct qf_diff {
	struct qf_diff_side from, to;
	/*
	 * False: where they map to different places, even if the bytes there
	 * are alike. True: those are compared, sector by sector.
	 */
	bool content;
	/* Gets the ranges in order, merged. UNKNOWN: they cannot be compared,
	 * because one side has lost what it had there, or cannot be read. False
	 * stops. */
	bool (*range)(void *ctx, uint64_t start, uint64_t bytes, bool unknown);
	void *ctx;
	/* set: what differs, and what cannot be compared */
	uint64_t differs, unknown;
};

/*
 * Tells where TO's disk differs from FROM's, up to TO's end; where FROM's is
 * shorter, it counts as zeros. Errors: QF_ERR_NOMEM, QF_ERR_STOPPED,
 * QF_ERR_UNSUPPORTED for the content of encrypted disks.
 */
enum qf_err qf_diff_run(struct qf_diff *d, struct qf_why *why);

#endif
