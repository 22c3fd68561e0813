/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef QF_LOST_SUBCLUSTERS_H
#define QF_LOST_SUBCLUSTERS_H

#include "check/passes/pass.h"

/*
 * Of the L2 table at OFF, which has an entry with subclusters and without a
 * cluster, loses what the entries map whose bitmaps may be others'. Extended
 * L2 entries only. False without memory.
 */
bool qf_lost_subclusters(struct qf_pass_ctx *c, uint32_t l1_index,
			 uint64_t off);

#endif
