/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the holders lose with clusters that do not inflate: the guest ranges,
 * for the report's list. Clusters come group by group, by ascending index.
 */
#ifndef QF_DATA_LOSS_H
#define QF_DATA_LOSS_H

#include "check/passes/pass.h"

struct qf_data_loss {
	struct qf_pass_ctx *c;
	const struct qf_group *grp; /* that table_of is about */
	uint32_t *table_of;	    /* by holder: which of the group's tables */
	struct {
		uint64_t from, end; /* guest range not yet in the list */
	} * open;		    /* by holder */
};

/* False without memory. Free with qf_data_loss_free. */
bool qf_data_loss_start(struct qf_data_loss *l, struct qf_pass_ctx *c);

/* The cluster at INDEX of those tables of GRP whose bit of MEMBERS is set. */
void qf_data_loss_add(struct qf_data_loss *l, const struct qf_group *grp,
		      const uint64_t *members, uint32_t index);

/* Puts the rest into the report's list. */
void qf_data_loss_end(struct qf_data_loss *l);
void qf_data_loss_free(struct qf_data_loss *l);

#endif
