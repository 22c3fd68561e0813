// SPDX-License-Identifier: GPL-2.0-or-later
/* Against sets kept as plain bits in the test. */
#include "lib/base/mem.h"
#include "lib/base/spanset.h"
#include "tests/unit/unit.h"

#define UNIVERSE 150u
#define SETS 300u

struct plain {
	bool has[UNIVERSE];
};

static uint32_t put(struct qf_spanset *s, const struct plain *p)
{
	uint32_t member[UNIVERSE], n = 0, i;

	for (i = UNIVERSE; i-- > 0;)
		if (p->has[i])
			member[n++] = i;
	return qf_spanset_put_members(s, member, n);
}

/* Stretches, as snapshots leave them, and now and then confetti. */
static void random_plain(struct dice *d, struct plain *p)
{
	uint32_t k, i, from, n;

	memset(p, 0, sizeof(*p));
	for (k = (uint32_t)dice_below(d, 4); k > 0; k--) {
		from = (uint32_t)dice_below(d, UNIVERSE);
		n = (uint32_t)dice_below(d, UNIVERSE - from) + 1;
		for (i = from; i < from + n; i++)
			p->has[i] = true;
	}
	for (i = 0; dice_once_in(d, 8) && i < UNIVERSE; i++)
		p->has[i] = dice_once_in(d, 3);
}

static void check_members(struct qf_spanset *s, uint32_t id,
			  const struct plain *p)
{
	uint32_t i, size = 0;

	for (i = 0; i < UNIVERSE; i++) {
		assert_int_equal(qf_spanset_has(s, id, i), p->has[i]);
		size += p->has[i];
	}
	assert_int_equal(qf_spanset_size(s, id), size);
}

static void as_plain_ones(void **state)
{
	static struct plain p[SETS], both;
	uint32_t id[SETS], i, a, b, pair[2];
	struct dice d = { 41 };
	struct qf_spanset *s;
	bool within;

	(void)state;
	assert_int_equal(qf_spanset_new(UNIVERSE, 1 << 20, &s, NULL), QF_OK);
	for (i = 0; i < SETS; i++) {
		random_plain(&d, &p[i]);
		id[i] = put(s, &p[i]);
	}
	for (i = 0; i < SETS; i++) {
		check_members(s, id[i], &p[i]);
		assert_int_equal(put(s, &p[i]), id[i]);
	}
	for (i = 0; i < 4000; i++) {
		a = (uint32_t)dice_below(&d, SETS);
		b = (uint32_t)dice_below(&d, SETS);
		within = true;
		for (uint32_t k = 0; k < UNIVERSE; k++) {
			both.has[k] = p[a].has[k] || p[b].has[k];
			within = within && (!p[a].has[k] || p[b].has[k]);
		}
		pair[0] = id[a];
		pair[1] = id[b];
		check_members(s, qf_spanset_union(s, pair, 2), &both);
		assert_int_equal(qf_spanset_within(s, id[a], id[b]), within);
		assert_int_equal(id[a] == id[b],
				 !memcmp(&p[a], &p[b], sizeof(p[a])));
	}
	qf_spanset_free(s);
}

static void many_at_once(void **state)
{
	uint32_t id[20], i, first = 0;
	struct plain all = { 0 };
	struct qf_spanset *s;

	(void)state;
	assert_int_equal(qf_spanset_new(UNIVERSE, 1 << 20, &s, NULL), QF_OK);
	for (i = 0; i < 20; i++, first += 7) {
		id[i] = qf_spanset_put_members(s, &first, 1);
		all.has[first] = true;
	}
	check_members(s, qf_spanset_union(s, id, 20), &all);
	assert_int_equal(qf_spanset_union(s, id, 0), QF_SPANSET_EMPTY);
	qf_spanset_free(s);
}

static void limit(void **state)
{
	uint32_t member[UNIVERSE / 2], i, k, id = 0;
	struct qf_spanset *s;

	(void)state;
	assert_int_equal(qf_spanset_new(UNIVERSE, 4096, &s, NULL), QF_OK);
	for (i = 0; i < UNIVERSE / 2 && id != QF_SPANSET_FAILED; i++) {
		for (k = 0; k <= i; k++)
			member[k] = 2 * k;
		id = qf_spanset_put_members(s, member, i + 1);
	}
	assert_int_equal(id, QF_SPANSET_FAILED);
	assert_true(i > 5);
	qf_spanset_free(s);
}

static void without_memory(void **state)
{
	struct qf_spanset *s = NULL;
	struct qf_why why;
	long n;

	(void)state;
	for (n = 1;; n++) {
		qf_mem_fail_at(n);
		if (!qf_spanset_new(UNIVERSE, 4096, &s, &why))
			break;
		assert_int_equal(why.err, QF_ERR_NOMEM);
	}
	qf_mem_fail_at(0);
	assert_true(n > 3);
	qf_spanset_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_plain_ones),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(limit),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
