// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/format/header.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

static const struct mini_opts v3 = { .version = 3,
				     .cluster_bits = 16,
				     .refcount_order = 4,
				     .disk_bytes = 1ull << 30 };

static void a_version_2_header(void **state)
{
	struct mini_opts o = { .version = 2,
			       .cluster_bits = 12,
			       .disk_bytes = 3ull << 30 };
	struct qf_header h;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	memset(m.buf + 72, 0xff, 32); /* means nothing before version 3 */
	assert_int_equal(qf_header_parse(m.buf, 72, &h, NULL), QF_OK);
	assert_int_equal(h.version, 2);
	assert_int_equal(h.cluster_bits, 12);
	assert_int_equal(h.disk_bytes, 3ull << 30);
	assert_int_equal(h.l1_off, m.l1_off);
	assert_int_equal(h.l1_entries, m.l1_entries);
	assert_int_equal(h.reftable_off, m.reftable_off);
	assert_int_equal(h.reftable_clusters, 1);
	assert_int_equal(h.refcount_order, 4);
	assert_int_equal(h.header_bytes, 72);
	assert_int_equal(h.incompatible, 0);
	mini_free(&m);
}

static void every_field_of_version_3(void **state)
{
	struct qf_header h;
	struct mini m;

	(void)state;
	mini_make(&m, &v3);
	mini_put64(&m, 8, 0x200);
	mini_put32(&m, 16, 9);
	mini_put32(&m, 32, 2);
	mini_put32(&m, 60, 3);
	mini_put64(&m, 64, 0x123450000);
	mini_put64(&m, 72, 0xf);
	mini_put64(&m, 80, 0xabc);
	mini_put64(&m, 88, 0xdef);
	mini_put32(&m, 96, 6);
	mini_put32(&m, 100, 112);
	m.buf[104] = 1;
	m.buf[105] = 7;
	assert_int_equal(qf_header_parse(m.buf, 112, &h, NULL), QF_OK);
	assert_int_equal(h.backing_name_off, 0x200);
	assert_int_equal(h.backing_name_bytes, 9);
	assert_int_equal(h.crypt_method, QF_CRYPT_LUKS);
	assert_int_equal(h.snapshot_count, 3);
	assert_int_equal(h.snapshots_off, 0x123450000);
	assert_int_equal(h.incompatible, 0xf);
	assert_int_equal(h.compatible, 0xabc);
	assert_int_equal(h.autoclear, 0xdef);
	assert_int_equal(h.refcount_order, 6);
	assert_int_equal(h.header_bytes, 112);
	assert_int_equal(h.compression, QF_COMPRESSION_ZSTD);
	assert_int_equal(h.padding[0], 7);
	/* behind a header of 104 bytes stands something else */
	mini_put32(&m, 100, 104);
	mini_put64(&m, 72, 0);
	assert_int_equal(qf_header_parse(m.buf, 112, &h, NULL), QF_OK);
	assert_int_equal(h.compression, QF_COMPRESSION_ZLIB);
	assert_int_equal(h.padding[0], 0);
	mini_free(&m);
}

static void what_has_no_meaning(void **state)
{
	static const struct {
		uint32_t off, value;
		enum qf_err err;
		uint64_t where;
	} rows[] = {
		{ 0, 0x7f454c46, QF_ERR_FOREIGN, QF_NOWHERE },
		{ 4, 0, QF_ERR_FOREIGN, 4 },
		{ 4, 1, QF_ERR_FOREIGN, 4 },
		{ 4, 4, QF_ERR_UNSUPPORTED, 4 },
		{ 20, 0, QF_ERR_FORMAT, 20 },
		{ 20, 8, QF_ERR_FORMAT, 20 },
		{ 20, 22, QF_ERR_FORMAT, 20 },
		{ 20, 63, QF_ERR_FORMAT, 20 },
		{ 20, UINT32_MAX, QF_ERR_FORMAT, 20 },
		{ 32, 3, QF_ERR_UNSUPPORTED, 32 },
		{ 72, 1, QF_ERR_UNSUPPORTED, 72 },
		{ 76, 1u << 5, QF_ERR_UNSUPPORTED, 72 },
		{ 96, 7, QF_ERR_FORMAT, 96 },
		{ 96, UINT32_MAX, QF_ERR_FORMAT, 96 },
		{ 100, 0, QF_ERR_FORMAT, 100 },
		{ 100, 96, QF_ERR_FORMAT, 100 },
		{ 100, 65544, QF_ERR_FORMAT, 100 },
		{ 100, UINT32_MAX, QF_ERR_FORMAT, 100 },
	};
	struct qf_header h;
	struct qf_why why;
	struct mini m;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		mini_make(&m, &v3);
		mini_put32(&m, rows[i].off, rows[i].value);
		why.off = QF_NOWHERE;
		assert_int_equal(qf_header_parse(m.buf, 112, &h, &why),
				 rows[i].err);
		assert_true(why.text[0]);
		if (rows[i].where != QF_NOWHERE)
			assert_int_equal(why.off, rows[i].where);
		mini_free(&m);
	}
}

static void a_header_that_is_cut_short(void **state)
{
	struct qf_header h;
	struct qf_why why;
	struct mini m;
	uint64_t n;

	(void)state;
	mini_make(&m, &v3);
	for (n = 4; n < 104; n++)
		assert_int_equal(qf_header_parse(m.buf, n, &h, &why),
				 QF_ERR_FORMAT);
	assert_int_equal(qf_header_parse(m.buf, 104, &h, &why), QF_OK);
	for (n = 0; n < 4; n++)
		assert_int_equal(qf_header_parse(m.buf, n, &h, &why),
				 QF_ERR_FOREIGN);
	mini_free(&m);
}

static void extended_l2_entries_want_large_clusters(void **state)
{
	struct mini_opts o = v3;
	struct qf_header h;
	struct mini m;

	(void)state;
	o.incompatible = QF_INCOMPAT_EXTL2;
	o.cluster_bits = 13;
	mini_make(&m, &o);
	assert_int_equal(qf_header_parse(m.buf, 104, &h, NULL), QF_ERR_FORMAT);
	mini_free(&m);
	o.cluster_bits = 14;
	mini_make(&m, &o);
	assert_int_equal(qf_header_parse(m.buf, 104, &h, NULL), QF_OK);
	mini_free(&m);
}

static void geometry_of_all_sizes(void **state)
{
	struct qf_header h = { .version = 3 };
	struct qf_geometry g;
	uint32_t bits, order;

	(void)state;
	for (bits = 9; bits <= 21; bits++)
		for (order = 0; order <= 6; order++) {
			h.cluster_bits = bits;
			h.refcount_order = order;
			h.disk_bytes = (1ull << (bits * 2 - 3)) + 1;
			qf_header_geometry(&h, &g);
			assert_int_equal(g.cluster_bytes, 1ull << bits);
			assert_int_equal(g.refcount_bits, 1u << order);
			assert_int_equal(g.refcount_max,
					 order == 6
						 ? UINT64_MAX
						 : (1ull << (1u << order)) - 1);
			assert_int_equal((1ull << g.refblock_bits) *
						 g.refcount_bits,
					 g.cluster_bytes * 8);
			assert_int_equal(g.l2_entries * 8ull, g.cluster_bytes);
			assert_int_equal(g.l1_needed, 2);
			assert_int_equal(g.csize_shift, 62 - (bits - 8));
			assert_int_equal(g.csize_mask, (1u << (bits - 8)) - 1);
			assert_int_equal(g.coffset_mask,
					 (1ull << g.csize_shift) - 1);
			assert_int_equal(g.subcluster_bytes, g.cluster_bytes);
		}
	h.incompatible = QF_INCOMPAT_EXTL2;
	h.cluster_bits = 16;
	qf_header_geometry(&h, &g);
	assert_int_equal(g.l2_entry_bytes, 16);
	assert_int_equal(g.l2_entries, 4096);
	assert_int_equal(g.subcluster_bytes, 2048);
}

static void l1_entries_for_a_disk(void **state)
{
	struct qf_header h = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4 };
	struct qf_geometry g;

	(void)state;
	qf_header_geometry(&h, &g);
	assert_int_equal(qf_header_l1_needed(&g, 0), 0);
	assert_int_equal(qf_header_l1_needed(&g, 1), 1);
	assert_int_equal(qf_header_l1_needed(&g, 32768), 1);
	assert_int_equal(qf_header_l1_needed(&g, 32769), 2);
	assert_int_equal(qf_header_l1_needed(&g, UINT64_MAX), 1ull << 49);
}

static void features_have_names(void **state)
{
	unsigned int t, b;

	(void)state;
	assert_string_equal(qf_header_feature(0, 0), "dirty bit");
	assert_string_equal(qf_header_feature(1, 0), "lazy refcounts");
	assert_string_equal(qf_header_feature(2, 1), "raw external data");
	for (t = 0; t < 5; t++)
		for (b = 5; b < 64; b++)
			assert_null(qf_header_feature(t, b));
	assert_null(qf_header_feature(1, 1));
	assert_null(qf_header_feature(3, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_2_header),
		cmocka_unit_test(every_field_of_version_3),
		cmocka_unit_test(what_has_no_meaning),
		cmocka_unit_test(a_header_that_is_cut_short),
		cmocka_unit_test(extended_l2_entries_want_large_clusters),
		cmocka_unit_test(geometry_of_all_sizes),
		cmocka_unit_test(l1_entries_for_a_disk),
		cmocka_unit_test(features_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
