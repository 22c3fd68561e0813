// SPDX-License-Identifier: GPL-2.0-or-later
/* The judge's questions in words: check --why. */
#include "check/report/report.h"

#include <inttypes.h>

/* Questions that are told before "... and N more". */
#define SHOWN 8u

static void witnesses(FILE *out, const char *word, uint64_t set)
{
	unsigned int i;

	for (i = 0; i < QF_WITNESSES; i++)
		if (set & qf_witness_bit((enum qf_witness)i))
			fprintf(out, "        %s: %s\n", word,
				qf_witness_get((enum qf_witness)i)->words);
}

static bool is_of_l1(const struct qf_question *q)
{
	return q->kind == QF_QUESTION_TABLE || q->kind == QF_QUESTION_SLOT;
}

static void hypothesis(FILE *out, const struct qf_question *q,
		       const struct qf_hypothesis *h)
{
	switch (h->kind) {
	case QF_HYPO_UP:
	case QF_HYPO_DOWN:
		fprintf(out,
			"      the header's fields from 0x%" PRIx64
			" on stand one place too %s",
			h->pointer_off, h->kind == QF_HYPO_UP ? "high" : "low");
		break;
	case QF_HYPO_VALUE:
		if (q->kind == QF_QUESTION_MIXUP) {
			fprintf(out,
				"      what stands at 0x%" PRIx64
				" and at 0x%" PRIx64 " belongs to the other's "
				"place",
				h->pointer_off, h->value);
			break;
		}
		fprintf(out, "      it led to the %s at 0x%" PRIx64,
			is_of_l1(q) ? "table" : "cluster", h->value);
		break;
	case QF_HYPO_AS_IS:
		fprintf(out, "      it is right as it stands");
		break;
	case QF_HYPO_GONE:
		fprintf(out,
			"      nothing in the file is left that it could be given back");
		break;
	case QF_HYPO_UNKNOWN:
		fprintf(out, "      something that nothing here tells of");
		break;
	}
	fprintf(out, " (%u bits)\n", qf_question_bits(h, NULL));
	witnesses(out, "for it", h->said);
	witnesses(out, "ruled out", h->against);
	witnesses(out, "against it", h->doubted);
}

static void question(FILE *out, const struct qf_question *q)
{
	unsigned int i;

	if (q->kind == QF_QUESTION_MIXUP)
		fprintf(out, "    the file as a whole: ");
	else
		fprintf(out,
			"    the L%c entry at 0x%" PRIx64
			", guest offset 0x%" PRIx64 ": ",
			is_of_l1(q) ? '1' : '2', q->place_off, q->guest_off);
	fprintf(out, "%s\n      verdict: %s\n", qf_question_kind_words(q->kind),
		qf_question_grade_name(q->grade));
	for (i = 1; i < q->n; i++)
		hypothesis(out, q, &q->h[i]);
	hypothesis(out, q, &q->h[0]);
}

void qf_report_why(FILE *out, const char *name, const struct qf_questions *l,
		   bool all)
{
	uint64_t left;
	size_t i;

	if (!l->n)
		return;
	fprintf(out, "\n  In question:\n");
	for (i = 0; i < l->n && (all || i < SHOWN); i++)
		question(out, &l->at[i]);
	left = l->n - i + l->left_out;
	if (left)
		fprintf(out, "    ... and %" PRIu64 " more%s\n", left,
			all ? "" : "; --all lists them");
	fprintf(out,
		"    A repair acts on what is proven, and on what is likely. "
		"What is only possible\n    it does with --guess. To answer a "
		"question yourself:\n    qfsck repair --choose=PLACE=VALUE "
		"%s\n",
		name);
}
