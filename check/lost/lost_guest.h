/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest as a witness: whether its file systems use what an empty L2 table
 * should map. A table that was erased maps what is in use; one that a killed
 * writer never filled maps what is free, or little.
 */
#ifndef QF_LOST_GUEST_H
#define QF_LOST_GUEST_H

#include "check/lost/lost_search.h"
#include "lib/guest/guest.h"

enum qf_lost_use {
	QF_LOST_UNKNOWN, /* the guest does not know, or contradicts itself */
	QF_LOST_FREE,	 /* all of it is free, in file systems that are clean */
	QF_LOST_USED,	 /* as much is in use as clusters lack an owner; or the
			  * head of the disk is among these */
};

/*
 * Asks about the N tables (numbers in s->w->table) at AT, which hold nothing,
 * while LEAKS clusters of the image have no owner. Fills OUT. What a backing
 * file has is in use there, and tells nothing. Nothing is known of encrypted
 * disks, and of snapshots but the first few. False without memory.
 */
bool qf_lost_ask_guest(struct qf_search *s, const uint64_t *at, size_t n,
		       uint64_t leaks, enum qf_lost_use *out);

/* How many of the bytes from FROM to TO read as zeros because neither the image
 * nor a backing file has anything there. DISK has lost nothing. */
uint64_t qf_lost_bare(struct qf_disk *disk, uint64_t from, uint64_t to);

/* True if all file systems with bytes in R were left clean: the maps of
 * others are behind what was written. */
bool qf_lost_all_clean(const struct qf_guest *g,
		       const struct qf_guest_range *r);

/*
 * Parts the ranges of L, which is in order, where whole clusters of them are
 * free room of file systems that were left clean, and marks those. L stays as
 * it is where the guest does not know. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_lost_part_free(struct qf_image *img, struct qf_lost_list *l);

#endif
