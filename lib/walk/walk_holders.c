// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who names a table. */
#include "lib/base/mem.h"
#include "lib/walk/walk.h"

#include <stdlib.h>
#include <string.h>

/* So many bytes of L1 entries are kept, of so many L1 indices at the most. */
#define COLUMNS_BYTES (32ull << 20)
#define MAX_COLUMNS 512u

/*
 * The entries of all places at the L1 indices [from, from + width): a row for
 * each place that has one among them.
 */
struct qf_walk_columns {
	uint64_t from; /* UINT64_MAX: nothing has been read yet */
	uint32_t width, n_rows;
	uint32_t *row;	     /* its number in qf_walk.place */
	struct qf_be64 *buf; /* WIDTH of them a row */
};

uint32_t qf_walk_first_group(const struct qf_walk *w, uint64_t l1_index)
{
	uint32_t lo = 0, hi = w->n_groups, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->group[mid].l1_index < l1_index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct qf_group *qf_walk_group_of(const struct qf_walk *w, uint64_t table)
{
	uint32_t lo = 0, hi = w->n_groups, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (w->group[mid].first <= table)
			lo = mid;
		else
			hi = mid;
	}
	return &w->group[lo];
}

const struct qf_group *qf_walk_group(const struct qf_walk *w, uint32_t l1_index)
{
	uint32_t i = qf_walk_first_group(w, l1_index);

	return i < w->n_groups && w->group[i].l1_index == l1_index
		       ? &w->group[i]
		       : NULL;
}

const struct qf_l2_table *
qf_walk_find_in(const struct qf_walk *w, const struct qf_group *g, uint64_t off)
{
	uint64_t lo = g->first, end = g->first + g->n, hi = end, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->table[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < end && w->table[lo].off == off ? &w->table[lo] : NULL;
}

const struct qf_l2_table *qf_walk_find(const struct qf_walk *w,
				       uint32_t l1_index, uint64_t off)
{
	const struct qf_group *g = qf_walk_group(w, l1_index);

	return g ? qf_walk_find_in(w, g, off) : NULL;
}

struct qf_walk_columns *qf_walk_columns_new(void)
{
	return qf_mem_zalloc(1, sizeof(struct qf_walk_columns));
}

void qf_walk_columns_free(struct qf_walk_columns *c)
{
	if (!c)
		return;
	free(c->row);
	free(c->buf);
	free(c);
}

/* The width is a power of two, so that no page is read twice. */
static bool make_room(struct qf_walk_columns *c, uint32_t places)
{
	if (c->buf)
		return true;
	c->width = MAX_COLUMNS;
	while (c->width > 1 && (uint64_t)c->width * 8 * places > COLUMNS_BYTES)
		c->width /= 2;
	c->from = UINT64_MAX;
	c->row = qf_mem_zalloc(places, sizeof(*c->row));
	if (c->row)
		c->buf = qf_mem_zalloc((size_t)c->width * places,
				       sizeof(*c->buf));
	if (c->buf)
		return true;
	free(c->row);
	c->row = NULL;
	return false;
}

static bool is_zero(const struct qf_be64 *e, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (qf_be_get64(e[i]))
			return false;
	return true;
}

static void read_columns(const struct qf_walk *w, struct qf_walk_columns *c,
			 uint32_t from)
{
	const struct qf_walk_place *p;
	struct qf_be64 *buf;
	uint32_t i, n;

	c->from = from;
	c->n_rows = 0;
	for (i = 0; i < w->n_places; i++) {
		p = &w->place[i];
		if (p->entries <= from)
			return; /* and so are those behind it */
		n = p->entries - from < c->width ? p->entries - from : c->width;
		buf = c->buf + (uint64_t)c->n_rows * c->width;
		if (qf_io_read_pad(w->img->io, buf, n * sizeof(*buf),
				   p->off + from * 8ull, NULL) ||
		    is_zero(buf, n))
			continue;
		memset(buf + n, 0, (c->width - n) * sizeof(*buf));
		c->row[c->n_rows++] = i;
	}
}

static bool is_kept(const struct qf_walk_columns *c, uint32_t l1_index)
{
	return c->buf && l1_index >= c->from && l1_index - c->from < c->width;
}

uint32_t qf_walk_leads_cost(const struct qf_walk *w, uint32_t l1_index)
{
	return is_kept(w->columns, l1_index) ? 0 : w->n_places;
}

bool qf_walk_leads(const struct qf_walk *w, uint32_t l1_index,
		   qf_walk_lead_fn *fn, void *ctx)
{
	struct qf_walk_columns *c = w->columns;
	const struct qf_walk_l1 *l1;
	uint32_t i, k, n;
	uint64_t e;

	if (!w->n_places)
		return true;
	if (!make_room(c, w->n_places))
		return false;
	if (!is_kept(c, l1_index))
		read_columns(w, c, l1_index & ~(c->width - 1));
	for (i = 0; i < c->n_rows; i++) {
		e = qf_be_get64(
			c->buf[(uint64_t)i * c->width + l1_index - c->from]);
		if (!e)
			continue;
		l1 = &w->l1[w->place[c->row[i]].first];
		n = w->place[c->row[i]].n;
		for (k = 0; k < n && l1[k].entries > l1_index; k++)
			fn(ctx, l1[k].holder, e & QF_ENTRY_OFFSET_MASK);
	}
	return true;
}

/* The lowest of the holders that come along. */
struct lowest {
	uint64_t off; /* of the table that they must name */
	uint32_t *at, n, room;
	bool ascending;
};

static void take_any(void *ctx, uint32_t holder, uint64_t off)
{
	struct lowest *l = ctx;

	if (off != l->off || l->n == l->room)
		return;
	l->ascending &= !l->n || l->at[l->n - 1] < holder;
	l->at[l->n++] = holder;
}

/* For a few of many: kept in order. */
static void take_lowest(void *ctx, uint32_t holder, uint64_t off)
{
	struct lowest *l = ctx;
	uint32_t i = l->n;

	if (off != l->off || !l->room ||
	    (i == l->room && holder > l->at[i - 1]))
		return;
	if (i == l->room)
		i--;
	else
		l->n++;
	for (; i && l->at[i - 1] > holder; i--)
		l->at[i] = l->at[i - 1];
	l->at[i] = holder;
}

static int by_number(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

uint32_t qf_walk_holders(const struct qf_walk *w, uint32_t l1_index,
			 uint64_t off, uint32_t *holder, uint32_t room)
{
	const struct qf_l2_table *t = qf_walk_find(w, l1_index, off);
	struct lowest l = { off, holder, 0, room, true };

	if (!t)
		return 0;
	if (room == 1) {
		*holder = t->holder;
		return t->weight;
	}
	if (!qf_walk_leads(w, l1_index,
			   room < t->weight ? take_lowest : take_any, &l))
		holder[l.n++] = t->holder;
	if (!l.ascending)
		qsort(holder, l.n, sizeof(*holder), by_number);
	return l.n < room ? l.n : t->weight;
}
