// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/extract_disk.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "repair/write/sink.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 32u /* each has buffers */
/* So that nobody waits for the caller's thread where processors are short: */
#define SLOTS 128u
#define KEPT_BYTES (32u << 20) /* of pieces that are kept until their turn */

/* A stretch of the disk on its way. */
struct piece {
	uint64_t start, bytes;
	bool read;	    /* else there is nothing but zeros */
	unsigned char *buf; /* if it is needed when its turn comes */
	struct qf_extract_lost *lost;
	size_t n_lost, room;
	enum qf_err err;
	struct qf_why why;
};

/* What a worker has for itself. */
struct hand {
	struct qf_disk *disk;
	unsigned char *buf;
};

struct row {
	struct qf_extract *x;
	struct piece *piece;
	struct hand *hand;
	uint64_t end, piece_bytes;
	uint64_t made; /* of the disk */
	bool keep;     /* pieces until their turn */
	enum qf_err err;
};

static bool note(struct piece *p, uint64_t start, uint64_t bytes,
		 const char *reason, bool doubtful)
{
	if (!qf_mem_grow((void **)&p->lost, p->n_lost, &p->room,
			 sizeof(*p->lost)))
		return false;
	p->lost[p->n_lost++] =
		(struct qf_extract_lost){ start, bytes, reason, doubtful };
	return true;
}

static bool note_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	return note(ctx, start, bytes, reason, false);
}

static bool note_doubt(void *ctx, uint64_t start, uint64_t bytes,
		       const char *reason)
{
	return note(ctx, start, bytes, reason, true);
}

/* --- making: where the next piece ends, and whether there are bytes --- */

static bool has_bytes(const struct qf_disk_extent *e)
{
	return e->kind == QF_DISK_DATA || e->kind == QF_DISK_COMPRESSED;
}

static enum qf_err make_piece(struct row *r, struct piece *p)
{
	struct qf_disk *disk = r->x->guest;
	uint64_t at = p->start, n;
	struct qf_disk_extent e;
	enum qf_err err;

	for (; at < r->end && at - p->start < r->piece_bytes; at += e.bytes) {
		err = qf_disk_at(disk, at, r->end - at, &e, &p->why);
		if (err)
			return err;
		if (has_bytes(&e))
			break;
		if ((e.kind == QF_DISK_BAD || e.lost) &&
		    !note(p, e.start, e.bytes, e.bad, e.kind != QF_DISK_BAD))
			return QF_ERR_STOPPED;
	}
	p->read = at == p->start;
	if (p->read) {
		n = r->piece_bytes - at % r->piece_bytes;
		at += n < r->end - at ? n : r->end - at;
		qf_disk_hint(disk, p->start, at - p->start);
	}
	p->bytes = at - p->start;
	return QF_OK;
}

static bool make(void *ctx, uint32_t slot)
{
	struct row *r = ctx;
	struct piece *p = &r->piece[slot];

	if (r->made == r->end)
		return false;
	p->start = r->made;
	p->bytes = p->n_lost = 0;
	p->read = false;
	p->err = make_piece(r, p);
	r->made = p->err ? r->end : p->start + p->bytes;
	return true;
}

/* --- work: by any thread --- */

/* How much of LEFT bytes is in the disk's block at OFF. */
static uint64_t block(uint64_t off, uint64_t left)
{
	uint64_t n = QF_EXTRACT_BLOCK - off % QF_EXTRACT_BLOCK;

	return n < left ? n : left;
}

/* Writes the blocks of a piece that are not zeros. */
static enum qf_err write_blocks(const struct qf_sink *s, struct piece *p,
				const unsigned char *buf)
{
	static const unsigned char zeros[QF_EXTRACT_BLOCK];
	uint64_t at = 0, from = 0, n;
	enum qf_err err = QF_OK;
	bool zero;

	for (; !err && at < p->bytes; at += n) {
		n = block(p->start + at, p->bytes - at);
		zero = !memcmp(buf + at, zeros, n);
		if (zero && at > from)
			err = qf_sink_put(s, buf + from, at - from,
					  p->start + from, &p->why);
		if (zero)
			from = at + n;
	}
	if (!err && at > from)
		err = qf_sink_put(s, buf + from, at - from, p->start + from,
				  &p->why);
	return err;
}

static enum qf_err read_piece(struct row *r, struct piece *p, struct hand *h)
{
	unsigned char **buf = r->keep ? &p->buf : &h->buf;
	enum qf_err err = QF_OK;

	if (!*buf)
		*buf = qf_mem_zalloc(1, r->piece_bytes);
	if (!*buf)
		return QF_ERR_STOPPED;
	if (!h->disk)
		err = qf_disk_beside(r->x->guest, &h->disk, &p->why);
	if (err)
		return err;
	qf_disk_tell_doubts(h->disk, note_doubt, p);
	err = qf_disk_read(h->disk, *buf, p->bytes, p->start, note_lost, p,
			   &p->why);
	if (!err && !r->x->sink->stream)
		err = write_blocks(r->x->sink, p, *buf);
	return err;
}

static void work(void *ctx, uint32_t slot, unsigned int worker)
{
	struct row *r = ctx;
	struct piece *p = &r->piece[slot];

	if (!p->err && p->read)
		p->err = read_piece(r, p, &r->hand[worker]);
}

/* --- taking: in order --- */

static enum qf_err take_piece(struct row *r, struct piece *p)
{
	struct qf_extract *x = r->x;
	size_t i;

	if (p->err) {
		x->why = p->why;
		return p->err;
	}
	x->at = p->start;
	for (i = 0; i < p->n_lost; i++)
		if (!qf_extract_note(x, &p->lost[i]))
			return QF_ERR_STOPPED;
	if (r->keep)
		return p->read ? qf_extract_pass(x, p->buf, p->bytes)
			       : qf_extract_zeros(x, p->bytes);
	x->at += p->bytes;
	return QF_OK;
}

static bool take(void *ctx, uint32_t slot)
{
	struct row *r = ctx;

	r->err = take_piece(r, &r->piece[slot]);
	qf_extract_step(r->x);
	return !r->err;
}

/* What the guest had behind the end that the disk has now. */
static enum qf_err lost_beyond(struct qf_extract *x)
{
	struct qf_extract_lost l = {
		.reason = "it lies behind the end that the image states for "
			  "the disk"
	};
	uint64_t at = qf_disk_bytes(x->guest);
	const struct qf_range *r;

	while ((r = qf_disk_lost_from(x->guest, at)) != NULL) {
		l.start = r->off > at ? r->off : at;
		at = r->off + r->len;
		l.bytes = at - l.start;
		if (!qf_extract_note(x, &l))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}

static enum qf_err run(struct row *r, unsigned int jobs, uint32_t slots)
{
	const struct qf_pool_row pr = { slots, make, work, take, r };
	uint32_t i;

	r->piece = qf_mem_zalloc(slots, sizeof(*r->piece));
	r->hand = qf_mem_zalloc(jobs, sizeof(*r->hand));
	r->err = QF_ERR_STOPPED;
	if (r->piece && r->hand) {
		r->err = QF_OK;
		if (!qf_pool_row(jobs, &pr) && !r->err)
			r->err = QF_ERR_STOPPED;
	}
	for (i = 0; r->piece && i < slots; i++) {
		free(r->piece[i].buf);
		free(r->piece[i].lost);
	}
	for (i = 0; r->hand && i < jobs; i++) {
		qf_disk_close(r->hand[i].disk);
		free(r->hand[i].buf);
	}
	free(r->piece);
	free(r->hand);
	return r->err;
}

enum qf_err qf_extract_disk_run(struct qf_extract *x)
{
	struct row r = { .x = x, .end = qf_disk_bytes(x->guest) };
	unsigned int jobs = qf_pool_jobs(0);
	enum qf_err err;

	/* a compressed cluster is inflated by one, and once */
	r.piece_bytes = qf_disk_cluster_bytes(x->guest);
	if (r.piece_bytes < QF_EXTRACT_PIECE)
		r.piece_bytes = QF_EXTRACT_PIECE;
	r.keep = x->hash || x->sink->stream;
	if (jobs > JOBS_MAX)
		jobs = JOBS_MAX;
	if (jobs > qf_mem_div_up(r.end, r.piece_bytes))
		jobs = r.end ? (unsigned int)qf_mem_div_up(r.end, r.piece_bytes)
			     : 1;
	err = run(&r, jobs,
		  r.keep ? (uint32_t)(KEPT_BYTES / r.piece_bytes) : SLOTS);
	if (!err)
		err = lost_beyond(x);
	return err;
}
