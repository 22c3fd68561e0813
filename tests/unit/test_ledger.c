// SPDX-License-Identifier: GPL-2.0-or-later
/* The ledger against a plain array of counts. */
#include "lib/walk/ledger.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "tests/unit/unit.h"

#include <stdatomic.h>

struct addition {
	uint64_t cluster, n;
	uint32_t weight;
	unsigned int flags;
};

struct cell {
	uint64_t count;
	unsigned int flags;
};

struct model {
	uint64_t first, clusters;
	struct cell *cell;
};

static void model_add(struct model *m, const struct addition *a)
{
	uint64_t c, end = a->cluster + a->n;
	struct cell *x;

	if (end < a->cluster)
		end = UINT64_MAX;
	for (c = a->cluster < m->first ? m->first : a->cluster;
	     c < end && c < m->first + m->clusters; c++) {
		x = &m->cell[c - m->first];
		if (x->count && !(a->flags & QF_LEDGER_AGAIN) &&
		    !(a->flags & x->flags & QF_LEDGER_PACKED))
			x->flags |= QF_LEDGER_DOUBLE;
		x->flags |= a->flags & ~QF_LEDGER_AGAIN;
		x->count += a->weight;
	}
}

/* The count that a page's view says, as the comparing sweep reads it. */
static uint64_t view_count(const struct qf_page_view *v, uint32_t i,
			   unsigned int *flags)
{
	uint64_t cell = 0;

	switch (v->kind) {
	case QF_PAGE_FULL:
		cell = v->cell;
		break;
	case QF_PAGE_BITS_SET:
		cell = v->bits[i / 64] >> (i % 64) & 1 ? v->cell : 0;
		break;
	case QF_PAGE_ARRAY:
		cell = v->cell16[i];
		break;
	case QF_PAGE_WIDE:
		*flags = (unsigned int)(v->cell64[i] >> QF_CELL64_FLAGS);
		return v->cell64[i] & QF_CELL64_MAX;
	default:
		break;
	}
	*flags = (unsigned int)(cell >> QF_CELL16_FLAGS);
	return cell & QF_CELL16_MAX;
}

static void compare(const struct qf_ledger *l, const struct model *m)
{
	uint64_t i, c, used = 0, end = 0;
	struct qf_page_view v;
	unsigned int flags;
	bool any = false;

	for (i = 0; i < m->clusters; i++) {
		c = m->first + i;
		assert_int_equal(qf_ledger_count(l, c, &flags),
				 m->cell[i].count);
		assert_int_equal(flags, m->cell[i].flags);
		qf_ledger_page(l, c, &v);
		assert_int_equal(view_count(&v, c % QF_PAGE, &flags),
				 m->cell[i].count);
		assert_int_equal(flags, m->cell[i].flags);
		any |= (m->cell[i].flags & QF_LEDGER_DOUBLE) != 0;
		if (m->cell[i].count) {
			used++;
			end = c + 1;
		}
	}
	assert_int_equal(qf_ledger_any_double(l), any);
	assert_int_equal(qf_ledger_used(l), used);
	assert_int_equal(qf_ledger_end(l), end);
	assert_int_equal(
		qf_ledger_count(l, m->first + m->clusters + QF_PAGE, NULL), 0);
}

static struct addition roll(struct dice *d, const struct model *m)
{
	static const uint32_t weights[] = {
		1,    1,    1, 1,    2,	    3,	   50,	     4000,
		4095, 4096, 7, 9000, 16383, 16384, 1u << 20, UINT32_MAX
	};
	static const unsigned int flags[] = { 0,
					      0,
					      QF_LEDGER_COPIED,
					      QF_LEDGER_COPIED,
					      QF_LEDGER_PLAIN,
					      QF_LEDGER_PACKED,
					      QF_LEDGER_PACKED };
	static const uint64_t lengths[] = { 1,	 1,   2,   63,	 64,   65,
					    200, 512, 513, 3000, 8192, 8193 };
	struct addition a;

	a.cluster = m->first + dice_below(d, m->clusters + 100);
	if (a.cluster > 50 && dice_once_in(d, 10))
		a.cluster -= 50;
	if (dice_once_in(d, 3))
		a.cluster &= ~(uint64_t)(QF_PAGE - 1);
	a.n = lengths[dice_below(d, ARRAY_SIZE(lengths))];
	/* rare weights are rare, else all pages soon become wide */
	a.weight = weights[dice_below(
		d, dice_once_in(d, 20) ? ARRAY_SIZE(weights) : 5)];
	a.flags = flags[dice_below(d, ARRAY_SIZE(flags))];
	return a;
}

static void start(struct model *m, uint64_t first, uint64_t clusters)
{
	m->first = first;
	m->clusters = clusters;
	m->cell = calloc(clusters, sizeof(*m->cell));
	assert_non_null(m->cell);
}

/* In the way that the walk does it. */
static bool add(struct qf_ledger *l, unsigned int worker,
		const struct addition *a)
{
	if (a->n == 1)
		return qf_ledger_add_ones(l, worker, &a->cluster, 1, a->weight,
					  a->flags);
	return qf_ledger_add(l, worker, a->cluster, a->n, a->weight, a->flags);
}

static void one_worker(uint64_t seed, uint64_t first, uint64_t clusters,
		       size_t additions)
{
	struct dice d = { seed };
	struct addition a;
	struct qf_ledger *l;
	struct model m;
	size_t i;

	start(&m, first, clusters);
	assert_int_equal(qf_ledger_new(first, clusters, 1, &l, NULL), QF_OK);
	for (i = 0; i < additions; i++) {
		a = roll(&d, &m);
		model_add(&m, &a);
		assert_true(add(l, 0, &a));
		if (dice_once_in(&d, 4)) { /* the same once more, on purpose */
			a.flags |= QF_LEDGER_AGAIN;
			model_add(&m, &a);
			assert_true(add(l, 0, &a));
		}
	}
	assert_true(qf_ledger_flush(l, 0));
	compare(l, &m);
	qf_ledger_free(l);
	free(m.cell);
}

static void random_additions(void **state)
{
	static const uint64_t sizes[] = { 1,   2,    511,   512,
					  513, 5000, 70000, 200000 };
	uint64_t seed = 1;
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		for (n = 1; n <= 4000; n *= 8)
			one_worker(seed++, 0, sizes[i], n);
	one_worker(99, 777, 3000, 400);
	one_worker(98, 1ull << 40, 3000, 400);
	one_worker(97, (1ull << 40) + 511, 513, 100);
}

struct shared {
	struct qf_ledger *l;
	struct addition *add;
	atomic_bool failed;
};

static bool add_one(void *ctx, uint64_t i, unsigned int worker)
{
	struct shared *s = ctx;
	const struct addition *a = &s->add[i];

	if (!add(s->l, worker, a))
		atomic_store(&s->failed, true);
	return true;
}

/* In whatever order the workers come: the sums are the same. */
static void several_workers(void **state)
{
	enum { ADDITIONS = 20000, JOBS = 4 };
	struct shared s = { 0 };
	struct dice d = { 5 };
	struct model m;
	unsigned int w;
	size_t i;

	(void)state;
	start(&m, 0, 100000);
	s.add = calloc(ADDITIONS, sizeof(*s.add));
	assert_non_null(s.add);
	for (i = 0; i < ADDITIONS; i++) {
		s.add[i] = roll(&d, &m);
		model_add(&m, &s.add[i]);
	}
	assert_int_equal(qf_ledger_new(0, m.clusters, JOBS, &s.l, NULL), QF_OK);
	assert_true(qf_pool_for(JOBS, ADDITIONS, 16, add_one, &s));
	for (w = 0; w < JOBS; w++)
		assert_true(qf_ledger_flush(s.l, w));
	assert_false(atomic_load(&s.failed));
	compare(s.l, &m);
	qf_ledger_free(s.l);
	free(s.add);
	free(m.cell);
}

/* Many at once, in and out of what is counted. */
static void ones_at_once(void **state)
{
	enum { N = 3000 };
	struct addition a = { .n = 1, .weight = 3, .flags = QF_LEDGER_PLAIN };
	uint64_t cluster[N];
	struct dice d = { 6 };
	struct qf_ledger *l;
	struct model m;
	size_t i;

	(void)state;
	start(&m, 5000, 1000);
	for (i = 0; i < N; i++) {
		a.cluster = cluster[i] = 4000 + dice_below(&d, 3000);
		model_add(&m, &a);
	}
	assert_int_equal(qf_ledger_new(5000, 1000, 1, &l, NULL), QF_OK);
	assert_true(qf_ledger_add_ones(l, 0, cluster, N, a.weight, a.flags));
	assert_true(qf_ledger_flush(l, 0));
	compare(l, &m);
	qf_ledger_free(l);
	free(m.cell);
}

static void outside_is_dropped(void **state)
{
	struct qf_ledger *l;

	(void)state;
	assert_int_equal(qf_ledger_new(1000, 10, 1, &l, NULL), QF_OK);
	assert_true(qf_ledger_add(l, 0, 0, 1000, 1, 0));
	assert_true(qf_ledger_add(l, 0, 1010, UINT64_MAX, 1, 0));
	assert_true(qf_ledger_add(l, 0, UINT64_MAX, UINT64_MAX, 1, 0));
	assert_true(qf_ledger_add(l, 0, 1005, 0, 1, 0));
	assert_true(qf_ledger_flush(l, 0));
	assert_int_equal(qf_ledger_used(l), 0);
	assert_int_equal(qf_ledger_end(l), 0);
	assert_true(qf_ledger_add(l, 0, 0, UINT64_MAX, 1, 0));
	assert_true(qf_ledger_flush(l, 0));
	assert_int_equal(qf_ledger_used(l), 10);
	assert_int_equal(qf_ledger_end(l), 1010);
	qf_ledger_free(l);
}

static void counts_do_not_run_into_the_flags(void **state)
{
	struct qf_ledger *l;
	unsigned int flags;
	int i;

	(void)state;
	assert_int_equal(qf_ledger_new(0, 1, 1, &l, NULL), QF_OK);
	for (i = 0; i < 5000; i++)
		assert_true(
			qf_ledger_add(l, 0, 0, 1, UINT32_MAX, QF_LEDGER_PLAIN));
	assert_true(qf_ledger_flush(l, 0));
	assert_int_equal(qf_ledger_count(l, 0, &flags), 5000ull * UINT32_MAX);
	assert_int_equal(flags, QF_LEDGER_PLAIN | QF_LEDGER_DOUBLE);
	qf_ledger_free(l);
}

static void a_huge_file_takes_little(void **state)
{
	struct qf_ledger *l;

	(void)state;
	/* 64 TiB of 64 KiB clusters; only what is touched takes memory */
	assert_int_equal(qf_ledger_new(0, 1ull << 30, 1, &l, NULL), QF_OK);
	assert_true(qf_ledger_add(l, 0, 1ull << 29, 5, 1, 0));
	assert_true(qf_ledger_flush(l, 0));
	assert_int_equal(qf_ledger_count(l, (1ull << 29) + 4, NULL), 1);
	assert_int_equal(qf_ledger_count(l, (1ull << 29) + 5, NULL), 0);
	qf_ledger_free(l);
}

static void without_memory(void **state)
{
	struct qf_ledger *l = NULL;
	enum qf_err err;
	bool ok;
	long n, made = 0;

	(void)state;
	for (n = 1;; n++) {
		qf_mem_fail_at(n);
		err = qf_ledger_new(0, 5000, 2, &l, NULL);
		if (err) {
			assert_int_equal(err, QF_ERR_NOMEM);
			continue;
		}
		made++;
		ok = qf_ledger_add(l, 0, 100, 1000, 1, 0) &&
		     qf_ledger_add(l, 0, 50, 1000, 2, QF_LEDGER_PLAIN) &&
		     qf_ledger_add(l, 0, 20, 2000, 5000, 0) &&
		     qf_ledger_flush(l, 0);
		qf_mem_fail_at(0);
		qf_ledger_free(l);
		if (ok)
			break;
	}
	assert_true(made > 5);
	qf_ledger_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_additions),
		cmocka_unit_test(several_workers),
		cmocka_unit_test(ones_at_once),
		cmocka_unit_test(outside_is_dropped),
		cmocka_unit_test(counts_do_not_run_into_the_flags),
		cmocka_unit_test(a_huge_file_takes_little),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
