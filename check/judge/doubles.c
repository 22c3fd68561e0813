// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/doubles.h"

/* So many clusters are looked at. */
#define MAX_LOOKED 65536u

static bool is_data(const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_DATA || o->kind == QF_REF_COMPRESSED;
}

static bool is_snapshot_meta(const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_SNAPSHOT_TABLE ||
	       (o->kind == QF_REF_L1 && !o->active);
}

/* The image's own metadata are as much the active disk's. */
static bool is_active(const struct qf_detail_owner *o)
{
	return o->active || (!is_data(o) && o->kind != QF_REF_L2);
}

static bool is_garbage(const struct qf_pass_ctx *c,
		       const struct qf_detail_owner *o)
{
	return qf_detail_holds_garbage(&c->detail, o->table_off);
}

/* What another finding explains. */
static bool is_explained(const struct qf_pass_ctx *c,
			 const struct qf_detail_owner *a,
			 const struct qf_detail_owner *b)
{
	uint64_t in_cluster = c->img->geo.cluster_bytes - 1;

	if ((is_data(a) && a->kind == QF_REF_DATA &&
	     a->entry & QF_ENTRY_OFFSET_MASK & in_cluster) ||
	    (is_data(b) && b->kind == QF_REF_DATA &&
	     b->entry & QF_ENTRY_OFFSET_MASK & in_cluster))
		return true;
	if (is_data(a) && is_data(b) && a->table_off == b->table_off &&
	    a->l1_index != b->l1_index)
		return true;
	return (is_data(a) && is_garbage(c, a)) ||
	       (is_data(b) && is_garbage(c, b));
}

/* The judge knows that the entry was bent, and so no writer's doing. */
static bool is_bent(const struct qf_pass_ctx *c,
		    const struct qf_detail_owner *o)
{
	const struct qf_question *q =
		o->kind == QF_REF_DATA
			? qf_question_at(c->questions, QF_QUESTION_CLAIM,
					 o->pointer_off)
			: NULL;

	return q && qf_question_is_answered(q);
}

/* True if the entry's neighbours say that it belongs where it stands. */
static bool belongs(const struct qf_pass_ctx *c,
		    const struct qf_detail_owner *o)
{
	const struct qf_question *q =
		o->kind == QF_REF_DATA
			? qf_question_at(c->questions, QF_QUESTION_CLAIM,
					 o->pointer_off)
			: NULL;

	return q && q->grade >= QF_GRADE_POSSIBLE &&
	       q->h[q->best].kind == QF_HYPO_AS_IS;
}

static void count_one(const struct qf_pass_ctx *c, struct qf_doubles *d,
		      const struct qf_detail_owner *o)
{
	const struct qf_detail_owner *l2 = o[0].kind == QF_REF_L2   ? &o[0]
					   : o[1].kind == QF_REF_L2 ? &o[1]
								    : NULL;

	if (is_explained(c, &o[0], &o[1]) || is_bent(c, &o[0]) ||
	    is_bent(c, &o[1]) || belongs(c, &o[0]) != belongs(c, &o[1]))
		return;
	if (is_snapshot_meta(&o[0]) || is_snapshot_meta(&o[1]))
		d->snapshot++;
	else if (is_active(&o[0]) && is_active(&o[1]))
		d->active++;
	else
		d->mixed++;
	if (l2 && l2->active && is_garbage(c, l2))
		d->overwritten++;
}

void qf_doubles_count(const struct qf_pass_ctx *c, struct qf_doubles *d)
{
	const struct qf_trouble *tr = c->recount.trouble;
	const struct qf_detail_owner *o;
	unsigned int looked = 0;
	uint64_t k;
	size_t i, n;

	*d = (struct qf_doubles){ 0 };
	for (i = 0; i < c->recount.n_troubles; i++, tr++) {
		if (!(tr->why & QF_TROUBLE_DOUBLE))
			continue;
		d->crowd |= tr->counted > 2ull * qf_image_holders(c->img) + 2;
		/* the owners may change in the midst of a run */
		for (k = 0; k < tr->n && looked++ < MAX_LOOKED; k++) {
			o = qf_detail_owners(&c->detail, tr->first + k, &n);
			if (n > 1)
				count_one(c, d, o);
		}
	}
}

static bool makes_sense(const struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	uint32_t i;

	if (t->state != QF_SNAPSHOTS_OK)
		return false;
	for (i = 0; i < t->n; i++)
		if (!t->snap[i].id[0] || !t->snap[i].l1_off ||
		    t->snap[i].extra_bytes > QF_MAX_SNAPSHOT_EXTRA ||
		    t->snap[i].l1_off & (c->img->geo.cluster_bytes - 1))
			return false;
	return true;
}

bool qf_doubles_took_snapshots(const struct qf_pass_ctx *c)
{
	const struct qf_snapshot_table *t = &c->img->snapshots;
	uint64_t cluster = t->off >> c->img->geo.cluster_bits;

	return t->stated && cluster && cluster < c->recount.clusters &&
	       !makes_sense(c) &&
	       qf_recount_counted(&c->recount, cluster) > (t->bytes != 0);
}
