/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only place with threads. A loop of N independent items is spread over
 * JOBS threads; each item is handled by exactly one of them. Between loops they
 * sleep. A child of fork() has none of them: its loops are for one job.
 */
#ifndef QF_POOL_H
#define QF_POOL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * DO is called for every item 0 <= i < N, in no promised order, with WORKER
 * the number of the calling thread (0 <= WORKER < qf_pool_jobs(JOBS)), so
 * that DO can keep a state per worker without a lock. When DO returns false,
 * items not yet started are left out, and the loop returns false.
 */
typedef bool qf_pool_fn(void *ctx, uint64_t i, unsigned int worker);

bool qf_pool_for(unsigned int jobs, uint64_t n, uint64_t chunk, qf_pool_fn *fn,
		 void *ctx);

/* Calls FN(CTX) while no other worker does so. */
void qf_pool_alone(void (*fn)(void *), void *ctx);

/*
 * Lets TICK see how far the loops are: it is called by the first worker only,
 * before each of its items, with the items done in this loop and their
 * number. NULL ends it. For the loops of the calling thread, and of the tasks
 * that it starts from then on. Returns the one before, so that work which
 * knows better than its loops can call that one itself.
 */
typedef void qf_pool_tick(uint64_t done, uint64_t n);
qf_pool_tick *qf_pool_watch(qf_pool_tick *tick);

/* The same of the loops within this thread's loops as well: the numbers are
 * then those of any of them. */
void qf_pool_watch_all(qf_pool_tick *tick);

/*
 * A row: pieces that are made in order, worked on by many threads, and taken
 * in the order in which they were made, with no more than SLOTS of them on
 * their way. A slot is its piece's alone from MAKE to TAKE.
 */
struct qf_pool_row {
	uint32_t slots; /* two at the least */
	/* Makes the next piece in SLOT. No two calls at once. False: the last
	 * one was made before. */
	bool (*make)(void *ctx, uint32_t slot);
	/* WORKER: as in qf_pool_fn. */
	void (*work)(void *ctx, uint32_t slot, unsigned int worker);
	/* By the caller's thread alone. False ends it all. */
	bool (*take)(void *ctx, uint32_t slot);
	void *ctx;
};

/*
 * JOBS threads make and work, beside the caller, who takes. Where there can be
 * no thread, the caller does everything. False if TAKE said so, or halted: then
 * pieces are left that were made and not taken.
 */
bool qf_pool_row(unsigned int jobs, const struct qf_pool_row *row);

/*
 * Work beside the caller's: DO runs in a thread of its own, which takes no
 * signals. *TASK is freed by qf_pool_wait, which waits for the end of DO.
 * Returns false if there can be no thread.
 */
struct qf_pool_task;
bool qf_pool_start(struct qf_pool_task **task, void (*work)(void *), void *ctx);
bool qf_pool_done(const struct qf_pool_task *task);
void qf_pool_wait(struct qf_pool_task *task);

/*
 * With HALT, every loop of the process stops at its next item, as if DO had
 * returned false, until HALT is taken back. What such a loop leaves is not
 * whole: its caller must throw it away.
 */
void qf_pool_halt(bool halt);

/* True while halted: what is not a loop here may look for itself. */
bool qf_pool_halted(void);

/* The number of workers that JOBS means: 0 is one a processor that this process
 * may keep busy (cpus.h). */
unsigned int qf_pool_jobs(unsigned int jobs);

/* The same for work on so many bytes of tables: 0 means no more workers than
 * are worth their start. */
unsigned int qf_pool_jobs_for(unsigned int jobs, uint64_t bytes);

#endif
