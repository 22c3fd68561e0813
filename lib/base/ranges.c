// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/ranges.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The first range that ends at OFF or behind. */
static size_t find(const struct qf_ranges *r, uint64_t off)
{
	size_t lo = 0, hi = r->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (r->at[mid].off + r->at[mid].len < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool qf_ranges_add(struct qf_ranges *r, uint64_t off, uint64_t len)
{
	size_t i = find(r, off), last = i;
	uint64_t end = off + len, have;

	if (!len)
		return true;
	if (i == r->n || r->at[i].off > end) {
		if (!qf_mem_grow((void **)&r->at, r->n, &r->room,
				 sizeof(*r->at)))
			return false;
		memmove(&r->at[i + 1], &r->at[i], (r->n - i) * sizeof(*r->at));
		r->at[i] = (struct qf_range){ off, len };
		r->n++;
		return true;
	}
	/* swallow all that it touches */
	for (; last < r->n && r->at[last].off <= end; last++) {
		have = r->at[last].off + r->at[last].len;
		if (have > end)
			end = have;
		if (r->at[last].off < off)
			off = r->at[last].off;
	}
	r->at[i] = (struct qf_range){ off, end - off };
	memmove(&r->at[i + 1], &r->at[last], (r->n - last) * sizeof(*r->at));
	r->n -= last - i - 1;
	return true;
}

const struct qf_range *qf_ranges_from(const struct qf_ranges *r, uint64_t off)
{
	size_t i = find(r, off);

	while (i < r->n && r->at[i].off + r->at[i].len <= off)
		i++;
	return i < r->n ? &r->at[i] : NULL;
}

bool qf_ranges_has(const struct qf_ranges *r, uint64_t off)
{
	const struct qf_range *p = qf_ranges_from(r, off);

	return p && p->off <= off;
}

void qf_ranges_free(struct qf_ranges *r)
{
	free(r->at);
	memset(r, 0, sizeof(*r));
}
