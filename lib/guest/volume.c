// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/volume.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The segment that holds OFF; NULL: none does. The first of its columns. */
static const struct qf_guest_segment *segment_of(const struct qf_volume *v,
						 uint64_t off)
{
	uint32_t lo = 0, hi = v->n_seg, mid;
	const struct qf_guest_segment *s;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		s = &v->seg[mid];
		if (off < s->start)
			hi = mid;
		else if (off - s->start >= s->bytes)
			lo = mid + 1;
		else
			return s - s->column;
	}
	return NULL;
}

uint64_t qf_volume_place(const struct qf_volume *v, uint64_t off,
			 uint64_t limit, uint64_t *bytes)
{
	const struct qf_guest_segment *s = segment_of(v, off);
	uint64_t in, n, stripe, rest;

	*bytes = limit;
	if (!s)
		return QF_NOWHERE;
	in = off - s->start;
	n = s->bytes - in;
	if (s->columns > 1) {
		stripe = in / s->stripe_bytes;
		rest = in % s->stripe_bytes;
		if (n > s->stripe_bytes - rest)
			n = s->stripe_bytes - rest;
		s += stripe % s->columns;
		in = stripe / s->columns * s->stripe_bytes + rest;
	}
	if (n < limit)
		*bytes = n;
	return s->at == QF_NOWHERE ? QF_NOWHERE : s->at + in;
}

bool qf_volume_read(struct qf_volume *v, void *buf, uint64_t len, uint64_t off)
{
	unsigned char *to = buf;
	bool whole = true;
	uint64_t at, n;

	for (; len; len -= n, off += n, to += n) {
		at = qf_volume_place(v, off, len, &n);
		if (at == QF_NOWHERE) {
			memset(to, 0, n);
			whole = false;
		} else if (!qf_source_read(v->src, to, n, at)) {
			whole = false;
		}
		if (off > UINT64_MAX - n)
			return false;
	}
	return whole;
}

bool qf_volume_asked(const struct qf_volume *v, uint64_t start, uint64_t bytes)
{
	size_t lo = 0, hi = v->n_asked, mid;
	const struct qf_guest_range *r;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		r = &v->asked[mid];
		if (start < r->start && bytes <= r->start - start)
			hi = mid;
		else if (start >= r->start && start - r->start >= r->bytes)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}

static bool add(struct qf_guest_range **out, size_t *n, size_t *room,
		uint64_t start, uint64_t bytes)
{
	struct qf_guest_range *last = *n ? &(*out)[*n - 1] : NULL;

	if (last && last->start + last->bytes == start) {
		last->bytes += bytes;
		return true;
	}
	if (!qf_mem_grow((void **)out, *n, room, sizeof(**out)))
		return false;
	(*out)[(*n)++] = (struct qf_guest_range){ start, bytes };
	return true;
}

/* The part of the column S that lies in [FROM, TO) of its own bytes. */
static bool add_column(const struct qf_guest_segment *s, uint64_t from,
		       uint64_t to, struct qf_guest_range **out, size_t *n,
		       size_t *room)
{
	uint64_t row, in, len, at;

	if (s->columns <= 1)
		return add(out, n, room, s->start + from, to - from);
	for (; from < to; from += len) {
		row = from / s->stripe_bytes;
		in = from % s->stripe_bytes;
		len = s->stripe_bytes - in;
		if (len > to - from)
			len = to - from;
		at = (row * s->columns + s->column) * s->stripe_bytes + in;
		if (!add(out, n, room, s->start + at, len))
			return false;
	}
	return true;
}

bool qf_volume_within(const struct qf_volume *v,
		      const struct qf_guest_range *range,
		      struct qf_guest_range **out, size_t *n, size_t *room)
{
	const struct qf_guest_segment *s;
	uint64_t from, to, own;
	uint32_t i;

	for (i = 0; i < v->n_seg; i++) {
		s = &v->seg[i];
		own = s->bytes / s->columns;
		if (s->at == QF_NOWHERE || range->start >= s->at + own ||
		    range->start + range->bytes <= s->at)
			continue;
		from = range->start > s->at ? range->start - s->at : 0;
		to = range->start + range->bytes - s->at;
		if (to > own)
			to = own;
		if (!add_column(s, from, to, out, n, room))
			return false;
	}
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct qf_guest_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

size_t qf_volume_merge(struct qf_guest_range *r, size_t n)
{
	size_t i, k = 0;
	uint64_t end;

	if (!n)
		return 0;
	qsort(r, n, sizeof(*r), by_start);
	for (i = 1; i < n; i++) {
		end = r[k].start + r[k].bytes;
		if (r[i].start > end)
			r[++k] = r[i];
		else if (r[i].start + r[i].bytes > end)
			r[k].bytes = r[i].start + r[i].bytes - r[k].start;
	}
	return k + 1;
}
