// SPDX-License-Identifier: GPL-2.0-or-later
/* --data where bytes cannot be read, and where memory runs out. */
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include "check/check.h"
#include "lib/base/mem.h"

#include <zlib.h>

#define CLUSTERS 6u

/* Six compressed clusters, in host clusters of their own. */
static void make(struct mini *m, uint64_t *off)
{
	static const struct mini_opts opts = { .version = 3,
					       .cluster_bits = 12,
					       .refcount_order = 4,
					       .disk_bytes = 1 << 20 };
	unsigned char plain[4096] = { 0 };
	uint64_t i;

	mini_make(m, &opts);
	for (i = 0; i < CLUSTERS; i++) {
		z_stream z = { 0 };

		off[i] = mini_packed(m, i, 512);
		memset(plain, (int)i + 1, 100);
		assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, 0),
				 Z_OK);
		z.next_in = plain;
		z.avail_in = sizeof(plain);
		z.next_out = m->buf + off[i];
		z.avail_out = 512;
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		deflateEnd(&z);
	}
}

static enum qf_err check(struct mini *m, struct mini_faulty *f,
			 struct qf_report *rep)
{
	const struct qf_check_opts opts = { .jobs = 2, .data = true };
	struct qf_image *img;
	enum qf_err err;

	assert_int_equal(qf_image_open(mini_faulty_io(f, m), &img, NULL),
			 QF_OK);
	err = qf_check_run(img, &opts, rep, NULL);
	qf_image_close(img);
	return err;
}

static void sound(void **state)
{
	struct mini_faulty f = { 0 };
	uint64_t off[CLUSTERS];
	struct qf_report rep;
	struct mini m;

	(void)state;
	make(&m, off);
	assert_int_equal(check(&m, &f, &rep), QF_OK);
	assert_int_equal(rep.verdict, QF_VERDICT_CLEAN);
	assert_int_equal(rep.findings.n, 0);
	qf_check_free(&rep);
	mini_free(&m);
}

/* One cluster is not readable, another is damaged: both are named. */
static void unreadable(void **state)
{
	struct mini_faulty f = { 0 };
	uint64_t off[CLUSTERS];
	struct qf_report rep;
	struct mini m;

	(void)state;
	make(&m, off);
	f.fail_off = off[1];
	f.fail_bytes = 512;
	assert_int_equal(check(&m, &f, &rep), QF_OK);
	assert_int_equal(rep.verdict, QF_VERDICT_UNCHECKED);
	assert_int_equal(rep.findings.n, 1);
	assert_int_equal(rep.findings.at[0].problem,
			 QF_P_COMPRESSED_UNREADABLE);
	assert_int_equal(rep.findings.at[0].guest_off, 4096);
	assert_int_equal(rep.errors, 1);
	qf_check_free(&rep);

	memset(m.buf + off[4], 0xff, 16);
	assert_int_equal(check(&m, &f, &rep), QF_OK);
	assert_int_equal(rep.verdict, QF_VERDICT_CORRUPT);
	assert_int_equal(rep.findings.n, 2);
	assert_int_equal(rep.errors, 1);
	qf_check_free(&rep);
	mini_free(&m);
}

/* Without memory there is an error and no verdict, wherever it runs out. */
static void no_memory(void **state)
{
	struct mini_faulty f = { 0 };
	uint64_t off[CLUSTERS];
	struct qf_report rep;
	enum qf_err err = QF_ERR_NOMEM;
	struct mini m;
	long n;

	(void)state;
	make(&m, off);
	memset(m.buf + off[4], 0xff, 16);
	for (n = 1; err == QF_ERR_NOMEM; n++) {
		const struct qf_check_opts opts = { .jobs = 1, .data = true };
		struct qf_image *img;

		assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img,
					       NULL),
				 QF_OK);
		qf_mem_fail_at(n);
		err = qf_check_run(img, &opts, &rep, NULL);
		qf_mem_fail_at(0);
		assert_true(err == QF_ERR_NOMEM || err == QF_OK);
		qf_check_free(&rep);
		qf_image_close(img);
	}
	assert_true(n > 10);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
