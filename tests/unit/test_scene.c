// SPDX-License-Identifier: GPL-2.0-or-later
/* The scene: cells, bars and marks against counting cluster by cluster. */
#include "tests/unit/unit.h"
#include "viz/draw/scene.h"

#define CLUSTERS 1000
#define HOLDERS 5

/* A file whose every cluster is known. */
struct known {
	struct qf_scene s;
	enum qf_kind kind[CLUSTERS];
	unsigned int holders[CLUSTERS]; /* a bit each */
	enum qf_kind seen[CLUSTERS];	/* the same, or what is worse */
};

static uint32_t set_of(struct qf_scene *s, unsigned int bits)
{
	struct qf_scene_span span[HOLDERS];
	uint32_t n = 0, i;

	for (i = 0; i < HOLDERS; i++) {
		if (!(bits >> i & 1))
			continue;
		if (n && span[n - 1].first + span[n - 1].n == i)
			span[n - 1].n++;
		else
			span[n++] = (struct qf_scene_span){ i, 1 };
	}
	return qf_scene_add_set(s, span, n);
}

static void make(struct known *k, uint64_t seed)
{
	static const enum qf_kind nobody[] = { QF_KIND_FREE, QF_KIND_FREE,
					       QF_KIND_LEAKED,
					       QF_KIND_UNOWNED };
	struct dice dice = { seed };
	uint64_t at, n, i;
	uint32_t set[1 << HOLDERS];

	memset(k, 0, sizeof(*k));
	qf_scene_init(&k->s, CLUSTERS * 4096 - 100, 12, HOLDERS);
	for (i = 0; i < HOLDERS; i++) {
		k->s.holder[i].id = strdup("x");
		k->s.holder[i].name = strdup("");
	}
	for (i = 1; i < 1 << HOLDERS; i++)
		set[i] = set_of(&k->s, (unsigned int)i);
	for (at = 0; at < CLUSTERS; at += n) {
		unsigned int bits =
			(unsigned int)(dice_below(&dice, 2) *
				       dice_below(&dice, 1 << HOLDERS));
		enum qf_kind kind = bits ? QF_KIND_ACTIVE
					 : nobody[dice_below(&dice, 4)];

		n = 1 + dice_below(&dice, 30);
		if (kind != QF_KIND_FREE)
			qf_scene_add_run(&k->s, at, n, kind,
					 bits ? set[bits] : 0, QF_KIND_FREE);
		for (i = at; i < at + n && i < CLUSTERS; i++) {
			k->kind[i] = k->seen[i] = kind;
			k->holders[i] = bits;
		}
	}
	for (i = 0; i < 12; i++) {
		enum qf_kind kind = i % 3 ? QF_KIND_DOUBTFUL : QF_KIND_DAMAGED;

		at = dice_below(&dice, CLUSTERS);
		n = 1 + dice_below(&dice, 40);
		qf_scene_add_wrong(&k->s, at, n, kind);
		for (; n-- && at < CLUSTERS; at++)
			if (k->seen[at] < kind)
				k->seen[at] = kind;
	}
	qf_scene_finish(&k->s, QF_KIND_FREE);
	assert_false(k->s.failed);
}

static enum qf_kind expected(const struct known *k, uint64_t from, uint64_t to)
{
	uint64_t free = 0, active = 0, i;
	enum qf_kind worst = QF_KIND_FREE;

	for (i = from; i < to && i < CLUSTERS; i++) {
		worst = k->seen[i] > worst ? k->seen[i] : worst;
		free += k->kind[i] == QF_KIND_FREE;
		active += k->kind[i] == QF_KIND_ACTIVE;
	}
	if (worst >= QF_KIND_LEAKED)
		return worst;
	return active > free ? QF_KIND_ACTIVE : QF_KIND_FREE;
}

static void test_cells(void **unused)
{
	static const uint64_t per[] = { 1, 2, 3, 7, 64, 1000, 5000 };
	struct qf_scene_cell cell[1100];
	struct known k;
	uint64_t seed, first;
	size_t p, i, n;

	(void)unused;
	for (seed = 1; seed < 20; seed++) {
		make(&k, seed);
		for (p = 0; p < sizeof(per) / sizeof(per[0]); p++) {
			first = seed * 3 * per[p] % CLUSTERS;
			n = (CLUSTERS - first + per[p] - 1) / per[p];
			qf_scene_cells(&k.s, first, per[p], n + 5, cell);
			for (i = 0; i < n; i++)
				assert_int_equal(
					cell[i].kind,
					expected(&k, first + i * per[p],
						 first + (i + 1) * per[p]));
			for (; i < n + 5; i++)
				assert_int_equal(cell[i].kind, QF_KINDS);
		}
		qf_scene_free(&k.s);
	}
}

static void test_totals(void **unused)
{
	uint64_t total[QF_KINDS] = { 0 }, i;
	struct known k;
	uint32_t set;

	(void)unused;
	make(&k, 7);
	for (i = 0; i < CLUSTERS; i++) {
		total[k.seen[i]]++;
		assert_int_equal(qf_scene_at(&k.s, i, &set), k.seen[i]);
		assert_int_equal(qf_scene_under(&k.s, i, &set), k.kind[i]);
		assert_int_equal(qf_scene_holds(&k.s, set, 3),
				 k.holders[i] >> 3 & 1);
	}
	assert_memory_equal(k.s.total, total, sizeof(total));
	/* what may be lost was leaked after all */
	qf_scene_rename(&k.s, QF_KIND_UNOWNED, QF_KIND_LEAKED);
	qf_scene_refinish(&k.s);
	for (i = 0; i < CLUSTERS; i++)
		assert_int_not_equal(qf_scene_at(&k.s, i, &set),
				     QF_KIND_UNOWNED);
	assert_true(k.s.total[QF_KIND_LEAKED] > total[QF_KIND_LEAKED]);
	qf_scene_free(&k.s);
}

static void test_holders_and_marks(void **unused)
{
	struct known k;
	unsigned int marks, h;
	uint64_t freed, i, ref, alone;

	(void)unused;
	make(&k, 11);
	for (h = 0; h < HOLDERS; h++) {
		for (i = ref = alone = 0; i < CLUSTERS; i++) {
			ref += k.holders[i] >> h & 1;
			alone += k.holders[i] == 1u << h;
		}
		assert_int_equal(k.s.holder[h].referenced, ref);
		assert_int_equal(k.s.holder[h].exclusive, alone);
	}
	for (marks = 0; marks < 1 << HOLDERS; marks++) {
		for (h = 0; h < HOLDERS; h++)
			k.s.holder[h].marked = marks >> h & 1;
		for (i = freed = 0; i < CLUSTERS; i++)
			freed += k.holders[i] && !(k.holders[i] & ~marks);
		assert_int_equal(qf_scene_mark(&k.s), freed);
	}
	qf_scene_free(&k.s);
}

/* A cell shows the strongest mark in it, and whether most of it has that. */
static void test_marked_cells(void **unused)
{
	struct qf_scene_cell cell[CLUSTERS / 10];
	uint64_t i, k, alone, shared;
	struct known f;

	(void)unused;
	make(&f, 31);
	f.s.holder[1].marked = f.s.holder[2].marked = true;
	qf_scene_mark(&f.s);
	qf_scene_cells(&f.s, 0, 10, CLUSTERS / 10, cell);
	for (i = 0; i < CLUSTERS / 10; i++) {
		for (k = i * 10, alone = shared = 0; k < i * 10 + 10; k++) {
			alone += f.holders[k] && !(f.holders[k] & ~6u);
			shared += (f.holders[k] & 6) && (f.holders[k] & ~6u);
		}
		assert_int_equal(cell[i].mark, alone	? QF_MARK_EXCLUSIVE
					       : shared ? QF_MARK_SHARED
							: QF_MARK_NONE);
		if (alone || shared)
			assert_int_equal(cell[i].mostly,
					 (alone ? alone : shared) > 5);
	}
	qf_scene_free(&f.s);
}

static void test_bars(void **unused)
{
	static const size_t widths[] = { 1, 10, 77, 1000 };
	uint8_t level[HOLDERS * 1000];
	uint64_t from, to, i, n;
	struct known k;
	size_t w, x;
	uint32_t h;

	(void)unused;
	make(&k, 23);
	for (w = 0; w < 4; w++) {
		assert_true(qf_scene_bars(&k.s, widths[w], 1, 3, level));
		for (x = 0; x < widths[w]; x++) {
			from = CLUSTERS / widths[w] * x +
			       CLUSTERS % widths[w] * x / widths[w];
			to = CLUSTERS / widths[w] * (x + 1) +
			     CLUSTERS % widths[w] * (x + 1) / widths[w];
			for (h = 1; h < 4; h++) {
				for (i = from, n = 0; i < to; i++)
					n += k.holders[i] >> h & 1;
				assert_int_equal(
					level[(h - 1) * widths[w] + x],
					n ? 1 + (n * 7 + (to - from) / 2) /
								(to - from)
					  : 0);
			}
		}
	}
	/* more parts than clusters: what is there is seen */
	qf_scene_free(&k.s);
	qf_scene_init(&k.s, 8192, 12, 1);
	k.s.holder[0].id = strdup("x");
	qf_scene_add_run(&k.s, 0, 1, QF_KIND_ACTIVE,
			 qf_scene_add_set(&k.s, &(struct qf_scene_span){ 0, 1 },
					  1),
			 QF_KIND_FREE);
	qf_scene_finish(&k.s, QF_KIND_FREE);
	assert_true(qf_scene_bars(&k.s, 10, 0, 1, level));
	assert_memory_equal(level, "\10\10\10\10\10\0\0\0\0\0", 10);
	qf_scene_free(&k.s);
}

/* Runs past the end, out of order and of no length are cut, not believed. */
static void test_hostile(void **unused)
{
	struct qf_scene_cell cell[4];
	struct qf_scene s;

	(void)unused;
	qf_scene_init(&s, 4096 * 4, 12, 0);
	qf_scene_add_run(&s, 2, UINT64_MAX, QF_KIND_L2, 0, QF_KIND_FREE);
	qf_scene_add_run(&s, 0, 9, QF_KIND_L1, 99, QF_KIND_FREE);
	qf_scene_add_wrong(&s, UINT64_MAX, UINT64_MAX, QF_KIND_DAMAGED);
	qf_scene_add_wrong(&s, 3, UINT64_MAX, QF_KIND_DAMAGED);
	qf_scene_finish(&s, QF_KIND_FREE);
	qf_scene_cells(&s, 0, 1, 4, cell);
	assert_int_equal(cell[1].kind, QF_KIND_FREE);
	assert_int_equal(cell[2].kind, QF_KIND_L2);
	assert_int_equal(cell[3].kind, QF_KIND_DAMAGED);
	qf_scene_free(&s);
	/* an empty file */
	qf_scene_init(&s, 0, 16, 0);
	qf_scene_finish(&s, QF_KIND_FREE);
	qf_scene_cells(&s, 0, 1, 4, cell);
	assert_int_equal(cell[0].kind, QF_KINDS);
	qf_scene_free(&s);
}

/* Stretches of bytes: a cluster shows the gravest of its own, or its first; as
 * well when clusters have been made larger meanwhile. */
static void test_bytes(void **unused)
{
	enum qf_kind sector[4096], want;
	uint64_t seed, at, n, i, end;
	uint32_t set;
	struct qf_scene s;
	unsigned int k;

	(void)unused;
	for (seed = 1; seed < 60; seed++) {
		struct dice dice = { seed };

		qf_scene_init(&s, 4096 * 512, 11, 0);
		for (at = 0; at < 4096; at += n) {
			k = (unsigned int)dice_below(&dice, QF_KINDS);
			n = 1 + dice_below(&dice, seed % 3 ? 30 : 5);
			n = n < 4096 - at ? n : 4096 - at;
			for (i = at; i < at + n; i++)
				sector[i] = (enum qf_kind)k;
			qf_scene_add_bytes(&s, at * 512, (at + n) * 512,
					   (enum qf_kind)k, QF_KIND_FREE);
			if (seed % 4 && dice_below(&dice, 300) == 0)
				qf_scene_coarsen(&s);
		}
		qf_scene_finish(&s, QF_KIND_FREE);
		assert_false(s.failed);
		for (at = 0; at < s.clusters; at++) {
			i = at << (s.cluster_bits - 9);
			end = (at + 1) << (s.cluster_bits - 9);
			want = sector[i];
			for (; i < end && i < 4096; i++)
				if (sector[i] >= QF_KIND_LEAKED &&
				    sector[i] > want)
					want = sector[i];
			assert_int_equal(qf_scene_at(&s, at, &set), want);
		}
		qf_scene_free(&s);
	}
}

/* Both orders visit each place once; along the curve of a square, the next
 * cell is always a neighbour. */
static void test_orders(void **unused)
{
	static const int sizes[][2] = { { 1, 1 },  { 8, 8 },   { 64, 16 },
					{ 7, 5 },  { 5, 200 }, { 120, 31 },
					{ 32, 32 } };
	struct qf_order o = { 0 };
	size_t i, n, k;
	bool seen[64 * 200];

	(void)unused;
	for (i = 0; i < 14; i++) {
		int w = sizes[i / 2][0], h = sizes[i / 2][1];

		assert_true(qf_order_make(&o, w, h, i % 2));
		memset(seen, 0, sizeof(seen));
		n = (size_t)w * (size_t)h;
		for (k = 0; k < n; k++) {
			assert_true(o.place[k] < n);
			assert_false(seen[o.place[k]]);
			seen[o.place[k]] = true;
			assert_int_equal(o.number[o.place[k]], k);
			if (k && w % 8 == 0 && h % 8 == 0 && i % 2 == 1) {
				int a = (int)o.place[k - 1],
				    b = (int)o.place[k];

				assert_int_equal(abs(a % w - b % w) +
							 abs(a / w - b / w),
						 1);
			}
		}
	}
	qf_order_free(&o);
	assert_false(qf_order_make(&o, 0, 5, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_holders_and_marks),
		cmocka_unit_test(test_marked_cells),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
