/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume as a reader sees it: bytes from 0 on, and what was asked of
 * them. It lies on the disk in pieces (struct qf_guest_segment).
 */
#ifndef QF_VOLUME_H
#define QF_VOLUME_H

#include "lib/guest/guest.h"
#include "lib/guest/source.h"

struct qf_volume {
	struct qf_source *src;
	const struct qf_guest_segment *seg; /* in order, without overlap */
	uint32_t n_seg;
	uint64_t bytes;
	/* What is asked, in bytes of the volume: in order, none that touch. */
	const struct qf_guest_range *asked;
	size_t n_asked;
	bool metadata_only; /* of blocks: leave out what files hold */
	bool faults_only;   /* of blocks: those that fail */
};

/*
 * Reads LEN bytes at OFF. What cannot be read, or lies past the end, is
 * zeros. Returns true if every byte is known.
 */
bool qf_volume_read(struct qf_volume *v, void *buf, uint64_t len, uint64_t off);

/* Whether any byte of the range was asked for. */
bool qf_volume_asked(const struct qf_volume *v, uint64_t start, uint64_t bytes);

/*
 * Where the byte OFF lies on the disk, and in *BYTES how many of at most
 * LIMIT lie behind it there; QF_NOWHERE if it is not on this disk.
 */
uint64_t qf_volume_place(const struct qf_volume *v, uint64_t off,
			 uint64_t limit, uint64_t *bytes);

/*
 * Adds to *OUT, which holds *N with room for *ROOM, the ranges of the volume
 * that the disk's RANGE holds, out of order. Returns false without memory.
 */
bool qf_volume_within(const struct qf_volume *v,
		      const struct qf_guest_range *range,
		      struct qf_guest_range **out, size_t *n, size_t *room);

/* Puts N ranges in order and makes one of those that touch; returns how many
 * are left. */
size_t qf_volume_merge(struct qf_guest_range *r, size_t n);

#endif
