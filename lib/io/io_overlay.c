// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/io_overlay.h"
#include "lib/base/mem.h"
#include "lib/io/overlay_runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK QF_OVERLAY_BLOCK

struct qf_overlay {
	struct qf_io *base;
	struct qf_overlay_runs runs;
	uint64_t size;
};

struct view {
	struct qf_io io;
	struct qf_overlay *o;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the planned edits");
}

enum qf_err qf_overlay_new(struct qf_io *base, struct qf_overlay **out,
			   struct qf_why *why)
{
	struct qf_overlay *o = qf_mem_zalloc(1, sizeof(*o));

	if (!o)
		return no_memory(why);
	o->base = base;
	o->size = base->size;
	*out = o;
	return QF_OK;
}

void qf_overlay_free(struct qf_overlay *o)
{
	if (!o)
		return;
	qf_overlay_runs_free(&o->runs);
	free(o);
}

static uint64_t begin_of(const struct qf_overlay_run *r)
{
	return r->at * BLOCK;
}

static uint64_t end_of(const struct qf_overlay_run *r)
{
	return (r->at + r->n) * BLOCK;
}

/* LEN bytes of the base at OFF into BUF, with zeros behind its end. */
static int read_base(const struct qf_overlay *o, unsigned char *buf,
		     uint64_t len, uint64_t off)
{
	int64_t n = o->base->ops->read(o->base, buf, len, off);

	if (n < 0)
		return (int)n;
	memset(buf + n, 0, (size_t)(len - (uint64_t)n));
	return 0;
}

/* What R shows from OFF on, which is in it. */
static int read_run(const struct qf_overlay *o, const struct qf_overlay_run *r,
		    unsigned char *buf, uint64_t len, uint64_t off)
{
	if (!r->data)
		return read_base(o, buf, len, r->src + (off - begin_of(r)));
	memcpy(buf, r->data + (off - begin_of(r)), (size_t)len);
	return 0;
}

/* The end of R from the block AT on, as a run of its own behind it. */
static bool split(struct qf_overlay *o, struct qf_overlay_place p, uint64_t at)
{
	struct qf_overlay_run *r = qf_overlay_runs_at(&o->runs, p), right;

	right = (struct qf_overlay_run){ .at = at, .n = r->at + r->n - at };
	if (r->data) {
		right.data = qf_mem_zalloc(right.n, BLOCK);
		if (!right.data)
			return false;
		memcpy(right.data, r->data + (at - r->at) * BLOCK,
		       (size_t)(right.n * BLOCK));
	} else {
		right.src = r->src + (at - r->at) * BLOCK;
	}
	r->n = at - r->at;
	p.i++; /* an insertion may be at the end of a page */
	if (qf_overlay_runs_insert(&o->runs, p, &right))
		return true;
	free(right.data);
	return false;
}

/* Takes the blocks [AT, END) out of what is there. */
static bool carve(struct qf_overlay *o, uint64_t at, uint64_t end)
{
	struct qf_overlay_place p = qf_overlay_runs_find(&o->runs, at);
	struct qf_overlay_run *r = qf_overlay_runs_at(&o->runs, p);

	if (r && r->at < at) {
		if (!split(o, p, at))
			return false;
		p = qf_overlay_runs_find(&o->runs, at);
	}
	for (;; p = qf_overlay_runs_find(&o->runs, at)) {
		r = qf_overlay_runs_at(&o->runs, p);
		if (!r || r->at >= end)
			return true;
		if (r->at + r->n > end && !split(o, p, end))
			return false;
		r = qf_overlay_runs_at(&o->runs,
				       qf_overlay_runs_find(&o->runs, at));
		free(r->data);
		qf_overlay_runs_remove(&o->runs,
				       qf_overlay_runs_find(&o->runs, at));
	}
}

static bool insert(struct qf_overlay *o, const struct qf_overlay_run *r)
{
	return carve(o, r->at, r->at + r->n) &&
	       qf_overlay_runs_insert(&o->runs,
				      qf_overlay_runs_find(&o->runs, r->at), r);
}

/* Bytes for the blocks [AT, END), all of which show what the base has from SRC
 * on; [FROM, TO) of them are put over it by the caller. */
static enum qf_err own(struct qf_overlay *o, uint64_t at, uint64_t end,
		       uint64_t src, uint64_t from, uint64_t to,
		       struct qf_why *why)
{
	struct qf_overlay_run r = { .at = at, .n = end - at };
	uint64_t last = (r.n - 1) * BLOCK;
	int err = 0;

	r.data = qf_mem_zalloc(r.n, BLOCK);
	if (!r.data)
		return no_memory(why);
	if (from > at * BLOCK || (r.n == 1 && to < end * BLOCK))
		err = read_base(o, r.data, BLOCK, src);
	if (!err && r.n > 1 && to < end * BLOCK)
		err = read_base(o, r.data + last, BLOCK, src + last);
	if (err) {
		free(r.data);
		return qf_err_set(why, QF_ERR_IO, -err, at * BLOCK,
				  "cannot read what is to be changed");
	}
	if (insert(o, &r))
		return QF_OK;
	free(r.data);
	return no_memory(why);
}

enum qf_err qf_overlay_put(struct qf_overlay *o, uint64_t off, const void *buf,
			   uint64_t len, struct qf_why *why)
{
	const unsigned char *p = buf;
	struct qf_overlay_run *r;
	uint64_t n, end, at, stop;
	enum qf_err err;

	if (!qf_mem_add(off, len, &end) || end > INT64_MAX)
		return qf_err_set(why, QF_ERR_OUTSIDE, 0, off,
				  "an edit past the end of all files");
	while (off < end) {
		at = off / BLOCK;
		r = qf_overlay_runs_at(&o->runs,
				       qf_overlay_runs_find(&o->runs, at));
		stop = (end + BLOCK - 1) / BLOCK;
		if (r && r->at <= at && r->data) {
			n = (end < end_of(r) ? end : end_of(r)) - off;
			memcpy(r->data + (off - begin_of(r)), p, (size_t)n);
			off += n;
			p += n;
			continue;
		}
		if (r && r->at > at) /* up to what is there */
			stop = stop < r->at ? stop : r->at;
		else if (r)
			stop = stop < r->at + r->n ? stop : r->at + r->n;
		err = own(o, at, stop,
			  r && r->at <= at ? r->src + (at - r->at) * BLOCK
					   : at * BLOCK,
			  off, end, why);
		if (err)
			return err;
	}
	if (end > o->size)
		o->size = end;
	return QF_OK;
}

enum qf_err qf_overlay_copy(struct qf_overlay *o, uint64_t off, uint64_t src,
			    uint64_t len, struct qf_why *why)
{
	struct qf_overlay_run r = { .at = off / BLOCK,
				    .n = (len + BLOCK - 1) / BLOCK,
				    .src = src };

	if (r.n && !insert(o, &r))
		return no_memory(why);
	if (off + len > o->size)
		o->size = off + len;
	return QF_OK;
}

bool qf_overlay_next(const struct qf_overlay *o, uint64_t from, uint64_t limit,
		     uint64_t *off, uint64_t *len)
{
	struct qf_overlay_place p =
		qf_overlay_runs_find(&o->runs, from / BLOCK);
	const struct qf_overlay_run *r = qf_overlay_runs_at(&o->runs, p);
	uint64_t first, end, most = limit < BLOCK ? 1 : limit / BLOCK;

	if (!r)
		return false;
	first = r->at > from / BLOCK ? r->at : from / BLOCK;
	end = r->at + r->n;
	while (end - first < most) {
		p = qf_overlay_runs_next(&o->runs, p);
		r = qf_overlay_runs_at(&o->runs, p);
		if (!r || r->at != end)
			break;
		end += r->n;
	}
	if (end - first > most)
		end = first + most;
	*off = first * BLOCK;
	*len = (end * BLOCK < o->size ? end * BLOCK : o->size) - *off;
	return true;
}

uint64_t qf_overlay_size(const struct qf_overlay *o)
{
	return o->size;
}

static const struct qf_overlay_run *run_at(const struct qf_overlay *o,
					   uint64_t off)
{
	return qf_overlay_runs_at(&o->runs,
				  qf_overlay_runs_find(&o->runs, off / BLOCK));
}

bool qf_overlay_covers(const struct qf_overlay *o, uint64_t off, uint64_t len)
{
	const struct qf_overlay_run *r = len ? run_at(o, off) : NULL;

	return r && r->at <= (off + len - 1) / BLOCK;
}

bool qf_overlay_source(const struct qf_overlay *o, uint64_t off, uint64_t *src,
		       uint64_t *len)
{
	const struct qf_overlay_run *r = run_at(o, off);

	if (!r || begin_of(r) > off) {
		*src = off;
		*len = (r ? begin_of(r) : INT64_MAX) - off;
		return true;
	}
	*src = r->src + (off - begin_of(r));
	*len = end_of(r) - off;
	return !r->data;
}

/* True if every block of the range is there. */
static bool covered_whole(const struct qf_overlay *o, uint64_t off,
			  uint64_t len)
{
	struct qf_overlay_place p = qf_overlay_runs_find(&o->runs, off / BLOCK);
	const struct qf_overlay_run *r;
	uint64_t at = off / BLOCK, end = (off + len - 1) / BLOCK + 1;

	while (at < end) {
		r = qf_overlay_runs_at(&o->runs, p);
		if (!r || r->at > at)
			return false;
		at = r->at + r->n;
		p = qf_overlay_runs_next(&o->runs, p);
	}
	return true;
}

/* Lays the blocks of the range over BUF. */
static int lay_over(const struct qf_overlay *o, unsigned char *buf,
		    uint64_t len, uint64_t off)
{
	struct qf_overlay_place p = qf_overlay_runs_find(&o->runs, off / BLOCK);
	const struct qf_overlay_run *r;
	uint64_t from, to;
	int err = 0;

	while (!err && (r = qf_overlay_runs_at(&o->runs, p)) &&
	       begin_of(r) < off + len) {
		from = begin_of(r) > off ? begin_of(r) : off;
		to = end_of(r) < off + len ? end_of(r) : off + len;
		err = read_run(o, r, buf + (from - off), to - from, from);
		p = qf_overlay_runs_next(&o->runs, p);
	}
	return err;
}

static int64_t view_read(struct qf_io *io, void *buf, uint64_t len,
			 uint64_t off)
{
	const struct qf_overlay *o = ((struct view *)io)->o;
	int err;

	if (off >= o->size || !len)
		return 0;
	if (len > o->size - off)
		len = o->size - off;
	err = covered_whole(o, off, len) ? 0 : read_base(o, buf, len, off);
	if (!err)
		err = lay_over(o, buf, len, off);
	return err ? err : (int64_t)len;
}

static int64_t view_read_cached(struct qf_io *io, void *buf, uint64_t len,
				uint64_t off)
{
	const struct qf_overlay *o = ((struct view *)io)->o;

	if (qf_overlay_covers(o, off, len) || off + len > o->base->size ||
	    !o->base->ops->read_cached)
		return -EAGAIN;
	return o->base->ops->read_cached(o->base, buf, len, off);
}

static void view_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	qf_io_hint(((struct view *)io)->o->base, off, len);
}

/* True if R's block AT changes nothing, as zeros over a hole do: they are never
 * written, and the hole stays. */
static bool stays_hole(const struct qf_overlay *o,
		       const struct qf_overlay_run *r, uint64_t at)
{
	const unsigned char *data;
	uint64_t off = at * BLOCK, end;

	if (!r->data)
		return false;
	data = r->data + (at - r->at) * BLOCK;
	if (data[0] || memcmp(data, data + 1, BLOCK - 1) != 0)
		return false;
	return off + BLOCK <= o->base->size &&
	       qf_io_extent(o->base, off, off + BLOCK, &end) == QF_IO_HOLE &&
	       end == off + BLOCK;
}

static enum qf_io_kind view_extent(struct qf_io *io, uint64_t off,
				   uint64_t limit, uint64_t *end)
{
	const struct qf_overlay *o = ((struct view *)io)->o;
	struct qf_overlay_place p = qf_overlay_runs_find(&o->runs, off / BLOCK);
	const struct qf_overlay_run *r = qf_overlay_runs_at(&o->runs, p);
	uint64_t at = off / BLOCK;
	bool hole;

	if (!r || r->at > at) {
		if (r && begin_of(r) < limit)
			limit = begin_of(r);
		return qf_io_extent(o->base, off, limit, end);
	}
	hole = stays_hole(o, r, at);
	while (++at * BLOCK < limit) {
		if (at == r->at + r->n) {
			p = qf_overlay_runs_next(&o->runs, p);
			r = qf_overlay_runs_at(&o->runs, p);
			if (!r || r->at != at)
				break;
		}
		if (!r->data && !hole) /* all of it is alike */
			at = r->at + r->n - 1;
		else if (stays_hole(o, r, at) != hole)
			break;
	}
	*end = at * BLOCK;
	if (*end > limit)
		*end = limit;
	return hole ? QF_IO_HOLE : QF_IO_DATA;
}

static void view_close(struct qf_io *io)
{
	free(io->name);
	free(io);
}

static const struct qf_io_ops view_ops = {
	.read = view_read,
	.read_cached = view_read_cached,
	.hint = view_hint,
	.extent = view_extent,
	.close = view_close,
};

enum qf_err qf_overlay_view(struct qf_overlay *o, struct qf_io **out,
			    struct qf_why *why)
{
	struct view *v = qf_mem_zalloc(1, sizeof(*v));

	if (!v)
		return no_memory(why);
	v->io = *o->base;
	v->io.ops = &view_ops;
	v->io.believed = o->base->believed;
	v->io.size = o->size;
	v->io.fd = -1;
	v->io.name = strdup(o->base->name);
	v->o = o;
	if (!v->io.name) {
		free(v);
		return no_memory(why);
	}
	*out = &v->io;
	return QF_OK;
}
