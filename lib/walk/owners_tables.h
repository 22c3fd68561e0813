/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which holders name which L2 table. Internal to owners. */
#ifndef QF_OWNERS_TABLES_H
#define QF_OWNERS_TABLES_H

#include "lib/base/spanset.h"
#include "lib/walk/walk.h"

/*
 * The set of holders of every table of W, by its number, in *OUT, which the
 * caller frees. Holders that use the very same L1 table are read once.
 * Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_owners_tables(const struct qf_walk *w, struct qf_spanset *sets,
			     uint32_t **out);

/*
 * Calls FN for stretches of the L1 tables, at most a cluster each: OFF and
 * BYTES in the file, the set of the holders that use it, and how many they
 * are. Holders that share a table are told at once, so that very many of
 * them cost little. False stops. Errors: QF_ERR_NOMEM, also when stopped.
 */
typedef bool qf_owners_l1_fn(void *ctx, uint64_t off, uint64_t bytes,
			     uint32_t set, uint32_t holders);
enum qf_err qf_owners_l1(struct qf_image *img, struct qf_spanset *sets,
			 qf_owners_l1_fn *fn, void *ctx);

#endif
