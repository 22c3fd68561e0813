/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clusters with two owners, sorted by what may have brought them about. */
#ifndef QF_DOUBLES_H
#define QF_DOUBLES_H

#include "check/passes/pass.h"

struct qf_doubles {
	uint64_t active;   /* clusters that the active disk has twice */
	uint64_t mixed;	   /* clusters of the active disk and a snapshot */
	uint64_t snapshot; /* clusters of a snapshot's own metadata */
	/* L2 tables that hold garbage, and are somebody's data as well */
	uint64_t overwritten;
	bool crowd; /* a cluster with more owners than programs can make */
};

/* Owners that other damage explains are left out: garbage tables, copies,
 * pointers into the midst of a cluster, tables with two L1 entries. */
void qf_doubles_count(const struct qf_pass_ctx *c, struct qf_doubles *d);

/* True if the snapshot table makes no sense, and its cluster is used for
 * something else. */
bool qf_doubles_took_snapshots(const struct qf_pass_ctx *c);

#endif
