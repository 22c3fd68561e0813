/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger: how often each host cluster is referenced, counted while the
 * walk goes on.
 *
 * It is made small by pages of QF_PAGE clusters. On a healthy image nearly
 * all clusters of a page have the same count, so a page is a class (the
 * count and flags that its clusters have) and one bit a cluster; only a page
 * with differing counts gets an array. Counting is done without locks on the
 * hot path: every worker sorts its additions into buckets by region, and a
 * region's lock is taken once for a whole bucket.
 *
 * The walker visits each pair of guest and host cluster once. A second
 * addition to a cluster therefore means a second owner, unless both are
 * compressed clusters, which may share one.
 */
#ifndef QF_LEDGER_H
#define QF_LEDGER_H

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QF_PAGE_BITS 9
#define QF_PAGE (1u << QF_PAGE_BITS)

/* Flags beside a cluster's count. */
#define QF_LEDGER_COPIED (1u << 0) /* an active entry with COPIED */
#define QF_LEDGER_PLAIN (1u << 1)  /* an active entry without COPIED */
#define QF_LEDGER_PACKED (1u << 2) /* compressed data */
#define QF_LEDGER_DOUBLE (1u << 3) /* two owners; never added by callers */
/* For additions only: not a second owner, see struct qf_run.again. */
#define QF_LEDGER_AGAIN (1u << 4)

struct qf_ledger;

/*
 * A ledger for the clusters [FIRST, FIRST + CLUSTERS), used by JOBS workers.
 * Additions outside are dropped. Errors: QF_ERR_NOMEM. Free with
 * qf_ledger_free.
 */
enum qf_err qf_ledger_new(uint64_t first, uint64_t clusters, unsigned int jobs,
			  struct qf_ledger **out, struct qf_why *why);
void qf_ledger_free(struct qf_ledger *l);

/*
 * Adds WEIGHT references to each of the N clusters from CLUSTER on. Flags as
 * above. Worker WORKER's additions count at the latest after
 * qf_ledger_flush. Returns false without memory.
 */
bool qf_ledger_add(struct qf_ledger *l, unsigned int worker, uint64_t cluster,
		   uint64_t n, uint32_t weight, unsigned int flags);
/* The same for N single clusters, wherever they lie: faster. */
bool qf_ledger_add_ones(struct qf_ledger *l, unsigned int worker,
			const uint64_t *cluster, size_t n, uint32_t weight,
			unsigned int flags);
bool qf_ledger_flush(struct qf_ledger *l, unsigned int worker);

/* Count and flags of one cluster; 0 outside. Only after all flushes. */
uint64_t qf_ledger_count(const struct qf_ledger *l, uint64_t cluster,
			 unsigned int *flags);

/*
 * A page in the form that compares fastest. Page number P covers the
 * clusters from (FIRST rounded down to QF_PAGE) + P * QF_PAGE.
 */
enum qf_page_kind {
	QF_PAGE_EMPTY,	  /* no references */
	QF_PAGE_FULL,	  /* every cluster has the class */
	QF_PAGE_BITS_SET, /* where the bit is set, the class; else none */
	QF_PAGE_ARRAY,	  /* cell16 */
	QF_PAGE_WIDE,	  /* cell64 */
};

/* Cells: flags in the top four bits, the count below. */
#define QF_CELL16_FLAGS 12
#define QF_CELL16_MAX 0xfffu
#define QF_CELL64_FLAGS 60
#define QF_CELL64_MAX ((1ull << 60) - 1)

struct qf_page_view {
	enum qf_page_kind kind;
	uint16_t cell;		/* the class, as a cell16 */
	const uint64_t *bits;	/* QF_PAGE / 64 words */
	const uint16_t *cell16; /* QF_PAGE of them */
	const uint64_t *cell64;
};

void qf_ledger_page(const struct qf_ledger *l, uint64_t cluster,
		    struct qf_page_view *view);

/* True if some cluster has the flag DOUBLE. */
bool qf_ledger_any_double(const struct qf_ledger *l);

/*
 * The first cluster of the first page from CLUSTER's on that has references;
 * END if there is none before it. Fast over what was never touched.
 */
uint64_t qf_ledger_next(const struct qf_ledger *l, uint64_t cluster,
			uint64_t end);

/* The clusters with at least one reference. */
uint64_t qf_ledger_used(const struct qf_ledger *l);

/* The last cluster with a reference + 1; 0 if there is none. */
uint64_t qf_ledger_end(const struct qf_ledger *l);

#endif
