// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/walk/ledger.h"
#include "lib/walk/ledger_page.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdlib.h>

/* All buckets of a worker together fit the first-level cache. */
#define MAX_REGIONS 64u
#define BUCKET 40u
/* From here on it is emptied if nobody else is at its region. */
#define BUCKET_TRY 32u

/*
 * One addition of N clusters on its way to its region, in a word: from the
 * top the first cluster (relative to the region), N - 1, weight, flags. What
 * does not fit goes to its region at once.
 */
#define ADD_CLUSTER 32
#define ADD_N 19
#define ADD_N_MAX (1u << (ADD_CLUSTER - ADD_N))
#define ADD_WEIGHT 5
#define ADD_WEIGHT_MAX ((1u << (ADD_N - ADD_WEIGHT)) - 1)
#define ADD_FLAGS ((1u << ADD_WEIGHT) - 1)

struct qf_ledger_bucket {
	uint32_t n;
	uint64_t add[BUCKET];
};

struct addition {
	uint64_t cluster; /* relative to the ledger's base */
	uint64_t n;
	uint32_t weight;
	uint32_t flags;
};

static uint64_t bits_bytes(const struct qf_ledger *l)
{
	return l->n_pages * QF_PAGE_WORDS * sizeof(uint64_t);
}

static uint64_t page_bytes(const struct qf_ledger *l)
{
	return l->n_pages * sizeof(struct qf_ledger_page);
}

static bool make_buckets(struct qf_ledger *l)
{
	unsigned int i;

	l->bucket = qf_mem_zalloc(l->jobs, sizeof(*l->bucket));
	if (!l->bucket)
		return false;
	for (i = 0; i < l->jobs; i++) {
		l->bucket[i] = qf_mem_map(l->n_regions *
					  sizeof(struct qf_ledger_bucket));
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
		pthread_mutex_init(&l->region[i].lock, NULL);
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
		pthread_mutex_destroy(&l->region[i].lock);
	}
	for (i = 0; l->bucket && i < l->jobs; i++)
		qf_mem_unmap(l->bucket[i],
			     l->n_regions * sizeof(struct qf_ledger_bucket));
	free(l->bucket);
	free(l->region);
	qf_mem_unmap(l->page, page_bytes(l));
	qf_mem_unmap(l->bits, bits_bytes(l));
	free(l);
}

/* Puts a fresh array of SIZE-byte cells into the region, or NULL. */
static void *new_array(struct qf_ledger_region *r, struct qf_ledger_page *p,
		       size_t size)
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
static uint16_t *to_array(struct qf_ledger *l, struct qf_ledger_region *r,
			  uint64_t no)
{
	struct qf_ledger_page *p = &l->page[no];
	const uint64_t *bits = l->bits + no * QF_PAGE_WORDS;
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
static uint64_t *to_wide(struct qf_ledger *l, struct qf_ledger_region *r,
			 uint64_t no)
{
	struct qf_ledger_page *p = &l->page[no];
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

static bool add_wide(struct qf_ledger *l, struct qf_ledger_region *r,
		     uint64_t no, uint32_t at, uint32_t n,
		     const struct addition *add)
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

static bool add_array(struct qf_ledger *l, struct qf_ledger_region *r,
		      uint64_t no, uint32_t at, uint32_t n,
		      const struct addition *add)
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

static bool add_page(struct qf_ledger *l, struct qf_ledger_region *r,
		     uint64_t no, uint32_t at, uint32_t n,
		     const struct addition *add)
{
	struct qf_ledger_page *p = &l->page[no];
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
		    set_bits(l->bits + no * QF_PAGE_WORDS, at, n))
			return true;
	}
	return add_array(l, r, no, at, n, add);
}

/* The commonest case: one more cluster of a page's class. */
static inline bool apply_bit(struct qf_ledger *l, uint64_t base, uint64_t add)
{
	uint64_t cluster = base + (add >> ADD_CLUSTER);
	const struct qf_ledger_page *p = &l->page[cluster >> QF_PAGE_BITS];
	uint64_t *w = &l->bits[cluster / 64];
	uint64_t m = 1ull << (cluster % 64);
	uint32_t how = (uint32_t)add, cell;

	/* one cluster, and the weight is one that a class can have */
	cell = (how & 0xfu) << QF_CELL16_FLAGS | how >> ADD_WEIGHT;
	if (how >> ADD_WEIGHT > QF_CELL16_MAX || p->cell != cell ||
	    p->kind != QF_PAGE_BITS_SET || *w & m)
		return false;
	*w |= m;
	return true;
}

/* Applies one addition, which lies within one region. */
static bool apply(struct qf_ledger *l, struct qf_ledger_region *r,
		  const struct addition *add)
{
	uint64_t c = add->cluster, left = add->n;
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

static bool apply_packed(struct qf_ledger *l, struct qf_ledger_region *r,
			 uint64_t base, uint64_t packed)
{
	struct addition add = {
		.cluster = base + (packed >> ADD_CLUSTER),
		.n = (packed >> ADD_N) % ADD_N_MAX + 1,
		.weight = (packed >> ADD_WEIGHT) & ADD_WEIGHT_MAX,
		.flags = packed & ADD_FLAGS,
	};

	return apply(l, r, &add);
}

static void empty_bucket(struct qf_ledger *l, struct qf_ledger_bucket *b,
			 uint32_t no)
{
	uint64_t base = (uint64_t)no << l->region_shift;
	struct qf_ledger_region *r = &l->region[no];
	uint32_t i;

	r->touched = true;
	for (i = 0; i < b->n && !r->failed; i++)
		if (!apply_bit(l, base, b->add[i]) &&
		    !apply_packed(l, r, base, b->add[i]))
			r->failed = true;
	b->n = 0;
}

/* Empties a bucket. If another worker is at its region, there is time until
 * the bucket is full. */
static bool flush_bucket(struct qf_ledger *l, struct qf_ledger_bucket *b,
			 uint32_t no, bool wait)
{
	struct qf_ledger_region *r = &l->region[no];
	bool failed;

	if (wait)
		pthread_mutex_lock(&r->lock);
	else if (pthread_mutex_trylock(&r->lock))
		return true;
	empty_bucket(l, b, no);
	failed = r->failed;
	pthread_mutex_unlock(&r->lock);
	return !failed;
}

bool qf_ledger_flush(struct qf_ledger *l, unsigned int worker)
{
	bool ok = true;
	uint32_t i;

	for (i = 0; i < l->n_regions; i++)
		if (l->bucket[worker][i].n)
			ok &= flush_bucket(l, &l->bucket[worker][i], i, true);
	return ok;
}

/* The place of a cluster, relative to the base, in its region. */
static inline uint64_t in_region(const struct qf_ledger *l, uint64_t cluster)
{
	return cluster & ((1ull << l->region_shift) - 1);
}

/* Adds what does not fit into a bucket, after what is in it. */
static bool add_at_once(struct qf_ledger *l, struct qf_ledger_bucket *b,
			uint32_t no, const struct addition *add)
{
	struct qf_ledger_region *r = &l->region[no];
	bool failed;

	pthread_mutex_lock(&r->lock);
	empty_bucket(l, b, no);
	if (!r->failed && !apply(l, r, add))
		r->failed = true;
	failed = r->failed;
	pthread_mutex_unlock(&r->lock);
	return !failed;
}

/* Puts an addition, which lies in region NO, on its way. */
static bool put(struct qf_ledger *l, unsigned int worker, uint32_t no,
		const struct addition *add)
{
	struct qf_ledger_bucket *b = &l->bucket[worker][no];

	if (add->n > ADD_N_MAX || add->weight > ADD_WEIGHT_MAX)
		return add_at_once(l, b, no, add);
	b->add[b->n++] = in_region(l, add->cluster) << ADD_CLUSTER |
			 (add->n - 1) << ADD_N |
			 (uint64_t)add->weight << ADD_WEIGHT | add->flags;
	return b->n < BUCKET_TRY || flush_bucket(l, b, no, b->n == BUCKET);
}

bool qf_ledger_add(struct qf_ledger *l, unsigned int worker, uint64_t cluster,
		   uint64_t n, uint32_t weight, unsigned int flags)
{
	struct addition add = { .n = n, .weight = weight, .flags = flags };
	uint64_t end, room;
	uint32_t no;

	if (__builtin_add_overflow(cluster, n, &end))
		end = UINT64_MAX;
	if (cluster < l->first)
		cluster = l->first;
	if (end > l->first + l->clusters)
		end = l->first + l->clusters;
	if (cluster >= end)
		return true;
	end -= l->base;
	add.cluster = cluster - l->base;
	for (; add.cluster < end; add.cluster += add.n) {
		no = (uint32_t)(add.cluster >> l->region_shift);
		room = ((uint64_t)(no + 1) << l->region_shift) - add.cluster;
		add.n = end - add.cluster < room ? end - add.cluster : room;
		if (!put(l, worker, no, &add))
			return false;
	}
	return true;
}

bool qf_ledger_add_ones(struct qf_ledger *l, unsigned int worker,
			const uint64_t *cluster, size_t n, uint32_t weight,
			unsigned int flags)
{
	const uint64_t how = (uint64_t)weight << ADD_WEIGHT | flags;
	const uint64_t first = l->first - l->base, end = first + l->clusters;
	const uint64_t base = l->base, mask = in_region(l, UINT64_MAX);
	const unsigned int shift = l->region_shift;
	struct qf_ledger_bucket *const all = l->bucket[worker], *b;
	uint64_t c;
	size_t i;

	if (weight > ADD_WEIGHT_MAX) {
		for (i = 0; i < n; i++)
			if (!qf_ledger_add(l, worker, cluster[i], 1, weight,
					   flags))
				return false;
		return true;
	}
	for (i = 0; i < n; i++) {
		c = cluster[i] - base;
		if (c < first || c >= end)
			continue;
		b = &all[c >> shift];
		b->add[b->n++] = (c & mask) << ADD_CLUSTER | how;
		if (b->n >= BUCKET_TRY &&
		    !flush_bucket(l, b, (uint32_t)(c >> shift), b->n == BUCKET))
			return false;
	}
	return true;
}
