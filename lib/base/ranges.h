/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of ranges of the file, or of a disk. */
#ifndef QF_RANGES_H
#define QF_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_range {
	uint64_t off, len;
};

struct qf_ranges {
	struct qf_range *at; /* ascending, neither overlapping nor touching */
	size_t n, room;
};

/* Adds a range; false without memory. */
bool qf_ranges_add(struct qf_ranges *r, uint64_t off, uint64_t len);

/* True if the byte at OFF is in one of them. */
bool qf_ranges_has(const struct qf_ranges *r, uint64_t off);

/* The first range that ends behind OFF, or NULL. */
const struct qf_range *qf_ranges_from(const struct qf_ranges *r, uint64_t off);

void qf_ranges_free(struct qf_ranges *r);

#endif
