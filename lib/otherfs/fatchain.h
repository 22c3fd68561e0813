/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file allocation table of FAT and exFAT: clusters and their chains.
 * Internal to the two readers. */
#ifndef QF_FATCHAIN_H
#define QF_FATCHAIN_H

#include "lib/guest/reader.h"

struct qf_fatchain {
	struct qf_volume *v;
	uint64_t table_at, table_bytes; /* the first table */
	uint32_t tables;
	uint32_t bits;	  /* of an entry: 12, 16, 32 */
	uint32_t mask;	  /* of those that count */
	uint64_t data_at; /* of cluster 2 */
	uint64_t cluster_bytes;
	uint64_t clusters; /* numbers 2 to CLUSTERS + 1 */
};

/* The entry of cluster N in the first table that can be read; false: in
 * none. */
bool qf_fatchain_entry(const struct qf_fatchain *c, uint64_t n,
		       uint32_t *entry);

/* Whether there is a cluster N. */
bool qf_fatchain_has(const struct qf_fatchain *c, uint64_t n);

uint64_t qf_fatchain_place(const struct qf_fatchain *c, uint64_t n);

/*
 * Tells where the chain from cluster FIRST lies, in stretches, up to BYTES.
 * With CONTIGUOUS it is a chain without entries, as exFAT has them.
 */
void qf_fatchain_extents(const struct qf_fatchain *c, uint64_t first,
			 bool contiguous, uint64_t bytes,
			 qf_reader_extent *tell, void *ctx);

#endif
