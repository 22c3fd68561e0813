/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The second walk, run only when the first found trouble: it looks for the
 * troubled places alone and collects who they belong to. Facts for the
 * passes, in an order that does not depend on the number of workers.
 */
#ifndef QF_DETAIL_H
#define QF_DETAIL_H

#include "check/lost/cut_off.h"
#include "lib/walk/recount.h"

/* What is odd about one L2 table. */
struct qf_damage {
	uint32_t l1_index;
	uint32_t in_group;	    /* which of the group's tables */
	uint64_t table;		    /* number in walk->table */
	uint64_t odd[QF_ODD_KINDS]; /* weighted, as struct qf_recount.odd */
	uint64_t entries;	    /* odd entries */
	uint64_t cut_off;	    /* of them, right: the file was cut */
	uint32_t kept;		    /* runs of odd entries that are kept */
	bool more;		    /* ... and there are others */
	uint64_t sound;		    /* other entries that are not zero */
	uint64_t first_entry[QF_ODD_KINDS]; /* the first one of the kind */
	uint32_t first_index[QF_ODD_KINDS];
	uint64_t copied;       /* entries whose COPIED flag is wrong */
	uint32_t copied_index; /* the first of them */
	uint64_t copied_entry;
	uint64_t copied_stated;
	bool copied_set; /* set though shared, at least once */
	bool foreign;	 /* it holds a structure that no L2 table is */
};

/* Who refers to a wanted cluster. */
struct qf_detail_owner {
	uint64_t cluster;
	enum qf_ref_kind kind;
	uint32_t holder;  /* one that does; bitmap kinds: the bitmap */
	uint32_t holders; /* how many do */
	uint64_t more;	  /* owners of the cluster behind this, the last */
	uint32_t l1_index, l2_index; /* data, compressed, L2 */
	uint64_t guest_off;	     /* QF_NOWHERE for metadata */
	uint64_t pointer_off;	     /* host offset of the pointer */
	uint64_t entry;		     /* the pointer itself, data only */
	uint64_t table;		     /* number in walk->table, data only */
	uint64_t table_off;	     /* the L2 table's, data only */
	bool active;
};

/* One odd entry; with --all, also one that is wrongly flagged. */
struct qf_odd_entry {
	uint64_t table;
	uint32_t l1_index, index;
	uint32_t n; /* entries from index on, alike in oddness */
	uint64_t entry, weight;
	uint64_t stated;  /* the refcount, if copied */
	unsigned int odd; /* 0: the COPIED flag is wrong */
};

/* Runs of odd entries that are kept for each table, without --all. */
#define QF_DETAIL_KEPT 64

/* True if the table holds something else than L2 entries. */
bool qf_detail_is_garbage(const struct qf_damage *d);

struct qf_detail {
	struct qf_damage *damage; /* by L1 index and table */
	size_t n_damages;
	struct qf_detail_owner *owner; /* by cluster */
	size_t n_owners;
	struct qf_odd_entry *odd; /* by table and index */
	size_t n_odd;
	uint64_t *want; /* clusters, ascending */
	size_t n_wants;
	uint64_t *garbage; /* offsets of the tables that hold something else */
	size_t n_garbage;  /* ascending */
};

/*
 * Fills D. The wanted clusters are taken from the recount: the first of every
 * run that has too low a refcount or two owners, but no more than LIMIT.
 * Errors: QF_ERR_NOMEM. Free with qf_detail_free, also after an error.
 */
enum qf_err qf_detail_make(const struct qf_recount *t, const struct qf_cut *cut,
			   size_t limit, bool all, struct qf_detail *d,
			   struct qf_why *why);
void qf_detail_free(struct qf_detail *d);

/*
 * The owners of CLUSTER: the first, and in *N how many are kept; the last of
 * them says how many more there are.
 */
const struct qf_detail_owner *qf_detail_owners(const struct qf_detail *d,
					       uint64_t cluster, size_t *n);

/* True if the L2 table at OFF holds something else; and if table number TABLE
 * of the walk does. */
bool qf_detail_holds_garbage(const struct qf_detail *d, uint64_t off);
bool qf_detail_garbage_table(const struct qf_detail *d, uint64_t table);

/* "L2 table of the active disk (L1 entry 3)", ... */
char *qf_detail_describe(const struct qf_image *img,
			 const struct qf_detail_owner *o, char *buf,
			 size_t room);

#endif
