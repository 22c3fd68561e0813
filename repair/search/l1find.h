/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks for L1 tables among the clusters that nobody owns. */
#ifndef QF_L1FIND_H
#define QF_L1FIND_H

#include "repair/fixes/fix.h"

/* No more than this is read in search of tables. */
#define QF_L1FIND_BYTES (256ull << 20)
/* At once so much. */
#define QF_L1FIND_STEP 4096u

/* A table that was found. */
struct qf_l1find_table {
	uint64_t off;
	uint64_t end; /* behind its last entry that names something */
};

struct qf_l1find {
	const struct qf_fix_ctx *c;
	uint32_t holder;      /* what its present table names does not count */
	uint64_t entries;     /* that the table must have */
	uint64_t budget;      /* bytes that may still be read */
	uint64_t found;	      /* the last one */
	uint64_t named, lost; /* of its entries: known and lost L2 tables */
	uint64_t end;	      /* behind the last of them */
	unsigned int n;	      /* tables found */
	/* the first ones, for a caller who gives room for them */
	struct qf_l1find_table *at;
	unsigned int room;
};

/* True if what lies at OFF is an L1 table of s->entries entries. Each names
 * an L2 table that another holder has there, or one without an owner. */
bool qf_l1find_is(struct qf_l1find *s, uint64_t off);

/* Looks at every cluster without an owner; false: not at all of them. */
bool qf_l1find_look(struct qf_l1find *s);

#endif
