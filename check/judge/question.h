/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions: places where the image contradicts itself or says nothing. Each
 * has its hypotheses, always "something that we do not know" among them; the
 * witnesses speak for or against them; and the verdict follows by arithmetic,
 * here and nowhere else (witnesses.def has the thresholds).
 */
#ifndef QF_QUESTION_H
#define QF_QUESTION_H

#include "check/catalogue/problem.h"
#include "check/judge/witness.h"
#include "lib/format/entry.h"

#include <stddef.h>

/* What is asked. */
enum qf_question_kind {
	QF_QUESTION_MIXUP, /* tables contradict: have two changed places? */
	QF_QUESTION_ENTRY, /* an L2 entry leads nowhere: what did it say? */
	QF_QUESTION_CLAIM, /* others claim its cluster: was it bent? */
	QF_QUESTION_TABLE, /* its table has an owner too many: was it bent? */
	QF_QUESTION_SLOT, /* an L1 entry is empty: had it the one lost table? */
	QF_QUESTION_L1_SWAP, /* have two entries changed places? VALUE is where
			      * this one led, POINTER_OFF the other one */
	QF_QUESTION_L2_SWAP, /* the same of two L2 entries */
	QF_QUESTION_VERSION, /* an L2 entry is empty: had it what another
			      * version of the table has there? */
	QF_QUESTION_KINDS
};

enum qf_grade {
	QF_GRADE_OPEN,
	QF_GRADE_POSSIBLE,
	QF_GRADE_LIKELY,
	QF_GRADE_PROVEN,
};

enum qf_hypo_kind {
	QF_HYPO_UNKNOWN, /* something that we do not know */
	QF_HYPO_AS_IS,	 /* it is right; what it leads to may be cut off */
	QF_HYPO_GONE,	 /* there is nothing in the file that it could be
			  * given back */
	QF_HYPO_VALUE,	 /* POINTER_OFF led to the host offset VALUE; of
			  * changed places: it stands at VALUE */
	QF_HYPO_UP,	 /* the header's fields from POINTER_OFF on stand a
			  * place too high */
	QF_HYPO_DOWN,	 /* or too low; what fell out is VALUE */
};

struct qf_hypothesis {
	enum qf_hypo_kind kind;
	uint64_t pointer_off; /* host offset of the pointer */
	uint64_t value;
	uint64_t said;	  /* witnesses that speak for it, one bit each */
	uint64_t against; /* witnesses that exclude it */
	uint64_t doubted; /* those against it that may not exclude */
};

#define QF_HYPOS_MAX 8u

struct qf_question {
	enum qf_question_kind kind;
	enum qf_problem problem; /* that a finding tells it as */
	uint64_t place_off;	 /* of the entry */
	uint32_t holder;	 /* _TABLE, _SLOT: whose L1 entry it is; of the
				  * others, a state that has the entry */
	uint64_t shared_off;	 /* the cluster that others claim too, or 0 */
	uint64_t guest_off;	 /* what is at stake: bytes there */
	uint64_t bytes;
	uint64_t other_off; /* _SWAP: what the other entry has at stake */
	uint64_t weight;    /* references of the entry: of so many holders */
	/* what stands there reads nothing, or two claims exclude each other:
	 * a likely answer takes no legal, unopposed reading away */
	bool opposed;
	bool more; /* candidates that found no room: the verdict is open */
	unsigned int n;
	struct qf_hypothesis h[QF_HYPOS_MAX]; /* h[0]: unknown */
	/* the verdict */
	enum qf_grade grade;
	unsigned int best;
};

/* So many questions are asked; the others are left open. */
#define QF_QUESTIONS_MAX 16384u

struct qf_questions {
	struct qf_question *at; /* by what is asked, and place */
	size_t n, room;
	uint64_t left_out;
	bool mixups; /* there was something that could have changed places */
	bool failed; /* no memory */
};

/* Adds a question with its first hypothesis; NULL: no more, or no memory. */
struct qf_question *qf_question_add(struct qf_questions *l,
				    enum qf_question_kind kind,
				    uint64_t place_off);

/* The question that was added for PLACE_OFF last, or else a new one. */
struct qf_question *qf_question_find(struct qf_questions *l,
				     enum qf_question_kind kind,
				     uint64_t place_off);

/* The hypothesis of Q that POINTER_OFF led to VALUE, made if it is new; NULL
 * if there are too many (Q is then left open). */
struct qf_hypothesis *qf_question_value(struct qf_question *q,
					uint64_t pointer_off, uint64_t value);

/* The same for a hypothesis without a value. */
struct qf_hypothesis *qf_question_other(struct qf_question *q,
					enum qf_hypo_kind kind);

/* The same for one of another kind that has one. */
struct qf_hypothesis *qf_question_moved(struct qf_question *q,
					enum qf_hypo_kind kind,
					uint64_t pointer_off, uint64_t value);

/* W speaks for H; or against it, which excludes it if W may exclude. */
void qf_question_for(struct qf_hypothesis *h, enum qf_witness w);
void qf_question_against(struct qf_hypothesis *h, enum qf_witness w);

/* The bits that speak for H, and by how many kinds of witness. */
unsigned int qf_question_bits(const struct qf_hypothesis *h,
			      unsigned int *kinds);

/* Sorts the questions and gives each its verdict. An answer that two questions
 * want for themselves is none. */
void qf_question_judge(struct qf_questions *l);

/* True if it is likely, or proven, that the entry had led elsewhere: then it is
 * known to where. */
static inline bool qf_question_is_answered(const struct qf_question *q)
{
	return q->grade >= QF_GRADE_LIKELY &&
	       q->h[q->best].kind == QF_HYPO_VALUE;
}

/* The host offset that most speaks for, of those that nothing excludes; 0: none.
 * It may be open all the same. */
uint64_t qf_question_best_value(const struct qf_question *q);

/* The question asked of PLACE_OFF, or NULL. */
const struct qf_question *qf_question_at(const struct qf_questions *l,
					 enum qf_question_kind kind,
					 uint64_t place_off);

/* Where in the file begins what the L2 entry names, compressed or not: the
 * value of a QF_QUESTION_VERSION. */
static inline uint64_t qf_question_version(const struct qf_geometry *g,
					   uint64_t entry)
{
	uint64_t off, bytes;

	if (!(entry & QF_ENTRY_COMPRESSED))
		return entry & QF_ENTRY_OFFSET_MASK;
	qf_entry_compressed(g, entry, &off, &bytes);
	return off;
}

void qf_question_free(struct qf_questions *l);

const char *qf_question_kind_name(enum qf_question_kind a);  /* "l2-entry" */
const char *qf_question_kind_words(enum qf_question_kind a); /* what is asked */
const char *qf_question_grade_name(enum qf_grade g);	     /* "likely" */
const char *qf_question_hypo_name(enum qf_hypo_kind k);

#endif
