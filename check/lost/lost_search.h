/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The search for lost mappings: what its parts share. Each part looks at the
 * clusters that the refcounts know but no table names, and asks for signs
 * that only a lost table leaves; see qf_lost_killed_tail for what a killed
 * writer leaves instead.
 */
#ifndef QF_LOST_SEARCH_H
#define QF_LOST_SEARCH_H

#include "check/lost/lost.h"

struct qf_search {
	struct qf_walk *w;
	struct qf_image *img;
	const struct qf_recount *t;
	struct qf_lost *l;
	uint64_t *explained; /* a bit a cluster: an orphan table names it */
	uint64_t explained_bytes;
	uint64_t *named; /* as explained: an L1 table without owner names it */
	uint64_t *known; /* offsets of the L2 tables, ascending */
	uint64_t *empty; /* of them, those without an entry */
	uint64_t n_empty;
	unsigned char *buf, *other; /* a cluster each */
	unsigned int placed;	    /* tables read to find a place */
	/* L1 and snapshot tables without an owner: a tool was killed while it
	 * took or deleted a snapshot */
	unsigned int old_tables, old_snapshots;
	unsigned int reads, sectors;
	unsigned int blocks_read; /* tables compared with refcount blocks */
	/* the file's last clusters: what lies from each to the end */
	struct tail {
		uint32_t used, leaked;
	} * tail;
	uint64_t *refblock; /* ascending */
	size_t n_refblocks;
	bool no_guest; /* what lies on the guest's disk is not looked at */
	/* answers that are the same for all tables, and for all of a group */
	bool way_known, on_way;
	const struct qf_group *high_group;
	bool high;
};

/* True if the refcount of CLUSTER is higher than what was counted. */
bool qf_lost_leaked(const struct qf_recount *t, uint64_t cluster);

/* True if an orphan table that was found names the leaked CLUSTER. */
bool qf_lost_is_explained(const struct qf_search *s, uint64_t cluster);

/* How many of N clusters from FIRST on are not so. */
uint64_t qf_lost_unexplained(const struct qf_search *s, uint64_t first,
			     uint64_t n);

/*
 * True if something was ever written to the cluster: one that lies in a hole
 * of the file was allocated, but its data never came. Above a backing file,
 * even such a cluster hides the base's data.
 */
bool qf_lost_holds_data(const struct qf_search *s, uint64_t cluster);

/*
 * A writer that is killed leaves this: its newest L2 tables are still empty,
 * and next to nothing behind them has an owner, for it is data on its way.
 * More of that stands before the table, or the file reaches past the last
 * cluster that any refcount knows; or more empty tables follow; or there are
 * so many other tables that the one which is empty is hardly by chance the
 * newest; or some of the data never came. A table that was emptied later
 * shows none of these signs.
 */
bool qf_lost_killed_tail(struct qf_search *s, uint64_t table_cluster);

/* The first of these signs alone. */
bool qf_lost_little_behind(const struct qf_search *s, uint64_t cluster);

/* Clusters behind CLUSTER that have an owner; UINT64_MAX: very many. */
uint64_t qf_lost_used_behind(const struct qf_search *s, uint64_t cluster);

/* Looks whether the cluster in s->buf, without an owner, is a snapshot table
 * that the header has lost; an older version of it is counted. False: no
 * memory. */
bool qf_lost_try_snapshots(struct qf_search *s, uint64_t off);

bool qf_lost_is_refblock(const struct qf_search *s, uint64_t cluster);

/* The parts. False: no memory. */
bool qf_lost_count_tail(struct qf_search *s);
bool qf_lost_find_orphans(struct qf_search *s);
bool qf_lost_find_snapshots(struct qf_search *s);
bool qf_lost_find_erased(struct qf_search *s);
bool qf_lost_find_parts(struct qf_search *s);
bool qf_lost_find_within(struct qf_search *s);
bool qf_lost_find_l1(struct qf_search *s);

#endif
