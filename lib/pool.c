// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/pool.h"

#include <omp.h>
#include <stdatomic.h>

#define MAX_JOBS 256

static qf_pool_tick *watcher;

qf_pool_tick *qf_pool_watch(qf_pool_tick *tick)
{
	qf_pool_tick *before = watcher;

	watcher = tick;
	return before;
}

unsigned int qf_pool_jobs(unsigned int jobs)
{
	int cpus = omp_get_num_procs();

	if (!jobs)
		jobs = cpus > 0 ? (unsigned int)cpus : 1;
	return jobs < MAX_JOBS ? jobs : MAX_JOBS;
}

bool qf_pool_for(unsigned int jobs, uint64_t n, uint64_t chunk, qf_pool_fn *fn,
		 void *ctx)
{
	int workers = (int)qf_pool_jobs(jobs);
	atomic_bool stop = false;
	atomic_uint_fast64_t next = 0;

	if (!chunk)
		chunk = 1;
	if (n <= chunk)
		workers = 1;
		/*
	 * Items are dealt out by a counter and not by "omp for": a worker that
	 * was given slow items does not hold back the rest, and a stop is seen
	 * at the next item.
	 */
#pragma omp parallel num_threads(workers) if (workers > 1)
	{
		unsigned int me = (unsigned int)omp_get_thread_num();
		uint64_t i, end;

		while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
			i = atomic_fetch_add(&next, chunk);
			if (i >= n)
				break;
			end = n - i < chunk ? n : i + chunk;
			if (watcher && !me)
				watcher(i, n);
			for (; i < end; i++)
				if (!fn(ctx, i, me)) {
					atomic_store(&stop, true);
					break;
				}
		}
	}
	return !atomic_load(&stop);
}
