// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 entries that lead nowhere. What such a word still says is no evidence:
 * every bit of it may be wrong. Only what lies around it speaks.
 */
#include "check/judge/order.h"
#include "check/judge/questions.h"

static void ask(const struct qf_facts *f, struct qf_questions *l,
		const struct qf_dead_entry *d)
{
	const struct qf_geometry *g = &f->img->geo;
	uint64_t place = d->table->off + (uint64_t)d->index * g->l2_entry_bytes;
	struct qf_question *q = qf_question_add(l, QF_QUESTION_ENTRY, place);
	struct qf_hypothesis *h;
	struct qf_order order;

	if (!q)
		return;
	q->guest_off = (((uint64_t)d->group->l1_index << g->l2_bits) + d->index)
		       << g->cluster_bits;
	q->bytes = g->cluster_bytes;
	q->opposed = true;
	if (qf_cut_took_entry(f->cut, g, d->entry, d->odd)) {
		h = qf_question_other(q, QF_HYPO_AS_IS);
		qf_question_for(h, QF_WITNESS_WAS_COUNTED);
		qf_question_for(h, QF_WITNESS_WELL_FORMED);
	}
	if (!f->refs_high && !f->unknown) {
		h = qf_question_other(q, QF_HYPO_GONE);
		qf_question_for(h, QF_WITNESS_NO_ORPHAN);
		return;
	}
	qf_order_look(f, place, &order);
	qf_ask_candidates(f, q, place, q->guest_off, d->table->weight, &order);
}

void qf_ask_entries(const struct qf_facts *f, struct qf_questions *l)
{
	size_t i;

	for (i = 0; i < f->n_dead; i++)
		ask(f, l, &f->dead[i]);
}
