// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/be.h"
#include "tests/unit/unit.h"

static void the_first_byte_weighs_most(void **state)
{
	struct qf_be16 a = qf_be_put16(0x0102);
	struct qf_be32 b = qf_be_put32(0x01020304);
	struct qf_be64 c = qf_be_put64(0x0102030405060708);
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	assert_memory_equal(a.b, bytes, 2);
	assert_memory_equal(b.b, bytes, 4);
	assert_memory_equal(c.b, bytes, 8);
}

static void what_is_put_is_got(void **state)
{
	struct dice d = { 1 };
	uint64_t v;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		v = dice_roll(&d);
		assert_int_equal(qf_be_get16(qf_be_put16((uint16_t)v)),
				 (uint16_t)v);
		assert_int_equal(qf_be_get32(qf_be_put32((uint32_t)v)),
				 (uint32_t)v);
		assert_int_equal(qf_be_get64(qf_be_put64(v)), v);
	}
}

static void wire_types_have_no_alignment(void **state)
{
	(void)state;
	assert_int_equal(_Alignof(struct qf_be16), 1);
	assert_int_equal(_Alignof(struct qf_be32), 1);
	assert_int_equal(_Alignof(struct qf_be64), 1);
	assert_int_equal(sizeof(struct qf_be64), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_byte_weighs_most),
		cmocka_unit_test(what_is_put_is_got),
		cmocka_unit_test(wire_types_have_no_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
