// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/io/readahead.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#define ITEMS 200

struct hints {
	unsigned int times[ITEMS];
	uint64_t farthest;
};

static void hint(void *ctx, uint64_t i)
{
	struct hints *h = ctx;

	assert_true(i < ITEMS);
	h->times[i]++;
	if (i > h->farthest)
		h->farthest = i;
}

static void make(struct mini *m)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 512 };

	mini_make(m, &o);
	mini_alloc(m, ITEMS);
}

static void what_is_cached_needs_no_hint(void **state)
{
	struct hints h = { 0 };
	struct mini_faulty f = { 0 };
	struct qf_readahead ra = { .n = ITEMS, .hint = hint, .ctx = &h };
	unsigned char buf[512];
	struct mini m;
	uint64_t i;

	(void)state;
	make(&m);
	ra.io = mini_faulty_io(&f, &m);
	for (i = 0; i < ITEMS; i++)
		assert_int_equal(qf_readahead_read(&ra, i, buf, 512, i * 512,
						   NULL),
				 QF_OK);
	for (i = 0; i < ITEMS; i++)
		assert_int_equal(h.times[i], 0);
	qf_io_close(ra.io);
	mini_free(&m);
}

static void the_next_are_on_their_way(void **state)
{
	struct hints h = { 0 };
	struct mini_faulty f = { .no_cache = true };
	struct qf_readahead ra = { .n = ITEMS, .hint = hint, .ctx = &h };
	unsigned char buf[512];
	struct mini m;
	uint64_t i;

	(void)state;
	make(&m);
	ra.io = mini_faulty_io(&f, &m);
	for (i = 0; i < ITEMS; i++) {
		assert_int_equal(qf_readahead_read(&ra, i, buf, 512, i * 512,
						   NULL),
				 QF_OK);
		assert_memory_equal(buf, m.buf + i * 512, 512);
		assert_int_equal(h.farthest, i + QF_READAHEAD < ITEMS
						     ? i + QF_READAHEAD - 1
						     : ITEMS - 1);
	}
	for (i = 0; i < ITEMS; i++)
		assert_int_equal(h.times[i], 1);
	qf_io_close(ra.io);
	mini_free(&m);
}

static void a_bad_place_is_an_error(void **state)
{
	struct hints h = { 0 };
	struct mini_faulty f = { .fail_off = 1024, .fail_bytes = 512 };
	struct qf_readahead ra = { .n = ITEMS, .hint = hint, .ctx = &h };
	unsigned char buf[512];
	struct qf_why why = { 0 };
	struct mini m;

	(void)state;
	make(&m);
	ra.io = mini_faulty_io(&f, &m);
	assert_int_equal(qf_readahead_read(&ra, 1, buf, 512, 512, &why), QF_OK);
	assert_int_equal(qf_readahead_read(&ra, 2, buf, 512, 1024, &why),
			 QF_ERR_IO);
	assert_int_equal(why.off, 1024);
	assert_int_equal(qf_readahead_read(&ra, 3, buf, 512, 1536, &why),
			 QF_OK);
	qf_io_close(ra.io);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cached_needs_no_hint),
		cmocka_unit_test(the_next_are_on_their_way),
		cmocka_unit_test(a_bad_place_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
