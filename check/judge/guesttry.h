/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clusters tried at places of the guest's disk. A state of the disk is looked
 * at in which some clusters are in question: nothing that is read there is
 * believed. Then clusters of the file are laid there, and the guest's file
 * systems say what their living trees have to say of it. In the pool, alone.
 */
#ifndef QF_GUESTTRY_H
#define QF_GUESTTRY_H

#include "lib/guest/guest.h"

/* The cluster at the host offset VALUE at the place GUEST_OFF. */
struct qf_guesttry {
	uint64_t guest_off, value;
	/* blocks in it: with a checksum, and it holds; with their number
	 * alone; that are not what belongs there; of those, what a file
	 * system contradicts that was left in order, and says so by what is
	 * not in question */
	uint32_t holds, numbered, differs, fails;
	uint32_t round; /* private */
};

struct qf_guesttries {
	struct qf_guesttry *at; /* by GUEST_OFF and VALUE, each once */
	size_t n, room;
};

/* A state of the disk with PLACES in question. */
struct qf_guestview {
	struct qf_image *img;
	struct qf_chain chain;
	struct qf_disk *disk;
	struct qf_guest *guest;
	const uint64_t *place; /* the caller's: guest offsets, ascending */
	size_t n;
	/* set by the caller: what is tried at once is right or wrong as a
	 * whole */
	bool together;
};

/* Errors: QF_ERR_NOMEM; others: there is no such view. Free V with
 * qf_guestview_close in each case. */
enum qf_err qf_guestview_open(struct qf_image *img, uint32_t holder,
			      const uint64_t *place, size_t n,
			      struct qf_guestview *v);
void qf_guestview_close(struct qf_guestview *v);

/* False: no memory. */
bool qf_guesttry_add(struct qf_guesttries *t, uint64_t guest_off,
		     uint64_t value);
void qf_guesttry_sort(struct qf_guesttries *t);

/* The try, which was sorted in; NULL: there is none. */
const struct qf_guesttry *qf_guesttry_at(const struct qf_guesttries *t,
					 uint64_t guest_off, uint64_t value);

/* True if the cluster passes there; if it is ruled out. A copy of another time
 * holds in part; and a guest may have faults of its own. */
static inline bool qf_guesttry_holds(const struct qf_guesttry *t)
{
	return t && (t->holds || t->numbered) && !t->differs;
}

static inline bool qf_guesttry_fails(const struct qf_guesttry *t)
{
	return t && t->fails && !t->holds && !t->numbered;
}

/* Tries them all. False: no memory. What cannot be read says nothing. */
bool qf_guesttry_all(struct qf_guestview *v, struct qf_guesttries *t);

/*
 * Adds to T each of the N clusters (host offsets) with the places in question
 * that blocks in it name as theirs. False: no memory.
 */
bool qf_guesttry_find(struct qf_guestview *v, const uint64_t *cluster, size_t n,
		      struct qf_guesttries *t);

#endif
