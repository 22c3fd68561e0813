// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's view, against what was put into small images by hand. */
#include "lib/model/disk.h"
#include "lib/base/mem.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#define CLUSTER 65536u
#define DISK (16ull * CLUSTER)

static const struct mini_opts plain = { .version = 3,
					.cluster_bits = 16,
					.refcount_order = 4,
					.disk_bytes = DISK };

/* An opened image with its chain of one and a view of it. */
struct view {
	struct qf_image *img;
	struct qf_chain chain;
	struct qf_disk *g;
};

static void look_at(struct view *v, struct qf_image *img, uint32_t holder)
{
	v->img = img;
	assert_int_equal(qf_chain_open(img, false, &v->chain, NULL), QF_OK);
	assert_int_equal(qf_disk_open(&v->chain, holder, &v->g, NULL), QF_OK);
}

static void look_away(struct view *v)
{
	qf_disk_close(v->g);
	qf_chain_close(&v->chain);
	qf_image_close(v->img);
}

static struct qf_disk_extent at(struct view *v, uint64_t off)
{
	struct qf_disk_extent e;

	assert_int_equal(qf_disk_at(v->g, off, UINT64_MAX, &e, NULL), QF_OK);
	assert_int_equal(e.start, off);
	assert_true(e.bytes && e.bytes <= qf_disk_bytes(v->g) - off);
	return e;
}

static void kinds(void **state)
{
	struct mini m;
	struct view v;
	uint64_t data, zero, next;
	struct qf_disk_extent e;

	(void)state;
	mini_make(&m, &plain);
	data = mini_data(&m, 2);
	next = mini_data(&m, 3);
	zero = mini_data(&m, 5);
	mini_put64(&m, mini_entry_off(&m, 5), zero | MINI_COPIED | 1);
	mini_put64(&m, mini_entry_off(&m, 6), 1);
	mini_packed(&m, 8, 700);
	mini_put64(&m, mini_entry_off(&m, 9), 0x1200 | MINI_COPIED);
	mini_put64(&m, mini_entry_off(&m, 10), 1ull << 40 | MINI_COPIED);
	look_at(&v, mini_open(&m), QF_HOLDER_ACTIVE);
	e = at(&v, 0);
	assert_int_equal(e.kind, QF_DISK_NONE);
	assert_int_equal(e.bytes, 2 * CLUSTER);
	assert_true(e.zero && !e.present && !e.data);
	e = at(&v, 2 * CLUSTER + 100);
	assert_int_equal(e.kind, QF_DISK_DATA);
	assert_int_equal(e.host_off, data + 100);
	assert_int_equal(next, data + CLUSTER);
	assert_int_equal(e.bytes, 2 * CLUSTER - 100);
	assert_int_equal(e.pointer_off, mini_entry_off(&m, 2));
	e = at(&v, 5 * CLUSTER);
	assert_int_equal(e.kind, QF_DISK_ZERO_ALLOC);
	assert_int_equal(e.host_off, zero);
	assert_true(e.zero && e.present && !e.data);
	assert_int_equal(at(&v, 6 * CLUSTER).kind, QF_DISK_ZERO);
	e = at(&v, 8 * CLUSTER + 512);
	assert_int_equal(e.kind, QF_DISK_COMPRESSED);
	assert_int_equal(e.bytes, CLUSTER - 512);
	e = at(&v, 9 * CLUSTER);
	assert_int_equal(e.kind, QF_DISK_BAD);
	assert_string_equal(e.bad, "the L2 entry points into a cluster");
	e = at(&v, 10 * CLUSTER);
	assert_string_equal(e.bad, "the data lie past the end of the file");
	look_away(&v);
	mini_free(&m);
}

static void subclusters(void **state)
{
	struct mini_opts o = plain;
	struct mini m;
	struct view v;
	uint64_t data, entry;
	const uint64_t sub = CLUSTER / 32;

	(void)state;
	o.incompatible = QF_INCOMPAT_EXTL2;
	mini_make(&m, &o);
	data = mini_data(&m, 1);
	entry = mini_entry_off(&m, 1);
	/* data, data, none, zero, and the rest none */
	mini_put64(&m, entry + 8, 3ull | 8ull << 32);
	/* no cluster: zero and none; then what cannot be */
	mini_put64(&m, mini_entry_off(&m, 2) + 8, 1ull << 32);
	mini_put64(&m, mini_entry_off(&m, 3) + 8, 1);
	mini_data(&m, 4);
	mini_put64(&m, mini_entry_off(&m, 4) + 8, 1ull << 32 | 1);
	look_at(&v, mini_open(&m), QF_HOLDER_ACTIVE);
	assert_int_equal(at(&v, CLUSTER).kind, QF_DISK_DATA);
	assert_int_equal(at(&v, CLUSTER).bytes, 2 * sub);
	assert_int_equal(at(&v, CLUSTER + sub + 5).host_off, data + sub + 5);
	assert_int_equal(at(&v, CLUSTER + 2 * sub).kind, QF_DISK_NONE_ALLOC);
	assert_int_equal(at(&v, CLUSTER + 3 * sub).kind, QF_DISK_ZERO_ALLOC);
	assert_int_equal(at(&v, CLUSTER + 3 * sub).bytes, sub);
	assert_int_equal(at(&v, CLUSTER + 4 * sub).bytes, 28 * sub);
	assert_int_equal(at(&v, 2 * CLUSTER).kind, QF_DISK_ZERO);
	assert_int_equal(at(&v, 2 * CLUSTER + sub).kind, QF_DISK_NONE);
	assert_string_equal(at(&v, 3 * CLUSTER).bad,
			    "the subclusters have no cluster");
	assert_string_equal(at(&v, 4 * CLUSTER).bad,
			    "the subclusters are allocated and zero at once");
	look_away(&v);
	mini_free(&m);
}

/* Fills a data cluster with a byte of its own. */
static void fill(struct mini *m, uint64_t off, unsigned char with)
{
	memset(m->buf + off, with, CLUSTER);
}

static void snapshots(void **state)
{
	unsigned char buf[2];
	struct mini m;
	struct view v;
	uint32_t h;

	(void)state;
	mini_make(&m, &plain);
	fill(&m, mini_data(&m, 1), 'a');
	mini_snapshot(&m, "1", "one");
	fill(&m, mini_data(&m, 1), 'b');
	mini_snapshot(&m, "2", "two");
	fill(&m, mini_data(&m, 1), 'c');
	fill(&m, mini_data(&m, 2), 'd');
	for (h = 0; h < 3; h++) {
		look_at(&v, mini_open(&m), h);
		assert_int_equal(qf_disk_read(v.g, buf, 2, 2 * CLUSTER - 1,
					      NULL, NULL, NULL),
				 QF_OK);
		assert_int_equal(buf[0], "cab"[h]);
		assert_int_equal(buf[1], h ? 0 : 'd');
		look_away(&v);
	}
	mini_free(&m);
}

/* What was lost, for the tests of reading. */
struct lost {
	uint64_t start[64], bytes[64];
	const char *reason[64];
	size_t n, stop_at;
};

static bool lose(void *ctx, uint64_t start, uint64_t bytes, const char *reason)
{
	struct lost *l = ctx;

	assert_true(l->n < 64);
	l->start[l->n] = start;
	l->bytes[l->n] = bytes;
	l->reason[l->n++] = reason;
	return !l->stop_at || l->n < l->stop_at;
}

/* What a judge calls lost: nothing where nothing is mapped, and in doubt
 * where there is something. */
static void lost_ranges(void **state)
{
	static unsigned char buf[DISK];
	struct lost gone = { 0 }, doubts = { 0 };
	struct qf_ranges r = { 0 };
	struct qf_disk_extent e;
	struct mini m;
	struct view v;

	(void)state;
	mini_make(&m, &plain);
	fill(&m, mini_data(&m, 4), 'x');
	look_at(&v, mini_open(&m), QF_HOLDER_ACTIVE);
	assert_false(at(&v, 0).lost);
	assert_null(qf_disk_lost_from(v.g, 0));
	assert_true(qf_ranges_add(&r, 2 * CLUSTER, 3 * CLUSTER));
	assert_true(qf_ranges_add(&r, DISK, CLUSTER));
	qf_disk_lose(v.g, 0, &r);
	assert_int_equal(r.n, 0);
	assert_int_equal(at(&v, 0).bytes, 2 * CLUSTER);
	assert_true(at(&v, 0).zero);
	e = at(&v, 2 * CLUSTER);
	assert_int_equal(e.kind, QF_DISK_BAD);
	assert_true(e.lost && e.bad && !e.zero && !e.present);
	assert_int_equal(e.bytes, 2 * CLUSTER);
	e = at(&v, 4 * CLUSTER);
	assert_int_equal(e.kind, QF_DISK_DATA);
	assert_true(e.lost && e.bad && e.present);
	assert_int_equal(e.bytes, CLUSTER);
	assert_false(at(&v, 5 * CLUSTER).lost);
	assert_int_equal(qf_disk_lost_from(v.g, DISK)->off, DISK);

	qf_disk_tell_doubts(v.g, lose, &doubts);
	assert_int_equal(qf_disk_read(v.g, buf, DISK, 0, lose, &gone, NULL),
			 QF_OK);
	assert_int_equal(gone.n, 1);
	assert_int_equal(gone.start[0], 2 * CLUSTER);
	assert_int_equal(gone.bytes[0], 2 * CLUSTER);
	assert_int_equal(doubts.n, 1);
	assert_int_equal(doubts.start[0], 4 * CLUSTER);
	assert_int_equal(buf[4 * CLUSTER], 'x');
	doubts.n = 0;
	doubts.stop_at = 1;
	assert_int_equal(qf_disk_read(v.g, buf, DISK, 0, NULL, NULL, NULL),
			 QF_ERR_STOPPED);
	look_away(&v);
	mini_free(&m);
}

static void read_errors(void **state)
{
	static unsigned char buf[DISK];
	struct mini_faulty f = { 0 };
	struct lost l = { 0 };
	struct qf_image *img;
	struct mini m;
	struct view v;
	uint64_t data;

	(void)state;
	mini_make(&m, &plain);
	data = mini_data(&m, 4);
	fill(&m, data, 'x');
	f.fail_off = data + 1024;
	f.fail_bytes = 1000;
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, NULL),
			 QF_OK);
	look_at(&v, img, QF_HOLDER_ACTIVE);
	assert_int_equal(qf_disk_read(v.g, buf, DISK, 0, lose, &l, NULL),
			 QF_OK);
	/* the two sectors, and nothing else */
	assert_int_equal(l.n, 2);
	assert_int_equal(l.start[0], 4 * CLUSTER + 1024);
	assert_int_equal(l.start[1], 4 * CLUSTER + 1536);
	assert_int_equal(l.bytes[1], 512);
	assert_int_equal(buf[4 * CLUSTER + 1023], 'x');
	assert_int_equal(buf[4 * CLUSTER + 1024], 0);
	assert_int_equal(buf[4 * CLUSTER + 2047], 0);
	assert_int_equal(buf[4 * CLUSTER + 2048], 'x');
	assert_int_equal(buf[3 * CLUSTER], 0);
	l.n = 0;
	l.stop_at = 1;
	assert_int_equal(qf_disk_read(v.g, buf, DISK, 0, lose, &l, NULL),
			 QF_ERR_STOPPED);
	look_away(&v);

	/* the L2 table itself */
	f = (struct mini_faulty){ .fail_off = mini_l2(&m, 0), .fail_bytes = 8 };
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, NULL),
			 QF_OK);
	look_at(&v, img, QF_HOLDER_ACTIVE);
	assert_string_equal(at(&v, 0).bad, "the L2 table cannot be read");
	look_away(&v);

	/* the L1 table: its first sector */
	f = (struct mini_faulty){ .fail_off = m.l1_off, .fail_bytes = 8 };
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, NULL),
			 QF_OK);
	look_at(&v, img, QF_HOLDER_ACTIVE);
	assert_string_equal(at(&v, 0).bad, "the L1 table cannot be read here");
	look_away(&v);
	mini_free(&m);
}

static void compressed(void **state)
{
	static unsigned char buf[CLUSTER];
	struct lost l = { 0 };
	struct mini m;
	struct view v;

	(void)state;
	mini_make(&m, &plain);
	/* what the builder packs is no stream */
	mini_packed(&m, 1, 600);
	look_at(&v, mini_open(&m), QF_HOLDER_ACTIVE);
	assert_int_equal(qf_disk_read(v.g, buf, 100, CLUSTER + 300, lose, &l,
				      NULL),
			 QF_OK);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.start[0], CLUSTER + 300);
	assert_int_equal(l.bytes[0], 100);
	assert_memory_equal(l.reason[0], "the compressed data", 19);
	look_away(&v);
	mini_free(&m);
}

/* Every piece of the disk is told once, whatever the tables hold. */
static void garbage(void **state)
{
	struct qf_disk_extent e;
	struct dice d = { 12 };
	struct mini m;
	struct view v;
	uint64_t off, l2, i;
	int round;

	(void)state;
	for (round = 0; round < 60; round++) {
		struct mini_opts o = plain;

		if (round % 3 == 1)
			o.incompatible = QF_INCOMPAT_EXTL2;
		o.version = round % 3 == 2 ? 2 : 3;
		mini_make(&m, &o);
		l2 = mini_l2(&m, 0);
		for (i = 0; i < 32; i++)
			mini_put64(&m, l2 + i * 8,
				   dice_roll(&d) >> dice_below(&d, 50));
		if (dice_once_in(&d, 5))
			mini_put64(&m, m.l1_off, dice_roll(&d));
		look_at(&v, mini_open(&m), QF_HOLDER_ACTIVE);
		for (off = 0; off < DISK; off += e.bytes) {
			e = at(&v, off);
			assert_int_equal(e.kind == QF_DISK_BAD, e.bad != NULL);
		}
		assert_int_equal(off, DISK);
		look_away(&v);
		mini_free(&m);
	}
}

static void without_memory(void **state)
{
	struct qf_chain chain;
	struct qf_disk_extent e;
	struct qf_disk *g;
	struct qf_image *img;
	enum qf_err err;
	struct mini m;
	long n;

	(void)state;
	mini_make(&m, &plain);
	mini_data(&m, 1);
	img = mini_open(&m);
	for (n = 1, err = QF_ERR_NOMEM; err; n++) {
		qf_mem_fail_at(n);
		g = NULL;
		err = qf_chain_open(img, true, &chain, NULL);
		if (!err)
			err = qf_disk_open(&chain, QF_HOLDER_ACTIVE, &g, NULL);
		if (!err)
			err = qf_disk_at(g, 0, DISK, &e, NULL);
		qf_mem_fail_at(0);
		assert_true(!err || err == QF_ERR_NOMEM);
		qf_disk_close(g);
		qf_chain_close(&chain);
	}
	assert_true(n > 4);
	qf_image_close(img);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),	  cmocka_unit_test(subclusters),
		cmocka_unit_test(snapshots),	  cmocka_unit_test(read_errors),
		cmocka_unit_test(compressed),	  cmocka_unit_test(garbage),
		cmocka_unit_test(without_memory), cmocka_unit_test(lost_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
