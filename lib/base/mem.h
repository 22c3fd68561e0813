/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory whose size comes from a file: every product is overflow-checked,
 * and a growing array doubles. Nothing here aborts; NULL means no memory.
 */
#ifndef QF_MEM_H
#define QF_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * N objects of SIZE bytes, zeroed; NULL without memory, or where their size is
 * more than size_t holds: the counts of a file are 64 bits on every machine.
 */
void *qf_mem_zalloc(uint64_t n, uint64_t size);

/*
 * A zeroed area that takes memory only where it is touched (mmap), unless it
 * is small. Free it
 * with qf_mem_unmap and the same BYTES. NULL if BYTES is 0 or refused.
 */
void *qf_mem_map(uint64_t bytes);
void qf_mem_unmap(void *p, uint64_t bytes);

/*
 * Makes room for one more element in *ARRAY, which holds N of SIZE bytes
 * with room for *ROOM. Returns false without memory, and *ARRAY is as before.
 */
bool qf_mem_grow(void **array, size_t n, size_t *room, size_t size);

/*
 * Failure injection for the tests: the Nth allocation from now fails (1 is
 * the next), 0 switches it off. Also set by QFSCK_TEST_FAIL_ALLOC.
 */
void qf_mem_fail_at(long n);

static inline bool qf_mem_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool qf_mem_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* N rounded up to a multiple of the power of two A; saturates. */
static inline uint64_t qf_mem_round_up(uint64_t n, uint64_t a)
{
	uint64_t r;

	if (__builtin_add_overflow(n, a - 1, &r))
		return UINT64_MAX & ~(a - 1);
	return r & ~(a - 1);
}

static inline uint64_t qf_mem_div_up(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

#endif
