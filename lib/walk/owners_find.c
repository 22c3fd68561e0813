// SPDX-License-Identifier: LGPL-2.1-or-later
/* All references to one cluster, with their pointers. */
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "lib/walk/recount.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct finding {
	struct qf_walk *w;
	const uint64_t *cluster; /* ascending */
	size_t n;		 /* clusters, and lists */
	size_t limit;
	struct qf_owner_list *list;
	/* the last table that was asked for, and who names it */
	const struct qf_l2_table *table;
	uint32_t *holder, n_holders;
	pthread_mutex_t lock;
	bool failed; /* no memory */
};

static bool put(struct finding *f, struct qf_owner_list *l,
		const struct qf_owner *owner)
{
	l->total++;
	if (l->n == f->limit)
		return true;
	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*l->at))) {
		f->failed = true;
		return false;
	}
	l->at[l->n++] = *owner;
	return true;
}

/*
 * The wanted clusters that BYTES at OFF touch: how many, and the number of
 * the first.
 */
static size_t touched(const struct finding *f, uint64_t off, uint64_t bytes,
		      size_t *first)
{
	size_t lo = 0, hi = f->n, mid, k;
	uint64_t from, n;

	n = qf_recount_touched(f->w->img, off, bytes, &from);
	while (n && lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (f->cluster[mid] < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = lo;
	for (k = lo; n && k < f->n && f->cluster[k] - from < n; k++)
		;
	return k - lo;
}

static uint64_t word_at(struct finding *f, uint64_t off)
{
	struct qf_be64 w;

	if (qf_io_read_pad(f->w->img->io, &w, sizeof(w), off, NULL))
		return 0;
	return qf_be_get64(w);
}

/* Sets f->holder to those who name the table T of G. */
static void find_holders(struct finding *f, const struct qf_group *g,
			 const struct qf_l2_table *t)
{
	if (f->table == t)
		return;
	f->table = t;
	f->n_holders = qf_walk_holders(f->w, g->l1_index, t->off, f->holder,
				       qf_image_holders(f->w->img));
}

/* One owner for each holder that names table number T of group G. */
static bool put_holders(struct finding *f, struct qf_owner_list *l,
			const struct qf_group *g, const struct qf_l2_table *t,
			struct qf_owner *owner)
{
	uint32_t i;

	if (l->n == f->limit) {
		l->total += t->weight;
		return true;
	}
	find_holders(f, g, t);
	for (i = 0; i < f->n_holders; i++) {
		owner->holder = f->holder[i];
		if (!put(f, l, owner))
			return false;
	}
	return true;
}

/* A run names wanted cluster number K: who says so? */
static bool put_run(struct finding *f, size_t k, const struct qf_group *g,
		    const struct qf_run *r, uint64_t off, uint64_t bytes)
{
	const struct qf_geometry *geo = &f->w->img->geo;
	struct qf_owner owner = { .kind = QF_REF_DATA, .bytes = bytes };
	uint64_t index = r->index, skip = 0;
	uint32_t v;

	if (r->kind == QF_ENTRY_KIND_COMPRESSED) {
		owner.kind = QF_REF_COMPRESSED;
	} else {
		owner.bytes = geo->cluster_bytes;
		if (r->n > 1)
			skip = f->cluster[k] - (off >> geo->cluster_bits);
	}
	index += skip;
	owner.host_off = off + (skip << geo->cluster_bits);
	owner.guest_off = (((uint64_t)g->l1_index << geo->l2_bits) + index)
			  << geo->cluster_bits;
	for (v = 0; v < g->n; v++) {
		const struct qf_l2_table *t = &f->w->table[g->first + v];

		if (r->members && !(r->members[v / 64] >> (v % 64) & 1))
			continue;
		owner.pointer_off = t->off + index * geo->l2_entry_bytes;
		if (f->list[k].n < f->limit)
			owner.pointer = word_at(f, owner.pointer_off);
		if (!put_holders(f, &f->list[k], g, t, &owner))
			return false;
	}
	return true;
}

static bool find_runs(void *ctx, unsigned int worker, const struct qf_group *g,
		      const struct qf_run *r, size_t n)
{
	struct finding *f = ctx;
	uint64_t off = 0, bytes;
	size_t i, k, first, hits;
	bool good = true;

	(void)worker;
	for (i = 0; good && i < n; i++, r++) {
		bytes = qf_recount_run_bytes(f->w->img, r, &off);
		hits = bytes ? touched(f, off, bytes, &first) : 0;
		if (!hits)
			continue;
		pthread_mutex_lock(&f->lock);
		for (k = first; good && k < first + hits; k++)
			good = put_run(f, k, g, r, off, bytes);
		pthread_mutex_unlock(&f->lock);
	}
	return good;
}

/* One owner for each holder whose L1 entry names table T of group G. */
static bool put_table(struct finding *f, struct qf_owner_list *l,
		      const struct qf_group *g, const struct qf_l2_table *t)
{
	const struct qf_geometry *geo = &f->w->img->geo;
	struct qf_owner owner = { .kind = QF_REF_L2,
				  .host_off = t->off,
				  .bytes = geo->cluster_bytes };
	uint64_t l1_off = 0;
	uint32_t i, entries;

	if (l->n == f->limit) {
		l->total += t->weight;
		return true;
	}
	owner.guest_off = (uint64_t)g->l1_index
			  << (geo->l2_bits + geo->cluster_bits);
	find_holders(f, g, t);
	for (i = 0; i < f->n_holders; i++) {
		owner.holder = f->holder[i];
		qf_image_l1(f->w->img, owner.holder, &l1_off, &entries);
		owner.pointer_off = l1_off + g->l1_index * 8ull;
		if (l->n < f->limit)
			owner.pointer = word_at(f, owner.pointer_off);
		if (!put(f, l, &owner))
			return false;
	}
	return true;
}

static bool find_tables(struct finding *f)
{
	const struct qf_group *g = f->w->group;
	uint64_t bytes = f->w->img->geo.cluster_bytes;
	const struct qf_l2_table *t;
	size_t first, hits;
	uint32_t i, k;

	for (i = 0; i < f->w->n_groups; i++, g++) {
		t = &f->w->table[g->first];
		for (k = 0; k < g->n; k++, t++) {
			hits = touched(f, t->off, bytes, &first);
			for (; hits; hits--, first++)
				if (!put_table(f, &f->list[first], g, t))
					return false;
		}
	}
	return true;
}

static bool find_claim(void *ctx, const struct qf_claim *c)
{
	struct finding *f = ctx;
	struct qf_owner owner = { .kind = c->kind,
				  .holder = c->holder,
				  .host_off = c->off,
				  .bytes = c->bytes,
				  .guest_off = QF_NOWHERE,
				  .pointer_off = c->pointer_off };

	size_t k, hits = touched(f, c->off, c->bytes, &k);

	for (; hits; hits--, k++)
		if (!put(f, &f->list[k], &owner))
			return false;
	return true;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_owner *a = pa, *b = pb;
	int c = compare(a->kind, b->kind);

	if (!c)
		c = compare(a->guest_off, b->guest_off);
	if (!c)
		c = compare(a->pointer_off, b->pointer_off);
	return c ? c : compare(a->holder, b->holder);
}

static enum qf_err find(struct finding *f, unsigned int jobs)
{
	struct qf_claim_fns fns = { .ctx = f, .claim = find_claim };
	struct qf_visitor v = { .ctx = f, .runs = find_runs };
	enum qf_err err;
	size_t i;

	for (i = 0; i < f->n; i++)
		f->list[i].n = f->list[i].total = 0;
	err = qf_walk_metadata(f->w->img, &fns);
	if (!err && !find_tables(f))
		err = QF_ERR_NOMEM;
	if (!err)
		err = qf_walk_run(f->w, jobs, &v, NULL);
	return err || f->failed ? QF_ERR_NOMEM : QF_OK;
}

static bool any_cut(const struct finding *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->list[i].total > f->list[i].n)
			return true;
	return false;
}

enum qf_err qf_owners_find_all(struct qf_walk *w, unsigned int jobs,
			       const uint64_t *cluster, size_t n, size_t limit,
			       struct qf_owner_list *list, struct qf_why *why)
{
	struct finding f = {
		.w = w, .cluster = cluster, .n = n, .limit = limit, .list = list
	};
	enum qf_err err = QF_ERR_NOMEM;
	size_t i;

	memset(list, 0, n * sizeof(*list));
	f.holder = qf_mem_zalloc(qf_image_holders(w->img), sizeof(*f.holder));
	pthread_mutex_init(&f.lock, NULL);
	if (f.holder)
		err = find(&f, jobs);
	/* which ones are over the limit must not depend on the workers */
	if (!err && any_cut(&f))
		err = find(&f, 1);
	pthread_mutex_destroy(&f.lock);
	free(f.holder);
	for (i = 0; i < n; i++) {
		if (err)
			qf_owners_list_free(&list[i]);
		else if (list[i].n)
			qsort(list[i].at, list[i].n, sizeof(*list[i].at),
			      by_place);
	}
	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory for the list of owners");
	return err;
}

enum qf_err qf_owners_find(struct qf_walk *w, unsigned int jobs,
			   uint64_t cluster, size_t limit,
			   struct qf_owner_list *list, struct qf_why *why)
{
	return qf_owners_find_all(w, jobs, &cluster, 1, limit, list, why);
}

void qf_owners_list_free(struct qf_owner_list *list)
{
	free(list->at);
	memset(list, 0, sizeof(*list));
}
