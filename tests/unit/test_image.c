// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/model/image.h"
#include "lib/base/mem.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#include <errno.h>

static struct mini_opts opts(uint32_t version, uint32_t bits, uint32_t order)
{
	return (struct mini_opts){ .version = version,
				   .cluster_bits = bits,
				   .refcount_order = order,
				   .disk_bytes = 1ull << (bits * 2 - 3) };
}

/* Asked up and down, and far apart. */
static void kept_pieces_tell_the_same(const struct qf_image *img,
				      struct mini *m)
{
	struct qf_refcount_piece near = { 0 };
	uint64_t all = m->bytes / m->cluster_bytes, i, c, n;

	for (i = 0; i < 3 * all; i++) {
		c = i < all ? i : i < 2 * all ? 2 * all - i : i * 7919 % all;
		assert_int_equal(
			qf_image_refcount_near(img, &near, c, &n, NULL), QF_OK);
		assert_int_equal(n, mini_refcount(m, c * m->cluster_bytes));
	}
}

static void every_size_opens(void **state)
{
	struct mini_opts o;
	struct qf_image *img;
	struct mini m;
	uint32_t bits, order;
	uint64_t c, n;

	(void)state;
	for (bits = 9; bits <= 21; bits += 3)
		for (order = 0; order <= 6; order++) {
			o = opts(3, bits, order);
			mini_make(&m, &o);
			mini_data(&m, 3);
			img = mini_open(&m);
			assert_int_equal(img->l1_state, QF_PART_OK);
			assert_int_equal(img->reftable_state, QF_PART_OK);
			assert_int_equal(img->reftable_entries,
					 m.cluster_bytes / 8);
			assert_int_equal(qf_image_clusters(img),
					 m.bytes / m.cluster_bytes);
			for (c = 0; c < m.bytes / m.cluster_bytes + 3; c++) {
				assert_int_equal(qf_image_refcount(img, c, &n,
								   NULL),
						 QF_OK);
				assert_int_equal(
					n,
					mini_refcount(&m, c * m.cluster_bytes));
			}
			kept_pieces_tell_the_same(img, &m);
			qf_image_close(img);
			mini_free(&m);
		}
}

static void an_unreadable_piece_is_not_kept(void **state)
{
	struct mini_opts o = opts(3, 12, 4);
	struct qf_refcount_piece near = { 0 };
	struct mini_faulty f = { 0 };
	struct qf_image *img;
	struct mini m;
	uint64_t n;

	(void)state;
	mini_make(&m, &o);
	mini_faulty_io(&f, &m);
	assert_int_equal(qf_image_open(&f.io, &img, NULL), QF_OK);
	f.fail_off = mini_get64(&m, m.reftable_off) + 256;
	f.fail_bytes = 8;
	/* the piece cannot be read, the refcount can */
	assert_int_equal(qf_image_refcount_near(img, &near, 1, &n, NULL),
			 QF_OK);
	assert_int_equal(n, 1);
	assert_int_equal(qf_image_refcount_near(img, &near, 128, &n, NULL),
			 QF_ERR_IO);
	qf_image_close(img);
	mini_free(&m);
}

static void refcounts_that_cannot_be_had(void **state)
{
	struct mini_opts o = opts(3, 9, 4);
	struct mini_faulty f = { 0 };
	struct qf_image *img;
	struct qf_why why = { 0 };
	struct mini m;
	uint64_t n = 9, block;

	(void)state;
	mini_make(&m, &o);
	block = mini_get64(&m, m.reftable_off);
	mini_put64(&m, m.reftable_off + 8, block + 512 * 2 + 0x200 / 2);
	mini_put64(&m, m.reftable_off + 16, 0x300 << 1 | 0x100);
	mini_faulty_io(&f, &m);
	assert_int_equal(qf_image_open(&f.io, &img, NULL), QF_OK);
	f.fail_off = block;
	f.fail_bytes = 512;
	assert_int_equal(qf_image_refcount(img, 1, &n, &why), QF_ERR_IO);
	assert_int_equal(why.sys, EIO);
	/* no block, and far behind the table: not counted */
	assert_int_equal(qf_image_refcount(img, 256 * 40, &n, &why), QF_OK);
	assert_int_equal(n, 0);
	assert_int_equal(qf_image_refcount(img, UINT64_MAX, &n, &why), QF_OK);
	assert_int_equal(n, 0);
	qf_image_close(img);
	mini_free(&m);
}

static void a_block_inside_a_cluster(void **state)
{
	struct mini_opts o = opts(3, 12, 4);
	struct qf_why why = { 0 };
	struct qf_image *img;
	struct mini m;
	uint64_t n;

	(void)state;
	mini_make(&m, &o);
	mini_put64(&m, m.reftable_off, 0x2200);
	img = mini_open(&m);
	assert_int_equal(qf_image_refcount(img, 1, &n, &why), QF_ERR_FORMAT);
	assert_int_equal(why.off, 0x2200);
	qf_image_close(img);
	mini_free(&m);
}

/* Opens M and expects these states of the L1 and the refcount table. */
static void states(const struct mini *m, enum qf_part l1, enum qf_part reftable)
{
	struct qf_image *img = mini_open(m);
	uint32_t entries;
	uint64_t off;

	assert_int_equal(img->l1_state, l1);
	assert_int_equal(img->reftable_state, reftable);
	assert_int_equal(qf_image_l1(img, QF_HOLDER_ACTIVE, &off, &entries),
			 l1 == QF_PART_OK || l1 == QF_PART_OUTSIDE);
	qf_image_close(img);
}

static void tables_in_the_wrong_place(void **state)
{
	struct mini_opts o = opts(3, 16, 4);
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	states(&m, QF_PART_OK, QF_PART_OK);
	mini_put64(&m, 40, m.l1_off + 512);
	states(&m, QF_PART_UNALIGNED, QF_PART_OK);
	mini_put64(&m, 40, m.bytes);
	states(&m, QF_PART_OUTSIDE, QF_PART_OK);
	mini_put64(&m, 40, ~65535ull);
	states(&m, QF_PART_OUTSIDE, QF_PART_OK);
	mini_put64(&m, 40, m.l1_off);
	mini_put32(&m, 36, (32 << 20) / 8 + 1);
	states(&m, QF_PART_TOO_LARGE, QF_PART_OK);
	mini_put32(&m, 36, UINT32_MAX);
	states(&m, QF_PART_TOO_LARGE, QF_PART_OK);
	mini_put32(&m, 36, 0);
	states(&m, QF_PART_ABSENT, QF_PART_OK);
	mini_put32(&m, 36, 1);
	mini_put32(&m, 56, 129); /* 64 KiB each: over 8 MiB */
	states(&m, QF_PART_OK, QF_PART_TOO_LARGE);
	mini_put32(&m, 56, UINT32_MAX);
	states(&m, QF_PART_OK, QF_PART_TOO_LARGE);
	mini_put32(&m, 56, 128);
	states(&m, QF_PART_OK, QF_PART_OUTSIDE);
	mini_put32(&m, 56, 0);
	states(&m, QF_PART_OK, QF_PART_ABSENT);
	mini_put32(&m, 56, 1);
	mini_put64(&m, 48, 8);
	states(&m, QF_PART_OK, QF_PART_UNALIGNED);
	mini_free(&m);
}

static void a_table_cut_by_the_end_keeps_its_start(void **state)
{
	struct mini_opts o = opts(3, 9, 4);
	struct qf_image *img;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	mini_put64(&m, 48, m.bytes - 512);
	mini_put32(&m, 56, 3);
	mini_put64(&m, m.bytes - 512, 0x1234567800);
	img = mini_open(&m);
	assert_int_equal(img->reftable_state, QF_PART_OUTSIDE);
	assert_int_equal(img->reftable_entries, 3 * 64);
	assert_int_equal(qf_image_refblock(img, 0), 0x1234567800);
	assert_int_equal(qf_image_refblock(img, 64), 0);
	assert_int_equal(qf_image_refblock(img, UINT64_MAX), 0);
	qf_image_close(img);
	mini_free(&m);
}

static void names(void **state)
{
	struct mini_opts o = opts(3, 9, 4);
	struct qf_image *img;
	struct mini m;

	(void)state;
	o.incompatible = QF_INCOMPAT_DATA_FILE;
	mini_make(&m, &o);
	mini_extension(&m, QF_EXT_DATA_FILE, "data.raw", 8);
	memcpy(m.buf + 300, "base.qcow2", 10);
	mini_put64(&m, 8, 300);
	mini_put32(&m, 16, 10);
	img = mini_open(&m);
	assert_string_equal(img->backing_name, "base.qcow2");
	assert_string_equal(img->data_file_name, "data.raw");
	assert_int_equal(img->ext_area_end, 300);
	qf_image_close(img);
	mini_put32(&m, 16, 213); /* past the cluster */
	img = mini_open(&m);
	assert_null(img->backing_name);
	assert_true(img->backing_name_bad);
	qf_image_close(img);
	mini_put64(&m, 8, UINT64_MAX);
	img = mini_open(&m);
	assert_true(img->backing_name_bad);
	assert_int_equal(img->ext_area_end, 512);
	qf_image_close(img);
	mini_free(&m);
}

static void holders_and_their_tables(void **state)
{
	struct mini_opts o = opts(3, 9, 4);
	struct qf_image *img;
	uint64_t off;
	uint32_t n;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	mini_data(&m, 0);
	mini_snapshot(&m, "1", "one");
	mini_snapshot(&m, "2", "two");
	img = mini_open(&m);
	assert_int_equal(qf_image_holders(img), 3);
	assert_true(qf_image_l1(img, QF_HOLDER_ACTIVE, &off, &n));
	assert_int_equal(off, m.l1_off);
	assert_true(qf_image_l1(img, QF_HOLDER_SNAPSHOT(1), &off, &n));
	assert_int_equal(off, img->snapshots.snap[1].l1_off);
	assert_false(qf_image_l1(img, QF_HOLDER_SNAPSHOT(2), &off, &n));
	assert_false(qf_image_l1(img, QF_HOLDER_IMAGE, &off, &n));
	img->snapshots.snap[1].l1_off += 8;
	assert_false(qf_image_l1(img, QF_HOLDER_SNAPSHOT(1), &off, &n));
	img->snapshots.snap[1].l1_off -= 8;
	img->snapshots.snap[1].l1_entries = UINT32_MAX;
	assert_false(qf_image_l1(img, QF_HOLDER_SNAPSHOT(1), &off, &n));
	qf_image_close(img);
	mini_free(&m);
}

static void bitmaps_are_vouched_for(void **state)
{
	struct mini_opts o = opts(3, 12, 4);
	struct qf_image *img;
	struct mini m;

	(void)state;
	mini_make(&m, &o);
	mini_bitmap(&m, "b0");
	img = mini_open(&m);
	assert_true(img->bitmaps_valid);
	assert_int_equal(img->bitmaps.n, 1);
	assert_string_equal(img->bitmaps.bm[0].name, "b0");
	qf_image_close(img);
	mini_put64(&m, 88, 0);
	img = mini_open(&m);
	assert_false(img->bitmaps_valid);
	assert_int_equal(img->bitmaps.n, 1);
	qf_image_close(img);
	mini_free(&m);
}

static void every_read_fails_in_turn(void **state)
{
	struct mini_opts o = opts(3, 12, 4);
	struct mini_faulty f = { 0 };
	struct qf_image *img = NULL;
	struct qf_why why;
	struct mini m;
	enum qf_err err;
	uint64_t n, opened = 0;

	(void)state;
	mini_make(&m, &o);
	mini_data(&m, 0);
	mini_snapshot(&m, "1", "one");
	mini_bitmap(&m, "b0");
	for (n = 1;; n++) {
		memset(&f, 0, sizeof(f));
		f.fail_read = n;
		err = qf_image_open(mini_faulty_io(&f, &m), &img, &why);
		assert_null(err ? f.io.name : NULL);
		if (err) {
			assert_int_equal(err, QF_ERR_IO);
			assert_int_equal(why.sys, EIO);
			continue;
		}
		opened++;
		qf_image_close(img);
		if (f.reads < n)
			break;
	}
	/* header and its cluster must be there; three tables need not */
	assert_int_equal(n, 6);
	assert_int_equal(opened, 4);
	mini_free(&m);
}

static void every_allocation_fails_in_turn(void **state)
{
	struct mini_opts o = opts(3, 12, 4);
	struct mini_faulty f;
	struct qf_image *img = NULL;
	struct mini m;
	enum qf_err err;
	long n;

	(void)state;
	mini_make(&m, &o);
	mini_snapshot(&m, "1", "one");
	mini_bitmap(&m, "b0");
	for (n = 1, err = QF_ERR_NOMEM; err; n++) {
		memset(&f, 0, sizeof(f));
		mini_faulty_io(&f, &m);
		qf_mem_fail_at(n);
		err = qf_image_open(&f.io, &img, NULL);
		qf_mem_fail_at(0);
		if (err)
			assert_int_equal(err, QF_ERR_NOMEM);
		assert_true(n < 100);
	}
	assert_true(n > 8);
	qf_image_close(img);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_opens),
		cmocka_unit_test(an_unreadable_piece_is_not_kept),
		cmocka_unit_test(refcounts_that_cannot_be_had),
		cmocka_unit_test(a_block_inside_a_cluster),
		cmocka_unit_test(tables_in_the_wrong_place),
		cmocka_unit_test(a_table_cut_by_the_end_keeps_its_start),
		cmocka_unit_test(names),
		cmocka_unit_test(holders_and_their_tables),
		cmocka_unit_test(bitmaps_are_vouched_for),
		cmocka_unit_test(every_read_fails_in_turn),
		cmocka_unit_test(every_allocation_fails_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
