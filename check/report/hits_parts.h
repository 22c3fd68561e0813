/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which volume each part of a guest's disk belongs to. */
#ifndef QF_HITS_PARTS_H
#define QF_HITS_PARTS_H

#include "lib/guest/guest.h"

struct qf_hit_part {
	uint64_t start; /* it ends where the next one starts */
	uint32_t volume;
};

struct qf_hit_parts {
	struct qf_hit_part *at; /* owned; in order */
	size_t n;
};

/*
 * Maps the disk of G. Where volumes lie in each other, the innermost counts;
 * where they overlap, one whose file system is known. Returns false without
 * memory. Free with qf_hit_parts_free.
 */
bool qf_hit_parts_make(const struct qf_guest *g, struct qf_hit_parts *out);
void qf_hit_parts_free(struct qf_hit_parts *p);

/* The volume at OFF, or QF_GUEST_NO_VOLUME, and how many of LIMIT bytes have
 * the same. */
uint32_t qf_hit_parts_at(const struct qf_hit_parts *p, uint64_t off,
			 uint64_t limit, uint64_t *bytes);

#endif
