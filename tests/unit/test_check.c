// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole check on hostile bytes, without memory and without a disk: it
 * neither crashes nor hangs nor takes memory out of proportion, and what
 * could not be looked at is said.
 */
#include "check/check.h"
#include "lib/base/mem.h"
#include "tests/unit/tangle.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define MUTATIONS 2400

static void make(struct mini *m, uint32_t bits, uint64_t incompatible)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = bits,
			       .refcount_order = 4,
			       .disk_bytes = 4ull << (bits * 2 - 3),
			       .incompatible = incompatible };
	uint64_t i, guest = 4ull << (bits - 3);

	mini_make(m, &o);
	for (i = 0; i < 40; i++)
		mini_data(m, i * 7 % guest);
	mini_packed(m, 5, 300);
	mini_snapshot(m, "1", "one");
	for (i = 0; i < 10; i++)
		mini_data(m, i * 3);
	mini_snapshot(m, "2", "two");
	mini_data(m, 9);
	if (bits >= 12)
		mini_bitmap(m, "b0");
}

static enum qf_verdict verdict_of(const struct mini *m)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_image *img = mini_open(m);
	struct qf_report rep;
	enum qf_verdict v;

	assert_int_equal(qf_check_run(img, &opts, &rep, NULL), QF_OK);
	v = rep.verdict;
	qf_check_free(&rep);
	qf_image_close(img);
	return v;
}

static void sound_images_are_clean(void **state)
{
	struct mini m;
	uint32_t bits;

	(void)state;
	for (bits = 9; bits <= 16; bits++) {
		make(&m, bits, 0);
		assert_int_equal(verdict_of(&m), QF_VERDICT_CLEAN);
		mini_free(&m);
	}
	make(&m, 14, QF_INCOMPAT_EXTL2);
	assert_int_equal(verdict_of(&m), QF_VERDICT_CLEAN);
	mini_free(&m);
}

/* Opens and checks whatever M is by now; true if it could be opened. */
static bool try(const struct mini *m, const struct qf_check_opts *opts,
		uint64_t bytes)
{
	struct qf_why why = { 0 };
	struct qf_image *img;
	struct qf_report rep;
	struct qf_io *io;

	assert_int_equal(qf_io_mem_open(m->buf, bytes, "x", &io, NULL), QF_OK);
	if (qf_image_open(io, &img, &why)) {
		assert_true(why.err && why.text[0]);
		return false;
	}
	assert_int_equal(qf_check_run(img, opts, &rep, NULL), QF_OK);
	qf_check_free(&rep);
	qf_image_close(img);
	return true;
}

static void mutate(struct dice *d, struct mini *m)
{
	static const uint64_t nice[] = { 0,	     1,	       UINT64_MAX,
					 1ull << 63, 1u << 31, UINT32_MAX };
	/* most of the harm is in the header and in pointers */
	uint64_t at = dice_once_in(d, 3) ? dice_below(d, 200)
					 : dice_below(d, m->bytes - 8);

	switch (dice_below(d, 4)) {
	case 0:
		m->buf[at] = (unsigned char)dice_roll(d);
		break;
	case 1:
		m->buf[at] ^= (unsigned char)(1u << dice_below(d, 8));
		break;
	case 2:
		mini_put64(m, at & ~7ull,
			   nice[dice_below(d, ARRAY_SIZE(nice))]);
		break;
	default:
		mini_put64(m, at & ~7ull,
			   dice_below(d, m->bytes + 4096) & ~511ull);
	}
}

static void fuzz(uint64_t seed, uint32_t bits, uint64_t incompatible)
{
	struct qf_check_opts opts = { 0 };
	struct dice d = { seed };
	unsigned char *sound;
	unsigned int i, k, opened = 0;
	struct mini m;
	uint64_t bytes;

	make(&m, bits, incompatible);
	sound = malloc(m.bytes);
	assert_non_null(sound);
	memcpy(sound, m.buf, m.bytes);
	for (i = 0; i < MUTATIONS / 4; i++) {
		for (k = 0; k <= i % 5; k++)
			mutate(&d, &m);
		opts.jobs = 1 + i % 2;
		opts.all = i % 7 == 0;
		bytes = dice_once_in(&d, 10) ? dice_below(&d, m.bytes)
					     : m.bytes;
		opened += try(&m, &opts, bytes);
		memcpy(m.buf, sound, m.bytes);
	}
	/* the dice were neither always nor never deadly */
	assert_true(opened > MUTATIONS / 16 && opened < MUTATIONS / 4);
	free(sound);
	mini_free(&m);
}

static void mutated_images(void **state)
{
	(void)state;
	fuzz(1, 9, 0);
	fuzz(2, 12, 0);
	fuzz(3, 14, QF_INCOMPAT_EXTL2);
	fuzz(4, 10, QF_INCOMPAT_DATA_FILE);
}

static void tangled_tables(void **state)
{
	struct qf_check_opts opts = { .jobs = 2 };
	struct mini m;
	uint32_t seed;

	(void)state;
	for (seed = 0; seed < 30; seed++) {
		opts.all = seed % 2;
		tangle_make(&m, seed, 9 + seed % 3, false, seed % 6);
		assert_true(try(&m, &opts, m.bytes));
		mini_free(&m);
	}
}

/* The report without what depends on the number of workers: nothing. */
static void any_number_of_jobs_says_the_same(void **state)
{
	static const unsigned int jobs[] = { 2, 8 };
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_report a, b;
	struct qf_image *img;
	struct mini m;
	uint32_t seed;
	size_t i, k;

	(void)state;
	for (seed = 0; seed < 12; seed++) {
		tangle_make(&m, seed, 9 + seed % 3, false, seed % 6);
		img = mini_open(&m);
		opts.jobs = 1;
		assert_int_equal(qf_check_run(img, &opts, &a, NULL), QF_OK);
		for (k = 0; k < ARRAY_SIZE(jobs); k++) {
			opts.jobs = jobs[k];
			assert_int_equal(qf_check_run(img, &opts, &b, NULL),
					 QF_OK);
			assert_int_equal(a.findings.n, b.findings.n);
			assert_int_equal(a.corruptions, b.corruptions);
			assert_memory_equal(&a.fig, &b.fig, sizeof(a.fig));
			for (i = 0; i < a.findings.n; i++)
				assert_string_equal(a.findings.at[i].text,
						    b.findings.at[i].text);
			qf_check_free(&b);
		}
		qf_check_free(&a);
		qf_image_close(img);
		mini_free(&m);
	}
}

static void every_allocation_fails_in_turn(void **state)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_image *img;
	struct qf_report rep;
	struct qf_why why;
	struct mini m;
	enum qf_err err = QF_ERR_NOMEM;
	long n;

	(void)state;
	make(&m, 12, 0);
	/* damage of several sorts, so that the second walk runs as well */
	mini_put64(&m, mini_entry_off(&m, 3), 0x1202);
	mini_set_refcount(&m, m.l1_off, 0);
	mini_put64(&m, mini_entry_off(&m, 0), m.l1_off | MINI_COPIED);
	for (n = 1; err; n++) {
		assert_true(n < 5000);
		img = mini_open(&m);
		memset(&why, 0, sizeof(why));
		qf_mem_fail_at(n);
		err = qf_check_run(img, &opts, &rep, &why);
		qf_mem_fail_at(0);
		if (err) {
			assert_int_equal(err, QF_ERR_NOMEM);
			assert_true(why.text[0]);
		} else {
			assert_int_equal(rep.verdict, QF_VERDICT_CORRUPT);
		}
		qf_check_free(&rep);
		qf_image_close(img);
	}
	assert_true(n > 20);
	mini_free(&m);
}

/* Opens with a disk that fails at F's place, and checks. */
static bool check_faulty(struct mini_faulty *f, const struct mini *m,
			 struct qf_report *rep)
{
	struct qf_check_opts opts = { .jobs = 1 };
	struct qf_image *img;

	if (qf_image_open(mini_faulty_io(f, m), &img, NULL))
		return false;
	assert_int_equal(qf_check_run(img, &opts, rep, NULL), QF_OK);
	qf_image_close(img);
	return true;
}

/* Everything that was read was needed: what failed must be told. */
static void every_read_fails_in_turn(void **state)
{
	struct mini_faulty f = { 0 };
	struct qf_report rep;
	struct mini m;
	uint64_t n, reads;

	(void)state;
	make(&m, 12, 0);
	assert_true(check_faulty(&f, &m, &rep));
	assert_int_equal(rep.verdict, QF_VERDICT_CLEAN);
	qf_check_free(&rep);
	reads = f.reads;
	assert_true(reads > 10);
	for (n = 1; n <= reads; n++) {
		memset(&f, 0, sizeof(f));
		f.fail_read = n;
		f.no_cache = n % 2;
		/* a read that fails once is made up for by the next try */
		if (check_faulty(&f, &m, &rep))
			qf_check_free(&rep);
	}
	mini_free(&m);
}

/* A bad cluster of metadata: not clean, and what else is wrong is found. */
static void every_metadata_cluster_fails_in_turn(void **state)
{
	struct mini_faulty f;
	struct qf_report rep;
	struct mini m;
	uint64_t off, told = 0, leak, i;
	bool found;

	(void)state;
	make(&m, 12, 0);
	leak = mini_alloc(&m, 1);
	for (off = 4096; off < leak; off += 4096) {
		memset(&f, 0, sizeof(f));
		f.fail_off = off;
		f.fail_bytes = 4096;
		if (!check_faulty(&f, &m, &rep)) {
			told++;
			continue;
		}
		if (rep.verdict == QF_VERDICT_LEAKS) {
			/* guest data: nobody has looked at them */
			assert_int_equal(rep.leaks, 1);
			qf_check_free(&rep);
			continue;
		}
		told++;
		found = false;
		for (i = 0; i < rep.findings.n; i++)
			found |= rep.findings.at[i].errors ||
				 qf_problem_get(rep.findings.at[i].problem)
						 ->severity == QF_SEV_UNREAD ||
				 qf_problem_get(rep.findings.at[i].problem)
						 ->severity >= QF_SEV_ERROR;
		assert_true(found);
		qf_check_free(&rep);
	}
	/* refcounts 2, L1 3, L2 tables 3, snapshot table, bitmap 3 */
	assert_true(told >= 10);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_images_are_clean),
		cmocka_unit_test(mutated_images),
		cmocka_unit_test(tangled_tables),
		cmocka_unit_test(any_number_of_jobs_says_the_same),
		cmocka_unit_test(every_allocation_fails_in_turn),
		cmocka_unit_test(every_read_fails_in_turn),
		cmocka_unit_test(every_metadata_cluster_fails_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
