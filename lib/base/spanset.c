// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/spanset.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MEMO 4096u

struct set {
	size_t at; /* its first span */
	uint32_t n;
	uint32_t size; /* members */
	uint32_t hash;
};

struct memo {
	uint32_t a, b, result;
};

struct qf_spanset {
	struct set *set;
	size_t n, room;
	struct qf_span *span;
	size_t n_spans, span_room;
	uint64_t limit;
	uint32_t *slot; /* open addressing: id + 1, 0 is empty */
	size_t slots;	/* a power of two */
	uint32_t universe;
	uint64_t *bits; /* scratch: one bit a member */
	struct qf_span *scratch;
	struct memo *memo; /* unions of two */
};

static uint32_t hash_of(const struct qf_span *span, uint32_t n)
{
	uint64_t h = 0x9e3779b97f4a7c15ull + n;
	uint32_t i;

	for (i = 0; i < n; i++) {
		h ^= (uint64_t)span[i].first << 32 | span[i].n;
		h *= 0xff51afd7ed558ccdull;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

static bool rehash(struct qf_spanset *s)
{
	size_t slots = s->slots ? s->slots * 2 : 256, i, k;
	uint32_t *slot = qf_mem_zalloc(slots, sizeof(*slot));

	if (!slot)
		return false;
	for (i = 0; i < s->n; i++) {
		for (k = s->set[i].hash & (slots - 1); slot[k];)
			k = (k + 1) & (slots - 1);
		slot[k] = (uint32_t)i + 1;
	}
	free(s->slot);
	s->slot = slot;
	s->slots = slots;
	return true;
}

enum qf_err qf_spanset_new(uint32_t universe, uint64_t limit,
			   struct qf_spanset **out, struct qf_why *why)
{
	struct qf_spanset *s = qf_mem_zalloc(1, sizeof(*s));

	if (s) {
		s->universe = universe;
		s->limit = limit;
		s->bits = qf_mem_zalloc(universe / 64 + 1, sizeof(*s->bits));
		s->scratch =
			qf_mem_zalloc(universe / 2 + 1, sizeof(*s->scratch));
		s->memo = qf_mem_zalloc(MEMO, sizeof(*s->memo));
	}
	/* the empty set comes first */
	if (!s || !s->bits || !s->scratch || !s->memo || !rehash(s) ||
	    qf_spanset_put(s, NULL, 0) != QF_SPANSET_EMPTY) {
		qf_spanset_free(s);
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the sets of holders");
	}
	*out = s;
	return QF_OK;
}

void qf_spanset_free(struct qf_spanset *s)
{
	if (!s)
		return;
	free(s->set);
	free(s->span);
	free(s->slot);
	free(s->bits);
	free(s->scratch);
	free(s->memo);
	free(s);
}

static bool same(const struct qf_spanset *s, uint32_t id,
		 const struct qf_span *span, uint32_t n, uint32_t hash)
{
	const struct set *e = &s->set[id];

	return e->hash == hash && e->n == n &&
	       (!n || !memcmp(s->span + e->at, span, n * sizeof(*span)));
}

/* Room for one more set of N spans, within the limit. */
static bool make_room(struct qf_spanset *s, uint32_t n)
{
	uint64_t used = (uint64_t)(s->n_spans + n) * sizeof(*s->span) +
			(s->n + 1) * sizeof(*s->set);

	if (used > s->limit || s->n >= QF_SPANSET_FAILED - 1)
		return false;
	if (s->n * 2 >= s->slots && !rehash(s))
		return false;
	while (s->n_spans + n > s->span_room)
		if (!qf_mem_grow((void **)&s->span, s->span_room, &s->span_room,
				 sizeof(*s->span)))
			return false;
	return qf_mem_grow((void **)&s->set, s->n, &s->room, sizeof(*s->set));
}

uint32_t qf_spanset_put(struct qf_spanset *s, const struct qf_span *span,
			uint32_t n)
{
	uint32_t hash = hash_of(span, n), i;
	struct set *e;
	size_t k;

	for (k = hash & (s->slots - 1); s->slot[k];
	     k = (k + 1) & (s->slots - 1))
		if (same(s, s->slot[k] - 1, span, n, hash))
			return s->slot[k] - 1;
	if (!make_room(s, n))
		return QF_SPANSET_FAILED;
	e = &s->set[s->n];
	*e = (struct set){ .at = s->n_spans, .n = n, .hash = hash };
	for (i = 0; i < n; i++) {
		s->span[s->n_spans++] = span[i];
		e->size += span[i].n;
	}
	/* making room may have moved the slots */
	for (k = hash & (s->slots - 1); s->slot[k];)
		k = (k + 1) & (s->slots - 1);
	s->slot[k] = (uint32_t)++s->n;
	return (uint32_t)s->n - 1;
}

static void set_bits(uint64_t *bits, uint32_t first, uint32_t n)
{
	uint32_t i;

	for (i = first; i < first + n;) {
		if (!(i % 64) && first + n - i >= 64) {
			bits[i / 64] = UINT64_MAX;
			i += 64;
		} else {
			bits[i / 64] |= 1ull << (i % 64);
			i++;
		}
	}
}

/* The end of the stretch of bits that are all VALUE, beginning at FROM. */
static uint32_t stretch(const uint64_t *bits, uint32_t from, uint32_t end,
			bool value)
{
	const uint64_t alike = value ? UINT64_MAX : 0;

	while (from < end) {
		if (!(from % 64) && bits[from / 64] == alike)
			from += 64;
		else if ((bits[from / 64] >> (from % 64) & 1) == value)
			from++;
		else
			break;
	}
	return from < end ? from : end;
}

/* The set whose members have their bit in the scratch, which it clears. */
static uint32_t put_bits(struct qf_spanset *s)
{
	uint32_t at = 0, end, n = 0;

	while (at < s->universe) {
		at = stretch(s->bits, at, s->universe, false);
		if (at == s->universe)
			break;
		end = stretch(s->bits, at, s->universe, true);
		s->scratch[n++] = (struct qf_span){ at, end - at };
		at = end;
	}
	memset(s->bits, 0, (s->universe / 64 + 1) * sizeof(*s->bits));
	return qf_spanset_put(s, s->scratch, n);
}

uint32_t qf_spanset_put_members(struct qf_spanset *s, const uint32_t *member,
				uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (member[i] < s->universe)
			set_bits(s->bits, member[i], 1);
	return put_bits(s);
}

static void add_bits(struct qf_spanset *s, uint32_t id)
{
	uint32_t n, i;
	const struct qf_span *span = qf_spanset_get(s, id, &n);

	for (i = 0; i < n; i++)
		set_bits(s->bits, span[i].first, span[i].n);
}

static uint32_t union_of_two(struct qf_spanset *s, uint32_t a, uint32_t b)
{
	struct memo *m = &s->memo[(a * 2654435761u ^ b) % MEMO];

	if (a == b || !b)
		return a;
	if (!a)
		return b;
	if (m->a == a && m->b == b)
		return m->result;
	add_bits(s, a);
	add_bits(s, b);
	*m = (struct memo){ a, b, put_bits(s) };
	return m->result;
}

uint32_t qf_spanset_union(struct qf_spanset *s, const uint32_t *id, uint32_t n)
{
	uint32_t i;

	if (n == 1)
		return id[0];
	if (n == 2)
		return union_of_two(s, id[0], id[1]);
	for (i = 0; i < n; i++)
		add_bits(s, id[i]);
	return put_bits(s);
}

const struct qf_span *qf_spanset_get(const struct qf_spanset *s, uint32_t id,
				     uint32_t *n)
{
	*n = s->set[id].n;
	return s->span + s->set[id].at;
}

uint32_t qf_spanset_size(const struct qf_spanset *s, uint32_t id)
{
	return s->set[id].size;
}

bool qf_spanset_has(const struct qf_spanset *s, uint32_t id, uint32_t x)
{
	uint32_t lo = 0, hi, mid;
	const struct qf_span *span = qf_spanset_get(s, id, &hi);

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (x < span[mid].first)
			hi = mid;
		else if (x - span[mid].first < span[mid].n)
			return true;
		else
			lo = mid + 1;
	}
	return false;
}

bool qf_spanset_within(const struct qf_spanset *s, uint32_t id, uint32_t of)
{
	uint32_t n, m, i, k = 0;
	const struct qf_span *a = qf_spanset_get(s, id, &n);
	const struct qf_span *b = qf_spanset_get(s, of, &m);

	for (i = 0; i < n; i++) {
		while (k < m && b[k].first + b[k].n < a[i].first + a[i].n)
			k++;
		if (k == m || b[k].first > a[i].first)
			return false;
	}
	return true;
}

uint32_t qf_spanset_count(const struct qf_spanset *s)
{
	return (uint32_t)s->n;
}
