// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host clusters that several claim. Each entry of the guest's disk that does
 * is asked whether it belongs there or was bent. Where a writer handed the
 * cluster out twice, neither was, and nothing tells whose bytes it holds.
 */
#include "check/judge/claimants.h"
#include "check/judge/order.h"
#include "check/judge/questions.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/* So many shared clusters are asked about, and owners of each looked at. */
#define MAX_CLUSTERS 8192u
#define MAX_OWNERS 64u
#define MAX_CLAIMANTS 16u

struct work {
	const struct qf_facts *f;
	struct qf_questions *l;
	uint64_t *cluster;
	struct qf_owner_list *list;
	size_t n, room;
};

static bool collect(struct work *w)
{
	const struct qf_trouble *tr = w->f->recount->trouble;
	uint32_t bits = w->f->img->geo.cluster_bits;
	uint64_t cl;
	size_t i;

	for (i = 0; i < w->f->recount->n_troubles; i++, tr++)
		for (cl = tr->first;
		     tr->why & QF_TROUBLE_DOUBLE && cl < tr->first + tr->n &&
		     w->n < MAX_CLUSTERS;
		     cl++) {
			if (!qf_facts_is_double(w->f, cl << bits))
				continue;
			if (!qf_mem_grow((void **)&w->cluster, w->n, &w->room,
					 sizeof(*w->cluster)))
				return false;
			w->cluster[w->n++] = cl;
		}
	return true;
}

/* What speaks for the place that the entry names now. */
static void defend(const struct qf_order *mine, uint64_t shared,
		   struct qf_question *q)
{
	struct qf_hypothesis *h = qf_question_other(q, QF_HYPO_AS_IS);

	if (qf_order_one(mine, shared))
		qf_order_speak(mine, shared, h);
}

/* Claimant number I of the N at G: does it belong there, or was it bent? */
static void ask_one(struct work *w, const struct qf_claimant *g,
		    const struct qf_order *order, size_t n, size_t i,
		    uint64_t shared)
{
	uint64_t pointer = qf_claimants_pointer(&g[i]);
	struct qf_question *q =
		qf_question_add(w->l, QF_QUESTION_CLAIM, pointer);
	bool rival = false;
	unsigned int h;
	size_t k;

	if (!q)
		return;
	q->shared_off = shared;
	q->guest_off = g[i].at->guest_off;
	q->bytes = w->f->img->geo.cluster_bytes;
	q->opposed = true;
	defend(&order[i], shared, q);
	qf_ask_candidates(w->f, q, pointer, q->guest_off, g[i].n, &order[i]);
	for (k = 0; k < n; k++)
		rival |= k != i && qf_order_one(&order[k], shared);
	for (h = 1; h < q->n; h++)
		if (q->h[h].kind == QF_HYPO_VALUE && rival)
			qf_question_for(&q->h[h], QF_WITNESS_ORDER_OTHER);
}

/* True if it is one entry of an L2 table that names the cluster. */
static bool is_entry(const struct qf_claimant *g)
{
	return g->at->kind == QF_REF_DATA &&
	       qf_claimants_pointer(g) != QF_NOWHERE;
}

static void ask(struct work *w, size_t k)
{
	struct qf_claimant g[MAX_CLAIMANTS] = { 0 };
	struct qf_order order[MAX_CLAIMANTS] = { 0 };
	uint64_t shared = w->cluster[k] << w->f->img->geo.cluster_bits;
	size_t n, i;

	if (w->list[k].total != w->list[k].n)
		return;
	n = qf_claimants_split(&w->list[k], g, MAX_CLAIMANTS);
	for (i = 0; i < n; i++)
		if (is_entry(&g[i]))
			qf_order_look(w->f, qf_claimants_pointer(&g[i]),
				      &order[i]);
	for (i = 0; i < n; i++)
		if (is_entry(&g[i]))
			ask_one(w, g, order, n, i, shared);
}

enum qf_err qf_ask_claims(const struct qf_facts *f, struct qf_questions *l,
			  struct qf_why *why)
{
	struct work w = { .f = f, .l = l };
	enum qf_err err = QF_OK;
	size_t k;

	if (!collect(&w))
		err = QF_ERR_NOMEM;
	if (!err && w.n) {
		w.list = qf_mem_zalloc(w.n, sizeof(*w.list));
		err = w.list ? qf_owners_find_all(f->walk, f->jobs, w.cluster,
						  w.n, MAX_OWNERS, w.list, why)
			     : QF_ERR_NOMEM;
	}
	for (k = 0; !err && k < w.n; k++)
		ask(&w, k);
	for (k = 0; w.list && k < w.n; k++)
		qf_owners_list_free(&w.list[k]);
	free(w.list);
	free(w.cluster);
	return err;
}
