/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an overlay holds: runs of blocks, in the order of the file. They stand
 * in pages of a bounded size, so that one put in the middle of half a million
 * others moves a page and not all of them. Of io_overlay.
 */
#ifndef QF_OVERLAY_RUNS_H
#define QF_OVERLAY_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QF_OVERLAY_PAGE 256u

struct qf_overlay_run {
	uint64_t at, n;	     /* its first block, and how many; never none */
	unsigned char *data; /* owned; NULL: what the base has at src */
	uint64_t src;
};

struct qf_overlay_page {
	struct qf_overlay_run run[QF_OVERLAY_PAGE];
	uint32_t n; /* never none */
};

struct qf_overlay_runs {
	struct qf_overlay_page **page; /* owned, each one, too */
	size_t n, room;
};

/* The place of a run among them. */
struct qf_overlay_place {
	size_t page;
	uint32_t i;
};

/* The first run that ends behind the block AT. */
struct qf_overlay_place qf_overlay_runs_find(const struct qf_overlay_runs *r,
					     uint64_t at);

/* The run at P; NULL behind the last one. */
struct qf_overlay_run *qf_overlay_runs_at(const struct qf_overlay_runs *r,
					  struct qf_overlay_place p);

/* The place behind P. */
struct qf_overlay_place qf_overlay_runs_next(const struct qf_overlay_runs *r,
					     struct qf_overlay_place p);

/* Puts RUN before what is at P; no two may overlap. False without memory. */
bool qf_overlay_runs_insert(struct qf_overlay_runs *r,
			    struct qf_overlay_place p,
			    const struct qf_overlay_run *run);

/* Takes out the run at P; its data are the caller's. */
void qf_overlay_runs_remove(struct qf_overlay_runs *r,
			    struct qf_overlay_place p);

void qf_overlay_runs_free(struct qf_overlay_runs *r);

#endif
