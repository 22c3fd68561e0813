// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

static void sums_and_products_do_not_wrap(void **state)
{
	uint64_t r = 0;

	(void)state;
	assert_true(qf_mem_add(1, 2, &r));
	assert_int_equal(r, 3);
	assert_false(qf_mem_add(UINT64_MAX, 1, &r));
	assert_true(qf_mem_mul(1ull << 32, (1ull << 32) - 1, &r));
	assert_int_equal(r, 0xffffffff00000000);
	assert_false(qf_mem_mul(1ull << 32, 1ull << 32, &r));
}

static void rounding(void **state)
{
	(void)state;
	assert_int_equal(qf_mem_round_up(0, 8), 0);
	assert_int_equal(qf_mem_round_up(1, 8), 8);
	assert_int_equal(qf_mem_round_up(8, 8), 8);
	assert_int_equal(qf_mem_round_up(UINT64_MAX, 512),
			 UINT64_MAX & ~511ull);
	assert_int_equal(qf_mem_div_up(0, 4), 0);
	assert_int_equal(qf_mem_div_up(1, 4), 1);
	assert_int_equal(qf_mem_div_up(8, 4), 2);
	assert_int_equal(qf_mem_div_up(UINT64_MAX, 2), 1ull << 63);
}

static void what_is_allocated_is_zero(void **state)
{
	unsigned char *p = qf_mem_zalloc(100, 3), *q;
	size_t i, k;

	(void)state;
	assert_non_null(p);
	for (i = 0; i < 300; i++)
		assert_int_equal(p[i], 0);
	free(p);
	p = qf_mem_zalloc(0, 0);
	assert_non_null(p);
	free(p);
	assert_null(qf_mem_zalloc(SIZE_MAX / 2, 3));
	/* not even where size_t has 32 bits and the low ones of both fit */
	assert_null(qf_mem_zalloc((1ull << 32) + 1, 1ull << 32));
	assert_null(qf_mem_map(0));
	/* far more than there is: only what is touched takes memory */
	q = qf_mem_map(1ull << 40);
	if (sizeof(size_t) < sizeof(uint64_t)) {
		assert_null(q);
		return;
	}
	assert_non_null(q);
	q[1ull << 39] = 1;
	assert_int_equal(q[0], 0);
	qf_mem_unmap(q, 1ull << 40);
	qf_mem_unmap(NULL, 100);
	/* zeros, small or large, also where there was something before */
	for (i = 0; i < 40; i++) {
		q = qf_mem_map((i + 1) * 1000);
		assert_non_null(q);
		for (k = 0; k < (i + 1) * 1000; k++)
			assert_int_equal(q[k], 0);
		memset(q, 255, (i + 1) * 1000);
		qf_mem_unmap(q, (i + 1) * 1000);
	}
}

static void an_array_grows(void **state)
{
	size_t n = 0, room = 0, i;
	uint32_t *a = NULL;

	(void)state;
	for (n = 0; n < 10000; n++) {
		assert_true(qf_mem_grow((void **)&a, n, &room, sizeof(*a)));
		assert_true(room > n);
		a[n] = (uint32_t)n;
	}
	for (i = 0; i < n; i++)
		assert_int_equal(a[i], i);
	free(a);
}

static void growing_past_all_memory_is_refused(void **state)
{
	uint64_t one = 7;
	void *array = &one;
	size_t room = SIZE_MAX / 4;

	(void)state;
	assert_false(qf_mem_grow(&array, room, &room, 8));
	assert_ptr_equal(array, &one);
	assert_int_equal(room, SIZE_MAX / 4);
	room = SIZE_MAX / 2 + 1;
	assert_false(qf_mem_grow(&array, room, &room, 1));
}

static void the_nth_allocation_fails(void **state)
{
	void *p, *array = NULL;
	size_t room = 0;

	(void)state;
	qf_mem_fail_at(3);
	free(qf_mem_zalloc(1, 1));
	p = qf_mem_map(4096);
	assert_non_null(p);
	qf_mem_unmap(p, 4096);
	assert_null(qf_mem_zalloc(1, 1));
	free(qf_mem_zalloc(1, 1));
	qf_mem_fail_at(1);
	assert_false(qf_mem_grow(&array, 0, &room, 8));
	assert_null(array);
	qf_mem_fail_at(1);
	assert_null(qf_mem_map(4096));
	qf_mem_fail_at(1);
	qf_mem_fail_at(0);
	p = qf_mem_zalloc(1, 1);
	assert_non_null(p);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_and_products_do_not_wrap),
		cmocka_unit_test(rounding),
		cmocka_unit_test(what_is_allocated_is_zero),
		cmocka_unit_test(an_array_grows),
		cmocka_unit_test(growing_past_all_memory_is_refused),
		cmocka_unit_test(the_nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
