/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The refcount structures as they are to be. */
#ifndef QF_REBUILD_H
#define QF_REBUILD_H

#include "repair/fixes/fix.h"

/* What becomes of one entry of the refcount table. */
enum qf_block_fate {
	QF_BLOCK_NONE,	/* there is none, and none is needed */
	QF_BLOCK_KEEP,	/* sound: changed in place, if at all */
	QF_BLOCK_DROP,	/* the entry leads astray, and is not needed */
	QF_BLOCK_NEW,	/* written to a place of its own */
	QF_BLOCK_LEAVE, /* cannot be read: not touched */
};

struct qf_rebuild {
	struct qf_fix_ctx *c;
	uint64_t *off;	   /* host offset of each block, as it will be */
	uint8_t *fate;	   /* enum qf_block_fate */
	uint16_t *problem; /* enum qf_problem: why not kept */
	uint64_t n;
	bool new_table;
	enum qf_problem table_problem;
	uint64_t table_off, table_clusters;
};

/*
 * Looks which blocks can stay. *R is freed with qf_rebuild_free, also after
 * an error. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_rebuild_judge(struct qf_fix_ctx *c, struct qf_rebuild *r,
			     struct qf_why *why);

/*
 * Takes the room for the blocks that are needed and cannot stay, and for a
 * new table if need be. Errors: QF_ERR_NOMEM, QF_ERR_IO (no room),
 * QF_ERR_UNSUPPORTED (larger than the format's readers allow).
 */
enum qf_err qf_rebuild_place(struct qf_rebuild *r, struct qf_why *why);

void qf_rebuild_free(struct qf_rebuild *r);

#endif
