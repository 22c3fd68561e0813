// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/pool.h"
#include "lib/base/cpus.h"

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
/* In how many loops, one within the other, a thread is. */
static _Thread_local unsigned int depth;

/* A loop on its way. */
struct loop {
	uint64_t n, chunk;
	qf_pool_fn *fn;
	void *ctx;
	unsigned int level;
	atomic_bool stop;
	atomic_uint_fast64_t next;
	unsigned int busy;   /* helpers that it has; with the lock */
	pthread_cond_t done; /* there are none any more */
};

/*
 * A thread that waits for loops, asleep: it takes nothing from others who may
 * want the processor. There are as many as were ever at work at once.
 */
struct helper {
	pthread_t thread;
	pthread_cond_t wake;
	struct helper *next; /* of the idle ones */
	struct loop *loop;   /* NULL: idle */
	unsigned int me;
	bool begun; /* else the loop may be taken from it again */
};

static pthread_mutex_t helpers = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
static struct helper *idle; /* with the lock */

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
	pthread_mutex_lock(&alone);
	fn(ctx);
	pthread_mutex_unlock(&alone);
}

/*
 * Items are dealt out by a counter and not in equal parts: a worker that was
 * given slow items does not hold back the rest, and a stop is seen at the next
 * item.
 */
static void run_loop(struct loop *l, unsigned int me)
{
	unsigned int before = depth;
	uint64_t i, end;

	depth = l->level;
	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		i = atomic_fetch_add(&l->next, l->chunk);
		if (i >= l->n)
			break;
		end = l->n - i < l->chunk ? l->n : i + l->chunk;
		if (watcher && !me && (watches_all || l->level <= 1))
			watcher(i, l->n);
		for (; i < end; i++)
			if (qf_pool_halted() || !l->fn(l->ctx, i, me)) {
				atomic_store(&l->stop, true);
				break;
			}
	}
	depth = before;
}

/* H has no loop any more. With the lock. */
static void let_go(struct helper *h)
{
	struct loop *l = h->loop;

	h->loop = NULL;
	h->begun = false;
	h->next = idle;
	idle = h;
	if (!--l->busy)
		pthread_cond_signal(&l->done);
}

static void *help(void *p)
{
	struct helper *h = p;

	pthread_mutex_lock(&helpers);
	for (;;) {
		while (!h->loop)
			pthread_cond_wait(&h->wake, &helpers);
		h->begun = true;
		pthread_mutex_unlock(&helpers);
		run_loop(h->loop, h->me);
		pthread_mutex_lock(&helpers);
		let_go(h);
	}
	return NULL;
}

/* A thread whose signals are another's to handle. */
static bool start_thread(pthread_t *t, void *(*fn)(void *), void *ctx)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(t, NULL, fn, ctx);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return !failed;
}

/* One that is idle, or a new one; NULL: there can be none. With the lock. */
static struct helper *get_helper(struct loop *l, unsigned int me)
{
	struct helper *h = idle;

	if (h) {
		idle = h->next;
		h->loop = l;
		h->me = me;
		pthread_cond_signal(&h->wake);
		return h;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->loop = l;
	h->me = me;
	pthread_cond_init(&h->wake, NULL);
	if (start_thread(&h->thread, help, h)) {
		pthread_detach(h->thread);
		return h;
	}
	pthread_cond_destroy(&h->wake);
	free(h);
	return NULL;
}

/* The loop with helpers. Nobody waits for one that has not even begun when
 * there is nothing left to be done. */
static void run_together(struct loop *l, unsigned int workers)
{
	struct helper *h[MAX_JOBS];
	unsigned int n = 0, i;

	pthread_cond_init(&l->done, NULL);
	pthread_mutex_lock(&helpers);
	while (n + 1 < workers && (h[n] = get_helper(l, n + 1))) {
		l->busy++;
		n++;
	}
	pthread_mutex_unlock(&helpers);
	run_loop(l, 0);
	pthread_mutex_lock(&helpers);
	for (i = 0; i < n; i++)
		if (h[i]->loop == l && !h[i]->begun)
			let_go(h[i]);
	while (l->busy)
		pthread_cond_wait(&l->done, &helpers);
	pthread_mutex_unlock(&helpers);
	pthread_cond_destroy(&l->done);
}

bool qf_pool_for(unsigned int jobs, uint64_t n, uint64_t chunk, qf_pool_fn *fn,
		 void *ctx)
{
	struct loop l = { .n = n,
			  .chunk = chunk ? chunk : 1,
			  .fn = fn,
			  .ctx = ctx,
			  .level = depth + 1 };
	unsigned int workers = qf_pool_jobs(jobs);

	/* within another loop the processors have work already */
	if (depth || n <= l.chunk || workers <= 1)
		run_loop(&l, 0);
	else
		run_together(&l, workers);
	return !atomic_load(&l.stop);
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

	*task = NULL;
	if (!t)
		return false;
	t->work = work;
	t->ctx = ctx;
	t->watcher = watcher;
	if (!start_thread(&t->thread, run_task, t)) {
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

/* The caller's part; SINGLE: there are no workers. */
static void row_take(struct row *w, bool single)
{
	uint32_t slot;
	bool good;

	pthread_mutex_lock(&w->lock);
	while (!w->stop && !(w->ended && w->taken == w->made)) {
		slot = (uint32_t)(w->taken % w->r->slots);
		if (!w->ready[slot]) {
			if (!single || !row_step(w, 0))
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
