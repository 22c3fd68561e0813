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
#define MAX_OWNERS 16u
#define MAX_CLAIMANTS 16u

/* So many clusters are followed whose entry seems to be another one's. */
#define MAX_TAKEN 1024u

/* Clusters whose owners are asked for. */
struct batch {
	uint64_t *cluster; /* ascending */
	struct qf_owner_list *list;
	size_t n, room;
};

struct work {
	const struct qf_facts *f;
	struct qf_questions *l;
	struct batch shared;
	/* clusters that an entry's neighbours expect, and another entry has:
	 * that one may have been bent to it, and its own be taken by a next */
	struct batch taken;
	uint64_t *seen; /* those of the batches before */
	size_t n_seen, seen_room;
	bool failed; /* no memory */
};

static void add_cluster(struct work *w, struct batch *b, uint64_t cluster)
{
	if (b->n >= MAX_CLUSTERS)
		return;
	if (!qf_mem_grow((void **)&b->cluster, b->n, &b->room,
			 sizeof(*b->cluster))) {
		w->failed = true;
		return;
	}
	b->cluster[b->n++] = cluster;
}

static void collect(struct work *w)
{
	const struct qf_trouble *tr = w->f->recount->trouble;
	uint32_t bits = w->f->img->geo.cluster_bits;
	uint64_t cl;
	size_t i;

	for (i = 0; i < w->f->recount->n_troubles; i++, tr++)
		for (cl = tr->first;
		     tr->why & QF_TROUBLE_DOUBLE && cl < tr->first + tr->n &&
		     w->shared.n < MAX_CLUSTERS;
		     cl++)
			if (qf_facts_is_double(w->f, cl << bits))
				add_cluster(w, &w->shared, cl);
}

/* What speaks for the place that the entry names now. */
static void defend(const struct qf_facts *f, const struct qf_order *mine,
		   uint64_t shared, struct qf_question *q)
{
	struct qf_hypothesis *h = qf_question_other(q, QF_HYPO_AS_IS);

	if (qf_order_one(mine, shared))
		qf_order_speak(mine, shared, qf_facts_close(f), false, false,
			       h);
}

/* Claimant number I of the N at G: does it belong there, or was it bent? */
static void ask_one(struct work *w, const struct qf_claimant *g,
		    const struct qf_order *order, size_t n, size_t i,
		    uint64_t shared)
{
	uint64_t pointer = qf_claimants_pointer(&g[i]);
	struct qf_question *q =
		qf_question_add(w->l, QF_QUESTION_CLAIM, pointer);
	bool rival;
	unsigned int h;
	size_t k;

	if (!q)
		return;
	q->problem = QF_P_DOUBLE_DATA;
	q->shared_off = shared;
	q->guest_off = g[i].at->guest_off;
	q->bytes = w->f->img->geo.cluster_bytes;
	q->holder = g[i].at->holder;
	q->weight = g[i].n;
	q->opposed = true;
	defend(w->f, &order[i], shared, q);
	qf_ask_candidates(w->f, q, pointer, q->guest_off, g[i].n, &order[i]);
	for (k = 0; k < n; k++)
		if (!qf_claimants_is_data(g[k].at->kind))
			q->problem = QF_P_DOUBLE_META;
	/* alone on a cluster, it is asked because another one expects it */
	rival = n == 1;
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

/* An entry whose neighbours agree on a cluster that it does not name. */
static void note_taken(struct work *w, const struct qf_order *o,
		       uint64_t shared)
{
	uint64_t cluster = o->left >> w->f->img->geo.cluster_bits;
	size_t i;

	if (!o->left || o->left != o->right || o->left == shared ||
	    o->left >= w->f->img->io->size ||
	    qf_facts_is_orphan(w->f, o->left, NULL) ||
	    qf_facts_is_double(w->f, o->left))
		return;
	for (i = 0; i < w->n_seen; i++)
		if (w->seen[i] == cluster)
			return;
	if (!qf_mem_grow((void **)&w->seen, w->n_seen, &w->seen_room,
			 sizeof(*w->seen))) {
		w->failed = true;
		return;
	}
	w->seen[w->n_seen++] = cluster;
	add_cluster(w, &w->taken, cluster);
}

static void ask(struct work *w, const struct batch *b, size_t k)
{
	struct qf_claimant g[MAX_CLAIMANTS] = { 0 };
	struct qf_order order[MAX_CLAIMANTS] = { 0 };
	uint64_t shared = b->cluster[k] << w->f->img->geo.cluster_bits;
	size_t n, i;

	if (b->list[k].total != b->list[k].n)
		return;
	n = qf_claimants_split(&b->list[k], g, MAX_CLAIMANTS);
	for (i = 0; i < n; i++)
		if (is_entry(&g[i]))
			qf_order_look(w->f, qf_claimants_pointer(&g[i]),
				      &order[i]);
	for (i = 0; i < n; i++)
		if (is_entry(&g[i]))
			ask_one(w, g, order, n, i, shared);
	for (i = 0; i < n; i++)
		note_taken(w, &order[i], shared);
}

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* Finds the owners of a batch, and asks each entry among them. */
static enum qf_err ask_all(struct work *w, struct batch *b, struct qf_why *why)
{
	size_t k, n = 0;
	enum qf_err err;

	if (!b->n)
		return QF_OK;
	qsort(b->cluster, b->n, sizeof(*b->cluster), by_number);
	for (k = 0; k < b->n; k++)
		if (!n || b->cluster[n - 1] != b->cluster[k])
			b->cluster[n++] = b->cluster[k];
	b->n = n;
	b->list = qf_mem_zalloc(n, sizeof(*b->list));
	if (!b->list)
		return QF_ERR_NOMEM;
	err = qf_owners_find_all(w->f->walk, w->f->jobs, b->cluster, n,
				 MAX_OWNERS, b->list, why);
	for (k = 0; !err && k < n; k++)
		ask(w, b, k);
	return err;
}

static void free_batch(struct batch *b)
{
	size_t k;

	for (k = 0; b->list && k < b->n; k++)
		qf_owners_list_free(&b->list[k]);
	free(b->list);
	free(b->cluster);
}

enum qf_err qf_ask_claims(const struct qf_facts *f, struct qf_questions *l,
			  struct qf_why *why)
{
	struct work w = { .f = f, .l = l };
	struct batch now;
	enum qf_err err;

	collect(&w);
	err = ask_all(&w, &w.shared, why);
	while (!err && w.taken.n && w.n_seen < MAX_TAKEN) {
		now = w.taken;
		w.taken = (struct batch){ 0 };
		err = ask_all(&w, &now, why);
		free_batch(&now);
	}
	if (!err && w.failed)
		err = QF_ERR_NOMEM;
	free_batch(&w.shared);
	free_batch(&w.taken);
	free(w.seen);
	return err;
}
