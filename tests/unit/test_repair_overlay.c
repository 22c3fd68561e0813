// SPDX-License-Identifier: GPL-2.0-or-later
/* The overlay and the ranges against plain arrays kept in the test. */
#include "lib/io/io_overlay.h"
#include "lib/base/ranges.h"
#include "tests/unit/unit.h"

#define BASE 5000u
#define ROOM 20000u

struct model {
	unsigned char base[BASE], now[ROOM];
	uint64_t size;
};

static void compare(struct qf_overlay *o, const struct model *m, struct dice *d)
{
	static unsigned char got[ROOM];
	uint64_t off = dice_below(d, ROOM), len = dice_below(d, 3000) + 1;
	struct qf_io *io;
	int64_t n, want;

	assert_int_equal(qf_overlay_view(o, &io, NULL), QF_OK);
	assert_int_equal(io->size, m->size);
	n = io->ops->read(io, got, len, off);
	want = off >= m->size	     ? 0
	       : len > m->size - off ? (int64_t)(m->size - off)
				     : (int64_t)len;
	assert_int_equal(n, want);
	assert_memory_equal(got, m->now + off, (size_t)n);
	assert_int_equal(qf_io_read_pad(io, got, m->size, 0, NULL), QF_OK);
	assert_memory_equal(got, m->now, m->size);
	qf_io_close(io);
}

static void put(struct qf_overlay *o, struct model *m, struct dice *d)
{
	unsigned char buf[3000];
	uint64_t off = dice_below(d, ROOM - sizeof(buf));
	uint64_t len = dice_below(d, sizeof(buf)) + 1, i;

	for (i = 0; i < len; i++)
		buf[i] = (unsigned char)dice_roll(d);
	assert_int_equal(qf_overlay_put(o, off, buf, len, NULL), QF_OK);
	memcpy(m->now + off, buf, len);
	if (off + len > m->size)
		m->size = off + len;
}

static void copy(struct qf_overlay *o, struct model *m, struct dice *d)
{
	uint64_t off = dice_below(d, 30) * 512, src = dice_below(d, 9) * 512;
	uint64_t len = (dice_below(d, 3) + 1) * 512, i;

	assert_int_equal(qf_overlay_copy(o, off, src, len, NULL), QF_OK);
	for (i = 0; i < len; i++)
		m->now[off + i] = src + i < BASE ? m->base[src + i] : 0;
	if (off + len > m->size)
		m->size = off + len;
}

/* What the overlay names as edited is all that differs from the base. */
static void edits_are_whole(struct qf_overlay *o, const struct model *m)
{
	bool edited[ROOM] = { false };
	uint64_t from = 0, off, len, i;

	while (qf_overlay_next(o, from, 1024, &off, &len)) {
		assert_true(off >= from && len && len <= 1024);
		for (i = 0; i < len; i++)
			edited[off + i] = true;
		from = off + 512 * ((len + 511) / 512);
	}
	for (i = 0; i < m->size; i++)
		if (!edited[i])
			assert_int_equal(m->now[i], i < BASE ? m->base[i] : 0);
}

static void overlay_is_what_was_put(void **state)
{
	struct dice d = { 1 };
	unsigned int turn, step;
	struct qf_overlay *o;
	struct qf_io *base;
	struct model m;

	(void)state;
	for (turn = 0; turn < 60; turn++) {
		memset(&m, 0, sizeof(m));
		for (step = 0; step < BASE; step++)
			m.base[step] = (unsigned char)dice_roll(&d);
		memcpy(m.now, m.base, BASE);
		m.size = BASE;
		assert_int_equal(qf_io_mem_open(m.base, BASE, "base", &base,
						NULL),
				 QF_OK);
		assert_int_equal(qf_overlay_new(base, &o, NULL), QF_OK);
		for (step = 0; step < 12; step++) {
			if (dice_once_in(&d, 3))
				copy(o, &m, &d);
			else
				put(o, &m, &d);
			compare(o, &m, &d);
		}
		assert_int_equal(qf_overlay_size(o), m.size);
		edits_are_whole(o, &m);
		qf_overlay_free(o);
		qf_io_close(base);
	}
}

/* Where the overlay says that the base has a byte, there it is. */
static void sources_are_true(struct qf_overlay *o, const unsigned char *base,
			     const unsigned char *now, uint64_t size)
{
	uint64_t at, i, src, len;
	bool there;

	for (at = 0; at < size; at += len) {
		there = qf_overlay_source(o, at, &src, &len);
		assert_true(len);
		if (len > size - at)
			len = size - at;
		for (i = 0; there && i < len; i++)
			assert_int_equal(now[at + i],
					 src + i < size ? base[src + i] : 0);
	}
}

#define BIG (4u << 20)

/* So many runs that they do not fit on a page, also of those that are cut. */
static void many_runs(void **state)
{
	unsigned char *base = malloc(BIG), *now = malloc(BIG),
		      *got = malloc(BIG);
	struct dice d = { 5 };
	struct qf_overlay *o;
	struct qf_io *io, *view;
	uint64_t i, off, src, len;

	(void)state;
	assert_true(base && now && got);
	for (i = 0; i < BIG; i++)
		base[i] = (unsigned char)dice_roll(&d);
	memcpy(now, base, BIG);
	assert_int_equal(qf_io_mem_open(base, BIG, "base", &io, NULL), QF_OK);
	assert_int_equal(qf_overlay_new(io, &o, NULL), QF_OK);
	for (i = 0; i < 6000; i++) {
		len = (dice_below(&d, 6) + 1) * 512;
		off = dice_below(&d, BIG / 512 - 6) * 512;
		src = dice_below(&d, BIG / 512 - 6) * 512;
		if (dice_once_in(&d, 40))
			len = 40 * 512;
		if (off + len > BIG || src + len > BIG)
			continue;
		if (dice_once_in(&d, 2)) {
			assert_int_equal(
				qf_overlay_copy(o, off, src, len, NULL), QF_OK);
			memcpy(now + off, base + src, len);
			continue;
		}
		off += dice_below(&d, 512);
		len -= 512;
		memset(now + off, (int)(i & 255), len);
		assert_int_equal(qf_overlay_put(o, off, now + off, len, NULL),
				 QF_OK);
	}
	assert_int_equal(qf_overlay_view(o, &view, NULL), QF_OK);
	assert_int_equal(qf_io_read_pad(view, got, BIG, 0, NULL), QF_OK);
	assert_memory_equal(got, now, BIG);
	for (i = 0; i < 3000; i++) {
		off = dice_below(&d, BIG - 9000);
		len = dice_below(&d, 9000) + 1;
		assert_int_equal(qf_io_read_pad(view, got, len, off, NULL),
				 QF_OK);
		assert_memory_equal(got, now + off, len);
	}
	sources_are_true(o, base, now, BIG);
	qf_io_close(view);
	qf_overlay_free(o);
	qf_io_close(io);
	free(base);
	free(now);
	free(got);
}

static void ranges_are_a_set(void **state)
{
	struct qf_ranges r = { 0 };
	bool has[400] = { false };
	struct dice d = { 2 };
	uint64_t off, len, i;
	unsigned int turn;

	(void)state;
	for (turn = 0; turn < 60; turn++) {
		off = dice_below(&d, 380);
		len = dice_below(&d, 20);
		assert_true(qf_ranges_add(&r, off, len));
		for (i = off; i < off + len; i++)
			has[i] = true;
		for (i = 0; i < 400; i++)
			assert_int_equal(qf_ranges_has(&r, i), has[i]);
		for (i = 1; i < r.n; i++)
			assert_true(r.at[i - 1].off + r.at[i - 1].len <
				    r.at[i].off);
	}
	qf_ranges_free(&r);
}

/* A file of nothing but a hole. */
static enum qf_io_kind all_hole(struct qf_io *io, uint64_t off, uint64_t limit,
				uint64_t *end)
{
	(void)io;
	(void)off;
	*end = limit;
	return QF_IO_HOLE;
}

static int64_t all_zeros(struct qf_io *io, void *buf, uint64_t len,
			 uint64_t off)
{
	len = off >= io->size ? 0 : len > io->size - off ? io->size - off : len;
	memset(buf, 0, len);
	return (int64_t)len;
}

/* What is planned and not written, as it changes nothing, is no data. */
static void zeros_over_a_hole_stay_a_hole(void **state)
{
	static const struct qf_io_ops ops = { .read = all_zeros,
					      .extent = all_hole };
	static const unsigned char zeros[3 * QF_OVERLAY_BLOCK];
	struct qf_io base = { .ops = &ops,
			      .name = (char *)(uintptr_t) "base",
			      .size = 64 * QF_OVERLAY_BLOCK };
	const uint64_t at = 8 * QF_OVERLAY_BLOCK, block = QF_OVERLAY_BLOCK;
	struct qf_overlay *o;
	struct qf_io *io;
	uint64_t end;

	(void)state;
	assert_int_equal(qf_overlay_new(&base, &o, NULL), QF_OK);
	assert_int_equal(qf_overlay_put(o, at, zeros, 3 * block, NULL), QF_OK);
	assert_int_equal(qf_overlay_put(o, at + 3 * block, "x", 1, NULL),
			 QF_OK);
	assert_int_equal(qf_overlay_view(o, &io, NULL), QF_OK);
	assert_int_equal(qf_io_extent(io, 0, base.size, &end), QF_IO_HOLE);
	assert_int_equal(end, at);
	assert_int_equal(qf_io_extent(io, at, base.size, &end), QF_IO_HOLE);
	assert_int_equal(end, at + 3 * block);
	assert_int_equal(qf_io_extent(io, at + block, at + 2 * block, &end),
			 QF_IO_HOLE);
	assert_int_equal(end, at + 2 * block);
	assert_int_equal(qf_io_extent(io, at + 3 * block, base.size, &end),
			 QF_IO_DATA);
	assert_int_equal(end, at + 4 * block);
	qf_io_close(io);
	qf_overlay_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlay_is_what_was_put),
		cmocka_unit_test(many_runs),
		cmocka_unit_test(zeros_over_a_hole_stay_a_hole),
		cmocka_unit_test(ranges_are_a_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
