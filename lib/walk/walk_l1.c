// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Gathering: L1 tables to groups of unique, weighted L2 tables.
 *
 * Holders that use the very same L1 table (same place) are read once. Tables
 * at different places that cross each other in the file are damage; they are
 * read all the same, but only up to CROSS_BUDGET entries, so that a hostile
 * file of 65536 snapshots over one area costs neither time nor memory.
 *
 * Snapshots taken one after the other have nearly the same entries: one that
 * says what the table before said at the same index adds only its weight.
 */
#include "lib/base/mem.h"
#include "lib/walk/walk.h"

#include <stdlib.h>

#define CROSS_BUDGET (4ull << 20)
#define REPEAT_BUDGET 4096u
#define REPEAT_BYTES (256ull << 20)

/* A holder's L1 table. */
struct l1 {
	uint64_t off;
	uint32_t entries;
	uint32_t holder;
};

/* One L1 entry that is not zero, before the groups are formed. */
struct ref {
	uint64_t entry;
	uint32_t l1_index;
	uint32_t weight;
	uint32_t least; /* the lowest of those holders */
	bool active;
	bool own; /* it names the very table that it is in */
};

struct gather {
	struct qf_walk *w;
	struct l1 *l1;
	uint32_t n_l1;
	struct ref *ref;
	size_t n_refs, ref_room;
	/* by L1 index, the number of its newest ref, and 1; 0: none */
	uint32_t *newest;
	uint64_t newest_bytes;
	uint64_t seen_end; /* the file is read up to here ... */
	uint64_t crossed;  /* ... and so many entries were read twice */
};

static int by_place(const void *pa, const void *pb)
{
	const struct l1 *a = pa, *b = pb;

	if (a->off != b->off)
		return a->off < b->off ? -1 : 1;
	/* longest first: the weight of entry i is how many reach it */
	if (a->entries != b->entries)
		return a->entries > b->entries ? -1 : 1;
	return a->holder < b->holder ? -1 : a->holder > b->holder;
}

static bool add_gap(struct qf_walk *w, uint64_t off, uint64_t bytes,
		    uint32_t holder, int sys)
{
	struct qf_walk_gap *g;

	if (!qf_mem_grow((void **)&w->gap, w->n_gaps, &w->gap_room, sizeof(*g)))
		return false;
	g = &w->gap[w->n_gaps++];
	*g = (struct qf_walk_gap){ .off = off,
				   .bytes = bytes,
				   .holder = holder,
				   .sys = sys,
				   .crossing = sys == 0 };
	return true;
}

/* What the entries of one L1 table are collected with. */
struct collect {
	struct gather *g;
	const struct l1 *l1; /* the holders of this place, longest first */
	uint32_t n;
	const struct qf_walk_l1 *users; /* the same holders */
	uint32_t reach;	 /* how many of them reach the current entry */
	uint32_t active; /* entries of the active disk, if it is one */
};

static struct ref *newest(struct gather *g, uint64_t index)
{
	return g->newest && g->newest[index] ? &g->ref[g->newest[index] - 1]
					     : NULL;
}

/* No table of both kinds has an entry for itself: whatever stands there, the
 * entry names no L2 table. Entries that the disk does not need may be there
 * only because the stated length is wrong. */
static bool is_own(const struct collect *c, uint64_t entry)
{
	const struct qf_geometry *g = &c->g->w->img->geo;
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK, n = c->l1->entries;

	if (n > g->l1_needed)
		n = g->l1_needed;
	return off >= c->l1->off &&
	       off - c->l1->off < qf_mem_round_up(n * 8, g->cluster_bytes);
}

static bool collect_entry(void *ctx, uint64_t index, uint64_t entry)
{
	struct collect *c = ctx;
	struct gather *g = c->g;
	bool active = index < c->active;
	struct ref *r;
	uint32_t least;

	while (c->reach && c->l1[c->reach - 1].entries <= index)
		c->reach--;
	least = c->users[c->reach - 1].least;
	g->w->l1_entries_used += active;
	r = newest(g, index);
	if (r && r->entry == entry) {
		r->weight += c->reach;
		r->least = least < r->least ? least : r->least;
		r->active |= active;
		r->own |= is_own(c, entry);
		return true;
	}
	if (g->n_refs == UINT32_MAX ||
	    !qf_mem_grow((void **)&g->ref, g->n_refs, &g->ref_room, sizeof(*r)))
		return false;
	r = &g->ref[g->n_refs++];
	if (g->newest)
		g->newest[index] = (uint32_t)g->n_refs;
	r->entry = entry;
	r->l1_index = (uint32_t)index;
	r->weight = c->reach;
	r->least = least;
	r->active = active;
	r->own = is_own(c, entry);
	return true;
}

static bool collect_gap(void *ctx, uint64_t off, uint64_t bytes, int sys)
{
	struct collect *c = ctx;

	return add_gap(c->g->w, off, bytes, c->l1->holder, sys);
}

static enum qf_err read_place(struct collect *c, struct qf_why *why)
{
	struct qf_table_fns fns = { c, collect_entry, collect_gap };
	enum qf_err err;
	uint32_t i;

	for (i = 0; i < c->n; i++)
		if (c->l1[i].holder == QF_HOLDER_ACTIVE)
			c->active = c->l1[i].entries;
	err = qf_walk_table(c->g->w->img->io, c->l1->off, c->l1->entries, &fns,
			    why);
	return err == QF_ERR_STOPPED ? QF_ERR_NOMEM : err;
}

/* Notes who uses the place of L1[0]. */
static const struct qf_walk_l1 *add_place(struct qf_walk *w,
					  const struct l1 *l1, uint32_t n)
{
	struct qf_walk_l1 *users = &w->l1[w->n_l1];
	uint32_t i, least = l1->holder;

	w->place[w->n_places++] = (struct qf_walk_place){
		.off = l1->off, .entries = l1->entries, .first = w->n_l1, .n = n
	};
	for (i = 0; i < n; i++) {
		least = l1[i].holder < least ? l1[i].holder : least;
		users[i] = (struct qf_walk_l1){ l1[i].holder, l1[i].entries,
						least };
	}
	w->n_l1 += n;
	return users;
}

/* Takes the N holders that share the place of L1[0]. */
static enum qf_err take_place(struct gather *g, const struct l1 *l1, uint32_t n,
			      struct qf_why *why)
{
	struct collect c = { .g = g, .l1 = l1, .n = n, .reach = n };
	uint64_t end = l1->off + (uint64_t)l1->entries * 8;
	uint64_t twice = 0;

	if (l1->off < g->seen_end)
		twice = ((end < g->seen_end ? end : g->seen_end) - l1->off) / 8;
	if (g->crossed + twice > CROSS_BUDGET)
		return add_gap(g->w, l1->off, end - l1->off, l1->holder, 0)
			       ? QF_OK
			       : QF_ERR_NOMEM;
	g->crossed += twice;
	if (end > g->seen_end)
		g->seen_end = end;
	c.users = add_place(g->w, l1, n);
	return read_place(&c, why);
}

static int by_group(const void *pa, const void *pb)
{
	const struct ref *a = pa, *b = pb;
	uint64_t ao = a->entry & QF_ENTRY_OFFSET_MASK;
	uint64_t bo = b->entry & QF_ENTRY_OFFSET_MASK;

	if (a->l1_index != b->l1_index)
		return a->l1_index < b->l1_index ? -1 : 1;
	if (ao != bo)
		return ao < bo ? -1 : 1;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static void add_ref(struct qf_walk *w, const struct ref *r, bool same_table)
{
	struct qf_image *img = w->img;
	struct qf_l2_table *t;
	unsigned int odd;

	if (!same_table) {
		t = &w->table[w->n_tables++];
		memset(t, 0, sizeof(*t));
		t->off = r->entry & QF_ENTRY_OFFSET_MASK;
		t->holder = QF_HOLDER_IMAGE;
	}
	t = &w->table[w->n_tables - 1];
	t->weight += r->weight;
	if (r->least < t->holder)
		t->holder = r->least;
	odd = qf_entry_l1_odd(&img->geo, img->io->size, r->entry) |
	      (r->own ? QF_ODD_OWN_L1 : 0);
	t->odd |= odd & ((1u << QF_ODD_KINDS) - 1);
	t->unfollowed |= r->own || odd & QF_ODD_UNALIGNED;
	t->odd_count += (uint32_t)__builtin_popcount(odd) * r->weight;
	if (r->active) {
		t->active = 1;
		t->copied = (r->entry & QF_ENTRY_COPIED) != 0;
	}
}

/* Sorted refs to tables and groups; tables lie group by group. */
static enum qf_err form_groups(struct gather *g)
{
	struct qf_walk *w = g->w;
	struct qf_group *grp;
	const struct ref *r;
	size_t i;
	bool same;

	w->table = qf_mem_zalloc(g->n_refs, sizeof(*w->table));
	w->group = qf_mem_zalloc(g->n_refs, sizeof(*w->group));
	if (!w->table || !w->group)
		return QF_ERR_NOMEM;
	for (i = 0; i < g->n_refs; i++) {
		r = &g->ref[i];
		if (!i || r[-1].l1_index != r->l1_index) {
			grp = &w->group[w->n_groups++];
			grp->l1_index = r->l1_index;
			grp->first = w->n_tables;
		}
		grp = &w->group[w->n_groups - 1];
		same = w->n_tables > grp->first &&
		       w->table[w->n_tables - 1].off ==
			       (r->entry & QF_ENTRY_OFFSET_MASK);
		add_ref(w, r, same);
		grp->n = (uint32_t)(w->n_tables - grp->first);
	}
	return QF_OK;
}

static int by_first_table(const void *pa, const void *pb, void *ctx)
{
	const struct qf_walk *w = ctx;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	uint64_t ao = w->table[w->group[a].first].off;
	uint64_t bo = w->table[w->group[b].first].off;

	if (ao != bo)
		return ao < bo ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* The physical order in which the groups are read. */
static enum qf_err order_groups(struct qf_walk *w)
{
	bool in_order = true;
	uint32_t i;

	w->order = qf_mem_zalloc(w->n_groups, sizeof(*w->order));
	if (!w->order)
		return QF_ERR_NOMEM;
	for (i = 0; i < w->n_groups; i++) {
		w->order[i] = i;
		if (i && by_first_table(&w->order[i - 1], &w->order[i], w) > 0)
			in_order = false;
	}
	if (!in_order)
		qsort_r(w->order, w->n_groups, sizeof(*w->order),
			by_first_table, w);
	return QF_OK;
}

/* Lists the L1 tables that can be followed, by place. */
static enum qf_err list_l1(struct gather *g)
{
	struct qf_image *img = g->w->img;
	uint32_t h, n = qf_image_holders(img), longest = 0;

	g->l1 = qf_mem_zalloc(n, sizeof(*g->l1));
	g->w->place = qf_mem_zalloc(n, sizeof(*g->w->place));
	g->w->l1 = qf_mem_zalloc(n, sizeof(*g->w->l1));
	g->w->columns = qf_walk_columns_new();
	if (!g->l1 || !g->w->place || !g->w->l1 || !g->w->columns)
		return QF_ERR_NOMEM;
	for (h = 0; h < n; h++) {
		struct l1 *l = &g->l1[g->n_l1];

		l->holder = h;
		if (!qf_image_l1(img, h, &l->off, &l->entries) || !l->entries)
			continue;
		g->n_l1++;
		if (longest < l->entries)
			longest = l->entries;
	}
	if (g->n_l1 > 1) {
		g->newest_bytes = longest * sizeof(*g->newest);
		g->newest = qf_mem_map(g->newest_bytes);
		if (!g->newest)
			return QF_ERR_NOMEM;
	}
	qsort(g->l1, g->n_l1, sizeof(*g->l1), by_place);
	return QF_OK;
}

static int by_value(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/*
 * A table that two L1 indices name is damage; it is decoded for each, up to
 * REPEAT_BUDGET times and REPEAT_BYTES in all, so that a hostile L1 table of
 * one value costs no more than others.
 */
static enum qf_err mark_repeated(struct qf_walk *w)
{
	uint64_t most = REPEAT_BYTES / w->img->geo.cluster_bytes;
	uint64_t *off, i, *at, seen = 0;
	bool ascending = true;

	if (most > REPEAT_BUDGET)
		most = REPEAT_BUDGET;
	for (i = 1; i < w->n_tables && ascending; i++)
		ascending = w->table[i - 1].off < w->table[i].off;
	if (ascending || w->n_tables <= most)
		return QF_OK;
	off = qf_mem_zalloc(w->n_tables, sizeof(*off));
	if (!off)
		return QF_ERR_NOMEM;
	for (i = 0; i < w->n_tables; i++)
		off[i] = w->table[i].off;
	qsort(off, w->n_tables, sizeof(*off), by_value);
	for (i = 0; i < w->n_tables; i++) {
		at = bsearch(&w->table[i].off, off, w->n_tables, sizeof(*off),
			     by_value);
		if ((at > off && at[-1] == *at) ||
		    (at + 1 < off + w->n_tables && at[1] == *at))
			w->table[i].unfollowed |= ++seen > most;
	}
	free(off);
	return QF_OK;
}

static int by_length(const void *pa, const void *pb)
{
	const struct qf_walk_place *a = pa, *b = pb;

	if (a->entries != b->entries)
		return a->entries > b->entries ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

static enum qf_err gather(struct gather *g, struct qf_why *why)
{
	enum qf_err err = list_l1(g);
	uint32_t i, n;

	for (i = 0; !err && i < g->n_l1; i += n) {
		for (n = 1; i + n < g->n_l1; n++)
			if (g->l1[i + n].off != g->l1[i].off)
				break;
		err = take_place(g, &g->l1[i], n, why);
	}
	if (err)
		return err;
	if (g->w->n_places)
		qsort(g->w->place, g->w->n_places, sizeof(*g->w->place),
		      by_length);
	if (g->n_refs)
		qsort(g->ref, g->n_refs, sizeof(*g->ref), by_group);
	err = form_groups(g);
	if (!err)
		err = mark_repeated(g->w);
	return err ? err : order_groups(g->w);
}

enum qf_err qf_walk_gather(struct qf_image *img, struct qf_walk *w,
			   struct qf_why *why)
{
	struct gather g = { .w = w };
	enum qf_err err;

	memset(w, 0, sizeof(*w));
	w->img = img;
	err = gather(&g, why);
	free(g.l1);
	free(g.ref);
	qf_mem_unmap(g.newest, g.newest_bytes);
	if (err) {
		qf_walk_free(w);
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory for the L1 tables");
	}
	return err;
}

void qf_walk_free(struct qf_walk *w)
{
	free(w->table);
	free(w->group);
	free(w->order);
	free(w->place);
	free(w->l1);
	qf_walk_columns_free(w->columns);
	free(w->gap);
	memset(w, 0, sizeof(*w));
}
