/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one walker: it visits every reference in the file once.
 *
 * First qf_walk_gather reads the L1 tables of the active disk and of all
 * snapshots. The L1 entries that stand at one L1 index form a group: the L2
 * tables that map one stretch of the disk, each with its weight, that is how
 * many holders name it. Then qf_walk_run reads each group's tables side by
 * side and merges them: what all versions of the table agree on is visited
 * once, with the sum of their weights. A visitor therefore sees every pair
 * of guest cluster and host cluster exactly once, however many snapshots
 * share it; a host cluster that is seen twice has two owners.
 *
 * The walker states facts (enum qf_entry_odd) and never judges them.
 */
#ifndef QF_WALK_H
#define QF_WALK_H

#include "lib/format/entry.h"
#include "lib/model/image.h"

/* What a reference points to. */
enum qf_ref_kind {
	QF_REF_HEADER,
	QF_REF_L1,
	QF_REF_L2,
	QF_REF_DATA,
	QF_REF_COMPRESSED,
	QF_REF_REFTABLE,
	QF_REF_REFBLOCK,
	QF_REF_SNAPSHOT_TABLE,
	QF_REF_BITMAP_DIR,
	QF_REF_BITMAP_TABLE,
	QF_REF_BITMAP_DATA,
	QF_REF_CRYPTO,
	QF_REF_KINDS
};

/* One L2 table, as one L1 index names it. */
struct qf_l2_table {
	uint64_t off;	     /* host offset; hostile: may be unaligned */
	uint32_t weight;     /* holders whose L1 entry names it */
	uint32_t active : 1; /* the active disk is one of them */
	uint32_t copied : 1; /* the active L1 entry has COPIED */
	uint32_t odd : 14;   /* enum qf_entry_odd of the L1 entry */
	uint32_t odd_count;  /* how many oddities, over all those entries */
	uint32_t holder;     /* the first holder that names it */
	/* not followed here: so many other L1 indices name it too, or it is the
	 * L1 table that names it, or the entry leads into a cluster's midst,
	 * which no reader follows */
	bool unfollowed;
	/* set by the walk */
	uint8_t unread; /* (partly) not readable: errno */
	uint8_t filled; /* holds something but zeros */
};

/* The L2 tables of one L1 index. */
struct qf_group {
	uint32_t l1_index;
	uint32_t n;
	uint64_t first; /* the first of its tables in qf_walk.table */
};

/* An L1 table or a part of one that could not be read. */
struct qf_walk_gap {
	uint64_t off, bytes;
	uint32_t holder; /* the first holder that uses it */
	int sys;
	bool crossing; /* not followed: it crosses too many others */
};

/*
 * The L1 tables at one place of the file: N holders from FIRST on in
 * qf_walk.l1, longest first, so that those who reach an entry come first.
 */
struct qf_walk_place {
	uint64_t off;
	uint32_t entries; /* of the longest */
	uint32_t first, n;
};

struct qf_walk_l1 {
	uint32_t holder, entries;
	uint32_t least; /* the lowest of the place's holders up to this one */
};

struct qf_walk {
	struct qf_image *img; /* the caller's */
	struct qf_l2_table *table;
	uint64_t n_tables;
	struct qf_group *group; /* by L1 index */
	uint32_t n_groups;
	uint32_t *order;	     /* the groups' numbers in physical order */
	struct qf_walk_place *place; /* those that are followed, longest first */
	struct qf_walk_l1 *l1;
	uint32_t n_places, n_l1;
	struct qf_walk_columns *columns; /* see qf_walk_leads */
	struct qf_walk_gap *gap;
	size_t n_gaps, gap_room;
	uint64_t l1_entries_used; /* non-zero entries of the active L1 */
};

/*
 * Consecutive entries of a group's L2 tables: entry, entry + cluster, entry
 * + 2 clusters, ... at the indices index, index + 1, ... Compressed and odd
 * entries stand alone (n = 1).
 */
struct qf_run {
	uint64_t entry;	 /* the first; COPIED as the active table has it */
	uint64_t bitmap; /* extended L2: the subcluster bitmap */
	/* which of the group's tables say so, a bit a table; NULL: all */
	const uint64_t *members;
	uint32_t index; /* L2 index of the first */
	uint32_t n;
	uint32_t weight; /* of all tables that say so */
	uint16_t odd;	 /* enum qf_entry_odd */
	uint8_t kind;	 /* enum qf_entry_kind: _NONE only when odd */
	bool active : 1; /* the active disk's table says so */
	bool again : 1;	 /* a run before names the same host cluster at the
			   * same index: entries alike but for flags */
};

struct qf_visitor {
	void *ctx;
	/*
	 * Gets the runs of a group in ascending order of index, in one or more
	 * calls, all from the same worker. False stops the walk.
	 */
	bool (*runs)(void *ctx, unsigned int worker, const struct qf_group *grp,
		     const struct qf_run *run, size_t n);
	/*
	 * The group has been read (or not: see the tables' unread). May be
	 * NULL. False stops the walk.
	 */
	bool (*end)(void *ctx, unsigned int worker, struct qf_group *grp);
	/* Which groups to read; NULL: all. */
	bool (*want)(void *ctx, const struct qf_group *grp);
};

/* Reads the L1 tables. *W is freed with qf_walk_free. Errors: _NOMEM. */
enum qf_err qf_walk_gather(struct qf_image *img, struct qf_walk *w,
			   struct qf_why *why);
void qf_walk_free(struct qf_walk *w);

/*
 * Visits every group of W with JOBS workers. Errors: QF_ERR_NOMEM,
 * QF_ERR_STOPPED if a visitor said so. A table that cannot be read is marked
 * (unread) and visited as if it were empty.
 */
enum qf_err qf_walk_run(struct qf_walk *w, unsigned int jobs,
			const struct qf_visitor *v, struct qf_why *why);

/*
 * A metadata claim: a range of the file with its owner. The L2 tables are
 * not among them; they stand in struct qf_walk.
 */
struct qf_claim {
	enum qf_ref_kind kind;
	uint32_t holder;
	uint64_t off, bytes;  /* host range */
	uint64_t pointer_off; /* host offset of the pointer, or QF_NOWHERE */
	uint64_t index;	      /* entry number in the pointing table */
};

struct qf_claim_fns {
	void *ctx;
	bool (*claim)(void *ctx, const struct qf_claim *c);
	/* a bitmap table entry that breaks the format's rules; may be NULL */
	bool (*bad)(void *ctx, const struct qf_claim *c, uint64_t entry);
	/* a stretch of a bitmap table that cannot be read; may be NULL */
	bool (*gap)(void *ctx, const struct qf_claim *c, uint64_t off,
		    uint64_t bytes, int sys);
};

/*
 * Visits every piece of metadata but the L2 tables: header, L1 tables,
 * refcount table and blocks, snapshot table, bitmaps, encryption header.
 * Pointers that are not aligned or lie outside are visited like the rest;
 * only bitmap table entries that break the rules are not followed. For the
 * bitmap kinds, the holder is the bitmap's number. Errors: QF_ERR_NOMEM;
 * QF_ERR_STOPPED if a function returned false.
 */
enum qf_err qf_walk_metadata(struct qf_image *img,
			     const struct qf_claim_fns *fns);

/*
 * Reads a table of ENTRIES 8-byte entries at OFF and calls ENTRY for each
 * that is not zero. What cannot be read goes to GAP, if that is not NULL,
 * and reading goes on behind it. Errors: QF_ERR_IO (without GAP),
 * QF_ERR_NOMEM, QF_ERR_STOPPED when a function returned false.
 */
struct qf_table_fns {
	void *ctx;
	bool (*entry)(void *ctx, uint64_t index, uint64_t entry);
	bool (*gap)(void *ctx, uint64_t off, uint64_t bytes, int sys);
};

enum qf_err qf_walk_table(struct qf_io *io, uint64_t off, uint64_t entries,
			  const struct qf_table_fns *fns, struct qf_why *why);

/*
 * What has been gathered, by place: the group of L1_INDEX, and its table at
 * OFF. NULL: there is none.
 */
const struct qf_group *qf_walk_group(const struct qf_walk *w,
				     uint32_t l1_index);
/* The group of table number TABLE, which must be one. */
const struct qf_group *qf_walk_group_of(const struct qf_walk *w,
					uint64_t table);
const struct qf_l2_table *qf_walk_find(const struct qf_walk *w,
				       uint32_t l1_index, uint64_t off);

/* The number of the first group whose L1 index is not below L1_INDEX;
 * w->n_groups: there is none. */
uint32_t qf_walk_first_group(const struct qf_walk *w, uint64_t l1_index);

/* The same for one who has the group G of W. */
const struct qf_l2_table *qf_walk_find_in(const struct qf_walk *w,
					  const struct qf_group *g,
					  uint64_t off);

/*
 * Calls FN for each holder whose L1 table is followed and has an entry at
 * L1_INDEX, with the offset that this names; in no promised order. The entries
 * of L1 indices near by are read along and kept: fast for those who ask in
 * ascending order. Not for several threads at once. False: no memory.
 */
typedef void qf_walk_lead_fn(void *ctx, uint32_t holder, uint64_t off);

bool qf_walk_leads(const struct qf_walk *w, uint32_t l1_index,
		   qf_walk_lead_fn *fn, void *ctx);

/* How many places have to be read to answer for L1_INDEX. */
uint32_t qf_walk_leads_cost(const struct qf_walk *w, uint32_t l1_index);

/* What is kept; made and freed with the walk. */
struct qf_walk_columns *qf_walk_columns_new(void);
void qf_walk_columns_free(struct qf_walk_columns *c);

/*
 * The holders whose L1 entry at L1_INDEX names the L2 table at OFF: the first
 * ROOM of them are put into HOLDER, and all are counted. As qf_walk_leads;
 * without memory, there is only the first.
 */
uint32_t qf_walk_holders(const struct qf_walk *w, uint32_t l1_index,
			 uint64_t off, uint32_t *holder, uint32_t room);

#endif
