// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_long fail_in;
static pthread_once_t asked = PTHREAD_ONCE_INIT;

static void ask_environment(void)
{
	const char *s = getenv("QFSCK_TEST_FAIL_ALLOC");

	if (s)
		atomic_store(&fail_in, atol(s));
}

static bool must_fail(void)
{
	pthread_once(&asked, ask_environment);
	if (atomic_load_explicit(&fail_in, memory_order_relaxed) <= 0)
		return false;
	return atomic_fetch_sub(&fail_in, 1) == 1;
}

void qf_mem_fail_at(long n)
{
	/* or the first allocation would set it anew */
	pthread_once(&asked, ask_environment);
	atomic_store(&fail_in, n);
}

void *qf_mem_zalloc(uint64_t n, uint64_t size)
{
	size_t bytes;

	if (must_fail() || __builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

/* What a small image needs is not worth two calls and page faults. */
#define SMALL_MAP (32u << 10)

void *qf_mem_map(uint64_t bytes)
{
	void *p;

	if (!bytes || bytes > SIZE_MAX || must_fail())
		return NULL;
	if (bytes <= SMALL_MAP)
		return calloc(1, (size_t)bytes);
	p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void qf_mem_unmap(void *p, uint64_t bytes)
{
	if (bytes <= SMALL_MAP)
		free(p);
	else if (p)
		munmap(p, (size_t)bytes);
}

bool qf_mem_grow(void **array, size_t n, size_t *room, size_t size)
{
	size_t want = *room ? *room * 2 : 16;
	size_t bytes;
	void *p;

	if (n < *room)
		return true;
	if (must_fail() || want < *room ||
	    __builtin_mul_overflow(want, size, &bytes))
		return false;
	p = realloc(*array, bytes);
	if (!p)
		return false;
	*array = p;
	*room = want;
	return true;
}
