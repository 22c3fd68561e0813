// SPDX-License-Identifier: GPL-2.0-or-later
/* lib/guest: places of volumes, and the small tools of the readers. */
#include "tests/unit/unit.h"

#include "lib/guest/crc.h"
#include "lib/guest/guest.h"
#include "lib/guest/ident.h"
#include "lib/guest/volume.h"

/* 10 linear, 3 columns of 4 in stripes of 2, 5 elsewhere, 6 linear. */
static const struct qf_guest_segment segments[] = {
	{ .start = 0, .bytes = 10, .at = 100, .columns = 1 },
	{ .start = 10,
	  .bytes = 12,
	  .at = 200,
	  .stripe_bytes = 2,
	  .columns = 3,
	  .column = 0 },
	{ .start = 10,
	  .bytes = 12,
	  .at = 300,
	  .stripe_bytes = 2,
	  .columns = 3,
	  .column = 1 },
	{ .start = 10,
	  .bytes = 12,
	  .at = 400,
	  .stripe_bytes = 2,
	  .columns = 3,
	  .column = 2 },
	{ .start = 22, .bytes = 5, .at = QF_NOWHERE, .columns = 1 },
	{ .start = 27, .bytes = 6, .at = 500, .columns = 1 },
};

static const struct qf_volume volume = { .seg = segments,
					 .n_seg = ARRAY_SIZE(segments),
					 .bytes = 33 };

static void places(void **state)
{
	static const struct {
		uint64_t off, limit, at, bytes;
	} want[] = {
		{ 0, 50, 100, 10 },	    { 9, 50, 109, 1 },
		{ 10, 50, 200, 2 },	    { 12, 50, 300, 2 },
		{ 15, 50, 401, 1 },	    { 16, 1, 202, 1 },
		{ 21, 50, 403, 1 },	    { 22, 50, QF_NOWHERE, 5 },
		{ 24, 2, QF_NOWHERE, 2 },   { 27, 50, 500, 6 },
		{ 33, 50, QF_NOWHERE, 50 }, { UINT64_MAX, 1, QF_NOWHERE, 1 },
	};
	uint64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(qf_volume_place(&volume, want[i].off,
						 want[i].limit, &n),
				 want[i].at);
		assert_int_equal(n, want[i].bytes);
	}
}

/* Every byte leads there and back. */
static void there_and_back(void **state)
{
	struct qf_guest_range *r = NULL, one = { .bytes = 1 };
	size_t n, room = 0;
	uint64_t off, len;

	(void)state;
	for (off = 0; off < volume.bytes; off++) {
		one.start = qf_volume_place(&volume, off, 1, &len);
		if (one.start == QF_NOWHERE)
			continue;
		n = 0;
		assert_true(qf_volume_within(&volume, &one, &r, &n, &room));
		assert_int_equal(n, 1);
		assert_int_equal(r[0].start, off);
		assert_int_equal(r[0].bytes, 1);
	}
	one = (struct qf_guest_range){ 0, 1000 };
	n = 0;
	assert_true(qf_volume_within(&volume, &one, &r, &n, &room));
	n = qf_volume_merge(r, n);
	assert_int_equal(n, 2);
	assert_int_equal(r[0].bytes, 22);
	assert_int_equal(r[1].start, 27);
	free(r);
}

static void asked(void **state)
{
	static const struct qf_guest_range ranges[] = { { 5, 5 }, { 20, 1 } };
	struct qf_volume v = volume;

	(void)state;
	assert_false(qf_volume_asked(&v, 0, 100));
	v.asked = ranges;
	v.n_asked = 2;
	assert_false(qf_volume_asked(&v, 0, 5));
	assert_true(qf_volume_asked(&v, 0, 6));
	assert_true(qf_volume_asked(&v, 9, 1));
	assert_false(qf_volume_asked(&v, 10, 10));
	assert_true(qf_volume_asked(&v, 10, 11));
	assert_false(qf_volume_asked(&v, 21, UINT64_MAX - 21));
}

static void checksums(void **state)
{
	struct dice d = { 5 };
	unsigned char b[300];
	uint32_t crc, n;
	size_t i;

	(void)state;
	/* the check value of the polynomial */
	assert_int_equal(~qf_crc_32c(~0u, "123456789", 9), 0xe3069283);
	for (i = 0; i < sizeof(b); i++)
		b[i] = (unsigned char)dice_roll(&d);
	for (n = 0; n < sizeof(b); n += 13) {
		crc = qf_crc_32c((uint32_t)n * 77, b, n);
		assert_int_equal(qf_crc_32c_before(crc, b, n), n * 77);
		/* in two steps */
		assert_int_equal(qf_crc_32c(qf_crc_32c(n * 77, b, n / 3),
					    b + n / 3, n - n / 3),
				 crc);
	}
}

static void texts(void **state)
{
	static const unsigned char id[16] = { 1, 2,  3,	 4,  5,	 6,  7,	 8,
					      9, 10, 11, 12, 13, 14, 15, 16 };
	char out[64], small[5];

	(void)state;
	qf_ident_uuid(id, out, sizeof(out));
	assert_string_equal(out, "01020304-0506-0708-090a-0b0c0d0e0f10");
	qf_ident_guid(id, out, sizeof(out));
	assert_string_equal(out, "04030201-0605-0807-090a-0b0c0d0e0f10");
	qf_ident_text("ab  cd  \0", 9, out, sizeof(out));
	assert_string_equal(out, "ab  cd");
	/* a, sharp s, smile by two units, half a pair */
	assert_int_equal(qf_ident_utf16("a\0\xdf\0\x3d\xd8\x00\xde\x00\xd8", 5,
					out, sizeof(out)),
			 10);
	assert_string_equal(out, "a\xc3\x9f\xf0\x9f\x98\x80\xef\xbf\xbd");
	qf_ident_utf16("a\0b\0c\0d\0e\0", 5, small, sizeof(small));
	assert_string_equal(small, "a");
	assert_int_equal(qf_ident_time(2000, 3, 1, 0, 0, 0), 951868800);
	assert_int_equal(qf_ident_time(2024, 2, 29, 23, 59, 59), 1709251199);
	assert_int_equal(qf_ident_time(1970, 1, 1, 0, 0, 0), 0);
	assert_true(qf_ident_time(1970, 0, 1, 0, 0, 0) == QF_GUEST_NO_TIME);
	assert_int_equal(qf_ident_dos_time(46 << 9 | 11 << 5 | 26,
					   22 << 11 | 13 << 5 | 10),
			 1795731200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places), cmocka_unit_test(there_and_back),
		cmocka_unit_test(asked),  cmocka_unit_test(checksums),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
