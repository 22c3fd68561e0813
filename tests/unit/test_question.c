// SPDX-License-Identifier: GPL-2.0-or-later
/* Verdicts: the arithmetic of evidence, and nothing else. */
#include "check/judge/question.h"
#include "tests/unit/unit.h"

static struct qf_hypothesis *led_to(struct qf_questions *l, uint64_t place,
				    uint64_t value)
{
	struct qf_question *q = qf_question_add(l, QF_QUESTION_ENTRY, place);

	return qf_question_value(q, place, value);
}

static enum qf_grade grade(const struct qf_questions *l, uint64_t place)
{
	return qf_question_at(l, QF_QUESTION_ENTRY, place)->grade;
}

static void two_kinds_are_needed(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_hypothesis *h;

	(void)state;
	qf_question_for(led_to(&l, 8, 0x10000), QF_WITNESS_ORDER_LINE_CLOSES);
	h = led_to(&l, 16, 0x20000);
	qf_question_for(h, QF_WITNESS_ORDER_LINE_CLOSES);
	qf_question_for(h, QF_WITNESS_CLOSURE);
	qf_question_for(led_to(&l, 24, 0x30000), QF_WITNESS_CLOSURE);
	qf_question_judge(&l);
	/* however strong, one kind of witness is not enough */
	assert_int_equal(grade(&l, 8), QF_GRADE_POSSIBLE);
	assert_int_equal(grade(&l, 16), QF_GRADE_LIKELY);
	assert_int_equal(grade(&l, 24), QF_GRADE_OPEN);
	qf_question_free(&l);
}

static void a_rival_takes_the_lead_away(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_question *q = qf_question_add(&l, QF_QUESTION_ENTRY, 8);
	struct qf_hypothesis *a = qf_question_value(q, 8, 0x10000);
	struct qf_hypothesis *b = qf_question_value(q, 8, 0x20000);

	(void)state;
	qf_question_for(a, QF_WITNESS_ORDER_LINE_CLOSES);
	qf_question_for(a, QF_WITNESS_CLOSURE);
	qf_question_for(b, QF_WITNESS_VERSION_OF_LOST);
	qf_question_judge(&l);
	assert_int_equal(l.at[0].grade, QF_GRADE_POSSIBLE);
	/* excluded, it takes nothing away any more */
	l.at[0].h[2].against = qf_witness_bit(QF_WITNESS_TABLE_FLAGS);
	qf_question_judge(&l);
	assert_int_equal(l.at[0].grade, QF_GRADE_LIKELY);
	assert_int_equal(l.at[0].h[l.at[0].best].value, 0x10000);
	qf_question_free(&l);
}

static void only_some_may_exclude(void **state)
{
	struct qf_hypothesis h = { 0 };

	(void)state;
	qf_question_against(&h, QF_WITNESS_ORDER_BOTH);
	assert_int_equal(h.against, 0);
	assert_int_not_equal(h.doubted, 0);
	qf_question_against(&h, QF_WITNESS_COUNT_DIFFERS);
	assert_int_equal(h.against, 0);
	qf_question_against(&h, QF_WITNESS_TABLE_FLAGS);
	assert_int_not_equal(h.against, 0);
}

/* A row that was measured, and was ever wrong, has lost that right. */
static void who_was_wrong_may_not_exclude(void **state)
{
	const struct qf_witness_row *r;
	unsigned int i;

	(void)state;
	for (i = 0; i < QF_WITNESSES; i++) {
		r = qf_witness_get((enum qf_witness)i);
		if (r->may_exclude && r->right < r->spoke)
			fail_msg("%s may not exclude", r->name);
		if (!r->spoke)
			fail_msg("%s was never measured", r->name);
	}
}

static void one_cluster_is_no_answer_to_two(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_hypothesis *h;
	uint64_t place;

	(void)state;
	for (place = 8; place <= 16; place += 8) {
		h = led_to(&l, place, 0x10000);
		qf_question_for(h, QF_WITNESS_ORDER_LINE_CLOSES);
		qf_question_for(h, QF_WITNESS_CLOSURE);
	}
	qf_question_judge(&l);
	assert_int_equal(grade(&l, 8), QF_GRADE_OPEN);
	assert_int_equal(grade(&l, 16), QF_GRADE_OPEN);
	qf_question_free(&l);
}

/* Witnesses of one kind err together. */
static void the_strongest_of_a_kind_counts(void **state)
{
	struct qf_hypothesis h = { 0 };
	unsigned int kinds;

	(void)state;
	qf_question_for(&h, QF_WITNESS_CLOSURE);
	qf_question_for(&h, QF_WITNESS_COUNT_FITS);
	qf_question_for(&h, QF_WITNESS_WAS_COUNTED);
	assert_int_equal(qf_question_bits(&h, &kinds),
			 qf_witness_get(QF_WITNESS_WAS_COUNTED)->bits);
	assert_int_equal(kinds, 1);
}

/* No row has more bits than its figures bear out (Laplace's rule). */
static void bits_are_what_was_measured(void **state)
{
	const struct qf_witness_row *r;
	unsigned long wrong;
	unsigned int i;

	(void)state;
	for (i = 0; i < QF_WITNESSES; i++) {
		r = qf_witness_get((enum qf_witness)i);
		wrong = r->spoke - r->right + 1;
		if (r->bits && wrong << r->bits > r->spoke + 2)
			fail_msg("%s has %u bits, and was wrong %lu times of "
				 "%lu",
				 r->name, r->bits, r->spoke - r->right,
				 r->spoke);
	}
}

/* Against whom something speaks, is not likely. */
static void who_is_doubted_is_not_likely(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_hypothesis *h = led_to(&l, 8, 0x10000);

	(void)state;
	qf_question_for(h, QF_WITNESS_ORDER_LINE_CLOSES);
	qf_question_for(h, QF_WITNESS_CLOSURE);
	qf_question_against(h, QF_WITNESS_STREAM);
	qf_question_judge(&l);
	assert_int_equal(grade(&l, 8), QF_GRADE_POSSIBLE);
	qf_question_free(&l);
}

/* Whatever the entry had said: nothing is there that it could have. */
static void with_nothing_to_give_back_it_is_proven(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_question *q = qf_question_add(&l, QF_QUESTION_ENTRY, 8);

	(void)state;
	qf_question_for(qf_question_other(q, QF_HYPO_GONE),
			QF_WITNESS_NO_ORPHAN);
	qf_question_judge(&l);
	assert_int_equal(grade(&l, 8), QF_GRADE_PROVEN);
	qf_question_free(&l);
}

static void candidates_that_find_no_room_leave_it_open(void **state)
{
	struct qf_questions l = { 0 };
	struct qf_question *q = qf_question_add(&l, QF_QUESTION_ENTRY, 8);
	uint64_t i;

	(void)state;
	for (i = 1; i <= QF_HYPOS_MAX; i++) {
		qf_question_for(qf_question_value(q, 8, i << 16),
				QF_WITNESS_VERSION_OF_LOST);
		qf_question_for(qf_question_value(q, 8, 1 << 16),
				QF_WITNESS_ORDER_BOTH);
	}
	qf_question_judge(&l);
	assert_int_equal(grade(&l, 8), QF_GRADE_OPEN);
	qf_question_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_kinds_are_needed),
		cmocka_unit_test(a_rival_takes_the_lead_away),
		cmocka_unit_test(only_some_may_exclude),
		cmocka_unit_test(who_was_wrong_may_not_exclude),
		cmocka_unit_test(one_cluster_is_no_answer_to_two),
		cmocka_unit_test(the_strongest_of_a_kind_counts),
		cmocka_unit_test(bits_are_what_was_measured),
		cmocka_unit_test(who_is_doubted_is_not_likely),
		cmocka_unit_test(with_nothing_to_give_back_it_is_proven),
		cmocka_unit_test(candidates_that_find_no_room_leave_it_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
