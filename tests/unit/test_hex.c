// SPDX-License-Identifier: GPL-2.0-or-later
/* Every structure's fields, as the format names them. */
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"
#include "viz/hex/hex.h"

#define CLUSTER 4096ull

struct fixture {
	struct mini m;
	struct qf_image *img;
	struct qf_hex h;
	uint64_t target;
	char text[300];
};

static void open_it(struct fixture *f, const struct mini_opts *o)
{
	memset(f, 0, sizeof(*f));
	mini_make(&f->m, o);
}

static void opened(struct fixture *f)
{
	f->img = mini_open(&f->m);
	assert_non_null(f->img);
}

static void closed(struct fixture *f)
{
	qf_image_close(f->img);
	mini_free(&f->m);
}

/* The words for the 8 bytes at OFF. */
static const char *row(struct fixture *f, uint64_t off)
{
	qf_hex_row(&f->h, off - f->h.off, f->m.buf + off, f->text,
		   sizeof(f->text), &f->target);
	return f->text;
}

static const struct mini_opts plain = { .version = 3,
					.cluster_bits = 12,
					.refcount_order = 4,
					.disk_bytes = 8 << 20 };

static void test_header(void **unused)
{
	struct fixture f;

	(void)unused;
	open_it(&f, &plain);
	mini_put64(&f.m, 80, 1);
	opened(&f);
	qf_hex_set(&f.h, f.img, 0, QF_KIND_HEADER, QF_NOWHERE);
	assert_string_equal(row(&f, 0), "magic 0x514649fb, version 3");
	assert_string_equal(row(&f, 24), "size 8388608 (8 MiB)");
	row(&f, 40);
	assert_int_equal(f.target, f.m.l1_off);
	assert_non_null(strstr(row(&f, 80), "compatible_features 0x1 ["));
	assert_int_equal(f.target, QF_NOWHERE);
	assert_string_equal(row(&f, 2048), "");
	closed(&f);
}

static void test_tables(void **unused)
{
	uint64_t data, l2, entry;
	struct fixture f;
	char want[100];

	(void)unused;
	open_it(&f, &plain);
	data = mini_data(&f.m, 515);
	l2 = mini_l2(&f.m, 1);
	entry = mini_entry_off(&f.m, 515);
	mini_put64(&f.m, entry + 8, 1);
	mini_put64(&f.m, entry + 16, MINI_COMPRESSED | 0x1200);
	mini_put64(&f.m, entry + 24, data | 0x10);
	opened(&f);
	qf_hex_set(&f.h, f.img, f.m.l1_off, QF_KIND_L1, QF_NOWHERE);
	assert_string_equal(f.h.title, "L1 table of the active disk");
	assert_string_equal(row(&f, f.m.l1_off), "L1[0] no table");
	assert_int_equal(f.target, QF_NOWHERE);
	row(&f, f.m.l1_off + 8);
	assert_int_equal(f.target, l2);
	snprintf(want, sizeof(want),
		 "L1[1] L2 table at 0x%llx COPIED, guest 0x200000",
		 (unsigned long long)l2);
	assert_string_equal(f.text, want);
	qf_hex_set(&f.h, f.img, l2, QF_KIND_L2, 0x200000);
	snprintf(want, sizeof(want), "L2[3] data 0x%llx COPIED, guest 0x203000",
		 (unsigned long long)data);
	assert_string_equal(row(&f, entry), want);
	assert_int_equal(f.target, data);
	assert_string_equal(row(&f, l2), "L2[0] -");
	assert_string_equal(row(&f, entry + 8), "L2[4] zeros, guest 0x204000");
	assert_string_equal(row(&f, entry + 16),
			    "L2[5] compressed 0x1200 +512, guest 0x205000");
	assert_int_equal(f.target, 0x1200);
	assert_non_null(strstr(row(&f, entry + 24), " !! reserved bits"));
	closed(&f);
}

static void test_refcounts(void **unused)
{
	struct mini_opts o = plain;
	struct fixture f;
	uint64_t block;

	(void)unused;
	open_it(&f, &plain);
	opened(&f);
	block = qf_image_refblock(f.img, 0);
	qf_hex_set(&f.h, f.img, block, QF_KIND_REFBLOCK, QF_NOWHERE);
	assert_string_equal(row(&f, block + 800), "cluster 400: 0 0 0 0");
	qf_hex_set(&f.h, f.img, f.m.reftable_off, QF_KIND_REFTABLE, QF_NOWHERE);
	row(&f, f.m.reftable_off);
	assert_int_equal(f.target, block);
	assert_string_equal(row(&f, f.m.reftable_off + 8),
			    "refcounts[1] no block");
	closed(&f);
	/* one bit a refcount: alike ones are put together */
	o.refcount_order = 0;
	open_it(&f, &o);
	mini_data(&f.m, 0);
	opened(&f);
	block = qf_image_refblock(f.img, 0);
	qf_hex_set(&f.h, f.img, block, QF_KIND_REFBLOCK, QF_NOWHERE);
	assert_string_equal(row(&f, block + 64), "cluster 512: 0 (x64)");
	assert_non_null(strstr(row(&f, block), "cluster 0: 1 (x"));
	closed(&f);
}

static void test_damaged_and_data(void **unused)
{
	struct fixture f;

	(void)unused;
	open_it(&f, &plain);
	opened(&f);
	/* damage hides the kind, not what ought to be there */
	qf_hex_set(&f.h, f.img, f.m.l1_off, QF_KIND_DAMAGED, QF_NOWHERE);
	assert_int_equal(f.h.as, QF_HEX_L1);
	qf_hex_set(&f.h, f.img, f.m.reftable_off, QF_KIND_UNKNOWN, QF_NOWHERE);
	assert_int_equal(f.h.as, QF_HEX_REFTABLE);
	qf_hex_set(&f.h, f.img, 0, QF_KIND_ACTIVE, QF_NOWHERE);
	assert_int_equal(qf_hex_width(&f.h), 16);
	assert_string_equal(row(&f, 0), "");
	assert_int_equal(f.target, QF_NOWHERE);
	closed(&f);
}

static void test_snapshots_and_bitmaps(void **unused)
{
	const struct qf_snapshot *s;
	const struct qf_bitmap *b;
	struct fixture f;

	(void)unused;
	open_it(&f, &plain);
	mini_data(&f.m, 1);
	mini_snapshot(&f.m, "7", "before \033[2J");
	mini_bitmap(&f.m, "daily");
	opened(&f);
	s = &f.img->snapshots.snap[0];
	qf_hex_set(&f.h, f.img, f.img->snapshots.off, QF_KIND_SNAPTABLE,
		   QF_NOWHERE);
	assert_non_null(strstr(row(&f, s->entry_off), "l1_table_offset 0x"));
	assert_int_equal(f.target, s->l1_off);
	/* a name never reaches the terminal as it is */
	assert_non_null(strstr(f.text, "snapshot \"before \\x1b[2J\""));
	assert_string_equal(row(&f, s->entry_off + 8),
			    "l1_size 4, id_len 1, name_len 11");
	b = &f.img->bitmaps.bm[0];
	qf_hex_set(&f.h, f.img, f.img->bitmaps.off, QF_KIND_BITMAP, QF_NOWHERE);
	assert_int_equal(f.h.as, QF_HEX_BITMAP_DIR);
	assert_non_null(strstr(row(&f, b->entry_off), "bitmap \"daily\""));
	assert_int_equal(f.target, b->table_off);
	qf_hex_set(&f.h, f.img, b->table_off, QF_KIND_BITMAP, QF_NOWHERE);
	assert_string_equal(f.h.title, "table of bitmap 0");
	assert_non_null(strstr(row(&f, b->table_off), "bits[0] at 0x"));
	closed(&f);
}

/* No row of random bytes, read as anything, writes past its room. */
static void test_random(void **unused)
{
	unsigned char bytes[CLUSTER];
	struct fixture f;
	uint64_t state = 99, target;
	char text[24];
	int kind;
	size_t i;

	(void)unused;
	open_it(&f, &plain);
	opened(&f);
	for (i = 0; i < sizeof(bytes); i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (unsigned char)(state >> 56);
	}
	for (kind = 0; kind < QF_KINDS; kind++) {
		qf_hex_set(&f.h, f.img, CLUSTER, (enum qf_kind)kind,
			   UINT64_MAX - 5000);
		for (i = 0; i < sizeof(bytes); i += 8) {
			qf_hex_row(&f.h, i, bytes + i, text, sizeof(text),
				   &target);
			assert_true(strlen(text) < sizeof(text));
		}
	}
	closed(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_refcounts),
		cmocka_unit_test(test_damaged_and_data),
		cmocka_unit_test(test_snapshots_and_bitmaps),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
