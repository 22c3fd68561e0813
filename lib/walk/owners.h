/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owns each cluster of the file: the active disk, snapshots, the image's
 * own tables, nobody. Built in one walk. Clusters with the same owners have
 * the same class; a class is made once, and where a whole page of clusters
 * is alike, only one number is kept for it. A file without fragments takes a
 * few bytes for 512 clusters, the worst one four bytes for each.
 */
#ifndef QF_OWNERS_H
#define QF_OWNERS_H

#include "lib/base/spanset.h"
#include "lib/walk/walk.h"

enum qf_owners_flags {
	QF_OWNERS_LEAKED = 1u << 0, /* nobody's, but its refcount is not 0 */
	QF_OWNERS_TWICE = 1u << 1,  /* two claims that exclude each other */
};

/* What clusters can have in common. */
struct qf_owners_class {
	uint32_t set;	/* holders that need it: of qf_owners_sets() */
	uint16_t kinds; /* 1 << enum qf_ref_kind, all that it is used as */
	uint16_t flags; /* enum qf_owners_flags */
};

#define QF_OWNERS_FREE 0u /* the class of clusters that nobody has */

struct qf_owners;

/*
 * Walks W, which stays the caller's and must live as long. Errors:
 * QF_ERR_NOMEM, also when a hostile image would have more sets of holders than
 * its size justifies. Free with qf_owners_free (NULL-safe).
 */
enum qf_err qf_owners_make(struct qf_walk *w, struct qf_owners **out,
			   struct qf_why *why);
void qf_owners_free(struct qf_owners *o);

/* The clusters that the file has. */
uint64_t qf_owners_clusters(const struct qf_owners *o);

/* The classes are numbered from 0. */
uint32_t qf_owners_classes(const struct qf_owners *o);
const struct qf_owners_class *qf_owners_class(const struct qf_owners *o,
					      uint32_t cls);

/*
 * The class of CLUSTER, and in *END (may be NULL) where the run of clusters
 * of that class ends, LIMIT at the most. Past the file: QF_OWNERS_FREE.
 */
uint32_t qf_owners_at(const struct qf_owners *o, uint64_t cluster,
		      uint64_t limit, uint64_t *end);

/*
 * The sets of holders: members are the active disk (QF_HOLDER_ACTIVE) and
 * the snapshots (QF_HOLDER_SNAPSHOT). Sets may be added by the caller.
 */
struct qf_spanset *qf_owners_sets(const struct qf_owners *o);

/* The holders of table number TABLE of the walk. */
uint32_t qf_owners_table_set(const struct qf_owners *o, uint64_t table);

/* The first of a class's kinds that is metadata; else its data kind. What
 * a cluster with several is counted as. QF_REF_KINDS: nobody's. */
enum qf_ref_kind qf_owners_kind(const struct qf_owners_class *c);

/* One reference to a cluster, by one holder. */
struct qf_owner {
	enum qf_ref_kind kind;
	uint32_t holder;   /* a bitmap's number for the bitmap kinds */
	uint64_t host_off; /* what the pointer names, and how long it is */
	uint64_t bytes;
	uint64_t guest_off;   /* QF_NOWHERE: not guest data, nor a table */
	uint64_t pointer_off; /* where the pointer stands, or QF_NOWHERE */
	uint64_t pointer;     /* an L1 or L2 entry as it stands there, or 0 */
};

struct qf_owner_list {
	struct qf_owner *at; /* by kind, guest offset, pointer, holder */
	size_t n, room;
	uint64_t total; /* found; more than n if the limit was reached */
};

/*
 * All references to each of the N clusters at CLUSTER, which ascend, in the N
 * lists at LIST: at most LIMIT a list. W must be gathered; it is walked anew,
 * once. Errors: QF_ERR_NOMEM; then all lists are empty. Free each with
 * qf_owners_list_free.
 */
enum qf_err qf_owners_find_all(struct qf_walk *w, unsigned int jobs,
			       const uint64_t *cluster, size_t n, size_t limit,
			       struct qf_owner_list *list, struct qf_why *why);

/* The same for one cluster. */
enum qf_err qf_owners_find(struct qf_walk *w, unsigned int jobs,
			   uint64_t cluster, size_t limit,
			   struct qf_owner_list *list, struct qf_why *why);
void qf_owners_list_free(struct qf_owner_list *list);

#endif
