// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/io_overlay.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK QF_OVERLAY_BLOCK

struct block {
	uint64_t at;	     /* number of the block in the file */
	unsigned char *data; /* owned; NULL: what the base has at src */
	uint64_t src;
};

struct qf_overlay {
	struct qf_io *base;
	struct block *block; /* ascending */
	size_t n, room;
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
	size_t i;

	if (!o)
		return;
	for (i = 0; i < o->n; i++)
		free(o->block[i].data);
	free(o->block);
	free(o);
}

/* The first block that is AT or behind. */
static size_t find(const struct qf_overlay *o, uint64_t at)
{
	size_t lo = 0, hi = o->n, mid;

	if (o->n && o->block[o->n - 1].at < at)
		return o->n;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (o->block[mid].at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The block AT, made if need be, with nothing in it. */
static struct block *get(struct qf_overlay *o, uint64_t at)
{
	size_t i = find(o, at);

	if (i < o->n && o->block[i].at == at)
		return &o->block[i];
	if (!qf_mem_grow((void **)&o->block, o->n, &o->room, sizeof(*o->block)))
		return NULL;
	memmove(&o->block[i + 1], &o->block[i], (o->n - i) * sizeof(*o->block));
	o->n++;
	o->block[i] = (struct block){ .at = at, .src = QF_NOWHERE };
	return &o->block[i];
}

/* The bytes of block B into BUF. */
static int fill(const struct qf_overlay *o, const struct block *b,
		unsigned char *buf)
{
	int64_t n;

	if (b->data) {
		memcpy(buf, b->data, BLOCK);
		return 0;
	}
	n = o->base->ops->read(o->base, buf, BLOCK,
			       b->src == QF_NOWHERE ? b->at * BLOCK : b->src);
	if (n < 0)
		return (int)n;
	memset(buf + n, 0, BLOCK - (size_t)n);
	return 0;
}

/* Makes B's data its own; KEEP: with the bytes that it shows now. */
static enum qf_err own(struct qf_overlay *o, struct block *b, bool keep,
		       struct qf_why *why)
{
	unsigned char *data;
	int err;

	if (b->data)
		return QF_OK;
	data = qf_mem_zalloc(1, BLOCK);
	if (!data)
		return no_memory(why);
	err = keep ? fill(o, b, data) : 0;
	if (err) {
		free(data);
		/* without it the block would read from nowhere */
		if (b->src == QF_NOWHERE)
			b->src = b->at * BLOCK;
		return qf_err_set(why, QF_ERR_IO, -err, b->at * BLOCK,
				  "cannot read what is to be changed");
	}
	b->data = data;
	return QF_OK;
}

enum qf_err qf_overlay_put(struct qf_overlay *o, uint64_t off, const void *buf,
			   uint64_t len, struct qf_why *why)
{
	const unsigned char *p = buf;
	uint64_t in, n, end;
	struct block *b;
	enum qf_err err;

	if (!qf_mem_add(off, len, &end) || end > INT64_MAX)
		return qf_err_set(why, QF_ERR_OUTSIDE, 0, off,
				  "an edit past the end of all files");
	for (; len; off += n, p += n, len -= n) {
		in = off % BLOCK;
		n = len < BLOCK - in ? len : BLOCK - in;
		b = get(o, off / BLOCK);
		if (!b)
			return no_memory(why);
		err = own(o, b, n < BLOCK, why);
		if (err)
			return err;
		memcpy(b->data + in, p, (size_t)n);
	}
	if (end > o->size)
		o->size = end;
	return QF_OK;
}

enum qf_err qf_overlay_copy(struct qf_overlay *o, uint64_t off, uint64_t src,
			    uint64_t len, struct qf_why *why)
{
	uint64_t at;
	struct block *b;

	for (at = 0; at < len; at += BLOCK) {
		b = get(o, (off + at) / BLOCK);
		if (!b)
			return no_memory(why);
		free(b->data);
		b->data = NULL;
		b->src = src + at;
	}
	if (off + len > o->size)
		o->size = off + len;
	return QF_OK;
}

bool qf_overlay_next(const struct qf_overlay *o, uint64_t from, uint64_t limit,
		     uint64_t *off, uint64_t *len)
{
	size_t i = find(o, from / BLOCK), first = i;
	uint64_t end;

	if (i == o->n)
		return false;
	while (i + 1 < o->n && o->block[i + 1].at == o->block[i].at + 1 &&
	       (i + 2 - first) * BLOCK <= limit)
		i++;
	*off = o->block[first].at * BLOCK;
	end = (o->block[i].at + 1) * BLOCK;
	*len = (end < o->size ? end : o->size) - *off;
	return true;
}

uint64_t qf_overlay_size(const struct qf_overlay *o)
{
	return o->size;
}

bool qf_overlay_covers(const struct qf_overlay *o, uint64_t off, uint64_t len)
{
	size_t i = find(o, off / BLOCK);

	return len && i < o->n && o->block[i].at <= (off + len - 1) / BLOCK;
}

/* True if every block of the range is there. */
static bool covered_whole(const struct qf_overlay *o, uint64_t off,
			  uint64_t len)
{
	uint64_t blocks = (off + len - 1) / BLOCK - off / BLOCK + 1;
	size_t i = find(o, off / BLOCK);

	return i < o->n && o->n - i >= blocks &&
	       o->block[i].at == off / BLOCK &&
	       o->block[i + blocks - 1].at == (off + len - 1) / BLOCK;
}

/* Lays the blocks of the range over BUF. */
static int lay_over(const struct qf_overlay *o, unsigned char *buf,
		    uint64_t len, uint64_t off)
{
	unsigned char one[BLOCK];
	uint64_t from, to, at;
	size_t i;
	int err;

	for (i = find(o, off / BLOCK); i < o->n; i++) {
		at = o->block[i].at * BLOCK;
		if (at >= off + len)
			break;
		err = fill(o, &o->block[i], one);
		if (err)
			return err;
		from = at > off ? at : off;
		to = at + BLOCK < off + len ? at + BLOCK : off + len;
		memcpy(buf + (from - off), one + (from - at),
		       (size_t)(to - from));
	}
	return 0;
}

static int64_t view_read(struct qf_io *io, void *buf, uint64_t len,
			 uint64_t off)
{
	const struct qf_overlay *o = ((struct view *)io)->o;
	int64_t n;
	int err;

	if (off >= o->size || !len)
		return 0;
	if (len > o->size - off)
		len = o->size - off;
	n = o->base->ops->read(o->base, buf, len, off);
	if (n < 0 && !covered_whole(o, off, len))
		return n;
	if (n < 0)
		n = 0;
	memset((char *)buf + n, 0, (size_t)(len - (uint64_t)n));
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

/* True if B changes nothing, as zeros over a hole do: they are never written,
 * and the hole stays. */
static bool stays_hole(const struct qf_overlay *o, const struct block *b)
{
	uint64_t at = b->at * BLOCK, end;

	if (!b->data || b->data[0] ||
	    memcmp(b->data, b->data + 1, BLOCK - 1) != 0)
		return false;
	return at + BLOCK <= o->base->size &&
	       qf_io_extent(o->base, at, at + BLOCK, &end) == QF_IO_HOLE &&
	       end == at + BLOCK;
}

static enum qf_io_kind view_extent(struct qf_io *io, uint64_t off,
				   uint64_t limit, uint64_t *end)
{
	const struct qf_overlay *o = ((struct view *)io)->o;
	size_t i = find(o, off / BLOCK);
	bool hole;

	if (i == o->n || o->block[i].at * BLOCK > off) {
		if (i < o->n && o->block[i].at * BLOCK < limit)
			limit = o->block[i].at * BLOCK;
		return qf_io_extent(o->base, off, limit, end);
	}
	hole = stays_hole(o, &o->block[i]);
	while (i + 1 < o->n && o->block[i + 1].at == o->block[i].at + 1 &&
	       o->block[i + 1].at * BLOCK < limit &&
	       stays_hole(o, &o->block[i + 1]) == hole)
		i++;
	*end = (o->block[i].at + 1) * BLOCK;
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
