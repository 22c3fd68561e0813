// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/rate.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define SECOND 1000000000ull
/* What was not read for so long may be read at once. */
#define BURST_NS (SECOND / 20)

static atomic_uint_fast64_t limit; /* bytes a second */
static atomic_uint_fast64_t due;   /* when all that was read may have been */

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

void qf_rate_limit(uint64_t bytes_a_second)
{
	atomic_store(&due, 0);
	atomic_store(&limit, bytes_a_second);
}

/* What BYTES take; no single read is so large that it could overflow. */
static uint64_t cost(uint64_t bytes, uint64_t a_second)
{
	return (uint64_t)((double)bytes / (double)a_second * (double)SECOND);
}

void qf_rate_take(uint64_t bytes)
{
	uint64_t a_second = atomic_load_explicit(&limit, memory_order_relaxed);
	uint64_t was, next, t;
	struct timespec until;

	if (!a_second || !bytes)
		return;
	was = atomic_load(&due);
	do {
		t = now();
		next = was + BURST_NS < t ? t - BURST_NS : was;
		next += cost(bytes, a_second);
	} while (!atomic_compare_exchange_weak(&due, &was, next));
	if (next <= t)
		return;
	until.tv_sec = (time_t)(next / SECOND);
	until.tv_nsec = (long)(next % SECOND);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
	       EINTR)
		;
}
