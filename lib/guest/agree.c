// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/agree.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many free ranges are held against the files: 256 MiB. */
#define MAX_FREE (1u << 24)

struct agree {
	struct qf_job *j;
	const struct qf_reader *r;
	void *fs;
	struct qf_guest_range *free; /* owned; merged */
	size_t n, room;
	bool stopped, no_memory, cut;
};

static bool take_use(void *ctx, enum qf_guest_use use, uint64_t start,
		     uint64_t bytes)
{
	struct agree *a = ctx;

	if (use != QF_GUEST_FREE || !qf_volume_asked(&a->j->vol, start, bytes))
		return true;
	a->cut = a->n == MAX_FREE;
	if (a->cut)
		return false;
	if (!qf_mem_grow((void **)&a->free, a->n, &a->room, sizeof(*a->free))) {
		a->no_memory = true;
		return false;
	}
	a->free[a->n++] = (struct qf_guest_range){ start, bytes };
	return true;
}

/* The first free range that ends behind AT. */
static size_t first_behind(const struct agree *a, uint64_t at)
{
	size_t lo = 0, hi = a->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (a->free[mid].start + a->free[mid].bytes <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The parts of the range that are free, though WHAT has it. */
static bool hold(struct agree *a, const char *what, uint64_t start,
		 uint64_t bytes)
{
	struct qf_guest_block b = { .says = QF_NOWHERE,
				    .parent = QF_NOWHERE,
				    .bond = QF_GUEST_BY_PARENT,
				    .state = QF_GUEST_FAILS };
	const struct qf_guest_range *f;
	uint64_t end = start + bytes, to;
	size_t i;

	for (i = first_behind(a, start); i < a->n && !a->stopped; i++) {
		f = &a->free[i];
		if (f->start >= end)
			break;
		b.start = f->start > start ? f->start : start;
		to = f->start + f->bytes < end ? f->start + f->bytes : end;
		b.bytes = to - b.start;
		if (b.bytes > UINT32_MAX / 2)
			b.bytes = UINT32_MAX / 2;
		snprintf(b.what, sizeof(b.what), "%.40s", what);
		a->stopped = !qf_job_tell(a->j, QF_RECORD_BLOCK, &b, sizeof(b));
	}
	return !a->stopped;
}

static bool see_area(void *ctx, const char *name, uint64_t start,
		     uint64_t bytes)
{
	return hold(ctx, name, start, bytes);
}

static bool see_extent(void *ctx, uint64_t file_off, uint64_t start,
		       uint64_t bytes)
{
	return hold(ctx, file_off == QF_NOWHERE ? "map of a file" : "a file",
		    start, bytes);
}

static bool see_inode(void *ctx, const struct qf_inode *inode)
{
	struct agree *a = ctx;

	if (!inode->deleted)
		a->r->extents(a->fs, inode->id, see_extent, a);
	return !a->stopped;
}

enum qf_err qf_agree_look(struct qf_job *j, const struct qf_reader *r, void *fs,
			  struct qf_why *why)
{
	struct agree a = { .j = j, .r = r, .fs = fs };

	if (r->use)
		r->use(fs, take_use, &a);
	a.n = a.n ? qf_volume_merge(a.free, a.n) : 0;
	if (a.n && !a.no_memory && r->areas)
		r->areas(fs, see_area, &a);
	if (a.n && !a.no_memory && !a.stopped && r->inodes)
		r->inodes(fs, see_inode, &a);
	free(a.free);
	if (a.no_memory)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its free ranges");
	return a.cut ? qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "its free room is in too many pieces")
		     : QF_OK;
}
