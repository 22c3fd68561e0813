// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/io/fetched.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512u

/* A far file whose byte at OFF is OFF / BLOCK. */
struct far {
	struct qf_fetched f;
	unsigned int asked;
	uint64_t fails_at;  /* this block fails ... */
	unsigned int fails; /* ... so many times */
	bool slow;	    /* answers come when they are called for */
	struct qf_fetched_block *late[QF_FETCHED_BLOCKS];
	unsigned int n_late;
};

static void ask(void *ctx, struct qf_fetched_block *b, void *buf, uint64_t len,
		uint64_t off)
{
	struct far *far = ctx;
	bool fail = far->fails && off / BLOCK == far->fails_at;

	far->asked++;
	far->fails -= fail;
	memset(buf, (int)(off / BLOCK & 0xff), (size_t)len);
	if (far->slow)
		far->late[far->n_late++] = b;
	else
		qf_fetched_answer(b, fail ? EIO : 0);
}

static void make(struct far *far, uint64_t bytes)
{
	memset(far, 0, sizeof(*far));
	assert_true(qf_fetched_init(&far->f, ask, far));
	qf_fetched_size(&far->f, bytes, BLOCK);
}

static void bytes_are_in_their_places(void **state)
{
	unsigned char buf[3 * BLOCK];
	struct far far;
	unsigned int i;

	(void)state;
	make(&far, 10 * BLOCK - 100);
	assert_int_equal(qf_fetched_read(&far.f, buf, sizeof(buf), 700),
			 sizeof(buf));
	for (i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (700 + i) / BLOCK);
	/* the file's end */
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 9 * BLOCK),
			 BLOCK - 100);
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 10 * BLOCK), 0);
	qf_fetched_free(&far.f);
}

static void what_is_there_is_not_asked_for_again(void **state)
{
	unsigned char buf[BLOCK];
	struct far far;

	(void)state;
	make(&far, 100 * BLOCK);
	qf_fetched_hint(&far.f, 4 * BLOCK, 40 * BLOCK);
	assert_int_equal(far.asked, 4);
	assert_true(qf_fetched_is_here(&far.f, 4 * BLOCK, 40 * BLOCK));
	assert_false(qf_fetched_is_here(&far.f, 5 * BLOCK, 40 * BLOCK));
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 42 * BLOCK),
			 BLOCK);
	assert_int_equal(buf[0], 42);
	assert_int_equal(far.asked, 4);
	qf_fetched_free(&far.f);
}

static void who_reads_on_is_served_ahead(void **state)
{
	unsigned char buf[BLOCK];
	struct far far;
	uint64_t i;

	(void)state;
	make(&far, 100 * BLOCK);
	for (i = 50; i < 53; i++)
		qf_fetched_read(&far.f, buf, BLOCK, i * BLOCK);
	assert_true(far.asked > 16);
	assert_true(qf_fetched_is_here(&far.f, 16 * BLOCK, 53 * BLOCK));
	qf_fetched_free(&far.f);
}

static void old_blocks_make_room(void **state)
{
	unsigned char buf[BLOCK];
	struct far far;
	uint64_t i, n = 3 * QF_FETCHED_BLOCKS;

	(void)state;
	make(&far, n * BLOCK);
	for (i = 0; i < n; i++) {
		assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, i * BLOCK),
				 BLOCK);
		assert_int_equal(buf[BLOCK - 1], i & 0xff);
	}
	assert_int_equal(far.asked, n);
	assert_false(qf_fetched_is_here(&far.f, BLOCK, 0));
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 0), BLOCK);
	assert_int_equal(buf[0], 0);
	qf_fetched_free(&far.f);
}

static void what_failed_is_tried_again(void **state)
{
	unsigned char buf[BLOCK];
	struct far far;

	(void)state;
	make(&far, 10 * BLOCK);
	far.fails_at = 3;
	far.fails = 9;
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 3 * BLOCK), -EIO);
	far.fails = 0;
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 3 * BLOCK), BLOCK);
	assert_int_equal(buf[0], 3);
	qf_fetched_free(&far.f);
}

static void nobody_waits_for_the_dead(void **state)
{
	struct timespec past = { 0 };
	unsigned char buf[BLOCK];
	struct far far;

	(void)state;
	make(&far, 10 * BLOCK);
	far.slow = true;
	qf_fetched_hint(&far.f, 2 * BLOCK, 0);
	assert_int_equal(far.n_late, 2);
	qf_fetched_settle(&far.f, &past);
	qf_fetched_answer(far.late[0], 0);
	qf_fetched_die(&far.f);
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 0), BLOCK);
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, BLOCK), -ENOTCONN);
	assert_int_equal(qf_fetched_read(&far.f, buf, BLOCK, 5 * BLOCK),
			 -ENOTCONN);
	/* an answer that comes too late changes nothing */
	qf_fetched_answer(far.late[1], 0);
	assert_int_equal(far.asked, 2);
	qf_fetched_free(&far.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_in_their_places),
		cmocka_unit_test(what_is_there_is_not_asked_for_again),
		cmocka_unit_test(who_reads_on_is_served_ahead),
		cmocka_unit_test(old_blocks_make_room),
		cmocka_unit_test(what_failed_is_tried_again),
		cmocka_unit_test(nobody_waits_for_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
