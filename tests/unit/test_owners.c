// SPDX-License-Identifier: GPL-2.0-or-later
/* Against owners found by following every pointer of every holder by hand. */
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#define MAX_CLUSTERS 4096u
#define MAX_HOLDERS 9u

/* By hand: which holders need a cluster, as what, and how often. */
struct byhand {
	bool needs[MAX_CLUSTERS][MAX_HOLDERS];
	uint16_t kinds[MAX_CLUSTERS];
	uint32_t refs[MAX_CLUSTERS];
};

static void note(struct byhand *b, const struct qf_image *img, uint32_t holder,
		 enum qf_ref_kind kind, uint64_t off, uint64_t bytes)
{
	uint64_t c;

	for (c = off >> img->geo.cluster_bits;
	     c <= (off + bytes - 1) >> img->geo.cluster_bits; c++) {
		if (c >= qf_image_clusters(img))
			continue;
		if (holder != QF_HOLDER_IMAGE)
			b->needs[c][holder] = true;
		b->kinds[c] |= (uint16_t)(1u << kind);
		b->refs[c]++;
	}
}

static void follow_l2(struct byhand *b, const struct mini *m,
		      const struct qf_image *img, uint32_t h, uint64_t l2)
{
	uint64_t i, e, off, sectors;

	for (i = 0; i < img->geo.l2_entries; i++) {
		e = mini_get64(m, l2 + i * 8);
		if (e & MINI_COMPRESSED) {
			off = e & img->geo.coffset_mask;
			sectors = (e >> img->geo.csize_shift &
				   img->geo.csize_mask) +
				  1;
			note(b, img, h, QF_REF_COMPRESSED, off,
			     sectors * 512 - off % 512);
		} else if (e & QF_ENTRY_OFFSET_MASK) {
			note(b, img, h, QF_REF_DATA, e & QF_ENTRY_OFFSET_MASK,
			     m->cluster_bytes);
		}
	}
}

static bool note_claim(void *ctx, const struct qf_claim *c)
{
	void **both = ctx;

	note(both[0], both[1],
	     c->kind == QF_REF_L1 ? c->holder : QF_HOLDER_IMAGE, c->kind,
	     c->off, c->bytes);
	return true;
}

static void follow(struct byhand *b, const struct mini *m, struct qf_image *img)
{
	void *both[2] = { b, img };
	struct qf_claim_fns fns = { .ctx = both, .claim = note_claim };
	uint64_t l1, e;
	uint32_t h, i, entries;

	memset(b, 0, sizeof(*b));
	assert_int_equal(qf_walk_metadata(img, &fns), QF_OK);
	for (h = 0; h < qf_image_holders(img); h++) {
		assert_true(qf_image_l1(img, h, &l1, &entries));
		for (i = 0; i < entries; i++) {
			e = mini_get64(m, l1 + i * 8) & QF_ENTRY_OFFSET_MASK;
			if (!e)
				continue;
			note(b, img, h, QF_REF_L2, e, m->cluster_bytes);
			follow_l2(b, m, img, h, e);
		}
	}
}

/* A disk written here and there, with snapshots in between. */
static void random_image(struct dice *d, struct mini *m)
{
	const uint32_t bits = 9 + (uint32_t)dice_below(d, 3);
	struct mini_opts o = { .version = 3,
			       .cluster_bits = bits,
			       .refcount_order = 4,
			       .disk_bytes = 200ull << bits };
	uint32_t snaps = (uint32_t)dice_below(d, MAX_HOLDERS), i, k;
	char name[16];

	mini_make(m, &o);
	for (i = 0; i <= snaps; i++) {
		for (k = (uint32_t)dice_below(d, 30); k > 0; k--) {
			if (dice_once_in(d, 4))
				mini_packed(m, dice_below(d, 200),
					    200 + dice_below(d, 300));
			else
				mini_data(m, dice_below(d, 200));
		}
		snprintf(name, sizeof(name), "%u", i + 1);
		if (i < snaps)
			mini_snapshot(m, name, name);
	}
	if (dice_once_in(d, 2))
		mini_bitmap(m, "b");
	for (k = (uint32_t)dice_below(d, 4); k > 0; k--)
		mini_alloc(m, 1 + dice_below(d, 3)); /* leaked */
}

static void check_clusters(const struct qf_owners *o, const struct byhand *b,
			   const struct qf_image *img)
{
	const struct qf_owners_class *c;
	uint64_t i, refcount;
	uint32_t h;

	for (i = 0; i < qf_image_clusters(img); i++) {
		c = qf_owners_class(o, qf_owners_at(o, i, UINT64_MAX, NULL));
		assert_int_equal(c->kinds, b->kinds[i]);
		for (h = 0; h < qf_image_holders(img); h++)
			assert_int_equal(qf_spanset_has(qf_owners_sets(o),
							c->set, h),
					 b->needs[i][h]);
		assert_int_equal(qf_image_refcount(img, i, &refcount, NULL),
				 QF_OK);
		assert_int_equal(c->flags, !b->kinds[i] && refcount
						   ? QF_OWNERS_LEAKED
						   : 0);
	}
}

/* The runs cover the file, and no two that touch are alike. */
static void check_runs(const struct qf_owners *o)
{
	uint64_t at = 0, end, n = qf_owners_clusters(o), i;
	uint32_t cls, last = UINT32_MAX;

	for (; at < n; at = end) {
		cls = qf_owners_at(o, at, UINT64_MAX, &end);
		assert_true(end > at && end <= n);
		assert_int_not_equal(cls, last);
		for (i = at; i < end; i++)
			assert_int_equal(qf_owners_at(o, i, i + 1, NULL), cls);
		last = cls;
	}
}

static void check_found(struct qf_walk *w, const struct byhand *b)
{
	static struct qf_owner_list all[MAX_CLUSTERS];
	static uint64_t cluster[MAX_CLUSTERS];
	uint64_t n = qf_image_clusters(w->img), c;
	struct qf_owner_list list;
	size_t i;

	for (c = 0; c < n; c++)
		cluster[c] = c;
	assert_int_equal(qf_owners_find_all(w, 2, cluster, n, 1000, all, NULL),
			 QF_OK);
	for (c = 0; c < n; c++) {
		assert_int_equal(all[c].n, b->refs[c]);
		qf_owners_list_free(&all[c]);
	}
	for (c = 0; c < n; c++) {
		assert_int_equal(qf_owners_find(w, 1, c, 1000, &list, NULL),
				 QF_OK);
		assert_int_equal(list.total, b->refs[c]);
		assert_int_equal(list.n, b->refs[c]);
		for (i = 0; i < list.n; i++) {
			assert_true(b->kinds[c] >> list.at[i].kind & 1);
			if (list.at[i].pointer)
				assert_true(list.at[i].guest_off != QF_NOWHERE);
		}
		qf_owners_list_free(&list);
	}
}

static void as_by_hand(void **state)
{
	static struct byhand b;
	struct dice d = { 6 };
	struct qf_owners *o;
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	unsigned int i;

	(void)state;
	for (i = 0; i < 120; i++) {
		random_image(&d, &m);
		img = mini_open(&m);
		assert_true(qf_image_clusters(img) < MAX_CLUSTERS);
		follow(&b, &m, img);
		assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
		assert_int_equal(qf_owners_make(&w, &o, NULL), QF_OK);
		check_clusters(o, &b, img);
		check_runs(o);
		if (i % 10 == 0)
			check_found(&w, &b);
		qf_owners_free(o);
		qf_walk_free(&w);
		qf_image_close(img);
		mini_free(&m);
	}
}

/* Two guest clusters in one host cluster, and data on an L2 table. */
static void twice(void **state)
{
	struct mini_opts opts = { .version = 3,
				  .cluster_bits = 16,
				  .refcount_order = 4,
				  .disk_bytes = 1 << 20 };
	const struct qf_owners_class *c;
	struct qf_owner_list list;
	struct qf_owners *o;
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	uint64_t data, l2;

	(void)state;
	mini_make(&m, &opts);
	data = mini_data(&m, 3);
	l2 = mini_l2(&m, 0);
	mini_put64(&m, mini_entry_off(&m, 5), data | MINI_COPIED);
	mini_put64(&m, mini_entry_off(&m, 7), l2 | MINI_COPIED);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(qf_owners_make(&w, &o, NULL), QF_OK);
	c = qf_owners_class(o, qf_owners_at(o, data >> 16, UINT64_MAX, NULL));
	assert_int_equal(c->flags, QF_OWNERS_TWICE);
	assert_int_equal(qf_owners_kind(c), QF_REF_DATA);
	c = qf_owners_class(o, qf_owners_at(o, l2 >> 16, UINT64_MAX, NULL));
	assert_int_equal(c->flags, QF_OWNERS_TWICE);
	assert_int_equal(qf_owners_kind(c), QF_REF_L2);
	assert_int_equal(qf_owners_find(&w, 1, data >> 16, 100, &list, NULL),
			 QF_OK);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.at[0].guest_off, 3 << 16);
	assert_int_equal(list.at[1].guest_off, 5 << 16);
	assert_int_equal(list.at[1].pointer_off, l2 + 5 * 8);
	assert_int_equal(list.at[1].pointer, data | MINI_COPIED);
	qf_owners_list_free(&list);
	assert_int_equal(qf_owners_find(&w, 2, data >> 16, 1, &list, NULL),
			 QF_OK);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.total, 2);
	assert_int_equal(list.at[0].guest_off, 3 << 16);
	qf_owners_list_free(&list);
	qf_owners_free(o);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

/* A snapshot that uses the active disk's own L1 table. */
static void shared_l1(void **state)
{
	struct mini_opts opts = { .version = 3,
				  .cluster_bits = 16,
				  .refcount_order = 4,
				  .disk_bytes = 1 << 20 };
	const struct qf_owners_class *c;
	struct qf_owners *o;
	struct qf_image *img;
	struct qf_walk w;
	struct mini m;
	uint64_t data;

	(void)state;
	mini_make(&m, &opts);
	data = mini_data(&m, 3);
	mini_snapshot(&m, "1", "one");
	mini_put64(&m, m.snap_off, m.l1_off);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(qf_owners_make(&w, &o, NULL), QF_OK);
	c = qf_owners_class(o,
			    qf_owners_at(o, m.l1_off >> 16, UINT64_MAX, NULL));
	assert_int_equal(c->flags, QF_OWNERS_TWICE);
	assert_int_equal(qf_spanset_size(qf_owners_sets(o), c->set), 2);
	c = qf_owners_class(o, qf_owners_at(o, data >> 16, UINT64_MAX, NULL));
	assert_int_equal(c->flags, 0);
	assert_int_equal(qf_spanset_size(qf_owners_sets(o), c->set), 2);
	qf_owners_free(o);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

static void without_memory(void **state)
{
	struct dice d = { 77 };
	struct qf_owners *o = NULL;
	struct qf_image *img;
	struct qf_why why;
	struct qf_walk w;
	struct mini m;
	long n;

	(void)state;
	random_image(&d, &m);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	for (n = 1;; n++) {
		qf_mem_fail_at(n);
		if (!qf_owners_make(&w, &o, &why))
			break;
		assert_int_equal(why.err, QF_ERR_NOMEM);
	}
	qf_mem_fail_at(0);
	assert_true(n > 10);
	qf_owners_free(o);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_by_hand),
		cmocka_unit_test(twice),
		cmocka_unit_test(shared_l1),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
