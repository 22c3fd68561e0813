// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Refcount blocks against the ledger, a page of clusters at a time. A page
 * that agrees costs one vector comparison; only one that does not is looked
 * at cluster by cluster.
 */
#include "lib/walk/recount_compare.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/io/readahead.h"
#include "lib/format/refblock.h"
#include "lib/base/simd.h"
#include "lib/walk/walk_l2.h"

#include <stdlib.h>

/* Where a block has more runs than this, a page's are put together. */
#define MAX_RUNS 2048u
/* With very many blocks, fewer are enough: so many runs in all. */
#define MAX_ALL_RUNS (2u << 20)
#define MIN_RUNS 64u

struct part {
	struct qf_trouble *run;
	size_t n, room;
	size_t block_start; /* runs before the block at hand */
	uint64_t max_runs;  /* that a block may have */
	uint64_t leaked, too_low, unknown, overflow, stated_end;
	unsigned char *block;
	uint64_t *stated;  /* QF_PAGE refcounts */
	uint64_t *counted; /* QF_PAGE cells, as cell64 */
	char apart[64];
};

struct compare {
	struct qf_recount *t;
	struct qf_image *img;
	struct part *part;
	struct qf_readahead ra;
	uint64_t first_block;
	uint64_t first, end; /* clusters [first, end) are compared */
};

static bool same_trouble(const struct qf_trouble *a, const struct qf_trouble *b)
{
	return a->first + a->n == b->first && a->why == b->why &&
	       a->stated == b->stated && a->counted == b->counted &&
	       a->hits == a->n;
}

static bool add_trouble(struct part *p, const struct qf_trouble *tr)
{
	struct qf_trouble *last = p->n ? &p->run[p->n - 1] : NULL;

	if (last && same_trouble(last, tr)) {
		last->n += tr->n;
		last->hits += tr->n;
		return true;
	}
	if (p->n - p->block_start >= p->max_runs &&
	    last->first >> QF_PAGE_BITS == tr->first >> QF_PAGE_BITS) {
		last->n = tr->first + tr->n - last->first;
		last->hits += tr->n;
		last->why |= tr->why;
		return true;
	}
	if (!qf_mem_grow((void **)&p->run, p->n, &p->room, sizeof(*tr)))
		return false;
	p->run[p->n++] = *tr;
	return true;
}

/* What is wrong with a cluster, given both counts: enum qf_trouble_why. */
static unsigned int judge_cell(uint64_t stated, uint64_t counted,
			       unsigned int flags)
{
	unsigned int why = 0;

	if (stated != counted)
		why |= QF_TROUBLE_REFCOUNT;
	if (flags & QF_LEDGER_DOUBLE)
		why |= QF_TROUBLE_DOUBLE;
	if (stated == 1 ? flags & QF_LEDGER_PLAIN : flags & QF_LEDGER_COPIED)
		why |= QF_TROUBLE_COPIED;
	return why;
}

static bool compare_cell(struct compare *c, struct part *p, uint64_t cluster,
			 uint64_t stated, uint64_t cell)
{
	uint64_t counted = cell & QF_CELL64_MAX;
	uint64_t max = c->img->geo.refcount_max;
	struct qf_trouble tr = { .first = cluster, .n = 1, .hits = 1 };

	if (counted > max) {
		p->overflow += counted - max;
		tr.why |= QF_TROUBLE_REFCOUNT;
		counted = max;
	}
	tr.stated = stated;
	tr.counted = cell & QF_CELL64_MAX;
	tr.why |= judge_cell(stated, counted,
			     (unsigned int)(cell >> QF_CELL64_FLAGS));
	if (!tr.why)
		return true;
	if (stated > counted)
		p->leaked++;
	else if (stated < counted)
		p->too_low++;
	return add_trouble(p, &tr);
}

QF_CLONES
static void expand_bits(const uint64_t *bits, uint64_t cell, uint64_t *out)
{
	uint32_t i;

	for (i = 0; i < QF_PAGE; i++)
		out[i] = (bits[i / 64] >> (i % 64) & 1) * cell;
}

static uint64_t widen(uint16_t cell)
{
	return (uint64_t)(cell >> QF_CELL16_FLAGS) << QF_CELL64_FLAGS |
	       (cell & QF_CELL16_MAX);
}

/* A page's cells in the wide form. */
static const uint64_t *wide_cells(const struct qf_page_view *v, uint64_t *buf)
{
	uint32_t i;

	switch (v->kind) {
	case QF_PAGE_WIDE:
		return v->cell64;
	case QF_PAGE_ARRAY:
		for (i = 0; i < QF_PAGE; i++)
			buf[i] = widen(v->cell16[i]);
		return buf;
	case QF_PAGE_BITS_SET:
		expand_bits(v->bits, widen(v->cell), buf);
		return buf;
	default:
		for (i = 0; i < QF_PAGE; i++)
			buf[i] = v->kind == QF_PAGE_FULL ? widen(v->cell) : 0;
		return buf;
	}
}

/* True if all N 16-bit refcounts at P are COUNT. */
QF_CLONES
static bool all_are(const unsigned char *p, uint32_t n, uint16_t count)
{
	struct qf_be16 be = qf_be_put16(count);
	uint16_t want, got, bad = 0;
	uint32_t i;

	memcpy(&want, &be, sizeof(want));
	for (i = 0; i < n; i++) {
		memcpy(&got, p + i * 2, sizeof(got));
		bad = (uint16_t)(bad | (got ^ want));
	}
	return !bad;
}

/* Side by side; on any machine, the compiler knows how. */
typedef uint16_t sixteen __attribute__((vector_size(32)));

/* True if the N 16-bit refcounts at P are COUNT where a bit is set. */
QF_CLONES
static bool bits_are(const unsigned char *p, const uint64_t *bits, uint32_t n,
		     uint16_t count)
{
	const sixteen bit = { 1u << 0,	1u << 1,  1u << 2,  1u << 3,
			      1u << 4,	1u << 5,  1u << 6,  1u << 7,
			      1u << 8,	1u << 9,  1u << 10, 1u << 11,
			      1u << 12, 1u << 13, 1u << 14, 1u << 15 };
	struct qf_be16 be = qf_be_put16(count);
	sixteen got, bad = { 0 };
	uint16_t want, one, rest = 0;
	uint32_t i;

	memcpy(&want, &be, sizeof(want));
	for (i = 0; i + 16 <= n; i += 16) {
		memcpy(&got, p + i * 2, sizeof(got));
		one = (uint16_t)(bits[i / 64] >> (i % 64));
		bad |= got ^ ((sixteen)((bit & one) == bit) & want);
	}
	for (; i < n; i++) {
		memcpy(&one, p + i * 2, sizeof(one));
		if (bits[i / 64] >> (i % 64) & 1)
			one ^= want;
		rest |= one;
	}
	for (i = 0; i < 16; i++)
		rest |= bad[i];
	return !rest;
}

/* True if the N 16-bit refcounts at P are those of the cells, and all flags
 * go with them. */
QF_CLONES
static bool cells_are(const unsigned char *p, const uint16_t *cell, uint32_t n)
{
	uint16_t got, count, bad = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		memcpy(&got, p + i * 2, sizeof(got));
		got = (uint16_t)(got << 8 | got >> 8);
		count = cell[i] & QF_CELL16_MAX;
		bad = (uint16_t)(bad | (got ^ count));
		bad = (uint16_t)(bad | (cell[i] >> QF_CELL16_FLAGS &
					(QF_LEDGER_DOUBLE |
					 (count == 1 ? QF_LEDGER_PLAIN
						     : QF_LEDGER_COPIED))));
	}
	return !bad;
}

/*
 * True if the N clusters whose 16-bit refcounts are at P are certainly in
 * order; AT is the first one's place in its page.
 */
static bool page_agrees(const unsigned char *p, const struct qf_page_view *v,
			uint32_t at, uint32_t n, uint64_t max)
{
	uint16_t count = v->cell & QF_CELL16_MAX;
	unsigned int flags = v->cell >> QF_CELL16_FLAGS;

	if (v->kind == QF_PAGE_EMPTY)
		return qf_l2_is_zero(p, n * 2);
	if (v->kind == QF_PAGE_ARRAY)
		return max > QF_CELL16_MAX && cells_are(p, v->cell16 + at, n);
	if (v->kind == QF_PAGE_WIDE || count > max ||
	    judge_cell(count, count, flags))
		return false;
	if (v->kind == QF_PAGE_FULL)
		return all_are(p, n, count);
	return !(at % 64) && bits_are(p, v->bits + at / 64, n, count);
}

static void note_stated(struct part *p, const uint64_t *stated, uint32_t n,
			uint64_t cluster)
{
	while (n && !stated[n - 1])
		n--;
	if (n && cluster + n > p->stated_end)
		p->stated_end = cluster + n;
}

/* Compares N clusters of one page with refcounts IN_BLOCK ... of a block. */
static bool compare_page(struct compare *c, struct part *p, uint64_t cluster,
			 uint32_t n, const unsigned char *block,
			 uint64_t in_block)
{
	uint32_t order = c->img->hdr.refcount_order, i;
	uint32_t at = (uint32_t)(cluster & (QF_PAGE - 1));
	const uint64_t *cell;
	struct qf_page_view v;

	qf_ledger_page(c->t->ledger, cluster, &v);
	if (order == 4 && page_agrees(block + in_block * 2, &v, at, n,
				      c->img->geo.refcount_max))
		return true; /* the ledger knows the end */
	qf_refblock_decode(block, order, in_block, n, p->stated);
	note_stated(p, p->stated, n, cluster);
	cell = wide_cells(&v, p->counted) + at;
	for (i = 0; i < n; i++)
		if ((p->stated[i] | cell[i]) &&
		    !compare_cell(c, p, cluster + i, p->stated[i], cell[i]))
			return false;
	return true;
}

/* A block that cannot be had: its clusters' refcounts are unknown. */
static bool block_unknown(struct compare *c, struct part *p, uint64_t first,
			  uint64_t n)
{
	struct qf_trouble tr = {
		.first = first, .n = n, .hits = n, .why = QF_TROUBLE_UNKNOWN
	};

	(void)c;
	p->unknown += n;
	return add_trouble(p, &tr);
}

/* No block: all refcounts are 0. Cheap, as a file may be huge and sparse. */
static bool compare_no_block(struct compare *c, struct part *p, uint64_t first,
			     uint64_t end)
{
	uint64_t at, next;
	bool ok = true;

	memset(p->block, 0, QF_PAGE * 8);
	for (at = first; ok && at < end; at = next) {
		if (!(at & (QF_PAGE - 1)))
			at = qf_ledger_next(c->t->ledger, at, end);
		if (at >= end)
			break;
		next = (at | (QF_PAGE - 1)) + 1;
		if (next > end)
			next = end;
		ok = compare_page(c, p, at, (uint32_t)(next - at), p->block, 0);
	}
	return ok;
}

static bool compare_block(void *ctx, uint64_t i, unsigned int me)
{
	struct compare *c = ctx;
	struct part *p = &c->part[me];
	const struct qf_geometry *g = &c->img->geo;
	uint64_t no = c->first_block + i, off = qf_image_refblock(c->img, no);
	uint64_t first = no << g->refblock_bits, at, n, end;

	p->block_start = p->n;
	end = first + (1ull << g->refblock_bits);
	if (end > c->end)
		end = c->end;
	if (!off || off >= c->img->io->size)
		return compare_no_block(c, p, first, end);
	if (off & (g->cluster_bytes - 1) ||
	    qf_readahead_read(&c->ra, i, p->block, g->cluster_bytes, off, NULL))
		return block_unknown(c, p, first, end - first);
	for (at = first; at < end; at += n) {
		n = QF_PAGE - (at & (QF_PAGE - 1));
		if (n > end - at)
			n = end - at;
		if (!compare_page(c, p, at, (uint32_t)n, p->block, at - first))
			return false;
	}
	return true;
}

/* What lies behind the blocks that the refcount table names; all of it, if
 * the table cannot be read. */
static bool compare_rest(struct compare *c, uint64_t first)
{
	if (c->img->reftable_state == QF_PART_UNREADABLE && first < c->end)
		return block_unknown(c, &c->part[0], first, c->end - first);
	return compare_no_block(c, &c->part[0], first, c->end);
}

static void hint_block(void *ctx, uint64_t i)
{
	struct compare *c = ctx;
	uint64_t off = qf_image_refblock(c->img, c->first_block + i);

	if (off)
		qf_io_hint(c->img->io, off, c->img->geo.cluster_bytes);
}

static int by_first(const void *pa, const void *pb)
{
	const struct qf_trouble *a = pa, *b = pb;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* Sorts the workers' runs by place and adds them to what there is. */
static bool join_runs(struct compare *c, struct part *all)
{
	struct qf_trouble *run;
	size_t n = 0, k;
	unsigned int i;
	bool ok = true;

	for (i = 0; i < c->t->jobs; i++)
		n += c->part[i].n;
	run = qf_mem_zalloc(n, sizeof(*run));
	if (!run)
		return false;
	n = 0;
	for (i = 0; i < c->t->jobs; i++)
		for (k = 0; k < c->part[i].n; k++)
			run[n++] = c->part[i].run[k];
	qsort(run, n, sizeof(*run), by_first);
	for (k = 0; ok && k < n; k++) {
		all->block_start = all->n; /* they have been put together */
		ok = add_trouble(all, &run[k]);
	}
	free(run);
	return ok;
}

static bool join_parts(struct compare *c)
{
	struct qf_recount *t = c->t;
	struct part all = { .run = t->trouble,
			    .n = t->n_troubles,
			    .room = t->n_troubles,
			    .max_runs = MAX_RUNS };
	unsigned int i;
	bool ok;

	for (i = 0; i < t->jobs; i++) {
		const struct part *p = &c->part[i];

		t->leaked += p->leaked;
		t->too_low += p->too_low;
		t->unknown += p->unknown;
		t->overflow += p->overflow;
		if (p->stated_end > t->stated_end)
			t->stated_end = p->stated_end;
	}
	ok = join_runs(c, &all);
	t->trouble = all.run;
	t->n_troubles = all.n;
	return ok;
}

/* By the file's blocks, so that windows do not matter. */
static uint64_t max_runs(const struct compare *c)
{
	uint64_t blocks = (c->t->clusters >> c->img->geo.refblock_bits) + 1;
	uint64_t n = MAX_ALL_RUNS / blocks;

	if (n < MIN_RUNS)
		return MIN_RUNS;
	return n < MAX_RUNS ? n : MAX_RUNS;
}

static bool make_parts(struct compare *c)
{
	unsigned int i;

	c->part = qf_mem_zalloc(c->t->jobs, sizeof(*c->part));
	for (i = 0; c->part && i < c->t->jobs; i++) {
		struct part *p = &c->part[i];

		p->max_runs = max_runs(c);
		p->block = qf_mem_zalloc(1, c->img->geo.cluster_bytes +
						    QF_PAGE * 8);
		p->stated = qf_mem_zalloc(QF_PAGE, sizeof(*p->stated));
		p->counted = qf_mem_zalloc(QF_PAGE, sizeof(*p->counted));
		if (!p->block || !p->stated || !p->counted)
			return false;
	}
	return c->part;
}

static void free_parts(struct compare *c)
{
	unsigned int i;

	for (i = 0; c->part && i < c->t->jobs; i++) {
		free(c->part[i].block);
		free(c->part[i].stated);
		free(c->part[i].counted);
		free(c->part[i].run);
	}
	free(c->part);
}

enum qf_err qf_recount_compare(struct qf_recount *t, uint64_t first, uint64_t n,
			       struct qf_why *why)
{
	struct compare c = { .t = t, .img = t->walk->img, .first = first };
	uint64_t blocks, covered;
	bool ok;

	c.end = first + n;
	if (c.end > t->clusters &&
	    !qf_ledger_count(t->ledger, t->clusters, NULL))
		c.end = t->clusters;
	c.first_block = first >> c.img->geo.refblock_bits;
	if (c.end <= first)
		return QF_OK;
	blocks = qf_mem_div_up(c.end, 1ull << c.img->geo.refblock_bits);
	/* behind the refcount table's end there are no blocks at all */
	if (blocks > c.img->reftable_entries)
		blocks = c.img->reftable_entries;
	blocks = blocks > c.first_block ? blocks - c.first_block : 0;
	covered = (c.first_block + blocks) << c.img->geo.refblock_bits;
	if (covered < first)
		covered = first;
	c.ra = (struct qf_readahead){
		.io = c.img->io, .n = blocks, .hint = hint_block, .ctx = &c
	};
	ok = make_parts(&c) &&
	     qf_pool_for(t->jobs, blocks, 1, compare_block, &c) &&
	     compare_rest(&c, covered) && join_parts(&c);
	free_parts(&c);
	if (!ok)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to compare the refcounts");
	return QF_OK;
}
