// SPDX-License-Identifier: GPL-2.0-or-later
/* Headers whose magic or version is damaged, and when they are believed. */
#include "lib/format/believe.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

static struct mini make(uint32_t version)
{
	struct mini_opts o = { .version = version,
			       .cluster_bits = 16,
			       .refcount_order = 4,
			       .disk_bytes = 1ull << 30 };
	struct mini m;

	mini_make(&m, &o);
	return m;
}

static void put32(struct mini *m, size_t off, uint32_t v)
{
	struct qf_be32 w = qf_be_put32(v);

	memcpy(m->buf + off, &w, sizeof(w));
}

/* How the header of M is read, by the user's word or without it. */
static enum qf_err look(const struct mini *m, bool believed,
			struct qf_header *h)
{
	struct qf_io *io;
	enum qf_err err;

	assert_int_equal(qf_io_mem_open(m->buf, m->bytes, "m", &io, NULL),
			 QF_OK);
	io->believed = believed;
	err = qf_believe_parse(io, m->buf, 112, h, NULL);
	qf_io_close(io);
	return err;
}

static void only_by_the_users_word(void **state)
{
	struct qf_header h;
	struct mini m = make(3);

	(void)state;
	assert_int_equal(look(&m, true, &h), QF_OK);
	assert_false(h.magic_wrong || h.version_wrong);
	put32(&m, 0, 7);
	assert_int_equal(look(&m, false, &h), QF_ERR_FOREIGN);
	assert_int_equal(look(&m, true, &h), QF_OK);
	assert_true(h.magic_wrong && !h.version_wrong);
	assert_int_equal(h.stated_magic, 7);
	assert_int_equal(h.version, 3);
	mini_free(&m);
}

static void the_rest_tells_the_version(void **state)
{
	static const uint32_t stated[] = { 0, 1, 4, 9, UINT32_MAX };
	struct qf_header h;
	struct mini m;
	uint32_t v;
	size_t i;

	(void)state;
	for (v = 2; v <= 3; v++) {
		for (i = 0; i < sizeof(stated) / sizeof(stated[0]); i++) {
			m = make(v);
			put32(&m, 4, stated[i]);
			assert_int_not_equal(look(&m, false, &h), QF_OK);
			assert_int_equal(look(&m, true, &h), QF_OK);
			assert_int_equal(h.version, v);
			assert_true(h.version_wrong && !h.version_open);
			assert_int_equal(h.stated_version, stated[i]);
			mini_free(&m);
		}
	}
	m = make(2); /* 3 has a meaning, but not with this header */
	put32(&m, 4, 3);
	assert_int_equal(look(&m, true, &h), QF_OK);
	assert_int_equal(h.version, 2);
	mini_free(&m);
}

static void a_stated_version_needs_no_evidence(void **state)
{
	struct qf_header h;
	struct mini m = make(2);

	(void)state;
	put32(&m, 0, 0);
	memset(m.buf + 72, 0xff, 32); /* means nothing before version 3 */
	assert_int_equal(look(&m, true, &h), QF_OK);
	assert_int_equal(h.version, 2);
	put32(&m, 4, 9);
	assert_int_equal(look(&m, true, &h), QF_ERR_FOREIGN);
	mini_free(&m);
}

static void a_version_that_cannot_be_told(void **state)
{
	struct qf_header h;
	struct mini m = make(2);

	(void)state;
	put32(&m, 4, 0);
	put32(&m, 12, 96); /* a backing file's name, which could be ... */
	put32(&m, 16, 8);
	put32(&m, 96, 4);    /* ... the refcount order */
	put32(&m, 100, 104); /* ... and the header's own length */
	assert_int_equal(look(&m, true, &h), QF_OK);
	assert_true(h.version_open);
	assert_int_equal(h.version, 3);
	mini_free(&m);
}

static void the_rest_must_be_sound(void **state)
{
	static const struct {
		size_t off;
		uint32_t value;
	} damages[] = { { 20, 0 },    { 20, 40 },	{ 32, 9 }, { 40, 1 },
			{ 44, 1 },    { 52, 512 },	{ 56, 0 }, { 48, 1 },
			{ 60, 1 },    { 36, 1u << 30 }, { 96, 7 }, { 100, 4 },
			{ 100, 109 }, { 72, 1 } };
	struct qf_header h;
	struct mini m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		m = make(3);
		put32(&m, 0, 0);
		put32(&m, 4, 0);
		put32(&m, damages[i].off, damages[i].value);
		assert_int_equal(look(&m, true, &h), QF_ERR_FOREIGN);
		mini_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_by_the_users_word),
		cmocka_unit_test(the_rest_tells_the_version),
		cmocka_unit_test(a_stated_version_needs_no_evidence),
		cmocka_unit_test(a_version_that_cannot_be_told),
		cmocka_unit_test(the_rest_must_be_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
