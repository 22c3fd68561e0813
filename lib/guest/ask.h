/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A question to a volume, in the parent. Internal to lib/guest. */
#ifndef QF_ASK_H
#define QF_ASK_H

#include "lib/guest/job.h"
#include "lib/guest/partitions.h"

/* See struct qf_sandbox. */
typedef bool qf_ask_take(void *ctx, uint32_t type, const void *record,
			 uint32_t n);

/* VOLUME without a source of bytes, and nothing asked. */
struct qf_volume qf_ask_volume(const struct qf_guest *g, uint32_t volume);

/* Has a child do J. Errors: as qf_sandbox_run. */
enum qf_err qf_ask(struct qf_guest *g, struct qf_job *j, qf_ask_take *take,
		   void *ctx, struct qf_why *why);

/* Keeps in VOLUME why ERR came; that is no error of the caller's. */
void qf_ask_outcome(struct qf_guest *g, uint32_t volume, enum qf_err err,
		    const struct qf_why *why);

/* Tells the blocks of the partition table that touch what is ASKED; false:
 * SEE said to stop. */
bool qf_ask_table(const struct qf_guest *g, const struct qf_guest_range *asked,
		  size_t n, qf_guest_see *see, void *ctx);

#endif
