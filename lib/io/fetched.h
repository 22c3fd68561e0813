/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks of a file that come from far: many are on their way at once, those
 * that came are kept for a while, and a file that is read in order is asked
 * for ahead. Who brings them is the owner's matter: it is told what to ask
 * for, and says later what came.
 *
 * All calls may come from several threads at once.
 */
#ifndef QF_FETCHED_H
#define QF_FETCHED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define QF_FETCHED_BLOCKS 1024u /* kept, at the most */

struct qf_fetched_block;

/* Asks for LEN bytes at OFF to be put into BUF. The answer may come before
 * this returns: qf_fetched_answer(B). Called without the mutex. */
typedef void qf_fetched_ask(void *ctx, struct qf_fetched_block *b, void *buf,
			    uint64_t len, uint64_t off);

struct qf_fetched {
	pthread_mutex_t lock;
	pthread_cond_t news; /* an answer came, or room */
	/* private: */
	uint64_t bytes; /* of the file */
	uint64_t block_bytes;
	qf_fetched_ask *ask;
	void *ctx;
	struct qf_fetched_block *block;
	uint32_t n;			  /* of them, with memory */
	uint32_t slot[QF_FETCHED_BLOCKS]; /* + 1; by number */
	uint64_t now;			  /* counts uses */
	uint64_t read_on;		  /* the block behind the last read */
	bool dead;
};

/* Nothing is asked for before the file's BYTES are set (qf_fetched_size).
 * False without memory. Free with qf_fetched_free. */
bool qf_fetched_init(struct qf_fetched *f, qf_fetched_ask *ask, void *ctx);
void qf_fetched_size(struct qf_fetched *f, uint64_t bytes,
		     uint64_t block_bytes);
void qf_fetched_free(struct qf_fetched *f);

/* What was asked for is there, or failed (ERROR: errno). */
void qf_fetched_answer(struct qf_fetched_block *b, int error);

/* No answer can come any more: who waits, and who asks from now on, has
 * ENOTCONN. */
void qf_fetched_die(struct qf_fetched *f);

/* Waits until nothing is on its way, at most until UNTIL (CLOCK_REALTIME). */
void qf_fetched_settle(struct qf_fetched *f, const struct timespec *until);

/* LEN bytes at OFF, as qf_io_ops.read has them. */
int64_t qf_fetched_read(struct qf_fetched *f, void *buf, uint64_t len,
			uint64_t off);

/* True if that would not wait. */
bool qf_fetched_is_here(struct qf_fetched *f, uint64_t len, uint64_t off);

/* Asks for them, as far as there is room; waits for nothing. */
void qf_fetched_hint(struct qf_fetched *f, uint64_t len, uint64_t off);

#endif
