/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places and their owners, in both directions: file to disk, disk to file. */
#ifndef QF_PLACES_H
#define QF_PLACES_H

#include "lib/model/disk.h"
#include "lib/walk/owners.h"

/* References that are listed, of all places together, about. */
#define QF_PLACES_OWNERS 65536u

/* A cluster of the file. */
struct qf_place {
	uint64_t cluster;
	uint64_t refcount; /* as the file states it ... */
	bool refcount_known;
	bool outside;	  /* of the file */
	bool may_be_lost; /* without an owner: see unowned.h */
	struct qf_owner_list owners;
};

/* What one state of the disk has at a guest offset. */
struct qf_view {
	uint32_t holder;
	bool beyond; /* this state's disk is shorter */
	struct qf_disk_extent e;
};

struct qf_places {
	uint64_t guest_off; /* QF_NOWHERE: a host cluster was asked for */
	struct qf_view *view;
	size_t n_views;
	struct qf_place *place; /* ascending, each cluster once */
	size_t n_places, room;
};

/* The owners of cluster number CLUSTER. SHARED: as with -U. What nobody owns
 * is judged by a check. Errors: QF_ERR_NOMEM, as qf_check_run. Free with
 * qf_places_free, also after an error. */
enum qf_err qf_places_at(struct qf_image *img, uint64_t cluster, bool shared,
			 unsigned int jobs, struct qf_places *p,
			 struct qf_why *why);

/*
 * What every state of the disk has at GUEST_OFF, or only HOLDER's if that is
 * not QF_HOLDER_IMAGE, and who owns the clusters in this file. Errors:
 * QF_ERR_NOMEM, QF_ERR_OUTSIDE if every such disk ends before.
 */
enum qf_err qf_places_of(struct qf_image *img, uint64_t guest_off,
			 uint32_t holder, bool shared, unsigned int jobs,
			 struct qf_places *p, struct qf_why *why);
void qf_places_free(struct qf_places *p);

/* "in use", "leaked", QF_UNOWNED_WORDS, "free", "outside the file". */
const char *qf_places_state(const struct qf_place *p);

/* "data", "compressed", "zero", "unmapped", "damaged", "beyond", ... */
const char *qf_places_kind(const struct qf_view *v);

#endif
