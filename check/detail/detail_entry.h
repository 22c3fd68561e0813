/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the workers of the second walk share. Internal to detail. */
#ifndef QF_DETAIL_ENTRY_H
#define QF_DETAIL_ENTRY_H

#include "check/detail/detail.h"

/* One worker's harvest. */
struct qf_detail_part {
	struct qf_damage *damage;
	size_t n_damages, damage_room;
	struct qf_detail_owner *owner;
	size_t n_owners, owner_room;
	size_t thin_at; /* so many owners are thinned out */
	/* by wanted cluster, the number of the last owner that is kept, and
	 * 1, where there are as many as may be; NULL: not known */
	size_t *full;
	struct qf_odd_entry *odd;
	size_t n_odd, odd_room;
	/* of the group at hand */
	const struct qf_group *grp;
	size_t first_damage; /* its damages begin here */
	uint64_t sound_all;  /* sound entries of all its tables */
	uint32_t *slot;	     /* table in group: damage number + 1 */
	uint64_t *sound;
	uint32_t room;
};

struct qf_detail_search {
	const struct qf_recount *t;
	struct qf_image *img;
	const struct qf_cut *cut;
	struct qf_detail *d;
	struct qf_detail_part *part;
	bool all;
};

/* The first of the group's tables that say what the run says. */
uint32_t qf_detail_first_member(const struct qf_run *r);
bool qf_detail_is_member(const struct qf_run *r, uint32_t v);

/* The active disk's table, if it says what the run says. */
uint32_t qf_detail_active_table(const struct qf_detail_search *s,
				const struct qf_detail_part *p,
				const struct qf_run *r);

/* Takes an odd run, or a run's COPIED flags, into the damage records.
 * False without memory. */
bool qf_detail_see_odd(struct qf_detail_search *s, struct qf_detail_part *p,
		       const struct qf_run *r);
bool qf_detail_see_flags(struct qf_detail_search *s, struct qf_detail_part *p,
			 const struct qf_run *r);

/* Marks the tables that hold another structure. False without memory. */
bool qf_detail_find_foreign(struct qf_detail_search *s);

#endif
