/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images whose tables hold anything at all: sound runs, and damage. */
#ifndef QF_TEST_TANGLE_H
#define QF_TEST_TANGLE_H

#include "tests/unit/mini.h"

/*
 * An image of three L1 entries, with SNAPS snapshots, that share and vary L2
 * tables of random content. Its refcounts are those of the tables alone.
 */
void tangle_make(struct mini *m, uint64_t seed, uint32_t cluster_bits, bool ext,
		 uint32_t snaps);

#endif
