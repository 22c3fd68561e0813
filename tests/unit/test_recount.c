// SPDX-License-Identifier: GPL-2.0-or-later
/* The recount against counting every entry of every holder, one by one. */
#include "lib/base/mem.h"
#include "lib/walk/recount.h"
#include "tests/unit/tangle.h"
#include "tests/unit/unit.h"

/* One who refers to a cluster; the same one twice is one owner. */
struct owner {
	uint64_t cluster;
	uint64_t who[3];
	bool packed;
};

struct plain {
	const struct mini *m;
	const struct qf_image *img;
	uint64_t clusters;
	uint64_t *count;
	uint8_t *flags;
	struct owner *owner;
	size_t n_owners, room;
	uint64_t odd[QF_ODD_KINDS];
};

static void count_range(struct plain *p, uint64_t off, uint64_t bytes,
			unsigned int flags, const struct owner *o)
{
	uint64_t c, cb = p->m->cluster_bytes;

	if (!bytes || off + bytes < off || off + bytes >= p->m->bytes + cb)
		return;
	for (c = off / cb; c <= (off + bytes - 1) / cb; c++) {
		p->count[c]++;
		p->flags[c] = (uint8_t)(p->flags[c] | flags);
		assert_true(qf_mem_grow((void **)&p->owner, p->n_owners,
					&p->room, sizeof(*o)));
		p->owner[p->n_owners] = *o;
		p->owner[p->n_owners++].cluster = c;
	}
}

static void count_l2_entry(struct plain *p, bool active, uint64_t e, uint64_t b,
			   uint64_t slot)
{
	const struct qf_geometry *g = &p->img->geo;
	enum qf_entry_kind kind = qf_entry_kind(g, e);
	unsigned int odd = qf_entry_l2_odd(g, 3, p->m->bytes, e, b), k;
	struct owner o = { .who = { 2, slot, e & QF_ENTRY_OFFSET_MASK } };
	uint64_t off = e & QF_ENTRY_OFFSET_MASK, bytes = g->cluster_bytes;

	for (k = 0; k < QF_ODD_KINDS; k++)
		p->odd[k] += odd >> k & 1;
	if (kind == QF_ENTRY_KIND_NONE || kind == QF_ENTRY_KIND_ZERO ||
	    odd & QF_ODD_COMPRESSED_BITMAP)
		return;
	if (kind == QF_ENTRY_KIND_COMPRESSED) {
		o.packed = true;
		o.who[2] = e & ~QF_ENTRY_COPIED;
		qf_entry_compressed(g, e, &off, &bytes);
		count_range(p, off, bytes, QF_LEDGER_PACKED, &o);
		return;
	}
	count_range(p, off, bytes,
		    !active		  ? 0
		    : e & QF_ENTRY_COPIED ? QF_LEDGER_COPIED
					  : QF_LEDGER_PLAIN,
		    &o);
}

static void count_l1_entry(struct plain *p, uint32_t holder, uint32_t index,
			   uint64_t e)
{
	const struct qf_geometry *g = &p->img->geo;
	uint64_t off = e & QF_ENTRY_OFFSET_MASK, at;
	struct owner o = { .who = { 1, index, off } };
	bool active = holder == QF_HOLDER_ACTIVE;
	uint32_t i;

	if (!e)
		return;
	count_range(p, off, g->cluster_bytes,
		    !active		  ? 0
		    : e & QF_ENTRY_COPIED ? QF_LEDGER_COPIED
					  : QF_LEDGER_PLAIN,
		    &o);
	for (i = 0; i < g->l2_entries; i++) {
		at = off + (uint64_t)i * g->l2_entry_bytes;
		if (at + g->l2_entry_bytes > p->m->bytes)
			return;
		count_l2_entry(p, active, mini_get64(p->m, at),
			       g->extl2 ? mini_get64(p->m, at + 8) : 0,
			       (uint64_t)index << 32 | i);
	}
}

static bool count_claim(void *ctx, const struct qf_claim *cl)
{
	struct plain *p = ctx;
	struct owner o = { .who = { 3, p->n_owners, cl->off } };

	count_range(p, cl->off, cl->bytes, 0, &o);
	return true;
}

static int by_cluster(const void *pa, const void *pb)
{
	const struct owner *a = pa, *b = pb;

	if (a->cluster != b->cluster)
		return a->cluster < b->cluster ? -1 : 1;
	return memcmp(a->who, b->who, sizeof(a->who));
}

/* Two owners, unless both are compressed clusters. */
static void find_doubles(struct plain *p)
{
	size_t i, j, packed, others;

	qsort(p->owner, p->n_owners, sizeof(*p->owner), by_cluster);
	for (i = 0; i < p->n_owners; i = j) {
		packed = others = 0;
		for (j = i; j < p->n_owners &&
			    p->owner[j].cluster == p->owner[i].cluster;
		     j++) {
			if (j > i &&
			    !by_cluster(&p->owner[j - 1], &p->owner[j]))
				continue;
			if (p->owner[j].packed)
				packed++;
			else
				others++;
		}
		if (others + (packed > 0) > 1)
			p->flags[p->owner[i].cluster] |= QF_LEDGER_DOUBLE;
	}
}

static void plain_count(struct plain *p, const struct mini *m,
			struct qf_image *img)
{
	struct qf_claim_fns fns = { .ctx = p, .claim = count_claim };
	uint32_t h, i, entries;
	uint64_t off;

	memset(p, 0, sizeof(*p));
	p->m = m;
	p->img = img;
	p->clusters = m->bytes / m->cluster_bytes + 1;
	p->count = calloc(p->clusters, sizeof(*p->count));
	p->flags = calloc(p->clusters, 1);
	assert_true(p->count && p->flags);
	for (h = 0; h < qf_image_holders(img); h++) {
		assert_true(qf_image_l1(img, h, &off, &entries));
		for (i = 0; i < entries; i++)
			count_l1_entry(p, h, i, mini_get64(m, off + i * 8ull));
	}
	assert_int_equal(qf_walk_metadata(img, &fns), QF_OK);
	find_doubles(p);
}

static void plain_free(struct plain *p)
{
	free(p->count);
	free(p->flags);
	free(p->owner);
}

/* What is wrong with a cluster, in the words of enum qf_trouble_why. */
static unsigned int plain_why(const struct plain *p, uint64_t c,
			      uint64_t stated)
{
	uint64_t max = p->img->geo.refcount_max;
	unsigned int why = 0;

	if (p->count[c] > max || stated != p->count[c])
		why |= QF_TROUBLE_REFCOUNT;
	if (p->flags[c] & QF_LEDGER_DOUBLE)
		why |= QF_TROUBLE_DOUBLE;
	if (stated == 1 && p->flags[c] & QF_LEDGER_PLAIN)
		why |= QF_TROUBLE_COPIED;
	if (stated != 1 && p->flags[c] & QF_LEDGER_COPIED)
		why |= QF_TROUBLE_COPIED;
	return why;
}

static void compare_cluster(const struct plain *p, const struct qf_recount *t,
			    uint64_t c, bool whole, struct qf_recount *sums)
{
	uint64_t stated = mini_refcount(p->m, c * p->m->cluster_bytes);
	unsigned int why = plain_why(p, c, stated), flags;
	const struct qf_trouble *tr = qf_recount_at(t, c);
	uint64_t max = p->img->geo.refcount_max;
	uint64_t counted = p->count[c] > max ? max : p->count[c];

	if (whole) {
		assert_int_equal(qf_ledger_count(t->ledger, c, &flags),
				 p->count[c]);
		assert_int_equal(flags, p->flags[c]);
	}
	assert_int_equal(qf_recount_counted(t, c), p->count[c]);
	assert_int_equal(tr ? tr->why : 0, why);
	if (tr) {
		assert_int_equal(tr->stated, stated);
		assert_int_equal(tr->counted, p->count[c]);
	}
	sums->used += p->count[c] != 0;
	if (p->count[c])
		sums->counted_end = c + 1;
	sums->leaked += stated > counted;
	sums->too_low += stated < counted;
	sums->overflow += p->count[c] - counted;
}

static void compare_tally(const struct mini *m, unsigned int jobs,
			  uint64_t max_bytes)
{
	struct qf_image *img = mini_open(m);
	struct qf_recount t, sums = { 0 };
	struct plain p;
	struct qf_walk w;
	uint64_t c;
	size_t i;

	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(qf_recount_make(&w, jobs, max_bytes, QF_RECOUNT_ALL,
					 &t, NULL),
			 QF_OK);
	plain_count(&p, m, img);
	assert_int_equal(t.clusters, p.clusters - 1);
	for (c = 0; c < t.clusters; c++)
		compare_cluster(&p, &t, c, !max_bytes, &sums);
	if (p.count[c])
		sums.counted_end = c + 1;
	assert_int_equal(t.used, sums.used + (p.count[c] != 0));
	assert_int_equal(t.counted_end, sums.counted_end);
	assert_int_equal(t.leaked, sums.leaked);
	/* a cluster that begins at the file's end may be counted as well */
	assert_int_equal(t.too_low, sums.too_low + (p.count[c] != 0));
	assert_int_equal(t.overflow, sums.overflow);
	for (i = 0; i < t.n_troubles; i++) {
		assert_true(t.trouble[i].n && t.trouble[i].why);
		assert_int_equal(t.trouble[i].hits, t.trouble[i].n);
		if (i)
			assert_true(t.trouble[i].first >=
				    t.trouble[i - 1].first +
					    t.trouble[i - 1].n);
		assert_ptr_equal(qf_recount_from(&t, t.trouble[i].first),
				 &t.trouble[i]);
	}
	for (i = 0; i < QF_ODD_KINDS; i++)
		if (1u << i != QF_ODD_COMPRESSED_COPIED &&
		    1u << i != QF_ODD_COPIED_NOTHING)
			assert_int_equal(t.odd[i], p.odd[i]);
	plain_free(&p);
	qf_recount_free(&t);
	qf_walk_free(&w);
	qf_image_close(img);
}

/* At once, and in windows as small as can be. */
static void tally_and_compare(const struct mini *m, unsigned int jobs)
{
	compare_tally(m, jobs, 0);
	compare_tally(m, jobs, 1);
}

static void tangles(void **state)
{
	struct mini m;
	uint32_t seed;

	(void)state;
	for (seed = 0; seed < 40; seed++) {
		tangle_make(&m, seed, 9 + seed % 4, false, seed % 7);
		tally_and_compare(&m, 1 + seed % 3);
		mini_free(&m);
	}
	for (seed = 50; seed < 56; seed++) {
		tangle_make(&m, seed, 14, true, seed % 4);
		tally_and_compare(&m, 1 + seed % 3);
		mini_free(&m);
	}
}

static struct mini_opts opts(uint32_t bits, uint32_t order)
{
	return (struct mini_opts){ .version = 3,
				   .cluster_bits = bits,
				   .refcount_order = order,
				   .disk_bytes = 3ull << (bits * 2 - 3) };
}

/* A sound image with all that a writer leaves behind. */
static void make_sound(struct mini *m, uint32_t bits, uint32_t order,
		       struct dice *d)
{
	struct mini_opts o = opts(bits, order);
	uint64_t guest = 3ull << (bits - 3);
	unsigned int i;

	mini_make(m, &o);
	for (i = 0; i < 100; i++) {
		if (dice_once_in(d, 5))
			mini_packed(m, dice_below(d, guest),
				    1 + dice_below(d, m->cluster_bytes));
		else
			mini_data(m, dice_below(d, guest));
		if (order > 1 && (i == 30 || i == 60))
			mini_snapshot(m, i == 30 ? "1" : "2", "s");
	}
	if (bits >= 12)
		mini_bitmap(m, "b");
}

static void sound_images_have_no_trouble(void **state)
{
	struct qf_image *img;
	struct dice d = { 77 };
	struct qf_recount t;
	struct qf_walk w;
	struct mini m;
	uint32_t bits, order, k;

	(void)state;
	for (bits = 9; bits <= 18; bits += 3)
		for (order = 0; order <= 6; order++) {
			make_sound(&m, bits, order, &d);
			img = mini_open(&m);
			assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
			assert_int_equal(qf_recount_make(&w, 2, 0,
							 QF_RECOUNT_ALL, &t,
							 NULL),
					 QF_OK);
			assert_int_equal(t.n_troubles, 0);
			assert_int_equal(t.leaked + t.too_low + t.overflow +
						 t.past_end + t.unknown,
					 0);
			for (k = 0; k < QF_ODD_KINDS; k++)
				assert_int_equal(t.odd[k], 0);
			qf_recount_free(&t);
			qf_walk_free(&w);
			qf_image_close(img);
			tally_and_compare(&m, 1);
			mini_free(&m);
		}
}

static void wrong_refcounts_of_every_width(void **state)
{
	struct dice d = { 78 };
	struct mini m;
	uint32_t order, i;
	uint64_t c, most;

	(void)state;
	for (order = 0; order <= 6; order++) {
		make_sound(&m, 9 + order, order, &d);
		most = order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
		for (i = 0; i < 30; i++) {
			c = dice_below(&d, m.bytes / m.cluster_bytes);
			mini_set_refcount(
				&m, c * m.cluster_bytes,
				dice_once_in(&d, 3) ? 0 : dice_roll(&d) & most);
		}
		tally_and_compare(&m, 1);
		tally_and_compare(&m, 3);
		mini_free(&m);
	}
}

static void a_block_that_cannot_be_read(void **state)
{
	struct mini_opts o = opts(9, 4);
	struct mini_faulty f = { 0 };
	struct qf_image *img;
	struct qf_recount t;
	struct qf_walk w;
	struct mini m;
	uint32_t i;

	(void)state;
	mini_make(&m, &o);
	for (i = 0; i < 120; i++)
		mini_data(&m, i);
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, NULL),
			 QF_OK);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	f.fail_off = mini_get64(&m, m.reftable_off);
	f.fail_bytes = 1;
	assert_int_equal(qf_recount_make(&w, 1, 0, QF_RECOUNT_ALL, &t, NULL),
			 QF_OK);
	assert_int_equal(t.unknown, m.bytes / 512);
	assert_int_equal(t.n_troubles, 1);
	assert_int_equal(t.trouble[0].why, QF_TROUBLE_UNKNOWN);
	assert_int_equal(t.leaked + t.too_low, 0);
	qf_recount_free(&t);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

static void figures_of_the_active_disk(void **state)
{
	struct mini_opts o = opts(9, 4);
	struct qf_image *img;
	struct qf_recount t;
	struct qf_walk w;
	struct mini m;
	uint32_t i;

	(void)state;
	mini_make(&m, &o);
	mini_l2(&m, 0);
	for (i = 0; i < 10; i++) /* one after the other */
		mini_data(&m, i);
	mini_alloc(&m, 1);
	mini_data(&m, 10); /* fragmented */
	mini_packed(&m, 11, 100);
	img = mini_open(&m);
	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	assert_int_equal(qf_recount_make(&w, 1, 0, QF_RECOUNT_ALL, &t, NULL),
			 QF_OK);
	assert_int_equal(t.fig.allocated, 12);
	assert_int_equal(t.fig.compressed, 1);
	assert_int_equal(t.fig.fragmented, 2);
	assert_int_equal(t.leaked, 1);
	assert_int_equal(t.stated_end, m.bytes / 512);
	qf_recount_free(&t);
	qf_walk_free(&w);
	qf_image_close(img);
	mini_free(&m);
}

static void touched_clusters(void **state)
{
	struct mini_opts o = opts(9, 4);
	struct qf_image *img;
	uint64_t first = 0;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	img = mini_open(&m);
	first = 7;
	assert_int_equal(qf_recount_touched(img, 0, 0, &first), 0);
	assert_int_equal(first, 0);
	assert_int_equal(qf_recount_touched(img, 511, 1, &first), 1);
	assert_int_equal(first, 0);
	assert_int_equal(qf_recount_touched(img, 511, 2, &first), 2);
	assert_int_equal(qf_recount_touched(img, m.bytes - 1, 512, &first), 2);
	assert_int_equal(qf_recount_touched(img, m.bytes, 512, &first), 0);
	assert_int_equal(qf_recount_touched(img, UINT64_MAX, 512, &first), 0);
	assert_int_equal(qf_recount_touched(img, 1, UINT64_MAX, &first), 0);
	qf_image_close(img);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tangles),
		cmocka_unit_test(sound_images_have_no_trouble),
		cmocka_unit_test(wrong_refcounts_of_every_width),
		cmocka_unit_test(a_block_that_cannot_be_read),
		cmocka_unit_test(figures_of_the_active_disk),
		cmocka_unit_test(touched_clusters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
