/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stretch without entries in an L2 table that has others: was it erased?
 * A disk or a file system loses whole sectors, so only a stretch with a whole
 * sector in it is suspected, unless the refcounts leave no doubt. What speaks
 * for it are clusters without an owner that lie in the file as the missing
 * entries would have them: next to those of the entries around the stretch.
 */
#ifndef QF_LOST_GAPS_H
#define QF_LOST_GAPS_H

#include "check/lost/lost_search.h"

/* A writer has not more than this on its way, behind what it finished. */
#define QF_WINDOW_BYTES (16u << 20)

struct qf_gap {
	const struct qf_l2_table *table;
	uint32_t l1_index;
	uint32_t from, to; /* L2 indices without an entry */
	/* host clusters: the one behind the entry before the stretch (or
	 * behind the table, where the stretch is its begin), and the one of
	 * the entry behind it; 0 where there is none */
	uint64_t before, after;
};

/* Entries that a sector of an L2 table holds. */
uint32_t qf_gap_sector(const struct qf_geometry *g);

/* True if a whole sector lies in [FROM, TO). */
bool qf_gap_has_sector(const struct qf_geometry *g, uint32_t from, uint32_t to);

/* The leaks that tell of the stretch's entries, if it was erased; 0 if it was
 * not, for all that can be seen. */
uint64_t qf_gap_was_erased(const struct qf_search *s, const struct qf_gap *gap);

/*
 * Clusters without an owner that are nothing but that: no orphan table names
 * them.
 */
struct qf_gap_leaks {
	uint64_t n, runs; /* in so many stretches of the file */
	uint64_t inside;  /* of them, those with enough in use behind them */
	uint64_t first;	  /* cluster */
	uint64_t stated;  /* the refcount of all, if it is the same; else 0 */
	bool tail;	  /* they may be what a killed writer left */
	bool scattered;	  /* those inside: all over the file */
};

struct qf_gap_leaks qf_gap_leaks(const struct qf_search *s);

/* True if CLUSTER is such a one. */
bool qf_gap_is_leak(const struct qf_search *s, uint64_t cluster);

#endif
