// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/diff.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define PIECE_BYTES (1u << 20)
/* Pieces are handed on in batches: compressed clusters are small ones. */
#define BATCH_PIECES 64u
#define BATCH_BYTES (4u << 20)
#define SLOTS 64u
#define JOBS_MAX 32u

struct range {
	uint64_t start, bytes;
	bool unknown; /* it cannot be compared */
	bool read;    /* of a piece: it is still to be compared */
};

struct batch {
	struct range piece[BATCH_PIECES];
	uint32_t n;
	uint64_t bytes; /* that are to be read */
	struct range *found;
	size_t n_found, room;
	enum qf_err err;
	struct qf_why why;
};

/* What a worker has for itself. */
struct hand {
	struct qf_disk *from, *to;
	unsigned char *a, *b; /* PIECE_BYTES each */
	uint64_t lost;	      /* bytes of the piece that were not readable */
};

struct state {
	struct qf_diff *d;
	struct batch *batch;
	struct hand *hand;
	uint64_t start, bytes; /* the range that may still grow */
	bool unknown;	       /* it cannot be compared */
	uint64_t at, end;      /* what was looked at */
	enum qf_err err;
	struct qf_why why;
};

static bool flush(struct state *s)
{
	uint64_t bytes = s->bytes;

	s->bytes = 0;
	*(s->unknown ? &s->d->unknown : &s->d->differs) += bytes;
	return !bytes || s->d->range(s->d->ctx, s->start, bytes, s->unknown);
}

static bool add(struct state *s, uint64_t start, uint64_t bytes, bool unknown)
{
	if (s->bytes && s->start + s->bytes == start && s->unknown == unknown) {
		s->bytes += bytes;
		return true;
	}
	if (!flush(s))
		return false;
	s->start = start;
	s->bytes = bytes;
	s->unknown = unknown;
	return true;
}

/* What the disk has at OFF; past its end there are zeros. */
static enum qf_err look(const struct qf_diff_side *side, uint64_t off,
			uint64_t limit, struct qf_disk_extent *e,
			struct qf_why *why)
{
	if (off < qf_disk_bytes(side->guest))
		return qf_disk_at(side->guest, off, limit, e, why);
	*e = (struct qf_disk_extent){ .start = off,
				      .bytes = limit,
				      .kind = QF_DISK_ZERO,
				      .zero = true,
				      .host_off = QF_NOWHERE,
				      .pointer_off = QF_NOWHERE };
	return QF_OK;
}

static bool same_file(const struct qf_io *a, const struct qf_io *b)
{
	if (a == b)
		return true;
	return a && b && a->id[1] && a->id[0] == b->id[0] &&
	       a->id[1] == b->id[1];
}

/*
 * True if both sides certainly have the same bytes, because they have them
 * from the same place, or zeros. Compressed clusters and damage are not cut
 * at pieces: the entry tells.
 */
static bool same_place(const struct state *s, const struct qf_disk_extent *a,
		       const struct qf_disk_extent *b)
{
	const struct qf_chain_node *na = &s->d->from.chain->node[a->depth];
	const struct qf_chain_node *nb = &s->d->to.chain->node[b->depth];

	if (a->lost || b->lost)
		return false;
	if (a->kind == QF_DISK_BAD || b->kind == QF_DISK_BAD)
		return a->kind == b->kind && a->bad == b->bad && !a->entry &&
		       !b->entry && same_file(na->io, nb->io);
	if (a->zero || b->zero)
		return a->zero && b->zero;
	if (a->kind != b->kind || !same_file(na->data, nb->data))
		return false;
	if (a->kind == QF_DISK_COMPRESSED)
		return a->entry == b->entry;
	return a->host_off == b->host_off;
}

/* --- work: by any thread --- */

static bool find(struct batch *b, uint64_t start, uint64_t bytes, bool unknown)
{
	struct range *last = b->n_found ? &b->found[b->n_found - 1] : NULL;

	if (last && last->start + last->bytes == start &&
	    last->unknown == unknown) {
		last->bytes += bytes;
		return true;
	}
	if (!qf_mem_grow((void **)&b->found, b->n_found, &b->room,
			 sizeof(*b->found)))
		return false;
	b->found[b->n_found++] = (struct range){ start, bytes, unknown, false };
	return true;
}

static bool count_lost(void *ctx, uint64_t start, uint64_t bytes,
		       const char *reason)
{
	struct hand *h = ctx;

	(void)start, (void)reason;
	h->lost += bytes;
	return true;
}

static enum qf_err read_side(struct hand *h, struct qf_disk *disk,
			     unsigned char *buf, const struct range *p,
			     struct qf_why *why)
{
	uint64_t size = qf_disk_bytes(disk), n = 0;

	if (p->start < size)
		n = size - p->start < p->bytes ? size - p->start : p->bytes;
	memset(buf + n, 0, p->bytes - n);
	return n ? qf_disk_read(disk, buf, n, p->start, count_lost, h, why)
		 : QF_OK;
}

/* Compares a piece of at most PIECE_BYTES, sector by sector. */
static enum qf_err compare(struct hand *h, struct batch *b,
			   const struct range *p)
{
	uint64_t at, n;
	enum qf_err err;

	h->lost = 0;
	err = read_side(h, h->from, h->a, p, &b->why);
	if (!err)
		err = read_side(h, h->to, h->b, p, &b->why);
	if (err)
		return err;
	if (h->lost)
		return find(b, p->start, p->bytes, true) ? QF_OK : QF_ERR_NOMEM;
	for (at = 0; at < p->bytes; at += n) {
		n = p->bytes - at < SECTOR ? p->bytes - at : SECTOR;
		if (memcmp(h->a + at, h->b + at, n) &&
		    !find(b, p->start + at, n, false))
			return QF_ERR_NOMEM;
	}
	return QF_OK;
}

static enum qf_err start_hand(const struct qf_diff *d, struct hand *h,
			      struct qf_why *why)
{
	enum qf_err err;

	if (h->b)
		return QF_OK;
	err = qf_disk_beside(d->from.guest, &h->from, why);
	if (!err)
		err = qf_disk_beside(d->to.guest, &h->to, why);
	if (err)
		return err;
	qf_disk_tell_doubts(h->from, count_lost, h);
	qf_disk_tell_doubts(h->to, count_lost, h);
	h->a = qf_mem_zalloc(1, PIECE_BYTES);
	h->b = h->a ? qf_mem_zalloc(1, PIECE_BYTES) : NULL;
	return h->b ? QF_OK : QF_ERR_NOMEM;
}

static void work(void *ctx, uint32_t slot, unsigned int worker)
{
	struct state *s = ctx;
	struct batch *b = &s->batch[slot];
	struct hand *h = &s->hand[worker];
	uint32_t i;

	for (i = 0; !b->err && i < b->n; i++) {
		if (!b->piece[i].read)
			b->err = find(b, b->piece[i].start, b->piece[i].bytes,
				      b->piece[i].unknown)
					 ? QF_OK
					 : QF_ERR_NOMEM;
		else
			b->err = start_hand(s->d, h, &b->why);
		if (!b->err && b->piece[i].read)
			b->err = compare(h, b, &b->piece[i]);
	}
}

/* --- making: what is to be told, and what to be compared --- */

static void hint(struct qf_disk *disk, uint64_t start, uint64_t bytes)
{
	uint64_t size = qf_disk_bytes(disk);

	if (start < size)
		qf_disk_hint(disk, start,
			     bytes < size - start ? bytes : size - start);
}

/* As much of N bytes as the batch takes; returns that. */
static uint64_t add_piece(struct state *s, struct batch *b, uint64_t n,
			  bool read, bool unknown)
{
	struct range *p = &b->piece[b->n++];

	if (read && n > PIECE_BYTES)
		n = PIECE_BYTES;
	*p = (struct range){ s->at, n, unknown, read };
	if (read) {
		b->bytes += n;
		hint(s->d->from.guest, s->at, n);
		hint(s->d->to.guest, s->at, n);
	}
	return n;
}

/* The stretch at s->at. */
static enum qf_err stretch(struct state *s, struct batch *b)
{
	struct qf_disk_extent x, y;
	enum qf_err err = look(&s->d->from, s->at, s->end - s->at, &x, &b->why);
	uint64_t n;
	bool unknown;

	if (!err)
		err = look(&s->d->to, s->at, x.bytes, &y, &b->why);
	if (err)
		return err;
	n = y.bytes;
	unknown = x.kind == QF_DISK_BAD || y.kind == QF_DISK_BAD || x.lost ||
		  y.lost;
	if (!same_place(s, &x, &y))
		n = add_piece(s, b, n, s->d->content && !unknown, unknown);
	s->at += n;
	return QF_OK;
}

static bool make(void *ctx, uint32_t slot)
{
	struct state *s = ctx;
	struct batch *b = &s->batch[slot];

	b->n = 0;
	b->bytes = b->n_found = 0;
	b->err = QF_OK;
	while (!b->err && s->at < s->end && b->n < BATCH_PIECES &&
	       b->bytes < BATCH_BYTES)
		b->err = stretch(s, b);
	if (b->err)
		s->end = s->at;
	return b->n || b->err;
}

/* --- taking: in order --- */

static bool take(void *ctx, uint32_t slot)
{
	struct state *s = ctx;
	struct batch *b = &s->batch[slot];
	size_t i;

	s->err = b->err;
	if (s->err)
		s->why = b->why;
	for (i = 0; !s->err && i < b->n_found; i++)
		if (!add(s, b->found[i].start, b->found[i].bytes,
			 b->found[i].unknown))
			s->err = QF_ERR_STOPPED;
	return !s->err;
}

/* What the new disk has lost behind its end. */
static enum qf_err lost_beyond(struct state *s)
{
	uint64_t at = qf_disk_bytes(s->d->to.guest), off;
	const struct qf_range *r;

	while ((r = qf_disk_lost_from(s->d->to.guest, at)) != NULL) {
		off = r->off > at ? r->off : at;
		at = r->off + r->len;
		if (!add(s, off, at - off, true))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to compare");
}

static void run_batches(struct state *s, unsigned int jobs)
{
	const struct qf_pool_row row = { SLOTS, make, work, take, s };

	if (s->d->content) {
		if (!qf_pool_row(jobs, &row) && !s->err)
			s->err = QF_ERR_NOMEM;
		return;
	}
	/* there is nothing that takes time */
	while (!s->err && make(s, 0)) {
		work(s, 0, 0);
		take(s, 0);
	}
}

static enum qf_err run(struct state *s, struct qf_why *why)
{
	enum qf_err err;
	unsigned int jobs = qf_pool_jobs(0), i;

	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	s->end = qf_disk_bytes(s->d->to.guest);
	s->batch = qf_mem_zalloc(SLOTS, sizeof(*s->batch));
	s->hand = qf_mem_zalloc(jobs, sizeof(*s->hand));
	if (s->batch && s->hand)
		run_batches(s, jobs);
	else
		s->err = QF_ERR_NOMEM;
	for (i = 0; s->batch && i < SLOTS; i++)
		free(s->batch[i].found);
	for (i = 0; s->hand && i < jobs; i++) {
		qf_disk_close(s->hand[i].from);
		qf_disk_close(s->hand[i].to);
		free(s->hand[i].a);
		free(s->hand[i].b);
	}
	free(s->batch);
	free(s->hand);
	err = s->err ? s->err : lost_beyond(s);
	if (!err && !flush(s))
		err = QF_ERR_STOPPED;
	if (err == QF_ERR_NOMEM)
		return no_memory(why);
	if (err && why)
		*why = s->why;
	return err;
}

enum qf_err qf_diff_run(struct qf_diff *d, struct qf_why *why)
{
	struct state s = { .d = d };

	d->differs = d->unknown = 0;
	return run(&s, why);
}
