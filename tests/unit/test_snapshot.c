// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/mem.h"
#include "lib/format/snapshot.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

static void make(struct mini *m, uint32_t snaps)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 9,
			       .refcount_order = 4,
			       .disk_bytes = 1 << 20 };
	char id[16], name[32];
	uint32_t i;

	mini_make(m, &o);
	for (i = 0; i < snaps; i++) {
		snprintf(id, sizeof(id), "%u", i + 1);
		snprintf(name, sizeof(name), "snap-%u", i * 7);
		mini_data(m, i);
		mini_snapshot(m, id, name);
	}
}

static void entries_are_read(void **state)
{
	struct qf_image *img;
	struct qf_snapshot *s;
	struct mini m;
	uint32_t i;
	char text[32];

	(void)state;
	make(&m, 9);
	img = mini_open(&m);
	assert_int_equal(img->snapshots.state, QF_SNAPSHOTS_OK);
	assert_int_equal(img->snapshots.n, 9);
	assert_int_equal(img->snapshots.stated, 9);
	assert_int_equal(img->snapshots.off, m.snap_off);
	assert_int_equal(img->snapshots.bytes, m.snap_bytes);
	for (i = 0; i < 9; i++) {
		s = &img->snapshots.snap[i];
		snprintf(text, sizeof(text), "snap-%u", i * 7);
		assert_string_equal(s->name, text);
		snprintf(text, sizeof(text), "%u", i + 1);
		assert_string_equal(s->id, text);
		assert_int_equal(s->entry_off % 8, 0);
		assert_int_equal(s->l1_off, mini_get64(&m, s->entry_off));
		assert_int_equal(s->l1_entries, m.l1_entries);
		assert_int_equal(s->date_sec, 1700000000);
		assert_int_equal(s->extra_bytes, 16);
		assert_int_equal(s->disk_bytes, 1 << 20);
		assert_int_equal(s->icount, UINT64_MAX);
	}
	qf_image_close(img);
	mini_free(&m);
}

static void extra_data_of_any_length(void **state)
{
	static const struct {
		uint32_t bytes;
		uint64_t vm, disk, icount;
	} rows[] = {
		{ 0, 77, 1 << 20, UINT64_MAX },
		{ 8, 0x1111, 1 << 20, UINT64_MAX },
		{ 16, 0x1111, 0x2222, UINT64_MAX },
		{ 24, 0x1111, 0x2222, 0x3333 },
		{ 32, 0x1111, 0x2222, 0x3333 },
	};
	struct qf_image *img;
	struct mini m;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		make(&m, 1);
		mini_put16(&m, m.snap_off + 12, 0);
		mini_put16(&m, m.snap_off + 14, 0);
		mini_put32(&m, m.snap_off + 32, 77);
		mini_put32(&m, m.snap_off + 36, rows[i].bytes);
		mini_put64(&m, m.snap_off + 40, 0x1111);
		mini_put64(&m, m.snap_off + 48, 0x2222);
		mini_put64(&m, m.snap_off + 56, 0x3333);
		img = mini_open(&m);
		assert_int_equal(img->snapshots.n, 1);
		assert_int_equal(img->snapshots.snap[0].vm_state_bytes,
				 rows[i].vm);
		assert_int_equal(img->snapshots.snap[0].disk_bytes,
				 rows[i].disk);
		assert_int_equal(img->snapshots.snap[0].icount, rows[i].icount);
		assert_string_equal(img->snapshots.snap[0].name, "");
		qf_image_close(img);
		mini_free(&m);
	}
}

static struct qf_image *look(const struct mini *m, enum qf_snapshot_state state,
			     uint32_t n)
{
	struct qf_image *img = mini_open(m);

	assert_int_equal(img->snapshots.state, state);
	assert_int_equal(img->snapshots.n, n);
	return img;
}

static void damage_does_not_hide_the_others(void **state)
{
	struct qf_image *img;
	struct mini m;

	(void)state;
	make(&m, 3);
	mini_put64(&m, 64, m.snap_off + 8);
	qf_image_close(look(&m, QF_SNAPSHOTS_OFFSET, 0));
	mini_put64(&m, 64, 0);
	qf_image_close(look(&m, QF_SNAPSHOTS_OFFSET, 0));
	mini_put64(&m, 64, 1ull << 62);
	qf_image_close(look(&m, QF_SNAPSHOTS_OFFSET, 0));
	mini_put64(&m, 64, m.snap_off);
	/* the second entry: extra data without end */
	mini_put32(&m, m.snap_off + 64 + 36, UINT32_MAX);
	img = look(&m, QF_SNAPSHOTS_GARBLED, 3);
	assert_int_equal(img->snapshots.whole, 1);
	assert_true(img->snapshots.resumed);
	assert_int_equal(img->snapshots.bad_off, m.snap_off + 64);
	assert_int_equal(img->snapshots.bytes, m.snap_bytes);
	assert_string_equal(img->snapshots.snap[1].id, "2");
	assert_string_equal(img->snapshots.snap[1].name, "snap-7");
	qf_image_close(img);
	/* its extra data run past the file */
	mini_put32(&m, m.snap_off + 64 + 36, 1 << 20);
	img = look(&m, QF_SNAPSHOTS_CUT, 3);
	assert_string_equal(img->snapshots.snap[1].name, "snap-7");
	assert_int_equal(img->snapshots.snap[1].l1_off,
			 mini_get64(&m, m.snap_off + 64));
	qf_image_close(img);
	/* its name swallows the next entry */
	mini_put32(&m, m.snap_off + 64 + 36, 16);
	mini_put16(&m, m.snap_off + 64 + 14, 300);
	m.bytes += 512;
	img = look(&m, QF_SNAPSHOTS_GARBLED, 3);
	assert_string_equal(img->snapshots.snap[1].name, "snap-7");
	assert_int_equal(img->snapshots.snap[2].entry_off, m.snap_off + 128);
	qf_image_close(img);
	m.bytes -= 512;
	/* its id does */
	mini_put16(&m, m.snap_off + 64 + 14, 6);
	mini_put16(&m, m.snap_off + 64 + 12, 400);
	m.bytes += 512;
	img = look(&m, QF_SNAPSHOTS_GARBLED, 3);
	assert_string_equal(img->snapshots.snap[1].id, "2");
	qf_image_close(img);
	m.bytes -= 512;
	mini_put16(&m, m.snap_off + 64 + 12, 1);
	img = look(&m, QF_SNAPSHOTS_OK, 3);
	assert_int_equal(img->snapshots.whole, 3);
	assert_false(img->snapshots.resumed);
	qf_image_close(img);
	/* the file ends inside the third entry */
	m.bytes = m.snap_off + 128 + 30;
	qf_image_close(look(&m, QF_SNAPSHOTS_CUT, 2));
	mini_free(&m);
}

static void absurd_counts_take_no_memory(void **state)
{
	struct qf_image *img;
	struct mini m;

	(void)state;
	make(&m, 2);
	mini_put32(&m, 60, UINT32_MAX);
	img = mini_open(&m);
	assert_int_equal(img->snapshots.state, QF_SNAPSHOTS_COUNT);
	/* the zeros behind the table are no entries */
	assert_int_equal(img->snapshots.n, 2);
	assert_string_equal(img->snapshots.snap[1].name, "snap-7");
	qf_image_close(img);
	mini_put32(&m, 60, 0);
	qf_image_close(look(&m, QF_SNAPSHOTS_OK, 0));
	mini_free(&m);
}

static void one_bad_sector_hides_what_is_behind_it(void **state)
{
	struct mini_faulty f = { 0 };
	struct qf_header h;
	struct qf_snapshot_table t;
	struct mini m;

	(void)state;
	make(&m, 20);
	assert_true(m.snap_bytes > 1024);
	assert_int_equal(qf_header_parse(m.buf, 112, &h, NULL), QF_OK);
	f.fail_off = m.snap_off + 512;
	f.fail_bytes = 512;
	mini_faulty_io(&f, &m);
	assert_int_equal(qf_snapshot_read(&f.io, &h, &t, NULL), QF_OK);
	assert_int_equal(t.state, QF_SNAPSHOTS_UNREADABLE);
	assert_true(t.n >= 6 && t.n < 20);
	assert_string_equal(t.snap[5].name, "snap-35");
	qf_snapshot_free(&t);
	qf_io_close(&f.io);
	mini_free(&m);
}

static void by_id_before_name(void **state)
{
	struct qf_image *img;
	struct mini m;

	(void)state;
	make(&m, 0);
	mini_snapshot(&m, "1", "2");
	mini_snapshot(&m, "2", "1");
	mini_snapshot(&m, "3", "x");
	img = mini_open(&m);
	assert_int_equal(qf_snapshot_find(&img->snapshots, "1"), 0);
	assert_int_equal(qf_snapshot_find(&img->snapshots, "2"), 1);
	assert_int_equal(qf_snapshot_find(&img->snapshots, "x"), 2);
	assert_int_equal(qf_snapshot_find(&img->snapshots, "y"), -1);
	qf_image_close(img);
	mini_free(&m);
}

static void without_memory(void **state)
{
	struct mini_faulty f = { 0 };
	struct qf_header h;
	struct qf_snapshot_table t;
	struct mini m;
	enum qf_err err;
	long n;

	(void)state;
	make(&m, 3);
	assert_int_equal(qf_header_parse(m.buf, 112, &h, NULL), QF_OK);
	mini_faulty_io(&f, &m);
	for (n = 1, err = QF_ERR_NOMEM; err; n++) {
		assert_true(n < 100);
		qf_mem_fail_at(n);
		err = qf_snapshot_read(&f.io, &h, &t, NULL);
		qf_mem_fail_at(0);
		if (err)
			assert_int_equal(err, QF_ERR_NOMEM);
	}
	assert_int_equal(t.n, 3);
	assert_true(n > 5);
	qf_snapshot_free(&t);
	qf_io_close(&f.io);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_read),
		cmocka_unit_test(extra_data_of_any_length),
		cmocka_unit_test(damage_does_not_hide_the_others),
		cmocka_unit_test(absurd_counts_take_no_memory),
		cmocka_unit_test(one_bad_sector_hides_what_is_behind_it),
		cmocka_unit_test(by_id_before_name),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
