/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of small numbers, each kept once: equal sets have equal ids. A set is
 * kept as spans of consecutive members, because what holds a cluster is
 * nearly always a few stretches of consecutive snapshots.
 */
#ifndef QF_SETS_H
#define QF_SETS_H

#include "lib/err.h"

#include <stdbool.h>
#include <stdint.h>

struct qf_span {
	uint32_t first, n;
};

struct qf_sets;

#define QF_SETS_EMPTY 0u	  /* the id of the empty set */
#define QF_SETS_FAILED UINT32_MAX /* no memory, or over the limit */

/*
 * A collection for members below UNIVERSE that takes at most LIMIT bytes for
 * its sets. Errors: QF_ERR_NOMEM. Free with qf_sets_free (NULL-safe).
 */
enum qf_err qf_sets_new(uint32_t universe, uint64_t limit, struct qf_sets **out,
			struct qf_why *why);
void qf_sets_free(struct qf_sets *s);

/* The id of the set of N spans, ascending and neither touching nor
 * overlapping; or QF_SETS_FAILED. */
uint32_t qf_sets_put(struct qf_sets *s, const struct qf_span *span, uint32_t n);

/* The id of the set of the N members at MEMBER, in any order. */
uint32_t qf_sets_put_members(struct qf_sets *s, const uint32_t *member,
			     uint32_t n);

/* The id of the union of the sets with the N ids at ID. */
uint32_t qf_sets_union(struct qf_sets *s, const uint32_t *id, uint32_t n);

/* The spans of set ID; valid until a set is put. */
const struct qf_span *qf_sets_get(const struct qf_sets *s, uint32_t id,
				  uint32_t *n);

/* How many members set ID has; whether X is one of them. */
uint32_t qf_sets_size(const struct qf_sets *s, uint32_t id);
bool qf_sets_has(const struct qf_sets *s, uint32_t id, uint32_t x);

/* True if every member of set ID is a member of set OF. */
bool qf_sets_within(const struct qf_sets *s, uint32_t id, uint32_t of);

/* The ids in use are 0 to this - 1. */
uint32_t qf_sets_count(const struct qf_sets *s);

#endif
