// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/guest_faults.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* More are no help to anyone. */
#define MAX_FAULTS 65536u

static bool add(struct qf_guest_faults *l, uint32_t volume,
		const struct qf_guest_block *b, bool is_free)
{
	struct qf_guest_fault *f;

	if (l->n == MAX_FAULTS) {
		l->cut = true;
		return true;
	}
	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*l->at))) {
		l->no_memory = true;
		return false;
	}
	f = &l->at[l->n++];
	*f = (struct qf_guest_fault){ .start = b->start,
				      .bytes = b->bytes,
				      .belongs = QF_NOWHERE,
				      .volume = volume,
				      .free = is_free };
	memcpy(f->what, b->what, sizeof(f->what));
	return true;
}

/* What cannot be read is told by the passes before. */
static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	return b->state != QF_GUEST_FAILS || add(ctx, volume, b, false);
}

static bool see_free(void *ctx, uint32_t volume, const struct qf_guest_block *b)
{
	return add(ctx, volume, b, true);
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_guest_fault *a = pa, *b = pb;

	if (a->volume != b->volume)
		return a->volume < b->volume ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->free != b->free)
		return a->free ? 1 : -1;
	return strcmp(a->what, b->what);
}

/* What two trees share was told twice. */
static void drop_twins(struct qf_guest_faults *l)
{
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++)
		if (!kept || by_place(&l->at[kept - 1], &l->at[i]))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

enum qf_err qf_guest_faults_find(struct qf_guest *g, uint64_t disk_bytes,
				 struct qf_guest_faults *out,
				 struct qf_why *why)
{
	const struct qf_guest_range all = { 0, disk_bytes };
	enum qf_err err;

	memset(out, 0, sizeof(*out));
	err = qf_guest_blocks(g, &all, 1, see_block, out, why);
	if (!err)
		err = qf_guest_agree(g, &all, 1, see_free, out, why);
	if (out->no_memory)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for what the guest's file systems "
				  "tell");
	if (out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_place);
	drop_twins(out);
	return err;
}

void qf_guest_faults_free(struct qf_guest_faults *f)
{
	free(f->at);
	memset(f, 0, sizeof(*f));
}
