// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/catalogue/problem.h"
#include "tests/unit/unit.h"

static void rows_are_found_by_number_and_name(void **state)
{
	const struct qf_problem_row *r;
	char id[16];
	unsigned int i;

	(void)state;
	for (i = 0; i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		snprintf(id, sizeof(id), "%u", r->id);
		assert_ptr_equal(qf_problem_find(id), r);
		assert_ptr_equal(qf_problem_find(r->name), r);
	}
	assert_null(qf_problem_find(""));
	assert_null(qf_problem_find("0"));
	assert_null(qf_problem_find("1101 "));
	assert_null(qf_problem_find("no-such-problem"));
}

static void numbers_and_names_stand_once(void **state)
{
	const struct qf_problem_row *a, *b;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < QF_PROBLEMS; i++)
		for (k = 0; k < i; k++) {
			a = qf_problem_get((enum qf_problem)i);
			b = qf_problem_get((enum qf_problem)k);
			assert_int_not_equal(a->id, b->id);
			assert_string_not_equal(a->name, b->name);
		}
}

/* Messages follow a number and a name; the other texts are sentences. */
static void texts_are_whole(void **state)
{
	const struct qf_problem_row *r;
	unsigned int i;
	size_t n;

	(void)state;
	for (i = 0; i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		n = strlen(r->message);
		assert_true(n > 10 && r->message[n - 1] != '.');
		n = strlen(r->why);
		assert_true(n > 20 && r->why[n - 1] == '.');
		n = strlen(r->repair);
		assert_true(n > 5 && r->repair[n - 1] == '.');
		assert_true(strstr(r->why, "  ") == NULL);
		assert_true(strstr(r->repair, "  ") == NULL);
	}
}

static void enums_have_words(void **state)
{
	unsigned int i;

	(void)state;
	assert_string_equal(qf_problem_severity(QF_SEV_NOTE), "note");
	assert_string_equal(qf_problem_severity(QF_SEV_WARNING), "warning");
	assert_string_equal(qf_problem_severity(QF_SEV_LEAK), "leak");
	assert_string_equal(qf_problem_severity(QF_SEV_ERROR), "error");
	assert_string_equal(qf_problem_severity(QF_SEV_FATAL), "fatal");
	assert_string_equal(qf_problem_risk(QF_RISK_NONE), "none");
	assert_string_equal(qf_problem_risk(QF_RISK_METADATA), "metadata");
	assert_string_equal(qf_problem_risk(QF_RISK_DATA), "data");
	for (i = 0; i < QF_FIXES; i++)
		assert_true(strlen(qf_problem_fix((enum qf_fix)i)) > 2);
	assert_string_equal(qf_problem_fix(QF_FIX_NOTHING), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_number_and_name),
		cmocka_unit_test(numbers_and_names_stand_once),
		cmocka_unit_test(texts_are_whole),
		cmocka_unit_test(enums_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
