// SPDX-License-Identifier: GPL-2.0-or-later
/* The judge's questions in words: check --why. */
#include "check/report/report.h"
#include "lib/base/text.h"

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
	return q->kind == QF_QUESTION_TABLE || q->kind == QF_QUESTION_SLOT ||
	       q->kind == QF_QUESTION_L1_SWAP;
}

static void hypothesis(FILE *out, const struct qf_question *q,
		       const struct qf_hypothesis *h)
{
	char at[80], other[80];

	switch (h->kind) {
	case QF_HYPO_UP:
	case QF_HYPO_DOWN:
		fprintf(out,
			"      the header's fields from %s on stand one place "
			"too %s",
			qf_text_place(h->pointer_off, at, sizeof(at)),
			h->kind == QF_HYPO_UP ? "high" : "low");
		break;
	case QF_HYPO_VALUE:
		if (q->kind == QF_QUESTION_MIXUP) {
			fprintf(out,
				"      what stands at %s and at %s belongs to "
				"the other's place",
				qf_text_place(h->pointer_off, at, sizeof(at)),
				qf_text_place(h->value, other, sizeof(other)));
			break;
		}
		fprintf(out, "      it led to the %s at %s",
			is_of_l1(q) ? "table" : "cluster",
			qf_text_place(h->value, at, sizeof(at)));
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
	char at[80], guest[80];
	unsigned int i;

	if (q->kind == QF_QUESTION_MIXUP)
		fprintf(out, "    the file as a whole: ");
	else
		fprintf(out, "    the L%c entry at %s, guest offset %s: ",
			is_of_l1(q) ? '1' : '2',
			qf_text_place(q->place_off, at, sizeof(at)),
			qf_text_place(q->guest_off, guest, sizeof(guest)));
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
		QF_TEXT_WORD(name));
}
