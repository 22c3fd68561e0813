// SPDX-License-Identifier: GPL-2.0-or-later
/* lib/guest: the sandbox. Whatever becomes of the child, we go on. */
#include "tests/unit/unit.h"

#include "lib/guest/sandbox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DISK (10 * QF_SOURCE_PAGE + 1000)

/* Byte N of the disk is N / 7; the sectors of page 3 are lost by turns. */
static bool fetch(void *ctx, uint64_t off, struct qf_source_page *p)
{
	uint64_t *pages = ctx;
	uint32_t i;

	for (i = 0; i < QF_SOURCE_PAGE; i++)
		p->bytes[i] = (unsigned char)((off + i) / 7);
	if (off / QF_SOURCE_PAGE == 3)
		memset(p->lost, 0xaa, sizeof(p->lost));
	++*pages;
	return true;
}

struct told {
	uint32_t n, last, sum;
};

static bool take(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	struct told *t = ctx;
	uint32_t v;

	if (n != sizeof(v))
		return false;
	memcpy(&v, record, n);
	t->n++;
	t->last = type;
	t->sum += v;
	return v != 0xdead;
}

typedef enum qf_err work_fn(void *ctx, struct qf_source *src,
			    const struct qf_sandbox_teller *t,
			    struct qf_why *why);

static enum qf_err run(work_fn *work, bool uncaged, struct told *told,
		       struct qf_why *why)
{
	uint64_t pages = 0;
	const struct qf_sandbox s = { .work = work,
				      .disk_bytes = DISK,
				      .fetch = fetch,
				      .fetch_ctx = &pages,
				      .take = take,
				      .take_ctx = told,
				      .max_pages = 1000,
				      .max_records = 5000,
				      .uncaged = uncaged };

	memset(told, 0, sizeof(*told));
	memset(why, 0, sizeof(*why));
	return qf_sandbox_run(&s, why);
}

static bool tell(const struct qf_sandbox_teller *t, uint32_t type, uint32_t v)
{
	return t->tell(t->ctx, type, &v, sizeof(v));
}

/* --- good children --- */

static enum qf_err reads(void *ctx, struct qf_source *src,
			 const struct qf_sandbox_teller *t, struct qf_why *why)
{
	unsigned char b[1000];

	(void)ctx;
	(void)why;
	/* whole, over a border, lost, not lost beside it, past the end */
	tell(t, 1, qf_source_read(src, b, 1000, 65000) && b[999] == 212);
	tell(t, 2, !qf_source_read(src, b, 10, 3 * QF_SOURCE_PAGE + 512));
	tell(t, 3, qf_source_read(src, b, 512, 3 * QF_SOURCE_PAGE));
	tell(t, 4, !qf_source_read(src, b, 10, DISK - 9) && b[8] && !b[9]);
	tell(t, 5, !qf_source_read(src, b, 10, UINT64_MAX - 5) && !b[0]);
	return QF_OK;
}

static enum qf_err tells_much(void *ctx, struct qf_source *src,
			      const struct qf_sandbox_teller *t,
			      struct qf_why *why)
{
	uint32_t i;

	(void)ctx;
	(void)src;
	(void)why;
	for (i = 0; i < 4000; i++)
		if (!tell(t, 7, 2))
			return QF_ERR_STOPPED;
	return QF_OK;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* So many that the C library asks first how much memory there is. */
static enum qf_err sorts(void *ctx, struct qf_source *src,
			 const struct qf_sandbox_teller *t, struct qf_why *why)
{
	int *n = calloc(4096, sizeof(*n)), i;

	(void)ctx;
	(void)src;
	(void)why;
	if (!n)
		return QF_ERR_NOMEM;
	for (i = 0; i < 4096; i++)
		n[i] = 4096 - i;
	qsort(n, 4096, sizeof(*n), by_value);
	tell(t, 1, n[0] == 1);
	free(n);
	return QF_OK;
}

static enum qf_err fails(void *ctx, struct qf_source *src,
			 const struct qf_sandbox_teller *t, struct qf_why *why)
{
	(void)ctx;
	(void)src;
	tell(t, 1, 1);
	return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE, "not for me");
}

/* An emulator of another machine's programs knows no seccomp. */
static bool no_cage(void)
{
	return getenv("QFSCK_UNDER");
}

static void good(void **state)
{
	struct qf_why why;
	struct told told;
	int uncaged;

	(void)state;
	for (uncaged = no_cage(); uncaged < 2; uncaged++) {
		assert_int_equal(run(reads, uncaged, &told, &why), QF_OK);
		assert_int_equal(told.n, 5);
		assert_int_equal(told.sum, 5);
		assert_int_equal(run(tells_much, uncaged, &told, &why), QF_OK);
		assert_int_equal(told.sum, 8000);
		assert_int_equal(run(sorts, uncaged, &told, &why), QF_OK);
		assert_int_equal(told.sum, 1);
		assert_int_equal(run(fails, uncaged, &told, &why),
				 QF_ERR_FORMAT);
		assert_string_equal(why.text, "not for me");
		assert_int_equal(told.n, 1);
	}
}

/* --- children that fail, or mean harm --- */

static enum qf_err crashes(void *ctx, struct qf_source *src,
			   const struct qf_sandbox_teller *t,
			   struct qf_why *why)
{
	unsigned char b[8];

	(void)ctx;
	(void)why;
	tell(t, 1, 1);
	qf_source_read(src, b, 8, 0); /* sends what was told */
	_exit(3);
}

static enum qf_err opens(void *ctx, struct qf_source *src,
			 const struct qf_sandbox_teller *t, struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	tell(t, 1, (uint32_t)open("/etc/passwd", O_RDONLY));
	return QF_OK;
}

static enum qf_err connects(void *ctx, struct qf_source *src,
			    const struct qf_sandbox_teller *t,
			    struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	tell(t, 1, (uint32_t)socket(AF_INET, SOCK_STREAM, 0));
	return QF_OK;
}

static enum qf_err runs_code(void *ctx, struct qf_source *src,
			     const struct qf_sandbox_teller *t,
			     struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	tell(t, 1,
	     mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	return QF_OK;
}

static enum qf_err forks(void *ctx, struct qf_source *src,
			 const struct qf_sandbox_teller *t, struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	tell(t, 1, (uint32_t)fork());
	return QF_OK;
}

static enum qf_err floods(void *ctx, struct qf_source *src,
			  const struct qf_sandbox_teller *t, struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	while (tell(t, 1, 0))
		;
	return QF_OK;
}

/* More pages than are kept, again and again. */
static enum qf_err reads_on(void *ctx, struct qf_source *src,
			    const struct qf_sandbox_teller *t,
			    struct qf_why *why)
{
	unsigned char b[1];
	uint64_t i;

	(void)ctx;
	(void)t;
	(void)why;
	for (i = 0; !src->spent; i++) {
		src->fetch(src->ctx, i % 8 * QF_SOURCE_PAGE,
			   (struct qf_source_page *)ctx);
		qf_source_read(src, b, 1, 0);
	}
	return QF_OK;
}

static enum qf_err tells_lies(void *ctx, struct qf_source *src,
			      const struct qf_sandbox_teller *t,
			      struct qf_why *why)
{
	(void)ctx;
	(void)src;
	(void)why;
	t->tell(t->ctx, 1, "xx", 2); /* not what TAKE wants */
	tell(t, 1, 1);
	return QF_OK;
}

static void bad(void **state)
{
	static const struct {
		work_fn *work;
		const char *text;
	} children[] = {
		/* a sanitizer's last word is one that it may not say */
		{ crashes, NULL },
		{ opens, "its reader did what it may not do" },
		{ connects, "its reader did what it may not do" },
		{ runs_code, "its reader did what it may not do" },
		{ forks, "its reader did what it may not do" },
		{ floods, "there is too much to tell" },
	};
	struct qf_why why;
	struct told told;
	size_t i;

	(void)state;
	if (no_cage())
		skip();
	for (i = 0; i < ARRAY_SIZE(children); i++) {
		assert_int_equal(run(children[i].work, false, &told, &why),
				 QF_ERR_UNSUPPORTED);
		if (children[i].text)
			assert_string_equal(why.text, children[i].text);
		assert_true(*why.text);
	}
	assert_int_equal(run(tells_lies, false, &told, &why), QF_ERR_STOPPED);
	assert_int_equal(told.n, 0);
}

/* A child that asks for more than it may is ended at the bound. */
static void bounds(void **state)
{
	static struct qf_source_page page;
	uint64_t pages = 0;
	struct told told = { 0 };
	struct qf_why why = { 0 };
	const struct qf_sandbox s = { .work = reads_on,
				      .work_ctx = &page,
				      .disk_bytes = DISK,
				      .fetch = fetch,
				      .fetch_ctx = &pages,
				      .take = take,
				      .take_ctx = &told,
				      .max_pages = 50 };

	(void)state;
	if (no_cage())
		skip();
	assert_int_equal(qf_sandbox_run(&s, &why), QF_ERR_UNSUPPORTED);
	assert_string_equal(why.text, "it would take too much reading");
	assert_int_equal(pages, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
