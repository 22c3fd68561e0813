/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The recount: the refcounts that the image ought to have, from one walk, and
 * where the refcounts that it states are others. Facts only: where a place
 * is in trouble, who owns it is found by a second walk (see check/).
 */
#ifndef QF_RECOUNT_H
#define QF_RECOUNT_H

#include "lib/walk/ledger.h"
#include "lib/walk/walk.h"

enum qf_trouble_why {
	QF_TROUBLE_REFCOUNT = 1u << 0, /* stated is not counted */
	QF_TROUBLE_COPIED = 1u << 1,   /* an active entry's flag is wrong */
	QF_TROUBLE_DOUBLE = 1u << 2,   /* two owners */
	QF_TROUBLE_UNKNOWN = 1u << 3,  /* the refcount block is not readable */
	QF_TROUBLE_DOUBTED = 1u << 4,  /* for a judge to set: the block that
					* states this holds no refcounts */
	QF_TROUBLE_TOLD = 1u << 5,     /* for a pass to set: another finding
					* tells what the refcount is */
};

/* A run of clusters that are in the same trouble. */
struct qf_trouble {
	uint64_t first, n;
	uint64_t stated;  /* by the refcount block */
	uint64_t counted; /* by the walk */
	uint64_t hits;	  /* clusters in trouble; n, unless very many runs
			   * were put together: then stated and counted are
			   * those of the first */
	unsigned int why; /* enum qf_trouble_why */
};

/* Figures about the active disk, as qemu-img check gives them. */
struct qf_recount_figures {
	uint64_t allocated;  /* guest clusters with a place in the file */
	uint64_t fragmented; /* of them, not following the one before */
	uint64_t compressed; /* of them, compressed */
};

/* What an unaligned pointer is counted for, which no reader follows. */
enum qf_recount_how {
	/* an owner of what it leads to, like any other: as qemu-img counts */
	QF_RECOUNT_ALL,
	/* no second owner: it keeps what nobody else has, and no more */
	QF_RECOUNT_SOUND,
};

struct qf_recount {
	struct qf_walk *walk; /* the caller's */
	enum qf_recount_how how;
	struct qf_ledger *ledger; /* of the last window: see qf_recount_make */
	unsigned int jobs;
	uint64_t clusters;    /* that the file has */
	uint64_t used;	      /* clusters with at least one reference */
	uint64_t counted_end; /* last cluster with a reference + 1 */
	struct qf_recount_figures fig;
	/* oddities of L2 entries, weighted: one for each L1 entry's view */
	uint64_t odd[QF_ODD_KINDS];
	/* entries of the active disk behind its end, within its last L1 entry:
	 * what lies at a later L1 entry is VM state */
	uint64_t beyond_disk;
	uint64_t past_end; /* metadata claims past the end: not counted */
	uint64_t overflow; /* references that the width cannot count */
	uint64_t leaked;   /* clusters: stated more than counted */
	uint64_t too_low;  /* clusters: stated less than counted */
	uint64_t unknown;  /* clusters whose refcount cannot be had */
	struct qf_trouble *trouble; /* ascending */
	size_t n_troubles;
	uint64_t stated_end; /* last cluster with a stated refcount + 1,
				   * of those that the file has */
};

/*
 * Walks W and counts; then compares with the refcount blocks. The ledger
 * takes about MAX_BYTES at most (0: as much as it needs): if it would take
 * more, the file is gone through in windows, with a walk for each, and the
 * result is the same. *T is freed with qf_recount_free. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_recount_make(struct qf_walk *w, unsigned int jobs,
			    uint64_t max_bytes, enum qf_recount_how how,
			    struct qf_recount *t, struct qf_why *why);
void qf_recount_free(struct qf_recount *t);

/*
 * The trouble that CLUSTER is in, or NULL; and the first trouble that ends
 * behind CLUSTER, or NULL.
 */
const struct qf_trouble *qf_recount_at(const struct qf_recount *t,
				       uint64_t cluster);
const struct qf_trouble *qf_recount_from(const struct qf_recount *t,
					 uint64_t cluster);

/* The references of CLUSTER, out of trouble and refcount blocks: slow. */
uint64_t qf_recount_counted(const struct qf_recount *t, uint64_t cluster);

/* The host clusters that BYTES at OFF touch: *FIRST and the return value.
 * 0 if they reach a cluster or more past the end of the file. */
uint64_t qf_recount_touched(const struct qf_image *img, uint64_t off,
			    uint64_t bytes, uint64_t *first);

/* The host range that a run takes up in this file: 0 bytes if none (plain
 * zeros, external data file, contradictory entries). */
uint64_t qf_recount_run_bytes(const struct qf_image *img,
			      const struct qf_run *r, uint64_t *off);

#endif
