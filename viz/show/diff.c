// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/diff.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define PIECE_BYTES (1u << 20)

struct state {
	struct qf_diff *d;
	uint64_t start, bytes; /* the range that may still grow */
	bool unknown;	       /* it cannot be compared */
	unsigned char *a, *b;  /* PIECE_BYTES each, if content counts */
	uint64_t lost;	       /* bytes of the piece that were not readable */
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

static bool count_lost(void *ctx, uint64_t start, uint64_t bytes,
		       const char *reason)
{
	struct state *s = ctx;

	(void)start, (void)reason;
	s->lost += bytes;
	return true;
}

static enum qf_err read_side(struct state *s, const struct qf_diff_side *side,
			     unsigned char *buf, uint64_t off, uint64_t bytes,
			     struct qf_why *why)
{
	uint64_t size = qf_disk_bytes(side->guest), n = 0;

	if (off < size)
		n = size - off < bytes ? size - off : bytes;
	memset(buf + n, 0, bytes - n);
	return n ? qf_disk_read(side->guest, buf, n, off, count_lost, s, why)
		 : QF_OK;
}

/* Compares a piece of at most PIECE_BYTES, sector by sector. */
static enum qf_err compare_piece(struct state *s, uint64_t off, uint64_t bytes,
				 struct qf_why *why)
{
	uint64_t at, n;
	enum qf_err err;

	s->lost = 0;
	err = read_side(s, &s->d->from, s->a, off, bytes, why);
	if (!err)
		err = read_side(s, &s->d->to, s->b, off, bytes, why);
	if (err)
		return err;
	if (s->lost)
		return add(s, off, bytes, true) ? QF_OK : QF_ERR_STOPPED;
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < SECTOR ? bytes - at : SECTOR;
		if (memcmp(s->a + at, s->b + at, n) &&
		    !add(s, off + at, n, false))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}

static enum qf_err compare(struct state *s, uint64_t off, uint64_t bytes,
			   struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint64_t at, n;

	for (at = 0; !err && at < bytes; at += n) {
		n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
		err = compare_piece(s, off + at, n, why);
	}
	return err;
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

static enum qf_err run(struct state *s, struct qf_why *why)
{
	uint64_t end = qf_disk_bytes(s->d->to.guest), at, n;
	struct qf_disk_extent a, b;
	enum qf_err err = QF_OK;
	bool unknown;

	for (at = 0; !err && at < end; at += n) {
		err = look(&s->d->from, at, end - at, &a, why);
		if (!err)
			err = look(&s->d->to, at, a.bytes, &b, why);
		if (err)
			return err;
		n = b.bytes;
		if (same_place(s, &a, &b))
			continue;
		unknown = a.kind == QF_DISK_BAD || b.kind == QF_DISK_BAD ||
			  a.lost || b.lost;
		if (s->d->content && !unknown)
			err = compare(s, at, n, why);
		else if (!add(s, at, n, unknown))
			err = QF_ERR_STOPPED;
	}
	if (!err)
		err = lost_beyond(s);
	if (!err && !flush(s))
		err = QF_ERR_STOPPED;
	return err;
}

enum qf_err qf_diff_run(struct qf_diff *d, struct qf_why *why)
{
	struct state s = { .d = d };
	enum qf_err err = QF_ERR_NOMEM;

	d->differs = d->unknown = 0;
	qf_disk_tell_doubts(d->from.guest, count_lost, &s);
	qf_disk_tell_doubts(d->to.guest, count_lost, &s);
	if (d->content) {
		s.a = qf_mem_zalloc(1, PIECE_BYTES);
		s.b = qf_mem_zalloc(1, PIECE_BYTES);
	}
	if (d->content && (!s.a || !s.b))
		qf_err_set(why, err, 0, QF_NOWHERE, "no memory to compare");
	else
		err = run(&s, why);
	qf_disk_tell_doubts(d->from.guest, NULL, NULL);
	qf_disk_tell_doubts(d->to.guest, NULL, NULL);
	free(s.a);
	free(s.b);
	return err;
}
