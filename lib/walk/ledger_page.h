/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the ledger lies in memory. Internal to ledger. */
#ifndef QF_LEDGER_PAGE_H
#define QF_LEDGER_PAGE_H

#include "lib/walk/ledger.h"

#include <pthread.h>
#include <stddef.h>

#define QF_PAGE_WORDS (QF_PAGE / 64)

struct qf_ledger_page {
	uint8_t kind;	/* enum qf_page_kind */
	uint16_t cell;	/* class: FULL, BITS */
	uint32_t array; /* ARRAY, WIDE: number in the region's list */
};

/* Pages that are changed by one worker at a time. */
struct qf_ledger_region {
	pthread_mutex_t lock;
	void **array; /* uint16_t[QF_PAGE] or uint64_t[QF_PAGE] */
	size_t n, room;
	bool any_double;
	bool failed;
	bool touched; /* something was added */
};

struct qf_ledger {
	uint64_t base; /* first cluster, a multiple of QF_PAGE */
	uint64_t first, clusters;
	uint64_t n_pages;
	struct qf_ledger_page *page;
	/* QF_PAGE_WORDS a page; untouched ones take no memory */
	uint64_t *bits;
	unsigned int jobs;
	unsigned int region_shift; /* clusters to region */
	uint32_t n_regions;
	struct qf_ledger_region *region;
	struct qf_ledger_bucket **bucket; /* [worker][region] */
};

#endif
