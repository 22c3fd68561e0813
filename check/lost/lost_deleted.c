// SPDX-License-Identifier: GPL-2.0-or-later
/* What remains of a deleted snapshot's L1 table. */
#include "check/lost/lost_deleted.h"
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define MAX_READS 8192u /* clusters without an owner that are looked at */
#define HINT_BITS 20u

static uint32_t column_of(const struct qf_image *img, uint32_t l1_index)
{
	return l1_index & (uint32_t)(img->geo.cluster_bytes / 8 - 1);
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_lost_named *a = pa, *b = pb;

	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

static struct qf_lost_named *find(const struct qf_lost_deleted *d,
				  uint32_t column, uint64_t off)
{
	const struct qf_lost_named key = { .off = off, .column = column };

	return d->n ? bsearch(&key, d->at, d->n, sizeof(key), by_place) : NULL;
}

/* Nearly all that a cluster holds is told apart by this, without a search. */
static uint32_t hash(uint32_t column, uint64_t off)
{
	uint64_t h = (off >> 9 ^ column) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(h >> (64 - HINT_BITS));
}

static bool take_table(const struct qf_pass_ctx *c, struct qf_lost_deleted *d,
		       const struct qf_group *g, const struct qf_l2_table *t)
{
	uint32_t column = column_of(c->img, g->l1_index), h;

	if (!t->off || t->odd ||
	    !qf_lost_leaked(&c->recount, t->off >> c->img->geo.cluster_bits))
		return true;
	if (!qf_mem_grow((void **)&d->at, d->n, &d->room, sizeof(*d->at)))
		return false;
	d->at[d->n++] = (struct qf_lost_named){ t->off, column, false };
	h = hash(column, t->off);
	d->hint[h / 8] |= (uint8_t)(1u << h % 8);
	if (column < d->first)
		d->first = column;
	if (column > d->last)
		d->last = column;
	return true;
}

static bool take_tables(const struct qf_pass_ctx *c, struct qf_lost_deleted *d)
{
	const struct qf_group *g = c->walk.group;
	uint32_t i, v;

	for (i = 0; i < c->walk.n_groups; i++, g++)
		for (v = 0; v < g->n; v++)
			if (!take_table(c, d, g, &c->walk.table[g->first + v]))
				return false;
	if (d->n)
		qsort(d->at, d->n, sizeof(*d->at), by_place);
	return true;
}

/* BUF holds the columns that are asked for. */
static void look_at(struct qf_lost_deleted *d, const struct qf_be64 *buf)
{
	struct qf_lost_named *named;
	uint32_t i, h;
	uint64_t off;

	for (i = d->first; i <= d->last; i++) {
		off = qf_be_get64(buf[i - d->first]) & QF_ENTRY_OFFSET_MASK;
		if (!off)
			continue;
		h = hash(i, off);
		if (!(d->hint[h / 8] >> h % 8 & 1))
			continue;
		named = find(d, i, off);
		/* the same table can be there for several L1 indices */
		while (named && named > d->at && !by_place(&named[-1], named))
			named--;
		for (; named && named < d->at + d->n && named->off == off &&
		       named->column == i;
		     named++)
			named->named = true;
	}
}

static bool read_all(const struct qf_pass_ctx *c, struct qf_lost_deleted *d)
{
	uint64_t bytes = (d->last - d->first + 1) * 8ull, cl, at;
	const struct qf_trouble *tr = c->recount.trouble;
	struct qf_be64 *buf = qf_mem_zalloc(1, bytes);
	unsigned int reads = 0;
	size_t i;

	for (i = 0; buf && i < c->recount.n_troubles; i++, tr++) {
		if (tr->counted || !tr->stated || tr->why & QF_TROUBLE_UNKNOWN)
			continue;
		for (cl = tr->first; cl < tr->first + tr->n; cl++) {
			if (reads++ >= MAX_READS)
				break;
			at = (cl << c->img->geo.cluster_bits) + d->first * 8ull;
			if (!qf_io_read_pad(c->img->io, buf, bytes, at, NULL))
				look_at(d, buf);
		}
	}
	free(buf);
	return buf;
}

bool qf_lost_deleted_find(const struct qf_pass_ctx *c,
			  struct qf_lost_deleted *d)
{
	*d = (struct qf_lost_deleted){ .first = UINT32_MAX };
	d->hint = qf_mem_zalloc(1u << HINT_BITS >> 3, 1);
	return d->hint && take_tables(c, d) && (!d->n || read_all(c, d));
}

void qf_lost_deleted_free(struct qf_lost_deleted *d)
{
	free(d->at);
	free(d->hint);
	*d = (struct qf_lost_deleted){ 0 };
}

bool qf_lost_deleted_has(const struct qf_pass_ctx *c,
			 const struct qf_lost_deleted *d, uint32_t l1_index,
			 uint64_t off)
{
	const struct qf_lost_named *named =
		find(d, column_of(c->img, l1_index), off);

	return named && named->named;
}
