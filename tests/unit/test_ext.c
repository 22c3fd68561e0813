// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/format/ext.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#define AREA 512

struct area {
	unsigned char buf[AREA];
	size_t at;
};

static void add(struct area *a, uint32_t type, const void *data, uint32_t bytes)
{
	struct qf_wire_ext w = { qf_be_put32(type), qf_be_put32(bytes) };

	assert_true(a->at + 8 + bytes <= AREA);
	memcpy(a->buf + a->at, &w, 8);
	memcpy(a->buf + a->at + 8, data, bytes);
	a->at += 8 + ((bytes + 7u) & ~7u);
}

static void a_list_is_read(void **state)
{
	static const unsigned char bitmaps[24] = { 0, 0, 0, 2, 0, 0, 0, 0,
						   0, 0, 0, 0, 0, 0, 1, 0,
						   0, 0, 0, 0, 0, 5, 0, 0 };
	static const unsigned char crypto[16] = { 0, 0, 0, 0, 0, 4, 0,	0,
						  0, 0, 0, 0, 0, 0, 16, 0 };
	struct area a = { .at = 104 };
	struct qf_ext_list l;

	(void)state;
	add(&a, QF_EXT_BACKING_FORMAT, "qcow2", 5);
	add(&a, 0xdeadbeef, "?", 1);
	add(&a, QF_EXT_BITMAPS, bitmaps, 24);
	add(&a, QF_EXT_CRYPTO, crypto, 16);
	assert_int_equal(qf_ext_parse(a.buf, 104, AREA, &l, NULL), QF_OK);
	assert_int_equal(l.n, 4);
	assert_false(l.unterminated);
	assert_string_equal(qf_ext_string(&l, QF_EXT_BACKING_FORMAT), "qcow2");
	assert_null(qf_ext_string(&l, QF_EXT_DATA_FILE));
	assert_int_equal(l.ext[1].type, 0xdeadbeef);
	assert_int_equal(l.ext[1].odd, 0);
	assert_int_equal(l.ext[1].off, 104 + 8 + 8 + 8);
	assert_true(l.has_bitmaps);
	assert_int_equal(l.bitmap_count, 2);
	assert_int_equal(l.bitmap_dir_bytes, 256);
	assert_int_equal(l.bitmap_dir_off, 0x50000);
	assert_true(l.has_crypto);
	assert_int_equal(l.crypto_off, 0x40000);
	assert_int_equal(l.crypto_bytes, 4096);
	qf_ext_free(&l);
	assert_int_equal(l.n, 0);
}

static void what_is_odd_is_told(void **state)
{
	unsigned char bytes[48] = { 0, 0, 0, 1, 0, 0, 0, 1 };
	struct area a = { .at = 72 };
	struct qf_ext_list l;

	(void)state;
	add(&a, QF_EXT_BITMAPS, bytes, 23);
	add(&a, QF_EXT_BITMAPS, bytes, 24);
	add(&a, QF_EXT_CRYPTO, bytes, 17);
	add(&a, QF_EXT_FEATURE_NAMES, bytes, 47);
	add(&a, 0x1234, bytes, 3);
	add(&a, 0x1234, bytes, 3);
	assert_int_equal(qf_ext_parse(a.buf, 72, AREA, &l, NULL), QF_OK);
	assert_int_equal(l.n, 6);
	assert_int_equal(l.ext[0].odd, QF_EXT_ODD_LENGTH);
	assert_int_equal(l.ext[1].odd, QF_EXT_ODD_TWICE);
	assert_int_equal(l.ext[2].odd, QF_EXT_ODD_LENGTH);
	assert_int_equal(l.ext[3].odd, QF_EXT_ODD_LENGTH);
	assert_int_equal(l.ext[5].odd, 0); /* not a type of the format's */
	assert_false(l.has_bitmaps);
	assert_false(l.has_crypto);
	qf_ext_free(&l);
}

static void a_reserved_field(void **state)
{
	unsigned char bytes[24] = { 0, 0, 0, 1, 0, 0, 0, 1 };
	struct area a = { .at = 104 };
	struct qf_ext_list l;

	(void)state;
	add(&a, QF_EXT_BITMAPS, bytes, 24);
	assert_int_equal(qf_ext_parse(a.buf, 104, AREA, &l, NULL), QF_OK);
	assert_int_equal(l.ext[0].odd, QF_EXT_ODD_RESERVED);
	assert_true(l.has_bitmaps);
	qf_ext_free(&l);
}

static void one_that_runs_past_its_area(void **state)
{
	static const uint32_t lengths[] = { AREA - 104 - 8 + 1, AREA, 1u << 31,
					    UINT32_MAX };
	struct area a = { .at = 104 };
	struct qf_ext_list l;
	struct qf_wire_ext w;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		w.type = qf_be_put32(QF_EXT_DATA_FILE);
		w.len = qf_be_put32(lengths[i]);
		memcpy(a.buf + 104, &w, 8);
		assert_int_equal(qf_ext_parse(a.buf, 104, AREA, &l, NULL),
				 QF_OK);
		assert_int_equal(l.n, 1);
		assert_true(l.ext[0].odd & QF_EXT_ODD_OVERRUN);
		assert_null(l.ext[0].data);
		assert_true(l.unterminated);
		assert_null(qf_ext_find(&l, QF_EXT_DATA_FILE));
		qf_ext_free(&l);
	}
	/* just as long as the area is allowed, without an end marker */
	w.len = qf_be_put32(AREA - 104 - 8);
	memcpy(a.buf + 104, &w, 8);
	assert_int_equal(qf_ext_parse(a.buf, 104, AREA, &l, NULL), QF_OK);
	assert_int_equal(l.ext[0].odd, 0);
	assert_true(l.unterminated);
	qf_ext_free(&l);
}

static void an_area_without_room(void **state)
{
	unsigned char buf[AREA];
	struct qf_ext_list l;
	uint64_t end;

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	for (end = 0; end < 112; end++) {
		assert_int_equal(qf_ext_parse(buf, 104, end, &l, NULL), QF_OK);
		assert_int_equal(l.n, 0);
		assert_true(l.unterminated);
		qf_ext_free(&l);
	}
}

static void any_bytes_are_survived(void **state)
{
	unsigned char buf[AREA];
	struct qf_ext_list l;
	struct dice d = { 11 };
	size_t i, k;

	(void)state;
	for (i = 0; i < 3000; i++) {
		for (k = 0; k < AREA; k++)
			buf[k] = dice_once_in(&d, 3)
					 ? (unsigned char)dice_roll(&d)
					 : 0;
		assert_int_equal(qf_ext_parse(buf, 72, 72 + dice_below(&d, 441),
					      &l, NULL),
				 QF_OK);
		for (k = 0; k < l.n; k++)
			assert_true(l.ext[k].data ||
				    l.ext[k].odd & QF_EXT_ODD_OVERRUN);
		qf_ext_free(&l);
	}
}

static void without_memory(void **state)
{
	struct area a = { .at = 104 };
	struct qf_ext_list l;
	long n;

	(void)state;
	add(&a, QF_EXT_BACKING_FORMAT, "qcow2", 5);
	add(&a, QF_EXT_DATA_FILE, "d", 1);
	for (n = 1; n <= 3; n++) {
		qf_mem_fail_at(n);
		assert_int_equal(qf_ext_parse(a.buf, 104, AREA, &l, NULL),
				 QF_ERR_NOMEM);
		assert_int_equal(l.n, 0);
	}
	qf_mem_fail_at(0);
}

static void types_have_names(void **state)
{
	(void)state;
	assert_string_equal(qf_ext_name(QF_EXT_BITMAPS), "bitmaps");
	assert_string_equal(qf_ext_name(1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_read),
		cmocka_unit_test(what_is_odd_is_told),
		cmocka_unit_test(a_reserved_field),
		cmocka_unit_test(one_that_runs_past_its_area),
		cmocka_unit_test(an_area_without_room),
		cmocka_unit_test(any_bytes_are_survived),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(types_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
