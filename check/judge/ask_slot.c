// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An L2 table without a name, and one empty entry in the L1 table: was it its?
 * The counts tell that they belong together, if no other entry moved. Where
 * all entries behind one have moved by a place, the same is left: one table
 * and one empty entry. Then the table lies out of order there.
 */
#include "check/judge/questions.h"

/* The active L1 table, as far as the disk needs it. */
struct slots {
	uint64_t needed;
	uint64_t empty;	      /* the only entry that is empty */
	uint64_t left, right; /* tables of the nearest entries; 0: none */
	bool in_line;	      /* all tables lie in the order of the entries */
};

/* False: there is not one empty entry, or another one leads nowhere. */
static bool find_slot(const struct qf_facts *f, struct slots *s)
{
	const struct qf_group *g = f->walk->group;
	uint64_t named = 0, sum = 0;
	const struct qf_l2_table *t;
	uint32_t i, v;

	s->needed = f->img->geo.l1_needed;
	for (i = 0; i < f->walk->n_groups; i++, g++) {
		if (g->l1_index >= s->needed)
			continue;
		for (v = 0; v < g->n; v++) {
			t = &f->walk->table[g->first + v];
			if (t->odd || !t->off)
				return false;
			named += t->active;
			sum += t->active ? g->l1_index : 0;
		}
	}
	/* what lacks of 0 + 1 + ... + (needed - 1) */
	s->empty = s->needed * (s->needed - 1) / 2 - sum;
	return named + 1 == s->needed;
}

/* The tables beside the empty entry, and whether all lie in the order of their
 * entries. */
static void find_sides(const struct qf_facts *f, struct slots *s)
{
	const struct qf_group *g = f->walk->group;
	const struct qf_l2_table *t;
	uint64_t last = 0;
	uint32_t i, v;

	s->in_line = true;
	for (i = 0; i < f->walk->n_groups; i++, g++)
		for (v = 0; v < g->n; v++) {
			t = &f->walk->table[g->first + v];
			if (!t->active || g->l1_index >= s->needed)
				continue;
			s->in_line &= t->off > last;
			last = t->off;
			if (g->l1_index < s->empty)
				s->left = t->off;
			else if (!s->right)
				s->right = t->off;
		}
}

static void speak(const struct slots *s, uint64_t table,
		  struct qf_hypothesis *h)
{
	bool left = s->left && s->left < table;
	bool right = s->right && table < s->right;

	/* out of order, the counts say no more for it than for a shift */
	if ((s->left && !left) || (s->right && !right)) {
		qf_question_against(h, QF_WITNESS_SLOT_DISORDER);
		return;
	}
	qf_question_for(h, QF_WITNESS_SLOT_ONLY);
	if (s->needed == 1)
		qf_question_for(h, QF_WITNESS_SLOT_SINGLE);
	else
		qf_question_for(h, s->in_line && s->needed > 2
					   ? QF_WITNESS_SLOT_LINE
					   : QF_WITNESS_SLOT_ORDER);
}

void qf_ask_slots(const struct qf_facts *f, struct qf_questions *l)
{
	const struct qf_geometry *g = &f->img->geo;
	uint64_t span = g->cluster_bytes << g->l2_bits, l1;
	struct slots s = { 0 };
	struct qf_question *q;
	uint32_t entries;

	/* with snapshots it may be one of theirs; and where something has an
	 * owner too many, that one may have had it */
	if (f->n_nameless != 1 || f->refs_low || f->unknown ||
	    f->img->hdr.snapshot_count || f->img->l1_state != QF_PART_OK ||
	    f->walk->n_gaps ||
	    !qf_image_l1(f->img, QF_HOLDER_ACTIVE, &l1, &entries) ||
	    entries < g->l1_needed || !find_slot(f, &s))
		return;
	find_sides(f, &s);
	q = qf_question_add(l, QF_QUESTION_SLOT, l1 + s.empty * 8);
	if (!q)
		return;
	q->problem = QF_P_L2_ORPHAN;
	q->holder = QF_HOLDER_ACTIVE;
	q->guest_off = s.empty * span;
	q->bytes = span;
	q->opposed = true; /* it reads nothing today */
	speak(&s, f->nameless[0],
	      qf_question_value(q, q->place_off, f->nameless[0]));
}
