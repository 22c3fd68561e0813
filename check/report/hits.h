/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the lost ranges of a report are to the guest: the volume that each lies
 * in, the files and the metadata that have bytes there, and what was free.
 *
 * The guest's disk is only looked at if something is lost, and by a child
 * that may fail (lib/guest): then it is not known what was hit, which is
 * told, and is no error.
 */
#ifndef QF_HITS_H
#define QF_HITS_H

#include "check/check.h"
#include "lib/guest/guest.h"

/* So many states of the disk are looked into. */
#define QF_HITS_STATES 8u

/* The part of one lost range that lies in one volume. */
struct qf_hit {
	size_t range; /* its place in the report's list */
	uint64_t guest_off, bytes;
	uint32_t state;
	uint32_t volume;	/* QF_GUEST_NO_VOLUME: none that is known */
	uint64_t free_bytes;	/* as the volume's file system has it */
	uint64_t unknown;	/* bytes that may be in use or free */
	uint64_t unnamed;	/* bytes in use that no file or area has */
	size_t piece, n_pieces; /* of the state's names */
};

/* A state of the disk that has lost something. */
struct qf_hit_state {
	uint32_t holder;
	struct qf_guest *guest; /* to look at, not to ask; or NULL */
	struct qf_guest_names names;
	char trouble[160]; /* why nothing is known; "": see the volumes' */
	size_t first, n;   /* its hits */
};

struct qf_hits {
	struct qf_hit *at; /* by range and offset */
	size_t n, room;
	struct qf_hit_state state[QF_HITS_STATES];
	uint32_t n_states;
	uint32_t left_out; /* states beyond these */
};

/*
 * Looks into the guest's disk for what is lost of it. IMG and REP stay the
 * caller's. Never fails; what is not known is told in OUT. Free with
 * qf_hits_free, before IMG is closed.
 */
void qf_hits_find(struct qf_image *img, const struct qf_report *rep,
		  struct qf_hits *out);
void qf_hits_free(struct qf_hits *h);

/* --- sums, in hits_sum.c --- */

/* A file, and how many of its bytes were hit. */
struct qf_hit_file {
	const struct qf_guest_file *file;
	uint64_t bytes;
};

/* Metadata of one kind: "inode table", of all groups. */
struct qf_hit_area {
	char name[48];
	uint64_t bytes, places;
};

struct qf_hit_sum {
	struct qf_hit_file *file; /* owned; what lost the most is first */
	size_t n, file_room;
	struct qf_hit_area *area; /* owned; likewise */
	size_t n_areas, area_room;
	uint64_t file_bytes; /* bytes that two files share are counted once */
	uint64_t free_bytes, unknown, unnamed;
};

/*
 * Sums up those of the N hits from FIRST on, all of one state, that lie in
 * VOLUME. False: no memory. Free with qf_hits_sum_free, also then.
 */
bool qf_hits_sum(const struct qf_hits *h, size_t first, size_t n,
		 uint32_t volume, struct qf_hit_sum *out);
void qf_hits_sum_free(struct qf_hit_sum *s);

#endif
