/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * L2 tables that no L1 entry names, and at which L1 index of the active disk
 * each of them stood, as far as that is beyond doubt.
 */
#ifndef QF_PLACE_H
#define QF_PLACE_H

#include "repair/fixes/fix.h"

#define QF_PLACE_SHARED 8u

struct qf_place_table {
	uint64_t off; /* host offset */
	uint64_t head,
		tail;  /* the clusters of its first and last entry, or 0 */
	uint64_t next; /* in the file: number of another table + 1 */
	bool followed; /* one comes before it in that manner */
	unsigned int n_shared; /* entries whose cluster another has too: */
	uint64_t shared[QF_PLACE_SHARED];
	uint32_t shared_at[QF_PLACE_SHARED];
	const char *how; /* the evidence for its index; NULL: none */
	uint32_t index;
	bool doubt;   /* evidence for two indices */
	bool deleted; /* an L1 table that nobody has any more names it */
};

struct qf_place {
	struct qf_fix_ctx *c;
	struct qf_place_table *t; /* by host offset */
	size_t n, room;
	bool all; /* there are no others */
};

/*
 * Gathers the tables and looks for evidence. Free with qf_place_free, also
 * after an error. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_place_find(struct qf_fix_ctx *c, struct qf_place *p,
			  struct qf_why *why);
void qf_place_free(struct qf_place *p);

/* The table that the active disk's L1 entry INDEX names, or 0. */
uint64_t qf_place_active(const struct qf_fix_ctx *c, uint64_t index);

/* The only one of the tables of G that has exactly N references too few; 0 if
 * there are none or more. */
uint64_t qf_place_lacking(const struct qf_fix_ctx *c, const struct qf_group *g,
			  uint64_t n);

#endif
