// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/catalogue/finding.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

static struct qf_finding *add(struct qf_findings *l, enum qf_problem p,
			      uint64_t off, const char *text)
{
	struct qf_finding *f = qf_finding_add(l, p);

	f->host_off = off;
	f->length = 512;
	qf_finding_say(f, "%s", text);
	return f;
}

static void a_new_finding_counts_as_its_severity_says(void **state)
{
	static const struct {
		enum qf_problem p;
		uint64_t corruptions, leaks, errors;
	} rows[] = {
		{ QF_P_L2_RESERVED, 1, 0, 0 },
		{ QF_P_HEADER_L1_OUTSIDE, 1, 0, 0 },
		{ QF_P_REFCOUNT_LEAK, 0, 1, 0 },
		{ QF_P_L2_UNREADABLE, 0, 0, 1 },
		{ QF_P_HEADER_DIRTY, 0, 0, 0 },
		{ QF_P_EXT_UNKNOWN, 0, 0, 0 },
	};
	struct qf_findings l = { 0 };
	struct qf_finding *f;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		f = qf_finding_add(&l, rows[i].p);
		assert_int_equal(f->problem, rows[i].p);
		assert_int_equal(f->count, 1);
		assert_int_equal(f->collated, 1);
		assert_int_equal(f->corruptions, rows[i].corruptions);
		assert_int_equal(f->leaks, rows[i].leaks);
		assert_int_equal(f->errors, rows[i].errors);
		assert_int_equal(f->host_off, QF_NOWHERE);
		assert_int_equal(f->guest_off, QF_NOWHERE);
		assert_null(f->text);
	}
	assert_int_equal(l.n, ARRAY_SIZE(rows));
	qf_finding_free(&l);
}

static void texts_are_replaced(void **state)
{
	struct qf_findings l = { 0 };
	struct qf_finding *f = qf_finding_add(&l, QF_P_L2_RESERVED);

	(void)state;
	qf_finding_say(f, "%d", 1);
	qf_finding_say(f, "%d", 2);
	qf_finding_owner(f, "a");
	qf_finding_owner(f, "b");
	qf_finding_other(f, "c");
	assert_string_equal(f->text, "2");
	assert_string_equal(f->owner, "b");
	assert_string_equal(f->other, "c");
	qf_finding_free(&l);
}

static void the_gravest_come_first(void **state)
{
	static const char *const order[] = { "fatal",	"other", "error 1",
					     "error 2", "leak",	 "warning",
					     "note" };
	struct qf_findings l = { 0 };
	size_t i;

	(void)state;
	add(&l, QF_P_EXT_UNKNOWN, 0, "note");
	add(&l, QF_P_REFCOUNT_LEAK, 0, "leak");
	add(&l, QF_P_L2_UNALIGNED, 0, "other");
	add(&l, QF_P_L2_RESERVED, 900, "error 2");
	add(&l, QF_P_HEADER_DIRTY, 0, "warning");
	add(&l, QF_P_L2_RESERVED, 100, "error 1");
	add(&l, QF_P_HEADER_L1_OUTSIDE, 5000, "fatal");
	qf_finding_collate(&l, 0);
	assert_int_equal(l.n, ARRAY_SIZE(order));
	for (i = 0; i < l.n; i++)
		assert_string_equal(l.at[i].text, order[i]);
	qf_finding_free(&l);
}

static void the_order_does_not_depend_on_the_additions(void **state)
{
	enum { N = 300 };
	struct qf_findings a = { 0 }, b = { 0 };
	struct dice d = { 8 };
	uint64_t off[N];
	char text[32];
	size_t i;

	(void)state;
	for (i = 0; i < N; i++)
		off[i] = dice_below(&d, 50);
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		add(&a, (enum qf_problem)(i % QF_PROBLEMS), off[i], text);
	}
	for (i = N; i--;) {
		snprintf(text, sizeof(text), "%zu", i);
		add(&b, (enum qf_problem)(i % QF_PROBLEMS), off[i], text);
	}
	qf_finding_collate(&a, 0);
	qf_finding_collate(&b, 0);
	for (i = 0; i < N; i++) {
		assert_int_equal(a.at[i].problem, b.at[i].problem);
		assert_int_equal(a.at[i].host_off, b.at[i].host_off);
		assert_string_equal(a.at[i].text, b.at[i].text);
	}
	qf_finding_free(&a);
	qf_finding_free(&b);
}

static void floods_are_put_together(void **state)
{
	struct qf_findings l = { 0 };
	struct qf_finding *f;
	uint64_t i, sum = 0, corruptions = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		f = add(&l, QF_P_L2_RESERVED, i * 4096, "x");
		f->count = i + 1;
		f->corruptions = 2;
		qf_finding_owner(f, "somebody");
	}
	add(&l, QF_P_REFCOUNT_LEAK, 0, "leak");
	qf_finding_collate(&l, 10);
	assert_int_equal(l.n, 12);
	for (i = 0; i < 10; i++)
		assert_string_equal(l.at[i].text, "x");
	f = &l.at[10];
	assert_int_equal(f->collated, 90);
	assert_int_equal(f->host_off, 10 * 4096);
	assert_int_equal(f->length, 89 * 4096 + 512);
	assert_null(f->owner);
	assert_non_null(strstr(f->text, "90 more of these"));
	for (i = 0; i < l.n - 1; i++) {
		sum += l.at[i].count;
		corruptions += l.at[i].corruptions;
	}
	assert_int_equal(sum, 5050);
	assert_int_equal(corruptions, 200);
	assert_string_equal(l.at[11].text, "leak");
	qf_finding_free(&l);
}

static void one_over_the_limit_is_left_alone(void **state)
{
	struct qf_findings l = { 0 };
	uint64_t i;

	(void)state;
	for (i = 0; i < 11; i++)
		add(&l, QF_P_L2_RESERVED, i, "x");
	qf_finding_collate(&l, 10);
	assert_int_equal(l.n, 11);
	assert_string_equal(l.at[10].text, "x");
	qf_finding_free(&l);
	qf_finding_collate(&l, 10);
	assert_int_equal(l.n, 0);
}

static void without_memory_a_spare_takes_it(void **state)
{
	struct qf_findings l = { 0 };
	struct qf_finding *f;

	(void)state;
	qf_mem_fail_at(1);
	f = qf_finding_add(&l, QF_P_L2_RESERVED);
	assert_non_null(f);
	qf_finding_say(f, "lost");
	assert_true(l.failed);
	assert_int_equal(l.n, 0);
	qf_mem_fail_at(1);
	qf_finding_say(qf_finding_add(&l, QF_P_L2_RESERVED), "lost too");
	qf_mem_fail_at(0);
	add(&l, QF_P_L2_RESERVED, 0, "kept");
	assert_int_equal(l.n, 1);
	assert_true(l.failed);
	qf_finding_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_finding_counts_as_its_severity_says),
		cmocka_unit_test(texts_are_replaced),
		cmocka_unit_test(the_gravest_come_first),
		cmocka_unit_test(the_order_does_not_depend_on_the_additions),
		cmocka_unit_test(floods_are_put_together),
		cmocka_unit_test(one_over_the_limit_is_left_alone),
		cmocka_unit_test(without_memory_a_spare_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
