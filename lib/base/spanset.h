/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of small numbers, each kept once: equal sets have equal ids. A set is
 * kept as spans of consecutive members, because what holds a cluster is
 * nearly always a few stretches of consecutive snapshots.
 */
#ifndef QF_SPANSET_H
#define QF_SPANSET_H

#include "lib/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct qf_span {
	uint32_t first, n;
};

struct qf_spanset;

#define QF_SPANSET_EMPTY 0u	     /* the id of the empty set */
#define QF_SPANSET_FAILED UINT32_MAX /* no memory, or over the limit */

/*
 * A collection for members below UNIVERSE that takes at most LIMIT bytes for
 * its sets. Errors: QF_ERR_NOMEM. Free with qf_spanset_free (NULL-safe).
 */
enum qf_err qf_spanset_new(uint32_t universe, uint64_t limit,
			   struct qf_spanset **out, struct qf_why *why);
void qf_spanset_free(struct qf_spanset *s);

/* The id of the set of N spans, ascending and neither touching nor
 * overlapping; or QF_SPANSET_FAILED. */
uint32_t qf_spanset_put(struct qf_spanset *s, const struct qf_span *span,
			uint32_t n);

/* The id of the set of the N members at MEMBER, in any order. */
uint32_t qf_spanset_put_members(struct qf_spanset *s, const uint32_t *member,
				uint32_t n);

/* The id of the union of the sets with the N ids at ID. */
uint32_t qf_spanset_union(struct qf_spanset *s, const uint32_t *id, uint32_t n);

/* The spans of set ID; valid until a set is put. */
const struct qf_span *qf_spanset_get(const struct qf_spanset *s, uint32_t id,
				     uint32_t *n);

/* How many members set ID has; whether X is one of them. */
uint32_t qf_spanset_size(const struct qf_spanset *s, uint32_t id);
bool qf_spanset_has(const struct qf_spanset *s, uint32_t id, uint32_t x);

/* True if every member of set ID is a member of set OF. */
bool qf_spanset_within(const struct qf_spanset *s, uint32_t id, uint32_t of);

/* The ids in use are 0 to this - 1. */
uint32_t qf_spanset_count(const struct qf_spanset *s);

#endif
