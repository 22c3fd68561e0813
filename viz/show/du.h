/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the file's room is used for, by whom, and what deleting snapshots
 * would free. All counts are host clusters; they add up to the file's.
 */
#ifndef QF_DU_H
#define QF_DU_H

#include "lib/walk/owners.h"

struct qf_du_holder {
	uint64_t referenced; /* clusters it needs, its tables among them */
	uint64_t exclusive;  /* of them, those that nobody else needs */
};

struct qf_du {
	const struct qf_owners *owners; /* the caller's */
	const struct qf_image *img;	/* the caller's */
	uint64_t clusters;		/* of the file: the sum of all below */
	uint64_t kind[QF_REF_KINDS];	/* each cluster once, metadata first */
	uint64_t unowned; /* nobody's, but not free: see unowned.h */
	uint64_t free;
	uint64_t twice; /* clusters with owners that exclude each other;
			 * they are counted above as well */
	struct qf_du_holder *holder; /* active disk, snapshots */
	uint64_t *of_class;	     /* clusters of each of the classes */
};

/* Errors: QF_ERR_NOMEM. Free with qf_du_free. */
enum qf_err qf_du_make(const struct qf_owners *owners,
		       const struct qf_image *img, struct qf_du *du,
		       struct qf_why *why);
void qf_du_free(struct qf_du *du);

/* Guest data: data and compressed. */
uint64_t qf_du_data(const struct qf_du *du);

/* What a deletion frees. */
struct qf_du_freed {
	uint64_t data, l1, l2;
	/* the snapshot table is written anew, most often shorter */
	int64_t snapshot_table;
	int64_t total;
};

/*
 * What deleting the snapshots whose holder numbers are the members of the
 * set DELETED (of qf_owners_sets()) frees, as `qemu-img snapshot -d` does it
 * in an image without damage.
 */
void qf_du_if_deleted(const struct qf_du *du, uint32_t deleted,
		      struct qf_du_freed *freed);

/* True if that deletion frees the clusters of class CLS. */
bool qf_du_is_freed(const struct qf_du *du, uint32_t deleted, uint32_t cls);

/* The set of the snapshots named in LIST, by commas; a whole LIST that is
 * one snapshot's id or name is that. Errors: QF_ERR_USAGE, QF_ERR_NOMEM. */
enum qf_err qf_du_parse(const struct qf_du *du, const char *list,
			uint32_t *deleted, struct qf_why *why);

#endif
