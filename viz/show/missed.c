// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/missed.h"

/* The stretch at OFF that is marked, or is not, merged. */
static enum qf_err stretch(struct qf_missed *m, uint64_t off, uint64_t limit,
			   bool *marked, uint64_t *end)
{
	uint64_t next;
	enum qf_err err =
		qf_dirty_at(m->dirty, off, limit, marked, end, m->why);
	bool also = *marked;

	while (!err && *end < off + limit) {
		err = qf_dirty_at(m->dirty, *end, off + limit - *end, &also,
				  &next, m->why);
		if (err || also != *marked)
			break;
		*end = next;
	}
	return err;
}

static void count(struct qf_missed *m, uint64_t start, uint64_t bytes)
{
	if (!m->missed) {
		m->first = start;
		m->first_bytes = bytes;
	}
	m->missed += bytes;
}

bool qf_missed_add(void *ctx, uint64_t start, uint64_t bytes, bool unknown)
{
	struct qf_missed *m = ctx;
	uint64_t end = start + bytes, at, next;
	bool marked = true;

	if (unknown)
		return m->range(m->ctx, start, bytes, true, false);
	for (at = start; at < end; at = next) {
		m->err = stretch(m, at, end - at, &marked, &next);
		if (m->err)
			return false;
		if (!marked)
			count(m, at, next - at);
		if (!m->range(m->ctx, at, next - at, false, !marked))
			return false;
	}
	return true;
}

enum qf_err qf_missed_marked(struct qf_missed *m, uint64_t disk_bytes,
			     bool tell, uint64_t *marked)
{
	uint64_t at, next;
	enum qf_err err;
	bool is;

	*marked = 0;
	for (at = 0; at < disk_bytes; at = next) {
		err = stretch(m, at, disk_bytes - at, &is, &next);
		if (err)
			return err;
		if (!is)
			continue;
		*marked += next - at;
		if (tell && !m->range(m->ctx, at, next - at, false, false))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}
