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

/* Pieces of a row that are made before they can be worked on. */
#define AHEAD 16u

/* A row on its way. Pieces have numbers; number I is in slot I % slots. */
struct row {
	const struct qf_pool_row *r;
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the workers: there is some, or room */
	pthread_cond_t done; /* for the caller: the next piece */
	uint64_t made, begun, taken;
	bool *ready; /* by slot */
	bool making, ended, stop;
	unsigned int workers; /* numbers given out */
};

/* More to be made: before work, as long as there is little of it. */
static bool wants_more(const struct row *w)
{
	return !w->ended && !w->making && w->made - w->taken < w->r->slots &&
	       w->made - w->begun < AHEAD;
}

/* Does a step of a worker's, if there is one. With the mutex. */
static bool row_step(struct row *w, unsigned int me)
{
	uint32_t slot;
	bool more;

	if (wants_more(w)) {
		slot = (uint32_t)(w->made % w->r->slots);
		w->making = true;
		pthread_mutex_unlock(&w->lock);
		more = w->r->make(w->r->ctx, slot);
		pthread_mutex_lock(&w->lock);
		w->making = false;
		w->made += more;
		w->ended = !more;
		pthread_cond_broadcast(&w->work);
		if (!more)
			pthread_cond_signal(&w->done);
		return true;
	}
	if (w->begun == w->made)
		return false;
	slot = (uint32_t)(w->begun++ % w->r->slots);
	pthread_mutex_unlock(&w->lock);
	w->r->work(w->r->ctx, slot, me);
	pthread_mutex_lock(&w->lock);
	w->ready[slot] = true;
	if (slot == w->taken % w->r->slots)
		pthread_cond_signal(&w->done);
	return true;
}

static void row_worker(void *p)
{
	struct row *w = p;
	unsigned int me;

	pthread_mutex_lock(&w->lock);
	me = w->workers++;
	while (!w->stop && !(w->ended && w->begun == w->made))
		if (!row_step(w, me))
			pthread_cond_wait(&w->work, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* The caller's part; ALONE: there are no workers. */
static void row_take(struct row *w, bool alone)
{
	uint32_t slot;
	bool good;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !(w->ended && w->taken == w->made)) {
		slot = (uint32_t)(w->taken % w->r->slots);
		if (!w->ready[slot]) {
			if (!alone || !row_step(w, 0))
				pthread_cond_wait(&w->done, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		good = w->r->take(w->r->ctx, slot) && !qf_pool_halted();
		pthread_mutex_lock(&w->lock);
		w->ready[slot] = false;
		w->taken++;
		w->stop = !good;
		pthread_cond_signal(&w->work);
	}
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
}

bool qf_pool_row(unsigned int jobs, const struct qf_pool_row *r)
{
	struct row w = { .r = r };
	struct qf_pool_task *task[MAX_JOBS];
	unsigned int n = 0, most = qf_pool_jobs(jobs);

	w.ready = calloc(r->slots, sizeof(*w.ready));
	if (!w.ready)
		return false;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.work, NULL);
	pthread_cond_init(&w.done, NULL);
	while (n < most && qf_pool_start(&task[n], row_worker, &w))
		n++;
	row_take(&w, !n);
	while (n)
		qf_pool_wait(task[--n]);
	pthread_cond_destroy(&w.done);
	pthread_cond_destroy(&w.work);
	pthread_mutex_destroy(&w.lock);
	free(w.ready);
	return !w.stop;
}
