// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The list of what each holder has lost. A hostile image, or a large one with
 * every other cluster lost, would make it longer than its file: over MAX_RANGES
 * the narrowest gaps are covered too.
 */
#include "check/lost/lost.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANGES (1u << 18)

static uint64_t holder_disk(const struct qf_image *img, uint32_t holder)
{
	if (holder == QF_HOLDER_ACTIVE || holder > img->snapshots.n)
		return img->hdr.disk_bytes;
	return img->snapshots.snap[holder - 1].disk_bytes;
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_lost_range *a = pa, *b = pb;

	if (a->holder != b->holder)
		return a->holder < b->holder ? -1 : 1;
	if (strcmp(a->id, b->id))
		return strcmp(a->id, b->id);
	if (a->guest_off != b->guest_off)
		return a->guest_off < b->guest_off ? -1 : 1;
	return a->bytes > b->bytes ? -1 : a->bytes < b->bytes;
}

static int by_width(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* True if B goes on with A's disk; *GAP is what lies between them. */
static bool is_next(const struct qf_lost_range *a,
		    const struct qf_lost_range *b, uint64_t *gap)
{
	uint64_t end = a->guest_off + a->bytes;

	*gap = b->guest_off > end ? b->guest_off - end : 0;
	return a->holder == b->holder && !strcmp(a->id, b->id);
}

/* Joins ranges that are in order and not more than WIDTH apart. */
static void join(struct qf_lost_list *l, uint64_t width)
{
	struct qf_lost_range *r;
	uint64_t gap, end;
	size_t i, n = 0;

	for (i = 1; i < l->n; i++) {
		r = &l->at[n];
		if (!is_next(r, &l->at[i], &gap) || gap > width) {
			l->at[++n] = l->at[i];
			continue;
		}
		end = l->at[i].guest_off + l->at[i].bytes;
		if (end > r->guest_off + r->bytes)
			r->bytes = end - r->guest_off;
	}
	l->n = n + 1;
}

/* The width that most of the gaps do not exceed: without them, half of the
 * list is free again. */
static bool choose_width(const struct qf_lost_list *l, uint64_t *width)
{
	uint64_t *gap = qf_mem_zalloc(l->n, sizeof(*gap));
	size_t i, n = 0, most = l->n - MAX_RANGES / 2;

	for (i = 1; gap && i < l->n; i++)
		n += is_next(&l->at[i - 1], &l->at[i], &gap[n]);
	if (n)
		qsort(gap, n, sizeof(*gap), by_width);
	*width = n ? gap[most < n ? most : n - 1] : 0;
	free(gap);
	return gap;
}

static void thin_out(struct qf_lost_list *l)
{
	uint64_t width;
	uint32_t i;

	qf_lost_join(l);
	if (l->n > MAX_RANGES / 2) {
		if (!choose_width(l, &width)) {
			l->failed = true;
			return;
		}
		l->coarse = true;
		join(l, width);
	}
	for (i = 0; i < l->n_last; i++)
		l->last[i] = 0;
	for (i = 0; i < l->n; i++)
		if (l->at[i].holder < l->n_last)
			l->last[l->at[i].holder] = i + 1;
}

/* Makes room to note the last range of HOLDER. */
static bool knows(struct qf_lost_list *l, uint32_t holder)
{
	uint32_t n = holder < 32 ? 64 : holder * 2, *last;

	if (holder < l->n_last)
		return true;
	last = qf_mem_zalloc(n, sizeof(*last));
	if (!last)
		return false;
	if (l->n_last)
		memcpy(last, l->last, l->n_last * sizeof(*last));
	free(l->last);
	l->last = last;
	l->n_last = n;
	return true;
}

static void add(struct qf_lost_list *l, uint32_t holder, uint64_t guest,
		uint64_t bytes)
{
	struct qf_lost_range *r;

	if (!knows(l, holder)) {
		l->failed = true;
		return;
	}
	if (l->n >= MAX_RANGES)
		thin_out(l);
	r = l->last[holder] ? &l->at[l->last[holder] - 1] : NULL;
	if (r && r->guest_off + r->bytes == guest) {
		r->bytes += bytes;
		return;
	}
	if (l->failed ||
	    !qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*r))) {
		l->failed = true;
		return;
	}
	l->at[l->n++] = (struct qf_lost_range){ .holder = holder,
						.guest_off = guest,
						.bytes = bytes };
	l->last[holder] = (uint32_t)l->n;
}

void qf_lost_add(const struct qf_image *img, struct qf_lost_list *l,
		 uint32_t holder, uint64_t guest, uint64_t bytes)
{
	uint64_t disk = holder_disk(img, holder);

	l->added++;
	if (guest < disk)
		add(l, holder, guest,
		    bytes < disk - guest ? bytes : disk - guest);
}

void qf_lost_add_beyond(struct qf_lost_list *l, uint32_t holder, uint64_t guest,
			uint64_t bytes)
{
	add(l, holder, guest, bytes);
}

void qf_lost_add_id(struct qf_lost_list *l, const char *id, uint64_t bytes)
{
	struct qf_lost_range *r;

	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*r))) {
		l->failed = true;
		return;
	}
	r = &l->at[l->n++];
	*r = (struct qf_lost_range){ .holder = QF_HOLDER_IMAGE,
				     .bytes = bytes };
	snprintf(r->id, sizeof(r->id), "%s", id);
}

void qf_lost_join(struct qf_lost_list *l)
{
	if (!l->n)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_place);
	join(l, 0);
}
