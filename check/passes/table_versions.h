/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * L2 tables of one place of the disk, of two of its states, that hold the same
 * entries: the one was overwritten with the other.
 */
#ifndef QF_TABLE_VERSIONS_H
#define QF_TABLE_VERSIONS_H

#include "check/passes/pass.h"

/*
 * Reports them, and what the overwritten one's holders have lost. A table that
 * was copied and not changed yet is no such case: its clusters are counted for
 * both. Looks only where some refcounts are too low and others too high. False
 * if there were too many to look at them all: then what has no owner may be
 * what an overwritten one had.
 */
bool qf_table_versions(struct qf_pass_ctx *c);

#endif
