// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/format/bitmap.h"
#include "lib/base/mem.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#define DIR 0x4000
#define TABLE 0x6000
#define FILE_BYTES 0x10000

/* A file with a directory, and what the extension says about it. */
struct file {
	unsigned char buf[FILE_BYTES];
	uint64_t at;
	struct qf_ext_list ext;
	struct qf_geometry geo;
};

static void start(struct file *f)
{
	struct qf_header h = { .version = 3,
			       .cluster_bits = 12,
			       .refcount_order = 4 };

	memset(f, 0, sizeof(*f));
	qf_header_geometry(&h, &f->geo);
	f->ext.has_bitmaps = true;
	f->ext.bitmap_dir_off = DIR;
}

static void add(struct file *f, const char *name, uint32_t extra)
{
	struct qf_wire_bitmap w = {
		.table_offset = qf_be_put64(TABLE),
		.table_size = qf_be_put32(2),
		.flags = qf_be_put32(QF_BITMAP_AUTO),
		.type = QF_BITMAP_TYPE_DIRTY,
		.granularity_bits = 16,
		.name_len = qf_be_put16((uint16_t)strlen(name)),
		.extra_len = qf_be_put32(extra),
	};
	uint64_t n = sizeof(w) + extra + strlen(name);

	memcpy(f->buf + DIR + f->at, &w, sizeof(w));
	memcpy(f->buf + DIR + f->at + sizeof(w) + extra, name, strlen(name));
	f->at += qf_mem_round_up(n, 8);
	f->ext.bitmap_dir_bytes = f->at;
	f->ext.bitmap_count++;
}

static enum qf_err look(struct file *f, uint64_t bytes, struct qf_bitmap_dir *d)
{
	struct qf_io *io;
	enum qf_err err;

	assert_int_equal(qf_io_mem_open(f->buf, bytes, "x", &io, NULL), QF_OK);
	err = qf_bitmap_read(io, &f->geo, &f->ext, d, NULL);
	qf_io_close(io);
	return err;
}

static void entries_are_read(void **state)
{
	struct qf_bitmap_dir d;
	static struct file f;

	(void)state;
	start(&f);
	add(&f, "first", 0);
	add(&f, "", 3);
	add(&f, "third one", 8);
	assert_int_equal(look(&f, FILE_BYTES, &d), QF_OK);
	assert_int_equal(d.state, QF_BITMAPS_OK);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.bm[0].name, "first");
	assert_string_equal(d.bm[1].name, "");
	assert_string_equal(d.bm[2].name, "third one");
	assert_int_equal(d.bm[0].entry_off, DIR);
	assert_int_equal(d.bm[1].entry_off, DIR + 32);
	assert_int_equal(d.bm[1].extra_bytes, 3);
	assert_int_equal(d.bm[0].table_off, TABLE);
	assert_int_equal(d.bm[0].table_entries, 2);
	assert_int_equal(d.bm[0].flags, QF_BITMAP_AUTO);
	assert_int_equal(d.bm[0].granularity_bits, 16);
	assert_int_equal(d.bm[0].table_state, QF_BITMAP_TABLE_OK);
	assert_false(d.bm[0].padding_dirty);
	qf_bitmap_free(&d);
	f.ext.has_bitmaps = false;
	assert_int_equal(look(&f, FILE_BYTES, &d), QF_OK);
	assert_int_equal(d.n, 0);
	assert_int_equal(d.state, QF_BITMAPS_OK);
}

static void directories_that_cannot_be(void **state)
{
	static const struct {
		uint64_t off, bytes;
		uint32_t count;
		enum qf_bitmap_dir_state state;
		uint32_t n;
	} rows[] = {
		{ DIR + 8, 64, 2, QF_BITMAPS_OFFSET, 0 },
		{ 0, 64, 2, QF_BITMAPS_OFFSET, 0 },
		{ FILE_BYTES, 64, 2, QF_BITMAPS_OFFSET, 0 },
		{ 1ull << 63, 64, 2, QF_BITMAPS_OFFSET, 0 },
		{ DIR, 0, 2, QF_BITMAPS_SIZE, 0 },
		{ DIR, UINT64_MAX, 2, QF_BITMAPS_SIZE, 0 },
		{ DIR, FILE_BYTES, 2, QF_BITMAPS_SIZE, 0 },
		{ DIR, 64, 0, QF_BITMAPS_COUNT, 0 },
		{ DIR, 64, UINT32_MAX, QF_BITMAPS_COUNT, 0 },
		{ DIR, 64, 1, QF_BITMAPS_COUNT, 1 },
		{ DIR, 64, 3, QF_BITMAPS_COUNT, 2 },
		{ DIR, 63, 2, QF_BITMAPS_OK, 2 },
		{ DIR, 60, 2, QF_BITMAPS_CUT, 1 },
		{ DIR, 23, 2, QF_BITMAPS_CUT, 0 },
	};
	struct qf_bitmap_dir d;
	static struct file f;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		start(&f);
		add(&f, "a", 0);
		add(&f, "1234567", 0);
		f.ext.bitmap_dir_off = rows[i].off;
		f.ext.bitmap_dir_bytes = rows[i].bytes;
		f.ext.bitmap_count = rows[i].count;
		assert_int_equal(look(&f, FILE_BYTES, &d), QF_OK);
		assert_int_equal(d.state, rows[i].state);
		assert_int_equal(d.n, rows[i].n);
		qf_bitmap_free(&d);
	}
}

static void tables_that_cannot_be(void **state)
{
	static const struct {
		uint64_t off;
		uint32_t entries;
		enum qf_bitmap_table_state state;
	} rows[] = {
		{ TABLE, 1, QF_BITMAP_TABLE_OK },
		{ TABLE, (FILE_BYTES - TABLE) / 8, QF_BITMAP_TABLE_OK },
		{ TABLE, (FILE_BYTES - TABLE) / 8 + 1, QF_BITMAP_TABLE_OFFSET },
		{ TABLE + 8, 1, QF_BITMAP_TABLE_OFFSET },
		{ 0, 1, QF_BITMAP_TABLE_OFFSET },
		{ 1ull << 60, 1, QF_BITMAP_TABLE_OFFSET },
		{ TABLE, 0, QF_BITMAP_TABLE_SIZE },
		{ TABLE, UINT32_MAX, QF_BITMAP_TABLE_OFFSET },
	};
	struct qf_bitmap_dir d;
	struct qf_be64 off;
	struct qf_be32 n;
	static struct file f;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		start(&f);
		add(&f, "a", 0);
		off = qf_be_put64(rows[i].off);
		n = qf_be_put32(rows[i].entries);
		memcpy(f.buf + DIR, &off, 8);
		memcpy(f.buf + DIR + 8, &n, 4);
		assert_int_equal(look(&f, FILE_BYTES, &d), QF_OK);
		assert_int_equal(d.bm[0].table_state, rows[i].state);
		qf_bitmap_free(&d);
	}
}

static void dirty_padding(void **state)
{
	struct qf_bitmap_dir d;
	static struct file f;

	(void)state;
	start(&f);
	add(&f, "a", 0);
	f.buf[DIR + 27] = 1;
	assert_int_equal(look(&f, FILE_BYTES, &d), QF_OK);
	assert_true(d.bm[0].padding_dirty);
	qf_bitmap_free(&d);
}

static void any_directory_is_survived(void **state)
{
	struct qf_bitmap_dir d;
	struct dice dice = { 21 };
	static struct file f;
	size_t i, k;

	(void)state;
	for (i = 0; i < 2000; i++) {
		start(&f);
		add(&f, "abc", 0);
		add(&f, "defg", 5);
		for (k = 0; k < 4; k++)
			f.buf[DIR + dice_below(&dice, f.at)] =
				(unsigned char)dice_roll(&dice);
		f.ext.bitmap_dir_bytes = 1 + dice_below(&dice, 100);
		f.ext.bitmap_count = 1 + (uint32_t)dice_below(&dice, 4);
		assert_int_equal(
			look(&f, DIR + 1 + dice_below(&dice, 9000), &d), QF_OK);
		assert_true(d.n <= f.ext.bitmap_count);
		qf_bitmap_free(&d);
	}
}

static void entries_a_disk_needs(void **state)
{
	struct file f;

	(void)state;
	start(&f);
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 16, 0), 0);
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 16, 1), 1);
	/* a cluster of 4096 bytes holds 32768 bits of 64 KiB: 2 GiB */
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 16, 2ull << 30), 1);
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 16, (2ull << 30) + 1),
			 2);
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 64, 1), 0);
	assert_int_equal(qf_bitmap_table_needed(&f.geo, 0, UINT64_MAX),
			 1ull << 49);
}

static void without_memory_or_disk(void **state)
{
	struct mini_opts o = { .version = 3,
			       .cluster_bits = 12,
			       .refcount_order = 4,
			       .disk_bytes = 1 << 20 };
	struct mini_faulty ff = { 0 };
	struct qf_bitmap_dir d;
	static struct file f;
	struct mini m;
	long n;

	(void)state;
	start(&f);
	add(&f, "abc", 0);
	for (n = 2; n <= 4; n++) { /* the first is the io's own */
		qf_mem_fail_at(n);
		assert_int_equal(look(&f, FILE_BYTES, &d), QF_ERR_NOMEM);
	}
	qf_mem_fail_at(0);
	mini_make(&m, &o);
	mini_alloc(&m, 4);
	ff.fail_off = DIR;
	ff.fail_bytes = 1;
	mini_faulty_io(&ff, &m);
	assert_int_equal(qf_bitmap_read(&ff.io, &f.geo, &f.ext, &d, NULL),
			 QF_OK);
	assert_int_equal(d.state, QF_BITMAPS_UNREADABLE);
	qf_bitmap_free(&d);
	qf_io_close(&ff.io);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_read),
		cmocka_unit_test(directories_that_cannot_be),
		cmocka_unit_test(tables_that_cannot_be),
		cmocka_unit_test(dirty_padding),
		cmocka_unit_test(any_directory_is_survived),
		cmocka_unit_test(entries_a_disk_needs),
		cmocka_unit_test(without_memory_or_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
