// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/question.h"
#include "lib/base/mem.h"

#include <stdlib.h>

static const struct {
	const char *name, *words;
} rows[QF_QUESTION_KINDS] = {
	[QF_QUESTION_ENTRY] = { "l2-entry",
				"an L2 entry leads nowhere: what did it say?" },
	[QF_QUESTION_CLAIM] = { "shared-cluster",
				"others claim the entry's cluster, too: was it "
				"bent, and what did it say?" },
	[QF_QUESTION_TABLE] = { "l1-entry",
				"the table that it leads to has one owner too "
				"many: was it bent, and what did it say?" },
	[QF_QUESTION_SLOT] = { "l1-slot",
			       "the L1 entry is empty, and one L2 table has no "
			       "owner: was it named here?" },
	[QF_QUESTION_L1_SWAP] = { "l1-swap",
				  "the guest's blocks contradict their places: "
				  "has it changed places with another entry?" },
	[QF_QUESTION_L2_SWAP] = { "l2-swap",
				  "the guest's blocks contradict their places: "
				  "has it changed places with another entry?" },
	[QF_QUESTION_MIXUP] = { "changed-places",
				"the image's tables contradict each other: do "
				"two clusters stand in each other's place?" },
	[QF_QUESTION_VERSION] = { "l2-version",
				  "nothing stands there, and a cluster of "
				  "another version of the table lacks an "
				  "owner: was it the same here?" },
};

struct qf_question *qf_question_add(struct qf_questions *l,
				    enum qf_question_kind kind,
				    uint64_t place_off)
{
	struct qf_question *q;

	if (l->n >= QF_QUESTIONS_MAX) {
		l->left_out++;
		return NULL;
	}
	if (!qf_mem_grow((void **)&l->at, l->n, &l->room, sizeof(*q))) {
		l->failed = true;
		return NULL;
	}
	q = &l->at[l->n++];
	*q = (struct qf_question){ .kind = kind,
				   .place_off = place_off,
				   .n = 1 };
	return q;
}

struct qf_question *qf_question_find(struct qf_questions *l,
				     enum qf_question_kind kind,
				     uint64_t place_off)
{
	size_t i;

	/* they are added side by side */
	for (i = l->n; i && l->at[i - 1].kind == kind; i--)
		if (l->at[i - 1].place_off == place_off)
			return &l->at[i - 1];
	return qf_question_add(l, kind, place_off);
}

static struct qf_hypothesis *find(struct qf_question *q, enum qf_hypo_kind kind,
				  uint64_t pointer_off, uint64_t value)
{
	struct qf_hypothesis *h;
	unsigned int i;

	for (i = 0; i < q->n; i++) {
		h = &q->h[i];
		if (h->kind == kind && h->pointer_off == pointer_off &&
		    h->value == value)
			return h;
	}
	if (q->n == QF_HYPOS_MAX) {
		q->more = true;
		return NULL;
	}
	h = &q->h[q->n++];
	*h = (struct qf_hypothesis){ .kind = kind,
				     .pointer_off = pointer_off,
				     .value = value };
	return h;
}

struct qf_hypothesis *qf_question_value(struct qf_question *q,
					uint64_t pointer_off, uint64_t value)
{
	return find(q, QF_HYPO_VALUE, pointer_off, value);
}

struct qf_hypothesis *qf_question_other(struct qf_question *q,
					enum qf_hypo_kind kind)
{
	return find(q, kind, 0, 0);
}

struct qf_hypothesis *qf_question_moved(struct qf_question *q,
					enum qf_hypo_kind kind,
					uint64_t pointer_off, uint64_t value)
{
	return find(q, kind, pointer_off, value);
}

void qf_question_for(struct qf_hypothesis *h, enum qf_witness w)
{
	if (h)
		h->said |= qf_witness_bit(w);
}

void qf_question_against(struct qf_hypothesis *h, enum qf_witness w)
{
	if (h && qf_witness_get(w)->may_exclude)
		h->against |= qf_witness_bit(w);
	else if (h)
		h->doubted |= qf_witness_bit(w);
}

unsigned int qf_question_bits(const struct qf_hypothesis *h,
			      unsigned int *kinds)
{
	unsigned int of_kind[QF_WITNESS_KINDS] = { 0 }, i, sum = 0, n = 0;
	const struct qf_witness_row *r;

	for (i = 0; i < QF_WITNESSES; i++) {
		r = qf_witness_get((enum qf_witness)i);
		if (h->said & qf_witness_bit((enum qf_witness)i) &&
		    r->bits > of_kind[r->kind])
			of_kind[r->kind] = r->bits;
	}
	for (i = 0; i < QF_WITNESS_KINDS; i++) {
		sum += of_kind[i];
		n += of_kind[i] > 0;
	}
	if (kinds)
		*kinds = n;
	return sum;
}

static enum qf_grade grade_of(unsigned int margin, unsigned int kinds)
{
	return qf_witness_likely(margin, kinds)	    ? QF_GRADE_LIKELY
	       : qf_witness_possible(margin, kinds) ? QF_GRADE_POSSIBLE
						    : QF_GRADE_OPEN;
}

static void decide(struct qf_question *q)
{
	unsigned int i, bits, kinds = 0, best, second = 0, best_kinds = 0;

	q->best = 0;
	best = qf_question_bits(&q->h[0], NULL);
	for (i = 1; i < q->n; i++) {
		if (q->h[i].against)
			continue;
		bits = qf_question_bits(&q->h[i], &kinds);
		if (bits <= best &&
		    !(q->h[i].said & qf_witness_bit(QF_WITNESS_NO_ORPHAN))) {
			second = bits > second ? bits : second;
			continue;
		}
		second = best;
		best = bits;
		best_kinds = kinds;
		q->best = i;
	}
	q->grade = QF_GRADE_OPEN;
	if (q->more)
		return;
	q->grade = q->best ? grade_of(best - second, best_kinds)
			   : QF_GRADE_OPEN;
	if (q->h[q->best].doubted && q->grade > QF_GRADE_POSSIBLE)
		q->grade = QF_GRADE_POSSIBLE;
	/* with nothing in the file that it could be given back, the answer is
	 * the same whatever it had said */
	if (q->h[q->best].said & qf_witness_bit(QF_WITNESS_NO_ORPHAN))
		q->grade = QF_GRADE_PROVEN;
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_question *a = pa, *b = pb;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->place_off < b->place_off ? -1 : a->place_off > b->place_off;
}

/* The answer's bits. */
static unsigned int strength(const struct qf_question *q)
{
	return qf_question_bits(&q->h[q->best], NULL);
}

static int by_answer(const void *pa, const void *pb)
{
	const struct qf_question *a = *(struct qf_question *const *)pa;
	const struct qf_question *b = *(struct qf_question *const *)pb;
	uint64_t x = a->h[a->best].value, y = b->h[b->best].value;

	if (x != y)
		return x < y ? -1 : 1;
	return strength(a) > strength(b) ? -1 : strength(a) < strength(b);
}

/* Questions that want the same answer, the strongest first: it must be ahead
 * of the second by as much as a hypothesis must be of another one. */
static void settle(struct qf_question **q, size_t n)
{
	enum qf_grade g;
	size_t i;

	if (n < 2)
		return;
	g = grade_of(strength(q[0]) - strength(q[1]), QF_WITNESS_KINDS);
	if (q[0]->grade > g)
		q[0]->grade = g;
	for (i = 1; i < n; i++)
		q[i]->grade = QF_GRADE_OPEN;
}

/* A cluster that lacks one owner is no answer to two questions. */
static void drop_contested(struct qf_questions *l)
{
	struct qf_question **q =
		qf_mem_zalloc(l->n, sizeof(struct qf_question *));
	size_t i, k, n = 0;

	if (!q) {
		l->failed = true;
		return;
	}
	for (i = 0; i < l->n; i++)
		if (l->at[i].kind != QF_QUESTION_MIXUP &&
		    l->at[i].grade > QF_GRADE_OPEN &&
		    l->at[i].h[l->at[i].best].kind == QF_HYPO_VALUE)
			q[n++] = &l->at[i];
	if (n)
		qsort(q, n, sizeof(struct qf_question *), by_answer);
	for (i = 0; i < n; i += k) {
		for (k = 1; i + k < n && q[i + k]->h[q[i + k]->best].value ==
						 q[i]->h[q[i]->best].value;)
			k++;
		settle(q + i, k);
	}
	free(q);
}

void qf_question_judge(struct qf_questions *l)
{
	size_t i;

	if (!l->n)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_place);
	for (i = 0; i < l->n; i++)
		decide(&l->at[i]);
	drop_contested(l);
}

uint64_t qf_question_best_value(const struct qf_question *q)
{
	return q->h[q->best].kind == QF_HYPO_VALUE ? q->h[q->best].value : 0;
}

const struct qf_question *qf_question_at(const struct qf_questions *l,
					 enum qf_question_kind kind,
					 uint64_t place_off)
{
	struct qf_question key = { .kind = kind, .place_off = place_off };

	return l->n ? bsearch(&key, l->at, l->n, sizeof(*l->at), by_place)
		    : NULL;
}

void qf_question_free(struct qf_questions *l)
{
	free(l->at);
	*l = (struct qf_questions){ 0 };
}

const char *qf_question_kind_name(enum qf_question_kind a)
{
	return rows[a].name;
}

const char *qf_question_kind_words(enum qf_question_kind a)
{
	return rows[a].words;
}

const char *qf_question_grade_name(enum qf_grade g)
{
	static const char *const names[] = { "open", "possible", "likely",
					     "proven" };

	return names[g];
}

const char *qf_question_hypo_name(enum qf_hypo_kind k)
{
	static const char *const names[] = { "unknown",	 "as-it-stands",
					     "gone",	 "value",
					     "moved-up", "moved-down" };

	return names[k];
}
