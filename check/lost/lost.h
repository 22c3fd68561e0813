/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lost mappings: clusters that look like leaks, but are the guest's data
 * whose table was erased or overwritten. What is lost, and which clusters
 * without an owner must therefore never be freed.
 *
 * A writer that was killed leaves leaks too, and tables that are still
 * empty; see killed_tail() in lost.c for how the two are told apart.
 */
#ifndef QF_LOST_H
#define QF_LOST_H

#include "check/check.h"
#include "lib/walk/recount.h"

struct qf_pass_ctx;

/* An L2 table without an L1 entry, found among the leaks. */
struct qf_orphan {
	uint64_t off;	  /* host offset of the table */
	uint64_t entries; /* that are in use */
	uint64_t leaked;  /* of them, pointing to clusters without an owner */
	uint64_t shared;  /* of them, pointing to clusters with an owner */
	bool flagged;	  /* an entry is as no other kind of table has it */
	uint64_t owned;	  /* entries with the flag by which the active disk
			   * knows a cluster that nobody else has */
	bool placed;	  /* another version of it stands at an L1 index: */
	uint32_t l1_index;
};

/* A snapshot table that the header does not name. */
struct qf_orphan_snapshot {
	char id[40];
	char name[80];
	uint64_t disk_bytes;
};

struct qf_orphan_snapshots {
	uint64_t off;
	size_t n, room;
	struct qf_orphan_snapshot *at;
};

/* Entries of an L2 table that were erased. */
struct qf_lost_part {
	uint64_t table;	   /* number in walk->table */
	uint32_t index, n; /* of the first entry; entries */
};

struct qf_lost {
	struct qf_orphan *orphan;
	size_t n_orphans, orphan_room;
	struct qf_orphan_snapshots snapshots; /* n is 0: none */
	uint64_t *erased; /* numbers in walk->table of emptied L2 tables */
	size_t n_erased, erased_room;
	struct qf_lost_part *part; /* by table and index */
	size_t n_parts, part_room;
	/* an L2 table stands where the active L1 table should, and leads to so
	 * many clusters without an owner; 0: none does */
	uint64_t l1_leads;
	bool l1_blank; /* it maps nothing, and there are data without owner */
};

/*
 * Looks for erased and orphaned tables, given the recount. Reads only where
 * there are leaks; the guest's file systems too, unless NO_GUEST. Errors:
 * QF_ERR_NOMEM.
 */
enum qf_err qf_lost_find(struct qf_walk *w, const struct qf_recount *t,
			 bool no_guest, struct qf_lost *l, struct qf_why *why);
void qf_lost_free(struct qf_lost *l);

/*
 * Reports the L1 entries that were erased while another holder still has the
 * table, and the tables that no L1 entry names.
 */
void qf_lost_shared(struct qf_pass_ctx *c);
void qf_lost_unnamed(struct qf_pass_ctx *c);

/* Reports what may have changed places, and what that costs each disk. Errors:
 * QF_ERR_NOMEM. */
enum qf_err qf_lost_mixups(struct qf_pass_ctx *c);

/* The same for what the file's last cluster lacks, if the file ends within it.
 * Errors: QF_ERR_NOMEM. */
enum qf_err qf_lost_cut(struct qf_pass_ctx *c);

/*
 * True if holes of the file tell something. QEMU writes zeros too when it
 * makes an image: behind the header in its cluster, and behind the entries of
 * the refcount table. Where these lie in a hole, a copy was made that leaves
 * out zeros, as cp does.
 */
bool qf_lost_holes_tell(const struct qf_image *img);

/* What a table maps, kept while its holders are gone through. */
struct qf_lost_run {
	uint32_t index, n;
};

struct qf_lost_runs {
	bool known;
	uint64_t off; /* of the table, if it is known */
	struct qf_lost_run *at;
	size_t n, room;
};

/* A holder's L1 table, read piece by piece by those who ask in order. */
struct qf_lost_l1 {
	uint64_t off;
	uint32_t entries;
	uint32_t first, n; /* in the buffer */
	struct qf_be64 buf[512];
};

void qf_lost_l1_open(const struct qf_image *img, uint32_t holder,
		     struct qf_lost_l1 *l);
/* As qf_lost_l1_entry. */
bool qf_lost_l1_at(const struct qf_image *img, struct qf_lost_l1 *l,
		   uint32_t l1_index, uint64_t *entry);

/* The L1 entry of HOLDER at L1_INDEX; false if there is none to be read. */
bool qf_lost_l1_entry(const struct qf_image *img, uint32_t holder,
		      uint32_t l1_index, uint64_t *entry);

/* Loses for HOLDER what the L2 table at OFF maps at L1_INDEX. */
void qf_lost_table(struct qf_pass_ctx *c, uint32_t holder, uint32_t l1_index,
		   uint64_t off);

/*
 * Adds a lost guest range of a holder of IMG, cut at the end of its disk.
 * Without memory, the list is marked as failed.
 */
void qf_lost_add(const struct qf_image *img, struct qf_lost_list *l,
		 uint32_t holder, uint64_t guest, uint64_t bytes);

/* The same for what the holder has behind its stated end. */
void qf_lost_add_beyond(struct qf_lost_list *l, uint32_t holder, uint64_t guest,
			uint64_t bytes);

/* The same for the whole disk of a snapshot that the header forgot. */
void qf_lost_add_id(struct qf_lost_list *l, const char *id, uint64_t bytes);

/* True if the refcount table stands where the header has the active L1 table,
 * and none where it should be. Reads a block of it at the most. */
bool qf_lost_l1_counts(const struct qf_image *img);

/* Loses BYTES at GUEST for every holder whose L1 entry at L1_INDEX names the
 * table at OFF. */
void qf_lost_for_table(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off,
		       uint64_t guest, uint64_t bytes);

/* Loses N entries from that of the owner O of data on, for every holder whose
 * version of the table names the same host cluster there. */
struct qf_detail_owner;
void qf_lost_entries(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
		     uint64_t n);

/* Sorts the ranges and joins those that touch or overlap. */
void qf_lost_join(struct qf_lost_list *l);

#endif
