// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/format/entry.h"
#include "tests/unit/unit.h"

#define FILE_BYTES (100ull << 16)

static struct qf_geometry geometry(uint32_t bits, uint64_t incompatible)
{
	struct qf_header h = { .version = 3,
			       .cluster_bits = bits,
			       .refcount_order = 4,
			       .incompatible = incompatible };
	struct qf_geometry g;

	qf_header_geometry(&h, &g);
	return g;
}

static void kinds(void **state)
{
	struct qf_geometry plain = geometry(16, 0);
	struct qf_geometry ext = geometry(16, QF_INCOMPAT_EXTL2);
	struct qf_geometry file = geometry(16, QF_INCOMPAT_DATA_FILE);
	static const struct {
		uint64_t entry;
		enum qf_entry_kind plain, ext, file;
	} rows[] = {
		{ 0, QF_ENTRY_KIND_NONE, QF_ENTRY_KIND_NONE,
		  QF_ENTRY_KIND_NONE },
		{ 1, QF_ENTRY_KIND_ZERO, QF_ENTRY_KIND_NONE,
		  QF_ENTRY_KIND_ZERO },
		{ 0x50000, QF_ENTRY_KIND_DATA, QF_ENTRY_KIND_DATA,
		  QF_ENTRY_KIND_DATA },
		{ 0x50001, QF_ENTRY_KIND_ZERO_ALLOC, QF_ENTRY_KIND_DATA,
		  QF_ENTRY_KIND_ZERO_ALLOC },
		{ 1ull << 63, QF_ENTRY_KIND_NONE, QF_ENTRY_KIND_NONE,
		  QF_ENTRY_KIND_DATA },
		{ 1ull << 62, QF_ENTRY_KIND_COMPRESSED,
		  QF_ENTRY_KIND_COMPRESSED, QF_ENTRY_KIND_COMPRESSED },
		{ UINT64_MAX, QF_ENTRY_KIND_COMPRESSED,
		  QF_ENTRY_KIND_COMPRESSED, QF_ENTRY_KIND_COMPRESSED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(qf_entry_kind(&plain, rows[i].entry),
				 rows[i].plain);
		assert_int_equal(qf_entry_kind(&ext, rows[i].entry),
				 rows[i].ext);
		assert_int_equal(qf_entry_kind(&file, rows[i].entry),
				 rows[i].file);
	}
}

static void compressed_places(void **state)
{
	struct dice d = { 5 };
	uint32_t bits, x;
	int i;

	(void)state;
	for (bits = 9; bits <= 21; bits++) {
		struct qf_geometry g = geometry(bits, 0);

		x = 62 - (bits - 8);
		for (i = 0; i < 200; i++) {
			uint64_t at = dice_roll(&d) & ((1ull << x) - 1);
			uint64_t sectors = dice_below(&d, 1ull << (bits - 8));
			uint64_t off, bytes;

			qf_entry_compressed(&g, 1ull << 62 | sectors << x | at,
					    &off, &bytes);
			assert_int_equal(off, at);
			assert_int_equal(bytes, (sectors + 1) * 512 - at % 512);
			assert_true(bytes > 0);
		}
	}
}

static void the_last_cluster_may_be_partial(void **state)
{
	struct qf_geometry g = geometry(16, 0);

	(void)state;
	assert_false(qf_entry_past_end(&g, 65536 * 3, 65536 * 2, 65536));
	assert_false(qf_entry_past_end(&g, 65536 * 2 + 1, 65536 * 2, 65536));
	assert_true(qf_entry_past_end(&g, 65536 * 2, 65536 * 2, 65536));
	assert_true(qf_entry_past_end(&g, 65536 * 2, 1ull << 55, 65536));
	assert_false(qf_entry_past_end(&g, 512, 0, 65536));
	assert_true(qf_entry_past_end(&g, 512, UINT64_MAX - 65535, 65536));
	assert_true(qf_entry_past_end(&g, 512, UINT64_MAX, 512));
}

static void odd_l1_entries(void **state)
{
	struct qf_geometry g = geometry(16, 0);

	(void)state;
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, 0x50000), 0);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, 1ull << 63 | 0x50000),
			 0);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, 0x50001),
			 QF_ODD_RESERVED);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, 1ull << 62 | 0x50000),
			 QF_ODD_RESERVED);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, 0x50200),
			 QF_ODD_UNALIGNED);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES, FILE_BYTES),
			 QF_ODD_PAST_END);
	assert_int_equal(qf_entry_l1_odd(&g, FILE_BYTES,
					 QF_ENTRY_OFFSET_MASK | 1),
			 QF_ODD_RESERVED | QF_ODD_UNALIGNED | QF_ODD_PAST_END);
}

static const uint64_t C = 1ull << 62, O = 1ull << 63;

static void odd_l2_entries(void **state)
{
	struct qf_geometry g = geometry(16, 0);
	static const struct {
		uint64_t entry;
		uint32_t version;
		unsigned int odd;
	} rows[] = {
		{ 0, 3, 0 },
		{ 0x50000, 3, 0 },
		{ 0x50001, 3, 0 },
		{ 0x50001, 2, QF_ODD_ZERO_V2 },
		{ 1, 2, QF_ODD_ZERO_V2 },
		{ 0x50002, 3, QF_ODD_RESERVED },
		{ 2, 3, QF_ODD_RESERVED },
		{ 1ull << 56, 3, QF_ODD_RESERVED },
		{ 0x50200, 3, QF_ODD_UNALIGNED },
		{ FILE_BYTES, 3, QF_ODD_PAST_END },
		{ FILE_BYTES - 0x10000, 3, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(qf_entry_l2_odd(&g, rows[i].version,
						 FILE_BYTES, rows[i].entry, 0),
				 rows[i].odd);
}

static void odd_compressed_entries(void **state)
{
	struct qf_geometry g = geometry(16, 0);
	struct qf_geometry file = geometry(16, QF_INCOMPAT_DATA_FILE);
	struct qf_geometry ext = geometry(16, QF_INCOMPAT_EXTL2);

	(void)state;
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, C | 0x50007, 0), 0);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, O | C | 0x50000, 0),
			 QF_ODD_COMPRESSED_COPIED);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, C | FILE_BYTES * 2,
					 0),
			 QF_ODD_PAST_END);
	/* its last sectors may reach past the end, by less than a cluster */
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES,
					 C | 8ull << 54 | (FILE_BYTES - 512),
					 0),
			 0);
	assert_int_equal(qf_entry_l2_odd(&file, 3, FILE_BYTES, C | 0x50000, 0),
			 QF_ODD_COMPRESSED_DATA_FILE);
	assert_int_equal(qf_entry_l2_odd(&ext, 3, FILE_BYTES, C | 0x50000, 1),
			 QF_ODD_COMPRESSED_BITMAP);
}

static void odd_subclusters(void **state)
{
	struct qf_geometry g = geometry(16, QF_INCOMPAT_EXTL2);
	const uint64_t alloc = 1, zero = 1ull << 32;

	(void)state;
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0x50000, alloc), 0);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0x50000, zero), 0);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0x50000,
					 alloc | zero),
			 QF_ODD_SUB_BOTH);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0, zero), 0);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0, alloc),
			 QF_ODD_SUB_NO_CLUSTER);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, 0x50001, alloc),
			 QF_ODD_ZERO_EXTL2);
}

static void a_data_file_has_no_end_here(void **state)
{
	struct qf_geometry g = geometry(16, QF_INCOMPAT_DATA_FILE);

	(void)state;
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, O | 1ull << 50, 0),
			 0);
	assert_int_equal(qf_entry_l2_odd(&g, 3, FILE_BYTES, O | 0x200, 0),
			 QF_ODD_UNALIGNED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(compressed_places),
		cmocka_unit_test(the_last_cluster_may_be_partial),
		cmocka_unit_test(odd_l1_entries),
		cmocka_unit_test(odd_l2_entries),
		cmocka_unit_test(odd_compressed_entries),
		cmocka_unit_test(odd_subclusters),
		cmocka_unit_test(a_data_file_has_no_end_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
