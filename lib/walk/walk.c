// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Running a walk: reading the groups' L2 tables and handing them to the
 * decoder.
 */
#include "lib/walk/walk.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/io/readahead.h"
#include "lib/walk/walk_l2.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Several versions of a table are read in slices that fit the cache. */
#define SLICE_BYTES (256u << 10)
#define PIECE_BYTES 512u

struct worker {
	unsigned char *buf;
	uint64_t buf_bytes;
	unsigned char **at;
	struct qf_l2_scratch *scratch;
	uint32_t room; /* tables that at and scratch hold */
	struct qf_l2_out out;
	uint64_t members_room;
};

struct run {
	struct qf_walk *w;
	const struct qf_visitor *v;
	struct worker *worker;
	struct qf_readahead ra;
	atomic_int err;
};

static bool fail(struct run *r, enum qf_err err)
{
	int ok = QF_OK;

	atomic_compare_exchange_strong(&r->err, &ok, (int)err);
	return false;
}

/* Hints the tables of group number I of the physical order. */
static void hint_group(void *ctx, uint64_t i)
{
	struct run *r = ctx;
	const struct qf_group *g = &r->w->group[r->w->order[i]];
	uint32_t v;

	if (r->v->want && !r->v->want(r->v->ctx, g))
		return;
	for (v = 0; v < g->n; v++)
		qf_io_hint(r->w->img->io, r->w->table[g->first + v].off,
			   r->w->img->geo.cluster_bytes);
}

/* After a failed read: what can be read, and zeros for the rest. */
static void read_pieces(struct qf_io *io, unsigned char *buf, uint64_t bytes,
			uint64_t off, struct qf_l2_table *t)
{
	struct qf_why why;
	uint64_t at;

	for (at = 0; at < bytes; at += PIECE_BYTES) {
		if (!qf_io_read_pad(io, buf + at, PIECE_BYTES, off + at, &why))
			continue;
		memset(buf + at, 0, PIECE_BYTES);
		t->unread = why.sys > 0 && why.sys < 256 ? (uint8_t)why.sys : 5;
	}
}

static void read_slice(struct run *r, uint64_t i, struct qf_l2_table *t,
		       unsigned char *buf, uint64_t bytes, uint64_t at)
{
	struct qf_io *io = r->w->img->io;
	uint64_t off = t->off + at, kept;

	if (off >= io->size || t->unfollowed) {
		memset(buf, 0, bytes);
		t->filled |= t->unfollowed; /* not empty, only not followed */
		return;
	}
	if (qf_readahead_read(&r->ra, i, buf, bytes, off, NULL))
		read_pieces(io, buf, bytes, off, t);
	/* an entry in whose midst the file ends is none */
	if (off + bytes > io->size) {
		kept = io->size - off;
		kept -= kept % r->w->img->geo.l2_entry_bytes;
		memset(buf + kept, 0, bytes - kept);
	}
	if (!t->filled)
		t->filled = !qf_l2_is_zero(buf, bytes);
}

static bool make_room(struct worker *wk, uint32_t tables, uint64_t bytes)
{
	uint64_t words = (tables + 63) / 64;
	uint64_t members = (QF_L2_BATCH + 17) * words;

	if (bytes > wk->buf_bytes) {
		free(wk->buf);
		wk->buf = qf_mem_zalloc(1, bytes);
		wk->buf_bytes = wk->buf ? bytes : 0;
	}
	if (tables > wk->room) {
		free(wk->at);
		free(wk->scratch);
		wk->at = qf_mem_zalloc(tables, sizeof(*wk->at));
		wk->scratch = qf_mem_zalloc(tables, sizeof(*wk->scratch));
		wk->room = wk->at && wk->scratch ? tables : 0;
	}
	if (members > wk->members_room) {
		free(wk->out.members);
		wk->out.members = qf_mem_zalloc(members, sizeof(uint64_t));
		wk->members_room = wk->out.members ? members : 0;
	}
	wk->out.words = (uint32_t)words;
	return wk->buf && wk->room && wk->members_room;
}

/* Bytes of each of N tables that are worked on at a time. */
static uint64_t slice_bytes(const struct qf_geometry *g, uint32_t n)
{
	uint64_t bytes;

	if (n == 1)
		return g->cluster_bytes;
	bytes = SLICE_BYTES / n;
	if (bytes < 4096)
		bytes = n > 4096 ? 512 : 4096;
	bytes &= ~511ull;
	return bytes < g->cluster_bytes ? bytes : g->cluster_bytes;
}

static bool end_group(struct run *r, unsigned int me, struct qf_group *g)
{
	if (r->v->end && !r->v->end(r->v->ctx, me, g))
		return fail(r, QF_ERR_STOPPED);
	return true;
}

static bool visit_group(void *ctx, uint64_t i, unsigned int me)
{
	struct run *r = ctx;
	struct worker *wk = &r->worker[me];
	struct qf_group *g = &r->w->group[r->w->order[i]];
	struct qf_l2_table *t = &r->w->table[g->first];
	const struct qf_geometry *geo = &r->w->img->geo;
	uint64_t bytes = slice_bytes(geo, g->n), at, now;
	struct qf_l2_slice s = { .img = r->w->img,
				 .table = t,
				 .n_tables = g->n };
	uint32_t v;

	if (r->v->want && !r->v->want(r->v->ctx, g))
		return true;
	if (t->off >= r->w->img->io->size || (g->n == 1 && t->unfollowed)) {
		/* past the end, and so are those behind it */
		t->filled |= t->unfollowed;
		return end_group(r, me, g);
	}
	if (!make_room(wk, g->n, bytes * g->n))
		return fail(r, QF_ERR_NOMEM);
	wk->out.v = r->v;
	wk->out.grp = g;
	wk->out.worker = me;
	s.at = wk->at;
	s.scratch = wk->scratch;
	for (at = 0; at < geo->cluster_bytes && !wk->out.stopped; at += now) {
		now = geo->cluster_bytes - at < bytes ? geo->cluster_bytes - at
						      : bytes;
		for (v = 0; v < g->n; v++) {
			wk->at[v] = wk->buf + v * bytes;
			read_slice(r, i, &t[v], wk->at[v], now, at);
		}
		s.from = (uint32_t)(at / geo->l2_entry_bytes);
		s.n = (uint32_t)(now / geo->l2_entry_bytes);
		qf_l2_decode(&s, &wk->out);
	}
	qf_l2_flush(&wk->out);
	if (wk->out.stopped)
		return fail(r, QF_ERR_STOPPED);
	return end_group(r, me, g);
}

enum qf_err qf_walk_run(struct qf_walk *w, unsigned int jobs,
			const struct qf_visitor *v, struct qf_why *why)
{
	uint64_t bytes = w->n_tables * w->img->geo.cluster_bytes;
	unsigned int n = qf_pool_jobs_for(jobs, bytes), i;
	struct run r = { .w = w, .v = v };
	enum qf_err err;

	r.ra = (struct qf_readahead){ .io = w->img->io,
				      .n = w->n_groups,
				      .hint = hint_group,
				      .ctx = &r };
	r.worker = qf_mem_zalloc(n, sizeof(*r.worker));
	if (!r.worker)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	qf_pool_for(n, w->n_groups, 1, visit_group, &r);
	for (i = 0; i < n; i++) {
		free(r.worker[i].buf);
		free(r.worker[i].at);
		free(r.worker[i].scratch);
		free(r.worker[i].out.members);
	}
	free(r.worker);
	err = (enum qf_err)atomic_load(&r.err);
	if (err == QF_ERR_NOMEM)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory for the L2 tables");
	else if (err)
		qf_err_set(why, err, 0, QF_NOWHERE, "the walk was stopped");
	return err;
}
