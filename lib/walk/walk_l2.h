/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding L2 tables into runs. Internal to the walker: pure, no reading.
 */
#ifndef QF_WALK_L2_H
#define QF_WALK_L2_H

#include "lib/walk/walk.h"

#define QF_L2_BATCH 256

/* Where the runs go: a batch at a time to the visitor. */
struct qf_l2_out {
	const struct qf_visitor *v;
	const struct qf_group *grp;
	unsigned int worker;
	size_t n;
	struct qf_run run[QF_L2_BATCH];
	uint64_t *members; /* room for QF_L2_BATCH sets of words */
	uint32_t words;	   /* 64-bit words in a set */
	bool stopped;
};

/* A stretch of a group's tables, side by side. */
struct qf_l2_slice {
	const struct qf_image *img;
	const struct qf_l2_table *table; /* of the group */
	uint32_t n_tables;
	unsigned char **at;	       /* the bytes of each table */
	uint32_t from;		       /* L2 index of the first entry */
	uint32_t n;		       /* entries */
	struct qf_l2_scratch *scratch; /* N_TABLES of them */
};

/* One table's word at one index, while a slot is merged. */
struct qf_l2_scratch {
	uint64_t entry, bitmap;
	uint32_t table;
};

void qf_l2_decode(const struct qf_l2_slice *s, struct qf_l2_out *out);
void qf_l2_flush(struct qf_l2_out *out);

/* True if the BYTES (a multiple of 8) at P are all zero. */
bool qf_l2_is_zero(const void *p, uint64_t bytes);

#endif
