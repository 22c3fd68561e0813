// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/ledger.h"
#include "lib/mem.h"
#include "lib/pool.h"
#include "lib/simd.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (QF_PAGE / 64)
/* All buckets of a worker together fit the first-level cache. */
#define MAX_REGIONS 64u
#define BUCKET 32u

/* One addition on its way to its region. */
struct addition {
	uint32_t cluster; /* relative to the region */
	uint32_t n;
	uint32_t weight;
	uint32_t flags;
};

struct bucket {
	uint32_t n;
	struct addition add[BUCKET];
};

struct page {
	uint8_t kind;	/* enum qf_page_kind */
	uint16_t cell;	/* class: FULL, BITS */
	uint32_t array; /* ARRAY, WIDE: number in the region's list */
};

struct region {
	omp_lock_t lock;
	void **array; /* uint16_t[QF_PAGE] or uint64_t[QF_PAGE] */
	size_t n, room;
	bool any_double;
	bool failed;
	bool touched; /* something was added */
};

struct qf_ledger {
	uint64_t base; /* first cluster, a multiple of QF_PAGE */
	uint64_t first, clusters;
	uint64_t n_pages;
	struct page *page;
	uint64_t *bits; /* WORDS a page; untouched ones take no memory */
	unsigned int jobs;
	unsigned int region_shift; /* clusters to region */
	uint32_t n_regions;
	struct region *region;
	struct bucket **bucket; /* [worker][region] */
};

static uint64_t bits_bytes(const struct qf_ledger *l)
{
	return l->n_pages * WORDS * sizeof(uint64_t);
}

static uint64_t page_bytes(const struct qf_ledger *l)
{
	return l->n_pages * sizeof(struct page);
}

static bool make_buckets(struct qf_ledger *l)
{
	unsigned int i;

	l->bucket = qf_mem_zalloc(l->jobs, sizeof(*l->bucket));
	if (!l->bucket)
		return false;
	for (i = 0; i < l->jobs; i++) {
		l->bucket[i] = qf_mem_map(l->n_regions * sizeof(struct bucket));
		if (!l->bucket[i])
			return false;
	}
	return true;
}

enum qf_err qf_ledger_new(uint64_t first, uint64_t clusters, unsigned int jobs,
			  struct qf_ledger **out, struct qf_why *why)
{
	struct qf_ledger *l = qf_mem_zalloc(1, sizeof(*l));
	uint32_t i;

	if (!l)
		goto nomem;
	l->base = first & ~(uint64_t)(QF_PAGE - 1);
	l->first = first;
	l->clusters = clusters ? clusters : 1;
	l->n_pages = ((first - l->base + l->clusters - 1) >> QF_PAGE_BITS) + 1;
	l->jobs = qf_pool_jobs(jobs);
	l->region_shift = QF_PAGE_BITS;
	while (l->region_shift < 32 &&
	       (l->n_pages << QF_PAGE_BITS) >> l->region_shift >= MAX_REGIONS)
		l->region_shift++;
	l->n_regions = (uint32_t)((((l->n_pages << QF_PAGE_BITS) - 1) >>
				   l->region_shift) +
				  1);
	l->page = qf_mem_map(page_bytes(l));
	l->bits = qf_mem_map(bits_bytes(l));
	l->region = qf_mem_zalloc(l->n_regions, sizeof(*l->region));
	if (!l->page || !l->bits || !l->region)
		goto nomem;
	for (i = 0; i < l->n_regions; i++)
		omp_init_lock(&l->region[i].lock);
	if (!make_buckets(l))
		goto nomem;
	*out = l;
	return QF_OK;
nomem:
	qf_ledger_free(l);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to count the references");
}

void qf_ledger_free(struct qf_ledger *l)
{
	uint32_t i;
	size_t k;

	if (!l)
		return;
	for (i = 0; l->region && i < l->n_regions; i++) {
		for (k = 0; k < l->region[i].n; k++)
			free(l->region[i].array[k]);
		free(l->region[i].array);
		omp_destroy_lock(&l->region[i].lock);
	}
	for (i = 0; l->bucket && i < l->jobs; i++)
		qf_mem_unmap(l->bucket[i],
			     l->n_regions * sizeof(struct bucket));
	free(l->bucket);
	free(l->region);
	qf_mem_unmap(l->page, page_bytes(l));
	qf_mem_unmap(l->bits, bits_bytes(l));
	free(l);
}

/* Puts a fresh array of SIZE-byte cells into the region, or NULL. */
static void *new_array(struct region *r, struct page *p, size_t size)
{
	void *a;

	if (!qf_mem_grow((void **)&r->array, r->n, &r->room, sizeof(void *)))
		return NULL;
	a = qf_mem_zalloc(QF_PAGE, size);
	if (!a)
		return NULL;
	p->array = (uint32_t)r->n;
	r->array[r->n++] = a;
	return a;
}

/* FULL or BITS (or EMPTY) to ARRAY. */
static uint16_t *to_array(struct qf_ledger *l, struct region *r, uint64_t no)
{
	struct page *p = &l->page[no];
	const uint64_t *bits = l->bits + no * WORDS;
	uint16_t *a;
	uint32_t i;

	if (p->kind == QF_PAGE_ARRAY)
		return r->array[p->array];
	a = new_array(r, p, sizeof(*a));
	if (!a)
		return NULL;
	for (i = 0; i < QF_PAGE; i++)
		if (p->kind == QF_PAGE_FULL || (p->kind == QF_PAGE_BITS_SET &&
						bits[i / 64] >> (i % 64) & 1))
			a[i] = p->cell;
	p->kind = QF_PAGE_ARRAY;
	return a;
}

/* ARRAY to WIDE. */
static uint64_t *to_wide(struct qf_ledger *l, struct region *r, uint64_t no)
{
	struct page *p = &l->page[no];
	uint16_t *narrow;
	uint64_t *a;
	uint32_t old, i;

	if (p->kind == QF_PAGE_WIDE)
		return r->array[p->array];
	narrow = to_array(l, r, no);
	old = p->array;
	a = narrow ? new_array(r, p, sizeof(*a)) : NULL;
	if (!a)
		return NULL;
	for (i = 0; i < QF_PAGE; i++)
		a[i] = (uint64_t)(narrow[i] >> QF_CELL16_FLAGS)
			       << QF_CELL64_FLAGS |
		       (narrow[i] & QF_CELL16_MAX);
	free(narrow);
	r->array[old] = NULL;
	p->kind = QF_PAGE_WIDE;
	return a;
}

static bool is_double(unsigned int old_flags, uint64_t old_count,
		      unsigned int flags)
{
	if (!old_count || flags & QF_LEDGER_AGAIN)
		return false;
	return !(old_flags & flags & QF_LEDGER_PACKED);
}

static bool add_wide(struct qf_ledger *l, struct region *r, uint64_t no,
		     uint32_t at, uint32_t n, const struct addition *add)
{
	uint64_t *a = to_wide(l, r, no), count;
	unsigned int flags;
	uint32_t i;

	if (!a)
		return false;
	for (i = at; i < at + n; i++) {
		count = a[i] & QF_CELL64_MAX;
		flags = (unsigned int)(a[i] >> QF_CELL64_FLAGS);
		if (is_double(flags, count, add->flags)) {
			flags |= QF_LEDGER_DOUBLE;
			r->any_double = true;
		}
		flags |= add->flags & 0xfu;
		a[i] = (uint64_t)flags << QF_CELL64_FLAGS |
		       ((count + add->weight) & QF_CELL64_MAX);
	}
	return true;
}

/* The largest count among N cells. */
static uint32_t max_count(const uint16_t *a, uint32_t n)
{
	uint32_t i, max = 0;

	for (i = 0; i < n; i++)
		if ((a[i] & QF_CELL16_MAX) > max)
			max = a[i] & QF_CELL16_MAX;
	return max;
}

static bool add_array(struct qf_ledger *l, struct region *r, uint64_t no,
		      uint32_t at, uint32_t n, const struct addition *add)
{
	uint16_t *a;
	unsigned int flags, count;
	uint32_t i;

	if (l->page[no].kind == QF_PAGE_WIDE || add->weight > QF_CELL16_MAX)
		return add_wide(l, r, no, at, n, add);
	a = to_array(l, r, no);
	if (!a)
		return false;
	if (max_count(a + at, n) + add->weight > QF_CELL16_MAX)
		return add_wide(l, r, no, at, n, add);
	for (i = at; i < at + n; i++) {
		count = a[i] & QF_CELL16_MAX;
		flags = a[i] >> QF_CELL16_FLAGS;
		if (is_double(flags, count, add->flags)) {
			flags |= QF_LEDGER_DOUBLE;
			r->any_double = true;
		}
		flags |= add->flags & 0xfu;
		a[i] = (uint16_t)(flags << QF_CELL16_FLAGS |
				  (count + add->weight));
	}
	return true;
}

static uint64_t mask_of(uint32_t from, uint32_t to)
{
	uint64_t m = to == 64 ? UINT64_MAX : (1ull << to) - 1;

	return m & ~((1ull << from) - 1);
}

/* Sets bits [AT, AT + N) of a page; false if one of them was set before. */
static bool set_bits(uint64_t *bits, uint32_t at, uint32_t n)
{
	uint32_t end = at + n, w, from, to;
	uint64_t m, hit = 0;

	if (n == 1) {
		m = 1ull << (at % 64);
		hit = bits[at / 64] & m;
		if (!hit)
			bits[at / 64] |= m;
		return !hit;
	}
	for (w = at / 64; w <= (end - 1) / 64; w++) {
		from = w == at / 64 ? at % 64 : 0;
		to = w == (end - 1) / 64 ? (end - 1) % 64 + 1 : 64;
		hit |= bits[w] & mask_of(from, to);
	}
	if (hit)
		return false;
	for (w = at / 64; w <= (end - 1) / 64; w++) {
		from = w == at / 64 ? at % 64 : 0;
		to = w == (end - 1) / 64 ? (end - 1) % 64 + 1 : 64;
		bits[w] |= mask_of(from, to);
	}
	return true;
}

static inline uint16_t cell_of(const struct addition *add)
{
	return (uint16_t)((add->flags & 0xfu) << QF_CELL16_FLAGS | add->weight);
}

static bool add_page(struct qf_ledger *l, struct region *r, uint64_t no,
		     uint32_t at, uint32_t n, const struct addition *add)
{
	struct page *p = &l->page[no];
	uint16_t cell = cell_of(add);

	if (add->weight <= QF_CELL16_MAX) {
		if (p->kind == QF_PAGE_EMPTY) {
			p->cell = cell;
			p->kind = n == QF_PAGE ? QF_PAGE_FULL
					       : QF_PAGE_BITS_SET;
			if (n == QF_PAGE)
				return true;
		}
		if (p->kind == QF_PAGE_BITS_SET && p->cell == cell &&
		    set_bits(l->bits + no * WORDS, at, n))
			return true;
	}
	return add_array(l, r, no, at, n, add);
}

/* The commonest case: one more cluster of a page's class. */
static inline bool apply_bit(struct qf_ledger *l, uint64_t base,
			     const struct addition *add)
{
	uint64_t cluster = base + add->cluster;
	const struct page *p = &l->page[cluster >> QF_PAGE_BITS];
	uint64_t *w = &l->bits[cluster / 64];
	uint64_t m = 1ull << (cluster % 64);

	if (add->n != 1 || p->kind != QF_PAGE_BITS_SET ||
	    add->weight > QF_CELL16_MAX || p->cell != cell_of(add) || *w & m)
		return false;
	*w |= m;
	return true;
}

/* Applies one addition, which lies within one region. */
static bool apply(struct qf_ledger *l, struct region *r, uint64_t base,
		  const struct addition *add)
{
	uint64_t c = base + add->cluster, left = add->n;
	uint32_t at, n;

	while (left) {
		at = (uint32_t)(c & (QF_PAGE - 1));
		n = QF_PAGE - at < left ? QF_PAGE - at : (uint32_t)left;
		if (!add_page(l, r, c >> QF_PAGE_BITS, at, n, add))
			return false;
		c += n;
		left -= n;
	}
	return true;
}

static bool flush_bucket(struct qf_ledger *l, struct bucket *b, uint32_t no)
{
	uint64_t base = (uint64_t)no << l->region_shift;
	struct region *r = &l->region[no];
	uint32_t i;

	omp_set_lock(&r->lock);
	r->touched = true;
	for (i = 0; i < b->n && !r->failed; i++)
		if (!apply_bit(l, base, &b->add[i]) &&
		    !apply(l, r, base, &b->add[i]))
			r->failed = true;
	omp_unset_lock(&r->lock);
	b->n = 0;
	return !r->failed;
}

bool qf_ledger_flush(struct qf_ledger *l, unsigned int worker)
{
	bool ok = true;
	uint32_t i;

	for (i = 0; i < l->n_regions; i++)
		if (l->bucket[worker][i].n)
			ok &= flush_bucket(l, &l->bucket[worker][i], i);
	return ok;
}

/* Puts N clusters, which lie in region NO, on their way. */
static inline bool put(struct qf_ledger *l, unsigned int worker, uint32_t no,
		       uint64_t cluster, uint32_t n, uint32_t weight,
		       unsigned int flags)
{
	struct bucket *b = &l->bucket[worker][no];
	struct addition *a = &b->add[b->n++];

	a->cluster = (uint32_t)(cluster & ((1ull << l->region_shift) - 1));
	a->n = n;
	a->weight = weight;
	a->flags = flags;
	return b->n < BUCKET || flush_bucket(l, b, no);
}

bool qf_ledger_add(struct qf_ledger *l, unsigned int worker, uint64_t cluster,
		   uint64_t n, uint32_t weight, unsigned int flags)
{
	uint64_t end, now;
	uint32_t no;

	if (n == 1 && cluster - l->first < l->clusters) {
		cluster -= l->base;
		no = (uint32_t)(cluster >> l->region_shift);
		return put(l, worker, no, cluster, 1, weight, flags);
	}
	if (__builtin_add_overflow(cluster, n, &end))
		end = UINT64_MAX;
	if (cluster < l->first)
		cluster = l->first;
	if (end > l->first + l->clusters)
		end = l->first + l->clusters;
	if (cluster >= end)
		return true;
	cluster -= l->base;
	end -= l->base;
	for (; cluster < end; cluster += now) {
		no = (uint32_t)(cluster >> l->region_shift);
		now = ((uint64_t)(no + 1) << l->region_shift) - cluster;
		if (now > end - cluster)
			now = end - cluster;
		if (now > UINT32_MAX)
			now = UINT32_MAX;
		if (!put(l, worker, no, cluster, (uint32_t)now, weight, flags))
			return false;
	}
	return true;
}

void qf_ledger_page(const struct qf_ledger *l, uint64_t cluster,
		    struct qf_page_view *v)
{
	uint64_t no;
	const struct page *p;
	const struct region *r;

	memset(v, 0, sizeof(*v));
	if (cluster < l->base ||
	    (no = (cluster - l->base) >> QF_PAGE_BITS) >= l->n_pages)
		return;
	p = &l->page[no];
	r = &l->region[(no << QF_PAGE_BITS) >> l->region_shift];
	v->kind = p->kind;
	v->cell = p->cell;
	v->bits = l->bits + no * WORDS;
	if (p->kind == QF_PAGE_ARRAY)
		v->cell16 = r->array[p->array];
	if (p->kind == QF_PAGE_WIDE)
		v->cell64 = r->array[p->array];
}

uint64_t qf_ledger_count(const struct qf_ledger *l, uint64_t cluster,
			 unsigned int *flags)
{
	uint32_t i = (uint32_t)((cluster - l->base) & (QF_PAGE - 1));
	struct qf_page_view v;
	uint64_t cell = 0;

	qf_ledger_page(l, cluster, &v);
	if (v.kind == QF_PAGE_FULL ||
	    (v.kind == QF_PAGE_BITS_SET && v.bits[i / 64] >> (i % 64) & 1))
		cell = v.cell;
	else if (v.kind == QF_PAGE_ARRAY)
		cell = v.cell16[i];
	if (v.kind == QF_PAGE_WIDE) {
		if (flags)
			*flags = (unsigned int)(v.cell64[i] >> QF_CELL64_FLAGS);
		return v.cell64[i] & QF_CELL64_MAX;
	}
	if (flags)
		*flags = (unsigned int)(cell >> QF_CELL16_FLAGS);
	return cell & QF_CELL16_MAX;
}

bool qf_ledger_any_double(const struct qf_ledger *l)
{
	uint32_t i;

	for (i = 0; i < l->n_regions; i++)
		if (l->region[i].any_double)
			return true;
	return false;
}

static uint32_t page_used(const struct qf_page_view *v, uint32_t *last)
{
	uint32_t i, used = 0;
	bool on;

	*last = 0;
	if (v->kind == QF_PAGE_EMPTY)
		return 0;
	if (v->kind == QF_PAGE_FULL) {
		*last = QF_PAGE;
		return QF_PAGE;
	}
	for (i = 0; i < QF_PAGE; i++) {
		if (v->kind == QF_PAGE_BITS_SET)
			on = v->bits[i / 64] >> (i % 64) & 1;
		else if (v->kind == QF_PAGE_ARRAY)
			on = v->cell16[i] & QF_CELL16_MAX;
		else
			on = v->cell64[i] & QF_CELL64_MAX;
		if (on) {
			used++;
			*last = i + 1;
		}
	}
	return used;
}

uint64_t qf_ledger_next(const struct qf_ledger *l, uint64_t cluster,
			uint64_t end)
{
	uint64_t no = cluster < l->base ? 0
					: (cluster - l->base) >> QF_PAGE_BITS;
	uint32_t shift = l->region_shift - QF_PAGE_BITS;
	uint64_t stop = l->n_pages;

	if (end <= l->base)
		return end;
	if ((end - l->base) >> QF_PAGE_BITS < stop)
		stop = ((end - l->base - 1) >> QF_PAGE_BITS) + 1;
	while (no < stop) {
		if (!l->region[no >> shift].touched)
			no = ((no >> shift) + 1) << shift;
		else if (l->page[no].kind == QF_PAGE_EMPTY)
			no++;
		else
			return l->base + (no << QF_PAGE_BITS);
	}
	return end;
}

uint64_t qf_ledger_used(const struct qf_ledger *l)
{
	struct qf_page_view v;
	uint64_t at, used = 0;
	uint32_t last;

	for (at = qf_ledger_next(l, 0, UINT64_MAX); at != UINT64_MAX;
	     at = qf_ledger_next(l, at + QF_PAGE, UINT64_MAX)) {
		qf_ledger_page(l, at, &v);
		used += page_used(&v, &last);
	}
	return used;
}

uint64_t qf_ledger_end(const struct qf_ledger *l)
{
	uint32_t shift = l->region_shift - QF_PAGE_BITS, last, r;
	struct qf_page_view v;
	uint64_t no, first;

	for (r = l->n_regions; r; r--) {
		if (!l->region[r - 1].touched)
			continue;
		first = (uint64_t)(r - 1) << shift;
		no = (uint64_t)r << shift;
		if (no > l->n_pages)
			no = l->n_pages;
		for (; no > first; no--) {
			qf_ledger_page(l, l->base + ((no - 1) << QF_PAGE_BITS),
				       &v);
			if (page_used(&v, &last))
				return l->base + ((no - 1) << QF_PAGE_BITS) +
				       last;
		}
	}
	return 0;
}
