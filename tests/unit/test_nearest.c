// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/nearest.h"
#include "tests/unit/unit.h"

static void distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned int d;
	} rows[] = {
		{ "", "", 0 },
		{ "check", "check", 0 },
		{ "chekc", "check", 1 },
		{ "chck", "check", 1 },
		{ "checkk", "check", 1 },
		{ "xheck", "check", 1 },
		{ "", "du", 2 },
		{ "repair", "undo", 6 },
	};
	char long_a[100], long_b[100];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(qf_nearest_distance(rows[i].a, rows[i].b),
				 rows[i].d);
		assert_int_equal(qf_nearest_distance(rows[i].b, rows[i].a),
				 rows[i].d);
	}
	memset(long_a, 'a', sizeof(long_a));
	memset(long_b, 'b', sizeof(long_b));
	long_a[99] = long_b[99] = '\0';
	assert_int_equal(qf_nearest_distance(long_a, long_b), 31);
}

static void what_is_near(void **state)
{
	(void)state;
	assert_true(qf_nearest_is_near("chekc", 1));
	assert_true(qf_nearest_is_near("repiar", 2));
	assert_false(qf_nearest_is_near("repiar", 3));
	assert_false(qf_nearest_is_near("duu1", 2));
	assert_false(qf_nearest_is_near("d", 1));
	assert_false(qf_nearest_is_near("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(what_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
