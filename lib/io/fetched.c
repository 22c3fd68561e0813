// SPDX-License-Identifier: LGPL-2.1-or-later
/* Functions without a comment on it are called with the mutex held. */
#include "lib/io/fetched.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 32u /* blocks that are asked for ahead of one who reads on */

enum state {
	EMPTY,
	ON_ITS_WAY,
	HERE,
	FAILED,
};

struct qf_fetched_block {
	struct qf_fetched *owner;
	uint64_t number; /* its place in the file, in blocks */
	enum state state;
	int error;	   /* errno, of one that failed */
	unsigned int wait; /* threads that need it: it is not given away */
	uint64_t used;	   /* when it was last of use */
	uint32_t next;	   /* of the same slot, + 1 */
	unsigned char *buf;
};

/* The block NUMBER, or NULL. */
static struct qf_fetched_block *find(struct qf_fetched *f, uint64_t number)
{
	uint32_t i = f->slot[number % QF_FETCHED_BLOCKS];

	while (i && f->block[i - 1].number != number)
		i = f->block[i - 1].next;
	return i ? &f->block[i - 1] : NULL;
}

static void take_out(struct qf_fetched *f, struct qf_fetched_block *b)
{
	uint32_t *at = &f->slot[b->number % QF_FETCHED_BLOCKS];
	uint32_t me = (uint32_t)(b - f->block) + 1;

	while (*at && *at != me)
		at = &f->block[*at - 1].next;
	if (*at)
		*at = b->next;
	b->state = EMPTY;
}

static void put_in(struct qf_fetched *f, struct qf_fetched_block *b,
		   uint64_t number)
{
	uint32_t *slot = &f->slot[number % QF_FETCHED_BLOCKS];

	b->number = number;
	b->next = *slot;
	*slot = (uint32_t)(b - f->block) + 1;
}

/* A block with memory that nobody needs; NULL: there is none now. */
static struct qf_fetched_block *spare(struct qf_fetched *f)
{
	struct qf_fetched_block *b, *oldest = NULL;
	uint32_t i;

	if (f->n < QF_FETCHED_BLOCKS) {
		b = &f->block[f->n];
		b->buf = malloc(f->block_bytes);
		if (b->buf) {
			f->n++;
			return b;
		}
	}
	for (i = 0; i < f->n; i++) {
		b = &f->block[i];
		if (b->state == EMPTY)
			return b;
		if (b->state != ON_ITS_WAY && !b->wait &&
		    (!oldest || b->used < oldest->used))
			oldest = b;
	}
	if (oldest)
		take_out(f, oldest);
	return oldest;
}

/*
 * The block NUMBER, which is asked for if it is not there; NULL: there is no
 * room now. One that failed is asked for once more. Gives the mutex away
 * meanwhile; with NEED the block stays until its "wait" is taken back.
 */
static struct qf_fetched_block *get(struct qf_fetched *f, uint64_t number,
				    bool need)
{
	struct qf_fetched_block *b = find(f, number);
	uint64_t off = number * f->block_bytes;

	if (b && b->state == FAILED && !b->wait) {
		take_out(f, b);
		b = NULL;
	}
	if (b) {
		b->wait += need;
		b->used = ++f->now;
		return b;
	}
	b = spare(f);
	if (!b)
		return NULL;
	put_in(f, b, number);
	b->owner = f;
	b->state = f->dead ? FAILED : ON_ITS_WAY;
	b->error = ENOTCONN;
	b->wait = need;
	b->used = ++f->now;
	if (f->dead)
		return b;
	pthread_mutex_unlock(&f->lock);
	f->ask(f->ctx, b, b->buf,
	       f->bytes - off < f->block_bytes ? f->bytes - off
					       : f->block_bytes,
	       off);
	pthread_mutex_lock(&f->lock);
	return b;
}

/* Has the N blocks from NUMBER on asked for, as far as there is room. */
static void fetch(struct qf_fetched *f, uint64_t number, uint64_t n)
{
	uint64_t all = qf_mem_div_up(f->bytes, f->block_bytes), i;

	for (i = number; i < all && i - number < n; i++)
		if (!get(f, i, false))
			return;
}

/* Waits for block NUMBER and copies LEN bytes at AT of it. 0 or -errno. */
static int copy_block(struct qf_fetched *f, uint64_t number, uint64_t at,
		      void *buf, uint64_t len)
{
	struct qf_fetched_block *b;
	int error = 0;

	while (!(b = get(f, number, true)))
		pthread_cond_wait(&f->news, &f->lock);
	while (b->state == ON_ITS_WAY)
		pthread_cond_wait(&f->news, &f->lock);
	if (b->state == HERE)
		memcpy(buf, b->buf + at, (size_t)len);
	else
		error = b->error;
	if (!--b->wait)
		pthread_cond_broadcast(&f->news);
	return -error;
}

/* What of LEN bytes at OFF lies within the file. Without the mutex. */
static uint64_t within(const struct qf_fetched *f, uint64_t len, uint64_t off)
{
	if (off >= f->bytes)
		return 0;
	return len < f->bytes - off ? len : f->bytes - off;
}

int64_t qf_fetched_read(struct qf_fetched *f, void *buf, uint64_t len,
			uint64_t off)
{
	uint64_t done = 0, number, last, at, n;
	int error = 0;

	len = within(f, len, off);
	if (!len)
		return 0;
	number = off / f->block_bytes;
	last = (off + len - 1) / f->block_bytes;
	pthread_mutex_lock(&f->lock);
	if (number == f->read_on || number + 1 == f->read_on)
		fetch(f, number, last - number + 1 + AHEAD);
	f->read_on = last + 1;
	while (done < len && !error) {
		number = (off + done) / f->block_bytes;
		at = (off + done) % f->block_bytes;
		n = f->block_bytes - at;
		if (n > len - done)
			n = len - done;
		fetch(f, number,
		      last - number < AHEAD ? last - number + 1 : AHEAD);
		error = copy_block(f, number, at, (char *)buf + done, n);
		done += n;
	}
	pthread_mutex_unlock(&f->lock);
	return error ? error : (int64_t)done;
}

bool qf_fetched_is_here(struct qf_fetched *f, uint64_t len, uint64_t off)
{
	const struct qf_fetched_block *b;
	bool all = true;
	uint64_t i;

	len = within(f, len, off);
	if (!len)
		return true;
	pthread_mutex_lock(&f->lock);
	for (i = off / f->block_bytes;
	     all && i <= (off + len - 1) / f->block_bytes; i++) {
		b = find(f, i);
		all = b && b->state == HERE;
	}
	pthread_mutex_unlock(&f->lock);
	return all;
}

void qf_fetched_hint(struct qf_fetched *f, uint64_t len, uint64_t off)
{
	uint64_t first = off / f->block_bytes;

	len = within(f, len, off);
	if (!len)
		return;
	pthread_mutex_lock(&f->lock);
	fetch(f, first, (off + len - 1) / f->block_bytes - first + 1);
	pthread_mutex_unlock(&f->lock);
}

void qf_fetched_answer(struct qf_fetched_block *b, int error)
{
	struct qf_fetched *f = b->owner;

	pthread_mutex_lock(&f->lock);
	if (b->state == ON_ITS_WAY) {
		b->state = error ? FAILED : HERE;
		b->error = error;
	}
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

void qf_fetched_die(struct qf_fetched *f)
{
	uint32_t i;

	pthread_mutex_lock(&f->lock);
	f->dead = true;
	for (i = 0; i < f->n; i++)
		if (f->block[i].state == ON_ITS_WAY) {
			f->block[i].state = FAILED;
			f->block[i].error = ENOTCONN;
		}
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

static bool is_awaited(const struct qf_fetched *f)
{
	uint32_t i;

	for (i = 0; i < f->n; i++)
		if (f->block[i].state == ON_ITS_WAY)
			return true;
	return false;
}

void qf_fetched_settle(struct qf_fetched *f, const struct timespec *until)
{
	pthread_mutex_lock(&f->lock);
	while (is_awaited(f))
		if (pthread_cond_timedwait(&f->news, &f->lock, until))
			break;
	pthread_mutex_unlock(&f->lock);
}

bool qf_fetched_init(struct qf_fetched *f, qf_fetched_ask *ask, void *ctx)
{
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->news, NULL);
	f->ask = ask;
	f->ctx = ctx;
	f->block = qf_mem_zalloc(QF_FETCHED_BLOCKS, sizeof(*f->block));
	return f->block != NULL;
}

void qf_fetched_size(struct qf_fetched *f, uint64_t bytes, uint64_t block_bytes)
{
	f->bytes = bytes;
	f->block_bytes = block_bytes;
}

void qf_fetched_free(struct qf_fetched *f)
{
	uint32_t i;

	for (i = 0; i < f->n; i++)
		free(f->block[i].buf);
	free(f->block);
	pthread_cond_destroy(&f->news);
	pthread_mutex_destroy(&f->lock);
}
