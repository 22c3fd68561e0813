// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest as a witness: what its file systems say of the clusters that an
 * entry may have named. Each is laid at the entry's place, and the blocks
 * there hold, or do not. A block that states its own place may be a copy (of
 * a journal, of a disk within a file); so it rules nobody out, and a cluster
 * is the other owner's only where what this one is to get instead is no copy
 * of the same. What the living tree of a file system that was left in order
 * contradicts is not what belongs there.
 */
#include "check/judge/guesttry.h"
#include "check/judge/questions.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdlib.h>

/* So many states of the disk, and places in each, are asked about. */
#define MAX_STATES 4u
#define MAX_PLACES 1024u
/* So many bytes of clusters without an owner are asked where they belong. */
#define MAX_FIND_BYTES (64ull << 20)
/* Each of them is tried at each place where they are as few as that. */
#define MAX_CROSS 12u
#define MAX_CROSS_BYTES (32ull << 20)

struct state {
	const struct qf_facts *f;
	struct qf_questions *l;
	uint32_t holder;
	struct qf_question **q; /* owned; those of this state */
	uint64_t *place;	/* owned; theirs, ascending, each once */
	uint64_t *orphan;	/* owned; host offsets */
	size_t n_q, n_places, n_orphans;
	struct qf_guestview view;
	struct qf_guesttries tries;
	bool cut;    /* there are more clusters than were looked at */
	bool failed; /* no memory */
};

/* Whether it is asked of a cluster of the guest's. */
static bool asks_data(const struct qf_question *q)
{
	return q->kind == QF_QUESTION_ENTRY || q->kind == QF_QUESTION_CLAIM;
}

static bool is_ours(const struct state *s, const struct qf_question *q)
{
	return asks_data(q) && q->holder == s->holder &&
	       q->bytes == s->f->img->geo.cluster_bytes &&
	       !(q->guest_off & (q->bytes - 1));
}

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static bool collect(struct state *s)
{
	size_t i, n = 0;

	s->q = qf_mem_zalloc(MAX_PLACES, sizeof(struct qf_question *));
	s->place = qf_mem_zalloc(MAX_PLACES, sizeof(*s->place));
	if (!s->q || !s->place)
		return false;
	for (i = 0; i < s->l->n && s->n_q < MAX_PLACES; i++)
		if (is_ours(s, &s->l->at[i]))
			s->q[s->n_q++] = &s->l->at[i];
	for (i = 0; i < s->n_q; i++)
		s->place[i] = s->q[i]->guest_off;
	qsort(s->place, s->n_q, sizeof(*s->place), by_number);
	for (i = 0; i < s->n_q; i++)
		if (!n || s->place[n - 1] != s->place[i])
			s->place[n++] = s->place[i];
	s->n_places = n;
	return true;
}

/* What H says that the entry of Q named; 0: nothing that can be tried. */
static uint64_t named(const struct qf_question *q,
		      const struct qf_hypothesis *h)
{
	return h->kind == QF_HYPO_VALUE	  ? h->value
	       : h->kind == QF_HYPO_AS_IS ? q->shared_off
					  : 0;
}

static bool are_rivals(const struct qf_question *a, const struct qf_question *b)
{
	return a != b && a->shared_off && a->shared_off == b->shared_off &&
	       a->guest_off != b->guest_off;
}

static bool add_try(struct state *s, uint64_t place, uint64_t value)
{
	s->failed |= value && !qf_guesttry_add(&s->tries, place, value);
	return !s->failed;
}

/* What the questions name: each at its own place, and at that of those who
 * claim the same cluster. */
static void add_named(struct state *s)
{
	const struct qf_question *q;
	unsigned int h;
	size_t i, k;

	for (i = 0; i < s->n_q; i++) {
		q = s->q[i];
		for (h = 1; h < q->n; h++) {
			add_try(s, q->guest_off, named(q, &q->h[h]));
			for (k = 0; k < s->n_q && q->h[h].value; k++)
				if (are_rivals(q, s->q[k]))
					add_try(s, s->q[k]->guest_off,
						q->h[h].value);
		}
	}
}

/* What lacks an owner: all of them where they are few, else where they say
 * that they belong. */
static bool add_orphans(struct state *s)
{
	const uint64_t bytes = s->f->img->geo.cluster_bytes;
	const size_t room = MAX_FIND_BYTES / bytes;
	size_t i, k;

	s->orphan = qf_mem_zalloc(room, sizeof(*s->orphan));
	if (!s->orphan)
		return false;
	s->n_orphans = qf_facts_orphans(s->f, s->orphan, room);
	s->cut = s->n_orphans == room;
	if (s->n_orphans > MAX_CROSS ||
	    s->n_orphans * s->n_places * bytes > MAX_CROSS_BYTES)
		return qf_guesttry_find(&s->view, s->orphan, s->n_orphans,
					&s->tries);
	for (i = 0; i < s->n_places; i++)
		for (k = 0; k < s->n_orphans; k++)
			add_try(s, s->place[i], s->orphan[k]);
	return !s->failed;
}

/* -- what that says -- */

static bool holds(const struct state *s, uint64_t place, uint64_t value)
{
	return qf_guesttry_holds(qf_guesttry_at(&s->tries, place, value));
}

/* True if the shared cluster passes as that of another one who claims it, and
 * not as that of Q, and VALUE does not pass as the other's. */
static bool is_others(const struct state *s, const struct qf_question *q,
		      uint64_t value)
{
	uint64_t place;
	size_t k;

	if (holds(s, q->guest_off, q->shared_off))
		return false;
	for (k = 0; k < s->n_q; k++) {
		if (!are_rivals(q, s->q[k]))
			continue;
		place = s->q[k]->guest_off;
		if (qf_guesttry_at(&s->tries, place, value) &&
		    !holds(s, place, value) && holds(s, place, q->shared_off))
			return true;
	}
	return false;
}

/* True if the guest rules out all others who claim Q's cluster. */
static bool is_sole(const struct state *s, const struct qf_question *q)
{
	size_t k, n = 0;

	for (k = 0; k < s->n_q; k++) {
		if (!are_rivals(q, s->q[k]))
			continue;
		n++;
		if (!qf_guesttry_fails(qf_guesttry_at(
			    &s->tries, s->q[k]->guest_off, q->shared_off)))
			return false;
	}
	return n;
}

/* True if of all clusters without an owner, VALUE alone passes at PLACE. */
static bool is_only(const struct state *s, uint64_t place, uint64_t value)
{
	const struct qf_guesttry *t = s->tries.at;
	size_t i;

	for (i = 0; i < s->tries.n; i++, t++)
		if (t->guest_off == place && t->value != value &&
		    qf_guesttry_holds(t))
			return false;
	return !s->cut;
}

static void speak(const struct state *s, struct qf_question *q,
		  struct qf_hypothesis *h)
{
	const uint64_t value = named(q, h);
	const struct qf_guesttry *t =
		value ? qf_guesttry_at(&s->tries, q->guest_off, value) : NULL;

	if (!t)
		return;
	/* that it led elsewhere does not say where, if there are several */
	if (h->kind == QF_HYPO_VALUE && s->f->orphans == 1 &&
	    is_others(s, q, value))
		qf_question_for(h, QF_WITNESS_GUEST_OTHER);
	if (qf_guesttry_fails(t))
		qf_question_against(h, QF_WITNESS_GUEST_FAILS);
	if (!qf_guesttry_holds(t))
		return;
	qf_question_for(h, t->holds ? QF_WITNESS_GUEST_HOLDS
				    : QF_WITNESS_GUEST_NUMBER);
	if (is_only(s, q->guest_off, value))
		qf_question_for(h, QF_WITNESS_GUEST_ONLY);
	if (h->kind == QF_HYPO_AS_IS && is_sole(s, q))
		qf_question_for(h, QF_WITNESS_GUEST_SOLE);
}

/* Clusters that hold at the place of a question become its candidates. */
static void add_candidates(struct state *s, struct qf_question *q)
{
	const struct qf_guesttry *t = s->tries.at;
	size_t i;

	for (i = 0; i < s->tries.n; i++, t++)
		if (t->guest_off == q->guest_off && qf_guesttry_holds(t) &&
		    t->value != q->shared_off)
			qf_ask_value(s->f, q, t->value);
}

static void testify(struct state *s)
{
	unsigned int h;
	size_t i;

	for (i = 0; i < s->n_q; i++) {
		add_candidates(s, s->q[i]);
		for (h = 1; h < s->q[i]->n; h++)
			speak(s, s->q[i], &s->q[i]->h[h]);
	}
}

static void one_state(void *ctx)
{
	struct state *s = ctx;
	enum qf_err err;

	if (!collect(s)) {
		s->failed = true;
		return;
	}
	err = qf_guestview_open(s->f->img, s->holder, s->place, s->n_places,
				&s->view);
	s->failed |= err == QF_ERR_NOMEM;
	if (!err && s->view.guest->n) {
		add_named(s);
		s->failed |= !add_orphans(s);
		qf_guesttry_sort(&s->tries);
		s->failed |= !s->failed &&
			     !qf_guesttry_all(&s->view, &s->tries);
		if (!s->failed)
			testify(s);
	}
	qf_guestview_close(&s->view);
}

static void free_state(struct state *s)
{
	free(s->q);
	free(s->place);
	free(s->orphan);
	free(s->tries.at);
}

/* The states that have questions. */
static uint32_t find_states(const struct qf_questions *l, uint32_t *holder)
{
	uint32_t n = 0, k;
	size_t i;

	for (i = 0; i < l->n && n < MAX_STATES; i++) {
		if (!asks_data(&l->at[i]))
			continue;
		for (k = 0; k < n && holder[k] != l->at[i].holder; k++)
			;
		if (k == n)
			holder[n++] = l->at[i].holder;
	}
	return n;
}

enum qf_err qf_ask_guest(const struct qf_facts *f, struct qf_questions *l)
{
	uint32_t holder[MAX_STATES], n, k;
	bool failed = false;
	struct state s;

	if (f->no_guest || f->img->hdr.crypt_method || !f->orphans)
		return QF_OK;
	n = find_states(l, holder);
	for (k = 0; k < n && !failed; k++) {
		s = (struct state){ .f = f, .l = l, .holder = holder[k] };
		/* there are children, and libraries are loaded */
		qf_pool_alone(one_state, &s);
		failed = s.failed;
		free_state(&s);
	}
	return failed ? QF_ERR_NOMEM : QF_OK;
}
