// SPDX-License-Identifier: GPL-2.0-or-later
/* The walker: gathering L1 tables, visiting, metadata, and what fails. */
#include "lib/base/mem.h"
#include "lib/walk/walk.h"
#include "tests/unit/tangle.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define MAX_TABLES 128

/* What one L1 index names, read the plain way. */
struct plain_group {
	uint32_t n;
	struct plain_table {
		uint64_t off;
		uint32_t weight, first;
		bool active, copied;
	} table[MAX_TABLES];
};

static uint64_t l1_entry(const struct mini *m, const struct qf_image *img,
			 uint32_t holder, uint32_t index)
{
	uint32_t entries;
	uint64_t off;

	assert_true(qf_image_l1(img, holder, &off, &entries));
	return index < entries ? mini_get64(m, off + index * 8ull) : 0;
}

static void plain_gather(const struct mini *m, const struct qf_image *img,
			 uint32_t index, struct plain_group *g)
{
	struct plain_table *t;
	uint32_t h, i;
	uint64_t e, off;

	memset(g, 0, sizeof(*g));
	for (h = 0; h < qf_image_holders(img); h++) {
		e = l1_entry(m, img, h, index);
		if (!e)
			continue;
		off = e & QF_ENTRY_OFFSET_MASK;
		for (i = 0; i < g->n && g->table[i].off != off; i++)
			;
		assert_true(i < MAX_TABLES);
		g->n += i == g->n;
		t = &g->table[i];
		if (!t->weight)
			t->first = h;
		t->off = off;
		t->weight++;
		if (h == QF_HOLDER_ACTIVE) {
			t->active = true;
			t->copied = e >> 63;
		}
	}
}

/* Who names T: those whose L1 entry does, in order, all or some of them. */
static void compare_holders(const struct mini *m, const struct qf_walk *w,
			    uint32_t index, const struct qf_l2_table *t)
{
	uint32_t holder[64], room, h, k;

	assert_ptr_equal(qf_walk_find(w, index, t->off), t);
	assert_null(qf_walk_find(w, index, t->off + 1));
	for (room = 1; room <= t->weight + 1 && room <= 64; room++) {
		assert_int_equal(qf_walk_holders(w, index, t->off, holder,
						 room),
				 t->weight);
		for (h = k = 0; h < qf_image_holders(w->img) && k < room; h++) {
			uint64_t e = l1_entry(m, w->img, h, index);

			if (e && (e & QF_ENTRY_OFFSET_MASK) == t->off)
				assert_int_equal(holder[k++], h);
		}
		assert_int_equal(k, room < t->weight ? room : t->weight);
	}
}

/* The walk's groups are exactly those of the plain reading. */
static void compare_gathered(const struct mini *m, const struct qf_walk *w)
{
	const struct qf_l2_table *t;
	struct plain_group g;
	uint32_t index, at = 0, v, k;

	for (index = 0; index < m->l1_entries; index++) {
		plain_gather(m, w->img, index, &g);
		if (!g.n)
			continue;
		assert_true(at < w->n_groups);
		assert_int_equal(w->group[at].l1_index, index);
		assert_int_equal(w->group[at].n, g.n);
		for (v = 0; v < g.n; v++) {
			t = &w->table[w->group[at].first + v];
			for (k = 0; g.table[k].off != t->off; k++)
				assert_true(k + 1 < g.n);
			assert_int_equal(t->weight, g.table[k].weight);
			assert_int_equal(t->active, g.table[k].active);
			assert_int_equal(t->copied, g.table[k].copied);
			assert_int_equal(t->holder, g.table[k].first);
			compare_holders(m, w, index, t);
		}
		at++;
	}
	assert_int_equal(at, w->n_groups);
}

static void gathered_as_read_one_by_one(void **state)
{
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	uint32_t seed;

	(void)state;
	for (seed = 0; seed < 40; seed++) {
		tangle_make(&m, seed, 9, false, seed % 12);
		img = mini_open(&m);
		assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
		compare_gathered(&m, &w);
		qf_walk_free(&w);
		qf_image_close(img);
		mini_free(&m);
	}
}

static void shared_and_crossing_l1_tables(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 32768 * 200 };
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	uint64_t entry;
	uint32_t i, h[4];

	(void)state;
	mini_make(&m, &o);
	for (i = 0; i < 200; i++)
		mini_l2(&m, i);
	mini_snapshot(&m, "1", "a");
	mini_snapshot(&m, "2", "b");
	/* 1: the very table of the active disk, but shorter */
	img = mini_open(&m);
	entry = img->snapshots.snap[0].entry_off;
	qf_image_close(img);
	mini_put64(&m, entry, m.l1_off);
	mini_put32(&m, entry + 8, 50);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	compare_gathered(&m, &w);
	assert_int_equal(w.table[0].weight, 3);
	assert_int_equal(w.table[w.n_tables - 1].weight, 2);
	assert_int_equal(w.l1_entries_used, 200);
	assert_int_equal(qf_walk_holders(&w, 0, w.table[0].off, h, 4), 3);
	assert_int_equal(h[1], QF_HOLDER_SNAPSHOT(0));
	assert_int_equal(qf_walk_holders(&w, 199, w.table[199].off, h, 1), 2);
	assert_int_equal(h[0], QF_HOLDER_ACTIVE);
	assert_int_equal(qf_walk_holders(&w, 200, 512, h, 4), 0);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

/* 4096 snapshots, each with a long L1 table a cluster further on. */
static void crossing_without_end_is_given_up(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 32768 };
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	uint64_t at, i;

	(void)state;
	mini_make(&m, &o);
	at = mini_alloc(&m, 4096 * 40 / 512);
	for (i = 0; i < 4096; i++) {
		mini_put64(&m, at + i * 40, i * 512);
		mini_put32(&m, at + i * 40 + 8, 1 << 20);
	}
	mini_put32(&m, 60, 4096);
	mini_put64(&m, 64, at);
	img = mini_open(&m);
	assert_int_equal(img->snapshots.n, 4096);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_true(w.n_gaps > 3000);
	assert_true(w.gap[w.n_gaps - 1].crossing);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

struct counts {
	uint64_t runs, ends, wanted;
	uint64_t stop_at;
};

static bool count_runs(void *ctx, unsigned int w, const struct qf_group *g,
		       const struct qf_run *r, size_t n)
{
	struct counts *c = ctx;

	(void)w;
	(void)g;
	(void)r;
	c->runs += n;
	return true;
}

static bool count_end(void *ctx, unsigned int w, struct qf_group *g)
{
	struct counts *c = ctx;

	(void)w;
	(void)g;
	return ++c->ends != c->stop_at;
}

static bool want_second(void *ctx, const struct qf_group *g)
{
	struct counts *c = ctx;

	(void)c;
	return g->l1_index == 1;
}

static void make_small(struct mini *m)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 32768 * 4 };
	uint32_t i;

	mini_make(m, &o);
	for (i = 0; i < 256; i += 2)
		mini_data(m, i);
}

static void a_visitor_chooses_and_stops(void **state)
{
	struct counts c = { 0 };
	struct qf_visitor v = { .ctx = &c,
				.runs = count_runs,
				.end = count_end,
				.want = want_second };
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;

	(void)state;
	make_small(&m);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(qf_walk_run(&w, 1, &v, NULL), QF_OK);
	assert_int_equal(c.ends, 1);
	assert_int_equal(c.runs, 32);
	v.want = NULL;
	c = (struct counts){ .stop_at = 3 };
	assert_int_equal(qf_walk_run(&w, 1, &v, NULL), QF_ERR_STOPPED);
	assert_int_equal(c.ends, 3);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

static void unreadable_tables_are_marked(void **state)
{
	struct mini_faulty f = { 0 };
	struct counts c = { 0 };
	struct qf_visitor v = { .ctx = &c, .runs = count_runs };
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;

	(void)state;
	make_small(&m);
	f.no_cache = true;
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, NULL),
			 QF_OK);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	f.fail_off = w.table[2].off;
	f.fail_bytes = 512;
	assert_int_equal(qf_walk_run(&w, 2, &v, NULL), QF_OK);
	assert_int_equal(w.table[2].unread, EIO);
	assert_int_equal(w.table[1].unread, 0);
	assert_true(w.table[1].filled);
	assert_false(w.table[2].filled);
	assert_true(f.hints > 0);
	qf_walk_free(&w);
	/* the L1 table itself */
	f.fail_off = m.l1_off;
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(w.n_gaps, 1);
	assert_int_equal(w.gap[0].off, m.l1_off);
	assert_int_equal(w.gap[0].sys, EIO);
	assert_int_equal(w.gap[0].holder, QF_HOLDER_ACTIVE);
	assert_int_equal(w.n_tables, 0);
	assert_int_equal(qf_walk_run(&w, 1, &v, NULL), QF_OK);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

struct claims {
	uint64_t n[QF_REF_KINDS], bad;
	uint64_t stop_at, all;
};

static bool count_claim(void *ctx, const struct qf_claim *cl)
{
	struct claims *c = ctx;

	c->n[cl->kind]++;
	return ++c->all != c->stop_at;
}

static bool count_bad(void *ctx, const struct qf_claim *cl, uint64_t entry)
{
	struct claims *c = ctx;

	(void)entry;
	c->bad += cl->kind == QF_REF_BITMAP_DATA;
	return true;
}

static void all_metadata_once(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 12,
			       .refcount_order = 4,
			       .disk_bytes = 8 << 20 };
	struct claims c = { 0 };
	struct qf_claim_fns fns = { .ctx = &c,
				    .claim = count_claim,
				    .bad = count_bad };
	struct qf_image *img;
	uint64_t table, i;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	mini_data(&m, 7);
	mini_snapshot(&m, "1", "one");
	mini_bitmap(&m, "b0");
	img = mini_open(&m);
	table = img->bitmaps.bm[0].table_off;
	assert_int_equal(qf_walk_metadata(img, &fns), QF_OK);
	assert_int_equal(c.n[QF_REF_HEADER], 1);
	assert_int_equal(c.n[QF_REF_L1], 2);
	assert_int_equal(c.n[QF_REF_REFTABLE], 1);
	assert_int_equal(c.n[QF_REF_REFBLOCK], 1);
	assert_int_equal(c.n[QF_REF_SNAPSHOT_TABLE], 1);
	assert_int_equal(c.n[QF_REF_BITMAP_DIR], 1);
	assert_int_equal(c.n[QF_REF_BITMAP_TABLE], 1);
	assert_int_equal(c.n[QF_REF_BITMAP_DATA], 1);
	assert_int_equal(c.n[QF_REF_CRYPTO] + c.n[QF_REF_L2] + c.bad, 0);
	for (i = 1; i < c.all; i++) {
		struct claims once = { .stop_at = i };

		fns.ctx = &once;
		assert_int_equal(qf_walk_metadata(img, &fns), QF_ERR_STOPPED);
	}
	qf_image_close(img);
	/* all ones owns nothing; with an offset it breaks the rules */
	fns.ctx = &c;
	mini_put64(&m, table, 1);
	img = mini_open(&m);
	memset(&c, 0, sizeof(c));
	assert_int_equal(qf_walk_metadata(img, &fns), QF_OK);
	assert_int_equal(c.n[QF_REF_BITMAP_DATA] + c.bad, 0);
	mini_put64(&m, table, 0x3001);
	assert_int_equal(qf_walk_metadata(img, &fns), QF_OK);
	assert_int_equal(c.n[QF_REF_BITMAP_DATA], 0);
	assert_int_equal(c.bad, 1);
	qf_image_close(img);
	mini_free(&m);
}

static void without_memory(void **state)
{
	struct counts c = { 0 };
	struct qf_visitor v = { .ctx = &c, .runs = count_runs };
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	enum qf_err err;
	long n;

	(void)state;
	tangle_make(&m, 1, 9, false, 5);
	img = mini_open(&m);
	for (n = 1, err = QF_ERR_NOMEM; err; n++) {
		assert_true(n < 1000);
		qf_mem_fail_at(n);
		err = qf_walk_gather(img, &w, NULL);
		if (!err) {
			err = qf_walk_run(&w, 1, &v, NULL);
			qf_walk_free(&w);
		}
		qf_mem_fail_at(0);
		if (err)
			assert_int_equal(err, QF_ERR_NOMEM);
	}
	assert_true(n > 8);
	qf_image_close(img);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gathered_as_read_one_by_one),
		cmocka_unit_test(shared_and_crossing_l1_tables),
		cmocka_unit_test(crossing_without_end_is_given_up),
		cmocka_unit_test(a_visitor_chooses_and_stops),
		cmocka_unit_test(unreadable_tables_are_marked),
		cmocka_unit_test(all_metadata_once),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
