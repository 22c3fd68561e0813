// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/format/refblock.h"
#include "tests/unit/unit.h"

#define BYTES 512

/* Bit by bit, after the words of the format. */
static uint64_t naive_get(const unsigned char *b, uint32_t order, uint64_t i)
{
	uint32_t width = 1u << order, k;
	uint64_t v = 0;

	if (width >= 8) {
		for (k = 0; k < width / 8; k++)
			v = v << 8 | b[i * width / 8 + k];
		return v;
	}
	for (k = 0; k < width; k++)
		v |= (uint64_t)(b[(i * width + k) / 8] >>
					((i * width + k) % 8) &
				1)
		     << k;
	return v;
}

static uint64_t most(uint32_t order)
{
	return order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
}

static void every_width_is_read(void **state)
{
	unsigned char block[BYTES];
	uint64_t out[BYTES * 8], i, n;
	struct dice d = { 3 };
	uint32_t order;
	size_t k;

	(void)state;
	for (k = 0; k < BYTES; k++)
		block[k] = (unsigned char)dice_roll(&d);
	for (order = 0; order <= 6; order++) {
		n = BYTES * 8 >> order;
		for (i = 0; i < n; i++)
			assert_int_equal(qf_refblock_get(block, order, i),
					 naive_get(block, order, i));
		for (k = 0; k < 50; k++) {
			uint64_t from = dice_below(&d, n);
			uint64_t len = dice_below(&d, n - from + 1);

			memset(out, 0xee, sizeof(out));
			qf_refblock_decode(block, order, from, len, out);
			for (i = 0; i < len; i++)
				assert_int_equal(out[i], naive_get(block, order,
								   from + i));
			if (len < BYTES * 8)
				assert_int_equal(out[len], 0xeeeeeeeeeeeeeeee);
		}
	}
}

static void setting_touches_its_own_alone(void **state)
{
	unsigned char block[BYTES];
	uint64_t model[BYTES * 8], i, n, v;
	struct dice d = { 4 };
	uint32_t order;
	size_t k;

	(void)state;
	for (order = 0; order <= 6; order++) {
		n = BYTES * 8 >> order;
		memset(block, 0, sizeof(block));
		memset(model, 0, sizeof(model));
		for (k = 0; k < 3000; k++) {
			i = dice_below(&d, n);
			v = dice_roll(&d) & most(order);
			qf_refblock_set(block, order, i, v);
			model[i] = v;
		}
		for (i = 0; i < n; i++)
			assert_int_equal(naive_get(block, order, i), model[i]);
	}
}

static void narrow_counts_begin_at_the_low_bits(void **state)
{
	static const unsigned char block[] = { 0x21, 0x80 };

	(void)state;
	assert_int_equal(qf_refblock_get(block, 2, 0), 1);
	assert_int_equal(qf_refblock_get(block, 2, 1), 2);
	assert_int_equal(qf_refblock_get(block, 0, 0), 1);
	assert_int_equal(qf_refblock_get(block, 0, 15), 1);
	assert_int_equal(qf_refblock_get(block, 1, 2), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_width_is_read),
		cmocka_unit_test(setting_touches_its_own_alone),
		cmocka_unit_test(narrow_counts_begin_at_the_low_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
