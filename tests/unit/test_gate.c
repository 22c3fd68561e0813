// SPDX-License-Identifier: GPL-2.0-or-later
/* Plans that are wrong on purpose, one for each way of going wrong: the gate
 * stops them. And plans that change much, but nothing that the guest reads. */
#include "repair/gate/gate.h"
#include "repair/tell/report_plan.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"

#define P QF_P_L2_UNALIGNED

struct bed {
	struct mini m;
	struct qf_io *io;
	struct qf_plan *plan;
	uint64_t l2, data[4]; /* of guest clusters 0 to 3 */
	uint64_t spare;	      /* a cluster that nobody uses */
};

typedef void wrong_fn(struct bed *b);

static void put64(struct bed *b, uint64_t off, uint64_t v)
{
	assert_int_equal(qf_plan_put64(b->plan, P, off, v, NULL, "test"),
			 QF_OK);
}

static void put32(struct bed *b, uint64_t off, uint32_t v)
{
	assert_int_equal(qf_plan_put32(b->plan, P, off, v, NULL, "test"),
			 QF_OK);
}

static void put(struct bed *b, uint64_t off, const void *p, uint64_t n)
{
	assert_int_equal(qf_plan_put(b->plan, P, off, p, n, NULL, "%s", "test"),
			 QF_OK);
}

static uint64_t entry(const struct bed *b, uint64_t guest)
{
	return b->l2 + guest * 8 * b->m.l2_words;
}

/* -- what the guest would notice -- */

static void other_cluster(struct bed *b)
{
	put64(b, entry(b, 0), b->data[1] | MINI_COPIED);
}

static void pointer_gone(struct bed *b)
{
	put64(b, entry(b, 1), 0);
}

static void zero_flag(struct bed *b)
{
	put64(b, entry(b, 1), b->data[1] | MINI_COPIED | 1);
}

static void mapped_anew(struct bed *b)
{
	put64(b, entry(b, 9), b->data[1]);
}

static void past_the_end(struct bed *b)
{
	put64(b, entry(b, 1), 1ull << 40);
}

static void data_overwritten(struct bed *b)
{
	put64(b, b->data[2] + 512, 0x1234);
}

static void l1_entry_gone(struct bed *b)
{
	put64(b, b->m.l1_off, 0);
}

static void l1_entry_elsewhere(struct bed *b)
{
	put64(b, b->m.l1_off, b->spare);
}

static void snapshots_table(struct bed *b)
{
	struct qf_be64 w;

	/* the snapshot's entry begins with the place of its L1 table */
	memcpy(&w, b->m.buf + b->m.snap_off, sizeof(w));
	put64(b, qf_be_get64(w), 0);
}

static void snapshot_dropped(struct bed *b)
{
	put32(b, 60, 0);
}

static void disk_cut(struct bed *b)
{
	put64(b, 24, 2 * b->m.cluster_bytes);
}

static void other_units(struct bed *b)
{
	put32(b, 20, b->m.o.cluster_bits + 1);
}

static void l1_table_elsewhere(struct bed *b)
{
	put64(b, 40, b->spare);
}

static void backing_file(struct bed *b)
{
	put(b, 200, "base", 4);
	put64(b, 8, 200);
	put32(b, 16, 4);
}

static void no_image(struct bed *b)
{
	put32(b, 0, 0);
}

/* -- what it would not -- */

static void flag_alone(struct bed *b)
{
	put64(b, entry(b, 1), b->data[1]);
}

static void refcounts_alone(struct bed *b)
{
	struct qf_be64 w;

	memcpy(&w, b->m.buf + b->m.reftable_off, sizeof(w));
	put64(b, qf_be_get64(w) + 64, 0x0001000100010001);
}

static void table_moved(struct bed *b)
{
	put(b, b->spare, b->m.buf + b->l2, b->m.cluster_bytes);
	put64(b, b->m.l1_off, b->spare | MINI_COPIED);
}

static void cluster_cloned(struct bed *b)
{
	put(b, b->spare, b->m.buf + b->data[1], b->m.cluster_bytes);
	put64(b, entry(b, 1), b->spare | MINI_COPIED);
}

static void zeros_instead_of_nothing(struct bed *b)
{
	put64(b, entry(b, 9), 1);
}

static void licensed(struct bed *b)
{
	pointer_gone(b);
	assert_true(qf_plan_licence(b->plan, QF_HOLDER_ACTIVE,
				    b->m.cluster_bytes, b->m.cluster_bytes));
}

static void given_up(struct bed *b)
{
	pointer_gone(b);
	assert_true(qf_plan_lose(b->plan, QF_HOLDER_ACTIVE, 0,
				 4 * b->m.cluster_bytes));
}

static void cloned_and_licensed(struct bed *b)
{
	cluster_cloned(b);
	assert_true(qf_plan_licence(b->plan, QF_HOLDER_ACTIVE, 0,
				    8 * b->m.cluster_bytes));
}

static void elsewhere_and_licensed(struct bed *b)
{
	other_cluster(b);
	assert_true(qf_plan_licence(b->plan, QF_HOLDER_ACTIVE, 0,
				    8 * b->m.cluster_bytes));
}

/* A licence is for its range alone, and for its holder. */
static void half_licensed(struct bed *b)
{
	pointer_gone(b);
	assert_true(qf_plan_licence(b->plan, QF_HOLDER_ACTIVE, 0,
				    b->m.cluster_bytes));
	assert_true(qf_plan_licence(b->plan, QF_HOLDER_SNAPSHOT(0), 0,
				    8 * b->m.cluster_bytes));
}

static void make(struct bed *b, const struct mini_opts *o, uint32_t crypt)
{
	uint64_t i;

	memset(b, 0, sizeof(*b));
	mini_make(&b->m, o);
	for (i = 0; i < 4; i++) {
		b->data[i] = mini_data(&b->m, i);
		memset(b->m.buf + b->data[i], (int)(i + 1), b->m.cluster_bytes);
	}
	mini_snapshot(&b->m, "1", "s");
	for (i = 0; i < 4; i++) {
		b->data[i] = mini_data(&b->m, i);
		memset(b->m.buf + b->data[i], (int)(i + 0x11),
		       b->m.cluster_bytes);
	}
	b->l2 = mini_l2(&b->m, 0);
	b->spare = mini_alloc(&b->m, 1);
	mini_put32(&b->m, 32, crypt);
	assert_int_equal(qf_io_mem_open(b->m.buf, b->m.bytes, "mini", &b->io,
					NULL),
			 QF_OK);
	assert_int_equal(qf_plan_new(b->io, &b->plan, NULL), QF_OK);
}

static bool stops(wrong_fn *fn, const struct mini_opts *o, uint32_t crypt)
{
	struct qf_gate_breach breach = { 0 };
	struct bed b;
	bool found;

	make(&b, o, crypt);
	fn(&b);
	assert_int_equal(qf_gate_compare(b.plan, &breach, &found, NULL), QF_OK);
	if (found) {
		assert_int_equal(breach.problem, P);
		assert_non_null(breach.how);
	}
	qf_plan_free(b.plan);
	qf_io_close(b.io);
	mini_free(&b.m);
	return found;
}

static const struct mini_opts plain = { .version = 3,
					.cluster_bits = 12,
					.refcount_order = 4,
					.disk_bytes = 1 << 20 };

static void wrong_plans_are_stopped(void **state)
{
	static wrong_fn *const wrong[] = {
		other_cluster,	    pointer_gone,	zero_flag,
		mapped_anew,	    past_the_end,	data_overwritten,
		l1_entry_gone,	    l1_entry_elsewhere, snapshots_table,
		snapshot_dropped,   disk_cut,		other_units,
		l1_table_elsewhere, backing_file,	no_image,
		half_licensed,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (!stops(wrong[i], &plain, 0))
			fail_msg("wrong plan number %zu got through", i);
}

static void right_plans_pass(void **state)
{
	static wrong_fn *const right[] = {
		flag_alone,	refcounts_alone,	  table_moved,
		cluster_cloned, zeros_instead_of_nothing, licensed,
		given_up,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		if (stops(right[i], &plain, 0))
			fail_msg("right plan number %zu was stopped", i);
}

/* The key stream of LUKS goes by the place in the file, that of AES does not:
 * the same bytes elsewhere are other ones there. */
static void moved_ciphertext_reads_otherwise(void **state)
{
	(void)state;
	assert_true(stops(cluster_cloned, &plain, QF_CRYPT_LUKS));
	assert_false(stops(cluster_cloned, &plain, QF_CRYPT_AES));
	assert_false(stops(table_moved, &plain, QF_CRYPT_LUKS));
	/* what is called lost may be right: nobody is served by garbage */
	assert_true(stops(cloned_and_licensed, &plain, QF_CRYPT_LUKS));
	assert_false(stops(cloned_and_licensed, &plain, QF_CRYPT_AES));
	assert_false(stops(elsewhere_and_licensed, &plain, QF_CRYPT_LUKS));
}

static void subcluster_turned(struct bed *b)
{
	put64(b, entry(b, 1) + 8, 0xfffffffe);
}

static void subclusters_count(void **state)
{
	struct mini_opts o = plain;

	(void)state;
	o.cluster_bits = 14;
	o.incompatible = QF_INCOMPAT_EXTL2;
	assert_true(stops(subcluster_turned, &o, 0));
	assert_true(stops(pointer_gone, &o, 0));
	assert_false(stops(flag_alone, &o, 0));
}

/* What was stopped is told to programs, too. */
static void breaches_are_in_the_json(void **state)
{
	struct qf_planner m = { 0 };
	struct qf_report left = { 0 };
	struct qf_outcome o = { .name = "mini", .left = &left };
	struct qf_image *img;
	struct bed b;
	char *text = NULL;
	size_t n = 0;
	bool found;
	FILE *out = open_memstream(&text, &n);

	(void)state;
	make(&b, &plain, 0);
	pointer_gone(&b);
	assert_int_equal(qf_gate_compare(b.plan, &m.breach[0], &found, NULL),
			 QF_OK);
	assert_true(found);
	m.n_breaches = 1;
	m.plan = b.plan;
	img = mini_open(&b.m);
	qf_report_plan_json(out, img, &m, &o);
	fclose(out);
	assert_non_null(strstr(text, "\"gate\": [\n        {"));
	assert_non_null(strstr(strstr(text, "\"gate\""), "l2-entry-unaligned"));
	assert_non_null(strstr(text, "\"guest-offset\": 4096"));
	qf_image_close(img);
	free(text);
	qf_plan_free(b.plan);
	qf_io_close(b.io);
	mini_free(&b.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(breaches_are_in_the_json),
		cmocka_unit_test(wrong_plans_are_stopped),
		cmocka_unit_test(right_plans_pass),
		cmocka_unit_test(moved_ciphertext_reads_otherwise),
		cmocka_unit_test(subclusters_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
