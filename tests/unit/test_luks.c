// SPDX-License-Identifier: GPL-2.0-or-later
/* The LUKS header, written by hand here, and every word of it damaged. */
#include "lib/format/luks.h"
#include "tests/unit/unit.h"

#define ROOM (8ull << 20)

static void put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)(v >> 24);
	p[1] = (unsigned char)(v >> 16);
	p[2] = (unsigned char)(v >> 8);
	p[3] = (unsigned char)v;
}

static unsigned char *slot(unsigned char *h, unsigned int i)
{
	return h + 208 + 48 * (size_t)i;
}

/* Key material of 500 sectors each, 8 sectors behind the header's start. */
static void make(unsigned char *h)
{
	unsigned int i;

	memset(h, 0, QF_LUKS_BYTES);
	memcpy(h, "LUKS\xba\xbe\0\1", 8);
	memcpy(h + 8, "aes", 3);
	memcpy(h + 40, "cbc-essiv:sha256", 16);
	memcpy(h + 72, "sha1", 4);
	put32(h + 104, 4040);
	put32(h + 108, 64);
	put32(h + 164, 1000);
	memcpy(h + 168, "8f0e2a4c-0000-4000-8000-000000000000", 36);
	for (i = 0; i < QF_LUKS_SLOTS; i++) {
		put32(slot(h, i), i ? 0xdead : 0xac71f3);
		put32(slot(h, i) + 4, i ? 0 : 1000);
		put32(slot(h, i) + 40, 8 + i * 504);
		put32(slot(h, i) + 44, 4000);
	}
}

static void read_it(const unsigned char *h, uint64_t room, struct qf_luks *l)
{
	assert_int_equal(qf_luks_parse(h, l, NULL), QF_OK);
	qf_luks_examine(l, room);
}

static void sound(void **state)
{
	unsigned char h[QF_LUKS_BYTES];
	struct qf_luks l;
	unsigned int i;

	(void)state;
	make(h);
	read_it(h, ROOM, &l);
	assert_string_equal(l.cipher, "aes");
	assert_string_equal(l.mode, "cbc");
	assert_string_equal(l.iv, "essiv");
	assert_string_equal(l.iv_hash, "sha256");
	assert_int_equal(l.odd, 0);
	assert_int_equal(l.payload_off, 4040 * 512);
	for (i = 0; i < QF_LUKS_SLOTS; i++) {
		assert_int_equal(l.slot[i].odd, 0);
		assert_int_equal(l.slot[i].active, i == 0);
		assert_int_equal(l.slot[i].key_bytes, 256000);
	}
}

static void no_header(void **state)
{
	unsigned char h[QF_LUKS_BYTES];
	struct qf_luks l;

	(void)state;
	make(h);
	h[5] = 0;
	assert_int_equal(qf_luks_parse(h, &l, NULL), QF_ERR_FORMAT);
	make(h);
	h[7] = 2;
	assert_int_equal(qf_luks_parse(h, &l, NULL), QF_ERR_FORMAT);
}

static void odd_words(void **state)
{
	static const struct {
		unsigned int at, value, odd;
	} rows[] = {
		{ 8, 0, QF_LUKS_NAMES },
		{ 40, 0xffffffff, QF_LUKS_NAMES },
		{ 72, 0x0a0a0a0a, QF_LUKS_NAMES },
		{ 104, 0, QF_LUKS_PAYLOAD },
		{ 104, 1, QF_LUKS_PAYLOAD },
		{ 108, 0, QF_LUKS_KEY },
		{ 108, 63, QF_LUKS_KEY },
		{ 108, 0xfffffff8, QF_LUKS_KEY },
		{ 164, 0, QF_LUKS_ITERATIONS },
	};
	unsigned char h[QF_LUKS_BYTES];
	struct qf_luks l;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		make(h);
		put32(h + rows[i].at, rows[i].value);
		read_it(h, ROOM, &l);
		assert_int_equal(l.odd, rows[i].odd);
	}
	/* a name of all 32 bytes has no end */
	make(h);
	memset(h + 8, 'a', 32);
	read_it(h, ROOM, &l);
	assert_int_equal(l.odd, QF_LUKS_NAMES);
}

static void odd_slots(void **state)
{
	static const struct {
		unsigned int slot, at, value, odd;
	} rows[] = {
		{ 3, 0, 0, QF_LUKS_SLOT_STATE },
		{ 0, 4, 0, QF_LUKS_SLOT_ITERATIONS },
		{ 3, 4, 7, 0 },
		{ 7, 44, 3999, QF_LUKS_SLOT_STRIPES },
		{ 7, 44, 0xffffffff,
		  QF_LUKS_SLOT_STRIPES | QF_LUKS_SLOT_OUTSIDE },
		{ 0, 40, 1, QF_LUKS_SLOT_ON_HEADER },
		{ 3, 40, 0xffffffff, QF_LUKS_SLOT_OUTSIDE },
		{ 7, 40, 4040 - 500, 0 },
		{ 7, 40, 4040 - 499, QF_LUKS_SLOT_OUTSIDE },
		{ 7, 40, 8 + 4 * 504 + 499, QF_LUKS_SLOT_OVERLAP },
	};
	unsigned char h[QF_LUKS_BYTES];
	struct qf_luks l;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		make(h);
		put32(slot(h, rows[i].slot) + rows[i].at, rows[i].value);
		read_it(h, ROOM, &l);
		assert_int_equal(l.slot[rows[i].slot].odd, rows[i].odd);
	}
	assert_int_equal(l.slot[7].other, 4);
	assert_int_equal(l.slot[4].odd, QF_LUKS_SLOT_OVERLAP);
	assert_int_equal(l.slot[4].other, 7);
	/* what the image keeps for the header bounds the slots too */
	make(h);
	read_it(h, 4000 * 512, &l);
	assert_int_equal(l.slot[6].odd, 0);
	assert_int_equal(l.slot[7].odd, QF_LUKS_SLOT_OUTSIDE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound),
		cmocka_unit_test(no_header),
		cmocka_unit_test(odd_words),
		cmocka_unit_test(odd_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
