// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/questions.h"
#include "check/judge/order.h"
#include "check/judge/stream.h"
#include "check/judge/versions.h"

#define MAX_VERSION_ANSWERS 3u

/* True if VALUE is all that lacks owners, WEIGHT of them, and the image has one
 * entry that leads nowhere, or one owner too many, of that weight: with this
 * pointer put right all counts agree. */
static bool is_whole(const struct qf_facts *f, uint64_t value, uint64_t weight)
{
	return qf_facts_close(f) && f->refs_high == weight &&
	       qf_facts_lacking(f, value) == weight &&
	       (f->n_dead ? f->n_dead == 1 && !f->refs_low
			  : f->refs_low == weight);
}

/* What speaks for, or excludes, that the entry named VALUE. */
static void weigh(const struct qf_facts *f, const struct qf_question *q,
		  struct qf_hypothesis *h, uint64_t value, uint64_t weight,
		  const struct qf_order *order)
{
	uint64_t lacking = qf_facts_lacking(f, value);
	bool whole = is_whole(f, value, weight);

	if (!h)
		return;
	qf_order_speak(order, value, qf_facts_close(f), whole,
		       q->kind == QF_QUESTION_ENTRY, h);
	if (lacking == weight)
		qf_question_for(h, QF_WITNESS_COUNT_FITS);
	else if (!f->unknown)
		qf_question_against(h, QF_WITNESS_COUNT_DIFFERS);
	if (qf_stream_stands_at(f->img, value))
		qf_question_against(h, QF_WITNESS_STREAM);
	if (whole && q->kind == QF_QUESTION_ENTRY)
		qf_question_for(h, QF_WITNESS_PAIR);
	else if (qf_facts_close(f))
		qf_question_for(h, QF_WITNESS_CLOSURE);
}

static void add(const struct qf_facts *f, struct qf_question *q,
		uint64_t pointer_off, uint64_t value, uint64_t weight,
		const struct qf_order *order)
{
	if (qf_facts_is_orphan(f, value, NULL))
		weigh(f, q, qf_question_value(q, pointer_off, value), value,
		      weight, order);
}

/* Of several clusters that lack an owner, what the counts say for one they say
 * for the others as well. */
static void weigh_others(const struct qf_facts *f, struct qf_question *q)
{
	if (f->orphans < 2)
		return;
	qf_question_for(&q->h[0], QF_WITNESS_COUNT_FITS);
	if (qf_facts_close(f))
		qf_question_for(&q->h[0], QF_WITNESS_CLOSURE);
}

static enum qf_witness version_witness(const struct qf_facts *f,
				       const struct qf_question *q,
				       uint64_t value, uint64_t weight)
{
	if (q->kind != QF_QUESTION_ENTRY)
		return QF_WITNESS_VERSION_OF_SHARED;
	return is_whole(f, value, weight) ? QF_WITNESS_VERSION_WHOLE
					  : QF_WITNESS_VERSION_OF_LOST;
}

void qf_ask_candidates(const struct qf_facts *f, struct qf_question *q,
		       uint64_t pointer_off, uint64_t guest_off,
		       uint64_t weight, const struct qf_order *order)
{
	uint64_t version[MAX_VERSION_ANSWERS], only;
	struct qf_hypothesis *h;
	unsigned int n, i;

	weigh_others(f, q);
	add(f, q, pointer_off, order->left, weight, order);
	add(f, q, pointer_off, order->right, weight, order);
	if (qf_facts_only_orphan(f, &only))
		add(f, q, pointer_off, only, weight, order);
	n = qf_versions_look(f, pointer_off, guest_off, version,
			     MAX_VERSION_ANSWERS);
	for (i = 0; i < n; i++) {
		h = qf_question_value(q, pointer_off, version[i]);
		weigh(f, q, h, version[i], weight, order);
		if (qf_facts_lacking(f, version[i]) == weight)
			qf_question_for(h, version_witness(f, q, version[i],
							   weight));
	}
}

struct qf_hypothesis *qf_ask_value(const struct qf_facts *f,
				   struct qf_question *q, uint64_t value)
{
	unsigned int n = q->n;
	struct qf_hypothesis *h;
	struct qf_order order;

	if (!qf_facts_is_orphan(f, value, NULL))
		return NULL;
	h = qf_question_value(q, q->place_off, value);
	if (h && q->n > n) {
		qf_order_look(f, q->place_off, &order);
		weigh(f, q, h, value, q->weight, &order);
	}
	return h;
}

enum qf_err qf_questions_ask(const struct qf_facts *f, struct qf_questions *l,
			     struct qf_why *why)
{
	enum qf_err err;

	qf_ask_entries(f, l);
	err = qf_ask_claims(f, l, why);
	if (!err)
		err = qf_ask_tables(f, l);
	if (!err)
		qf_ask_slots(f, l);
	if (!err)
		err = qf_ask_slots_guest(f, l);
	if (!err)
		err = qf_ask_mixups(f, l);
	if (!err)
		err = qf_ask_versions(f, l);
	if (!err)
		err = qf_ask_guest(f, l);
	if (!err)
		qf_question_judge(l);
	if (!err && l->failed)
		err = QF_ERR_NOMEM;
	return err ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				"no memory for the questions")
		   : QF_OK;
}
