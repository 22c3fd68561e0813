// SPDX-License-Identifier: GPL-2.0-or-later
/* The list of what each holder has lost. */
#include "check/lost.h"
#include "lib/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t holder_disk(const struct qf_image *img, uint32_t holder)
{
	if (holder == QF_HOLDER_ACTIVE || holder > img->snapshots.n)
		return img->hdr.disk_bytes;
	return img->snapshots.snap[holder - 1].disk_bytes;
}

static void add(struct qf_lost_list *l, uint32_t holder, uint64_t guest,
		uint64_t bytes)
{
	struct qf_lost_range *r = l->n ? &l->at[l->n - 1] : NULL;

	if (r && r->holder == holder && r->guest_off + r->bytes == guest) {
		r->bytes += bytes;
		return;
	}
	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*r))) {
		l->failed = true;
		return;
	}
	l->at[l->n++] = (struct qf_lost_range){ holder, guest, bytes, "" };
}

void qf_lost_add(const struct qf_image *img, struct qf_lost_list *l,
		 uint32_t holder, uint64_t guest, uint64_t bytes)
{
	uint64_t disk = holder_disk(img, holder);

	if (guest < disk)
		add(l, holder, guest,
		    bytes < disk - guest ? bytes : disk - guest);
}

void qf_lost_add_beyond(struct qf_lost_list *l, uint64_t guest, uint64_t bytes)
{
	add(l, QF_HOLDER_ACTIVE, guest, bytes);
}

void qf_lost_add_id(struct qf_lost_list *l, const char *id, uint64_t bytes)
{
	struct qf_lost_range *r;

	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*r))) {
		l->failed = true;
		return;
	}
	r = &l->at[l->n++];
	*r = (struct qf_lost_range){ QF_HOLDER_IMAGE, 0, bytes, "" };
	snprintf(r->id, sizeof(r->id), "%s", id);
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

void qf_lost_join(struct qf_lost_list *l)
{
	struct qf_lost_range *r;
	size_t i, n = 0;
	uint64_t end;

	if (!l->n)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_place);
	for (i = 1; i < l->n; i++) {
		r = &l->at[n];
		if (r->holder == l->at[i].holder &&
		    !strcmp(r->id, l->at[i].id) &&
		    l->at[i].guest_off <= r->guest_off + r->bytes) {
			end = l->at[i].guest_off + l->at[i].bytes;
			if (end > r->guest_off + r->bytes)
				r->bytes = end - r->guest_off;
			continue;
		}
		l->at[++n] = l->at[i];
	}
	l->n = n + 1;
}
