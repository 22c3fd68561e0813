/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two entries that have changed places: the guest's blocks contradict theirs,
 * and with the entries exchanged all of them agree. Asks that of the judge.
 */
#ifndef QF_GUEST_SWAP_H
#define QF_GUEST_SWAP_H

#include "check/judge/question.h"
#include "check/passes/guest_faults.h"
#include "lib/walk/walk.h"

/* One state of the disk, and what contradicts itself there. */
struct qf_guest_moved {
	struct qf_image *img;
	const struct qf_walk *walk;
	uint32_t holder;
	struct qf_disk *disk;
	struct qf_guest *guest;
	const struct qf_guest_faults *faults;
	bool data; /* what files hold was looked at as well */
	struct qf_questions *questions; /* more of them, judged with the rest */
};

/* True if no volume holds anything that can be looked into. */
bool qf_guest_is_headless(const struct qf_guest *g);

/* Errors: QF_ERR_NOMEM. */
enum qf_err qf_guest_swaps_ask(const struct qf_guest_moved *m);

/* The question of the exchange that would explain faults from START to END of
 * the guest's disk, in the state HOLDER; NULL: there is none. */
const struct qf_question *qf_guest_swap_of(const struct qf_questions *l,
					   uint32_t holder, uint64_t start,
					   uint64_t end);

#endif
