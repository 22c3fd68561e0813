// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/api/api.h"
#include "lib/walk/owners.h"

_Static_assert((int)QFSCK_USE_CRYPTO_HEADER == (int)QF_REF_CRYPTO &&
		       (int)QFSCK_USE_BITMAP_DATA == (int)QF_REF_BITMAP_DATA &&
		       (int)QFSCK_USE_REFCOUNT_TABLE == (int)QF_REF_REFTABLE,
	       "uses are numbered as the walker's kinds");

struct tour {
	const struct qf_image *img;
	const struct qf_walk *walk;
	qfsck_reference_fn *fn;
	void *ctx;
	uint64_t unread;
};

static bool tell_claim(void *ctx, const struct qf_claim *c)
{
	struct tour *t = ctx;
	struct qfsck_reference r = {
		.host_offset = c->off,
		.length = c->bytes,
		.guest_offset = QFSCK_NOWHERE,
		.pointer_offset = c->pointer_off,
		.use = (int)c->kind,
		.holder = c->holder,
		.holders = c->holder != QF_HOLDER_IMAGE && c->kind == QF_REF_L1,
		.active = c->holder == QF_HOLDER_ACTIVE && c->kind == QF_REF_L1,
	};

	return !t->fn(t->ctx, &r);
}

static uint64_t guest_of(const struct tour *t, const struct qf_group *g,
			 uint32_t index)
{
	const struct qf_geometry *geo = &t->img->geo;

	return ((uint64_t)g->l1_index << (geo->l2_bits + geo->cluster_bits)) +
	       ((uint64_t)index << geo->cluster_bits);
}

/* The first of the group's tables that says what RUN says. */
static const struct qf_l2_table *table_of(const struct tour *t,
					  const struct qf_group *g,
					  const struct qf_run *run)
{
	const struct qf_l2_table *table = &t->walk->table[g->first];
	uint32_t i;

	for (i = 0; run->members && i < g->n; i++)
		if (run->members[i / 64] >> (i % 64) & 1)
			return &table[i];
	return table;
}

static bool tell_runs(void *ctx, unsigned int worker, const struct qf_group *g,
		      const struct qf_run *run, size_t n)
{
	struct tour *t = ctx;
	const struct qf_geometry *geo = &t->img->geo;
	const struct qf_l2_table *table;
	struct qfsck_reference r = { 0 };
	size_t i;

	(void)worker;
	for (i = 0; i < n; i++, run++) {
		if (run->kind == QF_ENTRY_KIND_NONE ||
		    run->kind == QF_ENTRY_KIND_ZERO)
			continue;
		table = table_of(t, g, run);
		r.use = QFSCK_USE_DATA;
		r.host_offset = run->entry & QF_ENTRY_OFFSET_MASK;
		r.length = (uint64_t)run->n << geo->cluster_bits;
		if (run->kind == QF_ENTRY_KIND_COMPRESSED) {
			r.use = QFSCK_USE_COMPRESSED;
			qf_entry_compressed(geo, run->entry, &r.host_offset,
					    &r.length);
		}
		r.guest_offset = guest_of(t, g, run->index);
		r.pointer_offset =
			table->off + (uint64_t)run->index * geo->l2_entry_bytes;
		r.holder = run->active ? QFSCK_ACTIVE : table->holder;
		r.holders = run->weight;
		r.active = run->active;
		if (t->fn(t->ctx, &r))
			return false;
	}
	return true;
}

static bool tell_tables(void *ctx, unsigned int worker, struct qf_group *g)
{
	struct tour *t = ctx;
	const struct qf_l2_table *table = &t->walk->table[g->first];
	struct qfsck_reference r = {
		.length = t->img->geo.cluster_bytes,
		.guest_offset = guest_of(t, g, 0),
		.pointer_offset = QFSCK_NOWHERE,
		.use = QFSCK_USE_L2,
	};
	uint32_t i;

	(void)worker;
	for (i = 0; i < g->n; i++, table++) {
		t->unread += table->unread != 0;
		r.host_offset = table->off;
		r.holder = table->active ? QFSCK_ACTIVE : table->holder;
		r.holders = table->weight;
		r.active = table->active;
		if (t->fn(t->ctx, &r))
			return false;
	}
	return true;
}

QF_PUBLIC int qfsck_walk(struct qfsck_image *q, qfsck_reference_fn *fn,
			 void *ctx, uint64_t *unread, struct qfsck_error *error)
{
	struct qf_walk w = { 0 };
	struct tour t = { .img = q->img, .walk = &w, .fn = fn, .ctx = ctx };
	struct qf_claim_fns claims = { .ctx = &t, .claim = tell_claim };
	struct qf_visitor v = { .ctx = &t,
				.runs = tell_runs,
				.end = tell_tables };
	struct qf_why why = { 0 };
	enum qf_err err = qf_walk_gather(q->img, &w, &why);

	if (!err)
		err = qf_walk_metadata(q->img, &claims);
	if (!err)
		err = qf_walk_run(&w, 1, &v, &why);
	if (unread)
		*unread = t.unread + w.n_gaps;
	qf_walk_free(&w);
	return qf_api_fail(&why, err, error);
}

static enum qf_err tell_owners(const struct qf_owner_list *l,
			       qfsck_reference_fn *fn, void *ctx)
{
	struct qfsck_reference r = { .holders = 1 };
	size_t i;

	for (i = 0; i < l->n; i++) {
		r.host_offset = l->at[i].host_off;
		r.length = l->at[i].bytes;
		r.guest_offset = l->at[i].guest_off;
		r.pointer_offset = l->at[i].pointer_off;
		r.use = (int)l->at[i].kind;
		r.holder = l->at[i].holder;
		r.active = r.holder == QF_HOLDER_ACTIVE &&
			   (r.use == QFSCK_USE_L1 || r.use == QFSCK_USE_L2 ||
			    r.use == QFSCK_USE_DATA ||
			    r.use == QFSCK_USE_COMPRESSED);
		if (fn(ctx, &r))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}

QF_PUBLIC int qfsck_owners(struct qfsck_image *q, uint64_t host_offset,
			   qfsck_reference_fn *fn, void *ctx, uint64_t *stated,
			   struct qfsck_error *error)
{
	uint64_t cluster = host_offset >> q->img->geo.cluster_bits;
	struct qf_owner_list list = { 0 };
	struct qf_walk w = { 0 };
	struct qf_why why = { 0 };
	enum qf_err err;

	if (host_offset >= q->img->io->size)
		err = qf_err_set(&why, QF_ERR_OUTSIDE, 0, host_offset,
				 "the file ends before");
	else
		err = qf_walk_gather(q->img, &w, &why);
	if (!err)
		err = qf_owners_find(&w, 0, cluster, SIZE_MAX, &list, &why);
	if (!err)
		err = tell_owners(&list, fn, ctx);
	if (!err && stated)
		err = qf_image_refcount(q->img, cluster, stated, &why);
	qf_owners_list_free(&list);
	qf_walk_free(&w);
	return qf_api_fail(&why, err, error);
}
