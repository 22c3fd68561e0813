// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/pool.h"
#include "lib/base/cpus.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MAX_JOBS 256
/* A thread costs as much as half a millisecond of this work. */
#define BYTES_A_JOB (8ull << 20)

/* Of the thread whose loops they are: several may check an image each. */
static _Thread_local qf_pool_tick *watcher;
static _Thread_local bool watches_all;
static atomic_bool halted;

struct qf_pool_task {
	pthread_t thread;
	void (*work)(void *);
	void *ctx;
	qf_pool_tick *watcher;
	atomic_bool done;
};

qf_pool_tick *qf_pool_watch(qf_pool_tick *tick)
{
	qf_pool_tick *before = watcher;

	watcher = tick;
	watches_all = false;
	return before;
}

void qf_pool_watch_all(qf_pool_tick *tick)
{
	watcher = tick;
	watches_all = true;
}

unsigned int qf_pool_jobs(unsigned int jobs)
{
	if (!jobs)
		jobs = qf_cpus_count();
	return jobs < MAX_JOBS ? jobs : MAX_JOBS;
}

unsigned int qf_pool_jobs_for(unsigned int jobs, uint64_t bytes)
{
	unsigned int n = qf_pool_jobs(jobs);

	if (jobs || bytes / BYTES_A_JOB >= n)
		return n;
	return bytes < BYTES_A_JOB ? 1 : (unsigned int)(bytes / BYTES_A_JOB);
}

void qf_pool_alone(void (*fn)(void *), void *ctx)
{
#pragma omp critical(qf_pool_alone)
	fn(ctx);
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
			if (watcher && !me &&
			    (watches_all || omp_get_level() <= 1))
				watcher(i, n);
			for (; i < end; i++)
				if (qf_pool_halted() || !fn(ctx, i, me)) {
					atomic_store(&stop, true);
					break;
				}
		}
	}
	return !atomic_load(&stop);
}

void qf_pool_halt(bool halt)
{
	atomic_store(&halted, halt);
}

bool qf_pool_halted(void)
{
	return atomic_load_explicit(&halted, memory_order_relaxed);
}

static void *run_task(void *p)
{
	struct qf_pool_task *t = p;

	watcher = t->watcher;
	t->work(t->ctx);
	atomic_store(&t->done, true);
	return NULL;
}

bool qf_pool_start(struct qf_pool_task **task, void (*work)(void *), void *ctx)
{
	struct qf_pool_task *t = calloc(1, sizeof(*t));
	sigset_t all, before;
	int failed;

	*task = NULL;
	if (!t)
		return false;
	t->work = work;
	t->ctx = ctx;
	t->watcher = watcher;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&t->thread, NULL, run_task, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		free(t);
		return false;
	}
	*task = t;
	return true;
}

bool qf_pool_done(const struct qf_pool_task *task)
{
	return atomic_load(&task->done);
}

void qf_pool_wait(struct qf_pool_task *task)
{
	if (task)
		pthread_join(task->thread, NULL);
	free(task);
}
