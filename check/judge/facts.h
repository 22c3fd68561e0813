/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the judge knows of the image: facts of one look, and nothing thought
 * about them yet. The witnesses look here and nowhere else.
 */
#ifndef QF_FACTS_H
#define QF_FACTS_H

#include "check/lost/cut_off.h"
#include "lib/walk/recount.h"

/* An L2 entry that leads nowhere, and how many references it was good for. */
struct qf_dead_entry {
	const struct qf_group *group;
	const struct qf_l2_table *table;
	uint32_t index;
	unsigned int odd;
	uint64_t entry;
};

/* References that the recount owes to an entry which leads nowhere: one whose
 * offset is not aligned touches clusters all the same. */
struct qf_phantom {
	uint64_t cluster, refs;
};

struct qf_facts {
	/* the caller's */
	struct qf_image *img;
	struct qf_walk *walk;
	const struct qf_recount *recount;
	const struct qf_cut *cut;
	unsigned int jobs;
	/* clusters that a plan has let go of: no pointer lost them; or NULL */
	const struct qf_ranges *released;
	bool no_mixup;	   /* nor tables that may have changed places */
	bool whole_mixups; /* ... where something would still be wrong */
	bool no_guest;	   /* what lies on the guest's disk is not looked at */
	/* host offsets, ascending: L2 tables that hold something else, and
	 * L2 tables that no L1 entry names */
	const uint64_t *garbage, *nameless;
	size_t n_garbage, n_nameless;
	const uint64_t *erased; /* L2 tables that hold nothing, and did */
	size_t n_erased;
	/* gathered */
	struct qf_dead_entry *dead;
	struct qf_phantom *phantom; /* by cluster, each once */
	size_t n_dead, dead_room, n_phantoms, phantom_room;
	uint64_t dead_refs; /* that all such entries are good for */
	/* references over the whole file, phantoms left out: stated and not
	 * counted, counted and not stated */
	uint64_t refs_high, refs_low;
	uint64_t orphans; /* clusters with a refcount and no reference */
	bool unknown;	  /* some refcounts, or entries, are not known */
};

/*
 * Gathers the rest of F, whose first part the caller has set. Walks the tables
 * where entries lead nowhere. Errors: QF_ERR_NOMEM. Free with qf_facts_free,
 * also after an error.
 */
enum qf_err qf_facts_gather(struct qf_facts *f, struct qf_why *why);
void qf_facts_free(struct qf_facts *f);

/* True if with the dead entries' references, and no others, all refcounts of
 * the image would agree with their uses. */
static inline bool qf_facts_close(const struct qf_facts *f)
{
	return !f->unknown && f->refs_high == f->refs_low + f->dead_refs;
}

/*
 * True if the cluster at the host offset OFF is allocated, nobody refers to
 * it, and it is no table without a name: a damaged pointer may have led to it.
 * *STATED (may be NULL): its refcount.
 */
bool qf_facts_is_orphan(const struct qf_facts *f, uint64_t off,
			uint64_t *stated);

/* The first N such clusters of the file, as host offsets; how many there
 * are, N at the most. */
size_t qf_facts_orphans(const struct qf_facts *f, uint64_t *off, size_t n);

/* How many references the refcount of the cluster at OFF has and the image has
 * not; 0 if that is not known, or two owners are in dispute over it. */
uint64_t qf_facts_lacking(const struct qf_facts *f, uint64_t off);

/* True if two owners claim the cluster at OFF. */
bool qf_facts_is_double(const struct qf_facts *f, uint64_t off);

/* True if the L2 table at OFF holds something else. */
bool qf_facts_is_garbage(const struct qf_facts *f, uint64_t off);

/* True if the L2 table at OFF holds nothing, and held something. */
bool qf_facts_is_erased(const struct qf_facts *f, uint64_t off);

/* The only orphan of the file; false if there are none or more. */
bool qf_facts_only_orphan(const struct qf_facts *f, uint64_t *off);

#endif
