// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/api/api.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct qfsck_state {
	struct qf_disk *disk;
	uint64_t bad; /* bytes of what is being read */
};

/* The holder that TEXT names; NULL is the active disk. */
static enum qf_err holder_of(const struct qf_image *img, const char *text,
			     uint32_t *holder, struct qf_why *why)
{
	int64_t i;

	*holder = QF_HOLDER_ACTIVE;
	if (!text)
		return QF_OK;
	i = qf_snapshot_find(&img->snapshots, text);
	if (i < 0)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "has no snapshot with that id or name");
	*holder = QF_HOLDER_SNAPSHOT(i);
	return QF_OK;
}

static bool count_bad(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	struct qfsck_state *s = ctx;

	(void)start;
	(void)reason;
	s->bad += bytes;
	return true;
}

QF_PUBLIC int qfsck_state_open(struct qfsck_image *q, const char *snapshot,
			       unsigned int flags, struct qfsck_state **out,
			       struct qfsck_error *error)
{
	struct qfsck_state *s = qf_mem_zalloc(1, sizeof(*s));
	struct qf_why why = { 0 };
	uint32_t holder;
	enum qf_err err;

	if (!s)
		err = qf_err_set(&why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory");
	else
		err = holder_of(q->img, snapshot, &holder, &why);
	if (!err)
		err = qf_disk_open(&q->chain, holder, &s->disk, &why);
	if (!err && q->unlocked)
		err = qf_disk_unlock_as(s->disk, q->unlocked, &why);
	if (!err && !(flags & QFSCK_PLAIN))
		err = qf_loss_tell(&q->loss, &q->chain, holder, s->disk, &why);
	if (err) {
		qfsck_state_close(s);
		return qf_api_fail(&why, err, error);
	}
	qf_disk_tell_doubts(s->disk, count_bad, s);
	*out = s;
	return QFSCK_OK;
}

QF_PUBLIC void qfsck_state_close(struct qfsck_state *s)
{
	if (!s)
		return;
	qf_disk_close(s->disk);
	free(s);
}

QF_PUBLIC uint64_t qfsck_state_bytes(const struct qfsck_state *s)
{
	return qf_disk_bytes(s->disk);
}

QF_PUBLIC int qfsck_state_read(struct qfsck_state *s, void *buf, size_t len,
			       uint64_t off, uint64_t *bad,
			       struct qfsck_error *error)
{
	uint64_t size = qf_disk_bytes(s->disk);
	struct qf_why why = { 0 };
	enum qf_err err;

	if (off > size || len > size - off)
		err = qf_err_set(&why, QF_ERR_OUTSIDE, 0, QF_NOWHERE,
				 "the disk ends before");
	else {
		s->bad = 0;
		err = qf_disk_read(s->disk, buf, len, off, count_bad, s, &why);
	}
	if (bad)
		*bad = err ? 0 : s->bad;
	return qf_api_fail(&why, err, error);
}

static int kind_of(const struct qf_disk_extent *e)
{
	switch (e->kind) {
	case QF_DISK_NONE:
	case QF_DISK_NONE_ALLOC:
		return QFSCK_UNMAPPED;
	case QF_DISK_ZERO:
	case QF_DISK_ZERO_ALLOC:
		return QFSCK_ZERO;
	case QF_DISK_DATA:
		return QFSCK_DATA;
	case QF_DISK_COMPRESSED:
		return QFSCK_COMPRESSED;
	default:
		return QFSCK_BAD;
	}
}

static int tell(const struct qf_disk_extent *e, qfsck_extent_fn *fn, void *ctx)
{
	struct qfsck_extent x = {
		.start = e->start,
		.length = e->bytes,
		.host_offset = e->host_off,
		.reason = e->bad,
		.kind = kind_of(e),
		.depth = e->depth,
		.lost = e->lost,
	};

	return fn(ctx, &x);
}

QF_PUBLIC int qfsck_state_map(struct qfsck_state *s, uint64_t start,
			      uint64_t length, qfsck_extent_fn *fn, void *ctx,
			      struct qfsck_error *error)
{
	uint64_t size = qf_disk_bytes(s->disk), end, at;
	struct qf_disk_extent e, last = { 0 };
	struct qf_why why = { 0 };
	enum qf_err err = QF_OK;

	if (start > size || length > size - start)
		err = qf_err_set(&why, QF_ERR_OUTSIDE, 0, QF_NOWHERE,
				 "the disk ends before");
	end = err ? start : start + length;
	for (at = start; !err && at < end; at += e.bytes) {
		err = qf_disk_at(s->disk, at, end - at, &e, &why);
		if (err)
			break;
		if (last.bytes && qf_disk_extends(&last, &e)) {
			last.bytes += e.bytes;
			continue;
		}
		if (last.bytes && tell(&last, fn, ctx))
			err = QF_ERR_STOPPED;
		last = e;
	}
	if (!err && last.bytes && tell(&last, fn, ctx))
		err = QF_ERR_STOPPED;
	return qf_api_fail(&why, err, error);
}
