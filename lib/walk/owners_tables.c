// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/walk/owners_tables.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/* A holder's L1 table. */
struct l1 {
	uint64_t off;
	uint32_t entries;
	uint32_t holder;
};

/* While the L1 table at one place is read. */
struct reading {
	const struct qf_walk *w;
	struct qf_spanset *sets;
	uint32_t *table_set;
	const struct l1 *l1; /* the holders of the place, longest first */
	uint32_t reach;	     /* how many of them reach the current entry ... */
	uint32_t reach_set;  /* ... and who they are */
	uint32_t known;	     /* the reach that reach_set is for; 0: none */
	uint32_t group;	     /* the first that is not behind the entry */
	uint32_t *member;    /* scratch */
};

static int by_place(const void *pa, const void *pb)
{
	const struct l1 *a = pa, *b = pb;

	if (a->off != b->off)
		return a->off < b->off ? -1 : 1;
	if (a->entries != b->entries)
		return a->entries > b->entries ? -1 : 1;
	return a->holder < b->holder ? -1 : a->holder > b->holder;
}

static uint32_t holders_in_reach(struct reading *r)
{
	uint32_t i;

	if (r->known == r->reach)
		return r->reach_set;
	for (i = 0; i < r->reach; i++)
		r->member[i] = r->l1[i].holder;
	r->known = r->reach;
	r->reach_set = qf_spanset_put_members(r->sets, r->member, r->reach);
	return r->reach_set;
}

static bool read_entry(void *ctx, uint64_t index, uint64_t entry)
{
	struct reading *r = ctx;
	const struct qf_walk *w = r->w;
	const struct qf_l2_table *table;
	uint32_t pair[2];
	uint64_t t;

	while (r->reach && r->l1[r->reach - 1].entries <= index)
		r->reach--;
	while (r->group < w->n_groups && w->group[r->group].l1_index < index)
		r->group++;
	/* not there: the image was changed since the walk was gathered */
	if (r->group == w->n_groups || w->group[r->group].l1_index != index)
		return true;
	table = qf_walk_find_in(w, &w->group[r->group],
				entry & QF_ENTRY_OFFSET_MASK);
	if (!table)
		return true;
	t = (uint64_t)(table - w->table);
	pair[0] = r->table_set[t];
	pair[1] = holders_in_reach(r);
	if (pair[1] == QF_SPANSET_FAILED)
		return false;
	r->table_set[t] = qf_spanset_union(r->sets, pair, 2);
	return r->table_set[t] != QF_SPANSET_FAILED;
}

static bool pass_over(void *ctx, uint64_t off, uint64_t bytes, int sys)
{
	(void)ctx, (void)off, (void)bytes, (void)sys;
	return true;
}

/*
 * True if the walk did not follow the table at OFF, because it crosses too
 * many others. To be asked in ascending order; *GAP goes along.
 */
static bool not_followed(const struct qf_walk *w, uint64_t off, size_t *gap)
{
	while (*gap < w->n_gaps &&
	       (!w->gap[*gap].crossing || w->gap[*gap].off < off))
		(*gap)++;
	return *gap < w->n_gaps && w->gap[*gap].off == off;
}

static enum qf_err read_places(struct reading *r, const struct l1 *l1,
			       uint32_t n)
{
	struct qf_table_fns fns = { r, read_entry, pass_over };
	enum qf_err err = QF_OK;
	uint32_t i, k;
	size_t gap = 0;

	for (i = 0; !err && i < n; i += k) {
		for (k = 1; i + k < n && l1[i + k].off == l1[i].off; k++)
			;
		if (not_followed(r->w, l1[i].off, &gap))
			continue;
		r->l1 = &l1[i];
		r->reach = k;
		r->known = r->group = 0;
		err = qf_walk_table(r->w->img->io, l1[i].off, l1[i].entries,
				    &fns, NULL);
	}
	return err ? QF_ERR_NOMEM : QF_OK;
}

/* The L1 tables that can be followed, by place; *OUT is the caller's. */
static bool list_l1(const struct qf_image *img, struct l1 **out, uint32_t *n)
{
	uint32_t h, holders = qf_image_holders(img);
	struct l1 *l1 = qf_mem_zalloc(holders, sizeof(*l1));

	*out = l1;
	*n = 0;
	if (!l1)
		return false;
	for (h = 0; h < holders; h++) {
		l1[*n].holder = h;
		if (qf_image_l1(img, h, &l1[*n].off, &l1[*n].entries) &&
		    l1[*n].entries)
			(*n)++;
	}
	qsort(l1, *n, sizeof(*l1), by_place);
	return true;
}

/* The N tables at one place, longest first, cluster by cluster. */
static bool tell_place(const struct qf_image *img, struct qf_spanset *sets,
		       const struct l1 *l1, uint32_t n, uint32_t *member,
		       qf_owners_l1_fn *fn, void *ctx)
{
	uint64_t bytes = l1->entries * 8ull, step = img->geo.cluster_bytes, at;
	uint32_t reach = n, known = 0, set = QF_SPANSET_EMPTY, i;

	for (at = 0; at < bytes && l1->off + at < img->io->size; at += step) {
		while (l1[reach - 1].entries * 8ull <= at)
			reach--;
		if (reach != known) {
			for (i = 0; i < reach; i++)
				member[i] = l1[i].holder;
			set = qf_spanset_put_members(sets, member, reach);
			known = reach;
		}
		if (set == QF_SPANSET_FAILED ||
		    !fn(ctx, l1->off + at,
			bytes - at < step ? bytes - at : step, set, reach))
			return false;
	}
	return true;
}

enum qf_err qf_owners_l1(struct qf_image *img, struct qf_spanset *sets,
			 qf_owners_l1_fn *fn, void *ctx)
{
	uint32_t *member = qf_mem_zalloc(qf_image_holders(img), 4), i, k, n;
	struct l1 *l1 = NULL;
	bool good;

	good = member && list_l1(img, &l1, &n);
	for (i = 0; good && i < n; i += k) {
		for (k = 1; i + k < n && l1[i + k].off == l1[i].off; k++)
			;
		good = tell_place(img, sets, &l1[i], k, member, fn, ctx);
	}
	free(l1);
	free(member);
	return good ? QF_OK : QF_ERR_NOMEM;
}

enum qf_err qf_owners_tables(const struct qf_walk *w, struct qf_spanset *sets,
			     uint32_t **out)
{
	struct reading r = { .w = w, .sets = sets };
	enum qf_err err = QF_ERR_NOMEM;
	struct l1 *l1 = NULL;
	uint32_t n;

	r.member = qf_mem_zalloc(qf_image_holders(w->img), sizeof(*r.member));
	r.table_set = qf_mem_zalloc(w->n_tables + 1, sizeof(*r.table_set));
	if (r.member && r.table_set && list_l1(w->img, &l1, &n))
		err = read_places(&r, l1, n);
	free(l1);
	free(r.member);
	if (err)
		free(r.table_set);
	else
		*out = r.table_set;
	return err;
}
