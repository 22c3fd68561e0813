// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 entries that lead nowhere. What such a word still says is no evidence:
 * every bit of it may be wrong. Only what lies around it speaks.
 */
#include "check/judge/order.h"
#include "check/judge/questions.h"
#include "lib/base/mem.h"

#include <stdlib.h>

struct work {
	const struct qf_facts *f;
	uint64_t *named; /* what all such entries name, ascending */
};

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* True if another one names the same: then one of them is bent. */
static bool is_named_twice(const struct work *w, uint64_t entry)
{
	const uint64_t off = entry & QF_ENTRY_OFFSET_MASK;
	const uint64_t *at = bsearch(&off, w->named, w->f->n_dead,
				     sizeof(*w->named), by_number);

	return (at > w->named && at[-1] == off) ||
	       (at + 1 < w->named + w->f->n_dead && at[1] == off);
}

static void ask(const struct work *w, struct qf_questions *l,
		const struct qf_dead_entry *d)
{
	const struct qf_facts *f = w->f;
	const struct qf_geometry *g = &f->img->geo;
	uint64_t place = d->table->off + (uint64_t)d->index * g->l2_entry_bytes;
	struct qf_hypothesis *h;
	struct qf_question *q;
	struct qf_order order;

	/* where something else stands as well, it may be no entry at all */
	if (qf_facts_is_double(f, d->table->off))
		return;
	q = qf_question_add(l, QF_QUESTION_ENTRY, place);
	if (!q)
		return;
	q->guest_off = (((uint64_t)d->group->l1_index << g->l2_bits) + d->index)
		       << g->cluster_bits;
	q->bytes = g->cluster_bytes;
	q->holder = d->table->holder;
	q->weight = d->table->weight;
	q->opposed = true;
	if (!f->refs_high && !f->unknown) {
		h = qf_question_other(q, QF_HYPO_GONE);
		qf_question_for(h, QF_WITNESS_NO_ORPHAN);
		return;
	}
	if (qf_cut_took_entry(f->cut, g, d->entry, d->odd) &&
	    !is_named_twice(w, d->entry)) {
		h = qf_question_other(q, QF_HYPO_GONE);
		qf_question_for(h, QF_WITNESS_WAS_COUNTED);
		qf_question_for(h, QF_WITNESS_WELL_FORMED);
	}
	qf_order_look(f, place, &order);
	qf_ask_candidates(f, q, place, q->guest_off, d->table->weight, &order);
}

void qf_ask_entries(const struct qf_facts *f, struct qf_questions *l)
{
	struct work w = { .f = f };
	size_t i;

	/* a data file has each cluster at its guest offset: no question */
	if (f->img->geo.data_file || !f->n_dead)
		return;
	w.named = qf_mem_zalloc(f->n_dead, sizeof(*w.named));
	if (!w.named) {
		l->failed = true;
		return;
	}
	for (i = 0; i < f->n_dead; i++)
		w.named[i] = f->dead[i].entry & QF_ENTRY_OFFSET_MASK;
	qsort(w.named, f->n_dead, sizeof(*w.named), by_number);
	for (i = 0; i < f->n_dead; i++)
		ask(&w, l, &f->dead[i]);
	free(w.named);
}
