/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The witness "order": a writer that goes through the disk takes one host
 * cluster after another. What an entry said is what lies as far from its
 * neighbours' clusters as it stands from them in the table; neighbours that
 * are themselves in question are passed over, and count.
 */
#ifndef QF_ORDER_H
#define QF_ORDER_H

#include "check/judge/facts.h"
#include "check/judge/question.h"

/* Where the entry's cluster would lie; 0: that side says nothing. */
struct qf_order {
	uint64_t left, right; /* host offsets */
	/* the clusters of the nearest sound entries; 0: there is none */
	uint64_t before, behind;
	/* that one is the very next; and it runs on with the one behind it */
	bool left_near, right_near, left_runs, right_runs;
	uint64_t line; /* where all entries around put it; 0: nowhere */
};

/* Looks around the L2 entry that stands at POINTER_OFF. */
void qf_order_look(const struct qf_facts *f, uint64_t pointer_off,
		   struct qf_order *o);

/*
 * What O says for a hypothesis that the entry named VALUE. CLOSES: all counts
 * of the image agree if what leads nowhere is put right. WHOLE: with it, and
 * nothing else, all counts of the image agree. DEAD: the entry leads nowhere,
 * and is no owner of a cluster that others claim.
 */
void qf_order_speak(const struct qf_order *o, uint64_t value, bool closes,
		    bool whole, bool dead, struct qf_hypothesis *h);

/* True if the entry runs on with both neighbours, or with one, at VALUE. */
static inline bool qf_order_both(const struct qf_order *o, uint64_t value)
{
	return value && o->left == value && o->right == value;
}

static inline bool qf_order_one(const struct qf_order *o, uint64_t value)
{
	return value && (o->left == value || o->right == value);
}

#endif
