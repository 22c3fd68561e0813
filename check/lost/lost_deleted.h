/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What remains of a deleted snapshot's L1 table: a cluster without an owner
 * that names L2 tables, each at its place.
 */
#ifndef QF_LOST_DELETED_H
#define QF_LOST_DELETED_H

#include "check/passes/pass.h"

/* A table that is asked for. */
struct qf_lost_named {
	uint64_t off;
	uint32_t column; /* its L1 index, in a cluster of an L1 table */
	bool named;
};

struct qf_lost_deleted {
	struct qf_lost_named *at; /* by column and offset */
	size_t n, room;
	uint32_t first, last; /* columns */
	uint8_t *hint;	      /* a bit for each place that a hash can have */
};

/*
 * Looks, for all tables of C's walk that count more references than they
 * have, whether a cluster without an owner names them. Reads each such
 * cluster once. False: no memory. Free with qf_lost_deleted_free.
 */
bool qf_lost_deleted_find(const struct qf_pass_ctx *c,
			  struct qf_lost_deleted *d);
void qf_lost_deleted_free(struct qf_lost_deleted *d);

/* True if the table at OFF is named where an L1 table does for L1_INDEX. */
bool qf_lost_deleted_has(const struct qf_pass_ctx *c,
			 const struct qf_lost_deleted *d, uint32_t l1_index,
			 uint64_t off);

#endif
