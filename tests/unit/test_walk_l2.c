// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The decoding of L2 tables into runs, and the merging of many versions of
 * one table, against a slot-by-slot reading of the same bytes.
 */
#include "lib/walk/walk.h"
#include "tests/unit/tangle.h"
#include "tests/unit/unit.h"

/* What the visitor has seen: per table and slot the run that said it. */
struct slot {
	uint64_t entry, bitmap;
	uint16_t odd;
	uint8_t kind;
	uint8_t seen;
};

struct seen {
	const struct qf_walk *w;
	struct slot *slot; /* [table][L2 index] */
	const char *wrong; /* the first breach of the contract */
};

static void must(struct seen *s, bool good, const char *what)
{
	if (!good && !s->wrong)
		s->wrong = what;
}

static bool is_member(const struct qf_run *r, uint32_t v)
{
	return !r->members || r->members[v / 64] >> (v % 64) & 1;
}

static void note(struct seen *s, const struct qf_group *g,
		 const struct qf_run *r, uint32_t v)
{
	const struct qf_geometry *geo = &s->w->img->geo;
	uint64_t table = g->first + v;
	struct slot *slot;
	uint32_t i;

	for (i = 0; i < r->n; i++) {
		slot = &s->slot[(table << geo->l2_bits) + r->index + i];
		must(s, !slot->seen, "a slot is seen twice");
		*slot = (struct slot){
			.entry = r->entry + i * geo->cluster_bytes,
			.bitmap = r->bitmap,
			.odd = r->odd,
			.kind = r->kind,
			.seen = r->again ? 2 : 1,
		};
	}
}

static bool see(void *ctx, unsigned int worker, const struct qf_group *g,
		const struct qf_run *r, size_t n)
{
	struct seen *s = ctx;
	uint32_t v, weight;
	bool active;

	(void)worker;
	for (; n; n--, r++) {
		weight = 0;
		active = false;
		must(s, r->n && r->index + r->n <= s->w->img->geo.l2_entries,
		     "a run leaves its table");
		must(s, r->n == 1 || !r->odd,
		     "an odd run does not stand alone");
		for (v = 0; v < g->n; v++) {
			if (!is_member(r, v))
				continue;
			weight += s->w->table[g->first + v].weight;
			active |= s->w->table[g->first + v].active;
			note(s, g, r, v);
		}
		must(s, weight == r->weight, "the weight is not its members'");
		must(s, active == r->active, "active is not its members'");
	}
	return true;
}

/*
 * Is what was seen of one slot what stands in the table? COPIED counts for
 * the active disk alone: entries that differ in it are merged, and so are the
 * oddities that hang on it.
 */
static void compare_slot(const struct mini *m, const struct qf_walk *w,
			 uint64_t table, uint32_t i, const struct slot *s)
{
	const struct qf_geometry *g = &w->img->geo;
	uint64_t at = w->table[table].off + (uint64_t)i * g->l2_entry_bytes;
	uint64_t e = mini_get64(m, at);
	uint64_t b = g->extl2 ? mini_get64(m, at + 8) : 0;
	unsigned int odd =
		qf_entry_l2_odd(g, w->img->hdr.version, m->bytes, e, b);
	enum qf_entry_kind kind = qf_entry_kind(g, e);
	unsigned int skipped = 0;

	if (!w->table[table].active)
		skipped = QF_ODD_COMPRESSED_COPIED | QF_ODD_COPIED_NOTHING;
	if (kind == QF_ENTRY_KIND_NONE && !(odd & ~skipped)) {
		assert_true(skipped || !s->seen);
		return;
	}
	assert_true(s->seen);
	assert_int_equal((s->entry ^ e) & ~QF_ENTRY_COPIED, 0);
	if (w->table[table].active)
		assert_int_equal(s->entry, e);
	assert_int_equal(s->bitmap, b);
	assert_int_equal(s->kind, kind);
	assert_int_equal((s->odd ^ odd) & ~skipped, 0);
}

static uint64_t host_of(uint64_t e)
{
	return e & QF_ENTRY_COMPRESSED ? e & ~QF_ENTRY_COPIED
				       : e & QF_ENTRY_OFFSET_MASK;
}

/*
 * Each host cluster that versions of one slot name must be seen once without
 * "again", however many different entries name it.
 */
static void compare_again(const struct qf_walk *w, const struct seen *s,
			  const struct qf_group *g, uint32_t i)
{
	uint32_t bits = w->img->geo.l2_bits, a, b, firsts;
	const struct slot *x, *y;

	for (a = 0; a < g->n; a++) {
		x = &s->slot[((g->first + a) << bits) + i];
		if (!x->seen || !host_of(x->entry))
			continue;
		firsts = 0;
		for (b = 0; b < g->n; b++) {
			y = &s->slot[((g->first + b) << bits) + i];
			if (y->seen && host_of(x->entry) == host_of(y->entry))
				firsts += y->seen == 1;
		}
		assert_true(firsts > 0);
		/* all that are "first" come from one and the same run */
		for (b = 0; b < g->n && x->seen == 1; b++) {
			y = &s->slot[((g->first + b) << bits) + i];
			if (y->seen == 1 &&
			    host_of(x->entry) == host_of(y->entry)) {
				assert_int_equal(x->entry, y->entry);
				assert_int_equal(x->bitmap, y->bitmap);
			}
		}
	}
}

static void walk_and_compare(const struct mini *m, unsigned int jobs)
{
	struct qf_image *img = mini_open(m);
	struct seen s = { 0 };
	struct qf_visitor v = { .ctx = &s, .runs = see };
	struct qf_walk w;
	uint64_t t;
	uint32_t i, k;

	assert_int_equal(qf_walk_gather(img, &w, NULL), QF_OK);
	s.w = &w;
	s.slot = calloc(w.n_tables << img->geo.l2_bits, sizeof(*s.slot));
	assert_non_null(s.slot);
	assert_int_equal(qf_walk_run(&w, jobs, &v, NULL), QF_OK);
	if (s.wrong)
		fail_msg("%s", s.wrong);
	for (t = 0; t < w.n_tables; t++) {
		assert_false(w.table[t].unread);
		for (i = 0; i < img->geo.l2_entries; i++)
			compare_slot(m, &w, t, i,
				     &s.slot[(t << img->geo.l2_bits) + i]);
	}
	for (k = 0; k < w.n_groups; k++)
		for (i = 0; i < img->geo.l2_entries; i++)
			compare_again(&w, &s, &w.group[k], i);
	free(s.slot);
	qf_walk_free(&w);
	qf_image_close(img);
}

static void one_version(void **state)
{
	uint32_t seed;
	struct mini m;

	(void)state;
	for (seed = 0; seed < 30; seed++) {
		tangle_make(&m, seed, 9 + seed % 5, false, 0);
		walk_and_compare(&m, 1);
		mini_free(&m);
		tangle_make(&m, seed, 14 + seed % 2, true, 0);
		walk_and_compare(&m, 1);
		mini_free(&m);
	}
}

static void several_versions(void **state)
{
	uint32_t seed;
	struct mini m;

	(void)state;
	for (seed = 100; seed < 140; seed++) {
		tangle_make(&m, seed, 9 + seed % 5, false, 1 + seed % 5);
		walk_and_compare(&m, 1 + seed % 3);
		mini_free(&m);
	}
	for (seed = 200; seed < 210; seed++) {
		tangle_make(&m, seed, 14 + seed % 2, true, 1 + seed % 5);
		walk_and_compare(&m, 1 + seed % 3);
		mini_free(&m);
	}
}

static void tables_in_slices(void **state)
{
	struct mini m;

	(void)state;
	tangle_make(&m, 300, 16, false, 7);
	walk_and_compare(&m, 2);
	mini_free(&m);
	tangle_make(&m, 301, 17, true, 7);
	walk_and_compare(&m, 1);
	mini_free(&m);
}

static void more_versions_than_a_word_has_bits(void **state)
{
	struct mini m;

	(void)state;
	tangle_make(&m, 400, 10, false, 100);
	walk_and_compare(&m, 2);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_version),
		cmocka_unit_test(several_versions),
		cmocka_unit_test(tables_in_slices),
		cmocka_unit_test(more_versions_than_a_word_has_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
