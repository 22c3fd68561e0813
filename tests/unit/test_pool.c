// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/base/pool.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ITEMS 5000

struct seen {
	atomic_uint times[ITEMS];
	atomic_bool bad_worker;
	unsigned int workers;
	uint64_t stop_at;
};

static bool see(void *ctx, uint64_t i, unsigned int worker)
{
	struct seen *s = ctx;

	if (worker >= s->workers || i >= ITEMS)
		atomic_store(&s->bad_worker, true);
	else
		atomic_fetch_add(&s->times[i], 1);
	return i != s->stop_at;
}

static void every_item_once(void **state)
{
	static const unsigned int jobs[] = { 0, 1, 2, 7 };
	static const uint64_t chunks[] = { 0, 1, 3, 100, ITEMS, ITEMS * 2 };
	struct seen *s = calloc(1, sizeof(*s));
	size_t j, c, i;

	(void)state;
	assert_non_null(s);
	for (j = 0; j < ARRAY_SIZE(jobs); j++)
		for (c = 0; c < ARRAY_SIZE(chunks); c++) {
			memset(s, 0, sizeof(*s));
			s->workers = qf_pool_jobs(jobs[j]);
			s->stop_at = UINT64_MAX;
			assert_true(
				qf_pool_for(jobs[j], ITEMS, chunks[c], see, s));
			assert_false(atomic_load(&s->bad_worker));
			for (i = 0; i < ITEMS; i++)
				assert_int_equal(s->times[i], 1);
		}
	free(s);
}

static void a_false_stops_the_loop(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));
	uint64_t i;

	(void)state;
	assert_non_null(s);
	s->workers = 1;
	s->stop_at = 10;
	assert_false(qf_pool_for(1, ITEMS, 4, see, s));
	for (i = 0; i < ITEMS; i++)
		assert_int_equal(s->times[i], i <= 10);
	memset(s, 0, sizeof(*s));
	s->workers = 4;
	s->stop_at = 0;
	assert_false(qf_pool_for(4, ITEMS, 1, see, s));
	assert_int_equal(s->times[0], 1);
	free(s);
}

static void no_items_is_no_work(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	assert_true(qf_pool_for(4, 0, 1, see, s));
	assert_false(atomic_load(&s->bad_worker));
	free(s);
}

static void jobs_are_bounded(void **state)
{
	(void)state;
	assert_true(qf_pool_jobs(0) >= 1);
	assert_int_equal(qf_pool_jobs(3), 3);
	assert_int_equal(qf_pool_jobs(UINT32_MAX), 256);
	/* little work: one, unless more are asked for; else all there are */
	assert_int_equal(qf_pool_jobs_for(0, 0), 1);
	assert_int_equal(qf_pool_jobs_for(0, 9 << 20), 1);
	assert_int_equal(qf_pool_jobs_for(0, UINT64_MAX), qf_pool_jobs(0));
	assert_int_equal(qf_pool_jobs_for(5, 0), 5);
}

static uint64_t ticks, tick_last, tick_n;

static void tick(uint64_t done, uint64_t n)
{
	ticks++;
	assert_true(done >= tick_last && done < n);
	tick_last = done;
	tick_n = n;
}

static void a_watcher_sees_it_go_on(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));

	(void)state;
	assert_non_null(s);
	s->workers = 1;
	s->stop_at = UINT64_MAX;
	qf_pool_watch(tick);
	assert_true(qf_pool_for(1, 100, 1, see, s));
	qf_pool_watch(NULL);
	assert_int_equal(ticks, 100);
	assert_int_equal(tick_last, 99);
	assert_int_equal(tick_n, 100);
	assert_true(qf_pool_for(1, 100, 1, see, s));
	assert_int_equal(ticks, 100);
	free(s);
}

static atomic_uint_fast64_t all_ticks;

static void any_tick(uint64_t done, uint64_t n)
{
	(void)done;
	(void)n;
	atomic_fetch_add(&all_ticks, 1);
}

static bool touch(void *ctx, uint64_t i, unsigned int worker)
{
	(void)ctx;
	(void)i;
	(void)worker;
	return true;
}

/* An image with a loop of its own; it takes the watch over for a while. */
static bool loop_within(void *ctx, uint64_t i, unsigned int worker)
{
	qf_pool_tick *before = qf_pool_watch(NULL);

	qf_pool_watch(before);
	(void)ctx;
	(void)i;
	(void)worker;
	return qf_pool_for(1, 10, 1, touch, NULL);
}

static bool loop_within_all(void *ctx, uint64_t i, unsigned int worker)
{
	(void)ctx;
	(void)i;
	(void)worker;
	return qf_pool_for(1, 10, 1, touch, NULL);
}

static void a_loop_within_is_seen_if_wanted(void **state)
{
	(void)state;
	atomic_store(&all_ticks, 0);
	qf_pool_watch(any_tick);
	assert_true(qf_pool_for(1, 5, 1, loop_within, NULL));
	qf_pool_watch(NULL);
	assert_int_equal(atomic_load(&all_ticks), 5);
	atomic_store(&all_ticks, 0);
	qf_pool_watch_all(any_tick);
	assert_true(qf_pool_for(1, 5, 1, loop_within_all, NULL));
	qf_pool_watch(NULL);
	assert_int_equal(atomic_load(&all_ticks), 55);
}

static void watched_task(void *ctx)
{
	*(bool *)ctx = qf_pool_for(1, 7, 1, touch, NULL);
}

/* The browser watches the loops of what it starts. */
static void a_task_is_watched_as_who_starts_it(void **state)
{
	struct qf_pool_task *task;
	bool whole = false;

	(void)state;
	atomic_store(&all_ticks, 0);
	qf_pool_watch(any_tick);
	assert_true(qf_pool_start(&task, watched_task, &whole));
	qf_pool_wait(task);
	qf_pool_watch(NULL);
	assert_true(whole);
	assert_int_equal(atomic_load(&all_ticks), 7);
}

static bool count_slowly(void *ctx, uint64_t i, unsigned int worker)
{
	atomic_uint_fast64_t *n = ctx;

	(void)i;
	(void)worker;
	atomic_fetch_add(n, 1);
	usleep(100);
	return true;
}

struct beside {
	atomic_uint_fast64_t items;
	bool whole;
	pthread_t thread;
};

static void loop_beside(void *ctx)
{
	struct beside *b = ctx;

	b->thread = pthread_self();
	b->whole = qf_pool_for(2, 1000000, 1, count_slowly, &b->items);
}

/* A million items would take a minute: the halt ends them at once. */
static void a_task_runs_beside_and_halts(void **state)
{
	struct qf_pool_task *task;
	struct beside b = { 0 };

	(void)state;
	assert_true(qf_pool_start(&task, loop_beside, &b));
	while (atomic_load(&b.items) < 10)
		usleep(100);
	assert_false(qf_pool_done(task));
	qf_pool_halt(true);
	qf_pool_wait(task);
	assert_false(b.whole);
	assert_false(pthread_equal(b.thread, pthread_self()));
	assert_in_range(atomic_load(&b.items), 10, 999999);
	/* halted, no loop does anything; later ones do again */
	atomic_store(&b.items, 0);
	assert_true(qf_pool_halted());
	assert_false(qf_pool_for(1, 5, 1, count_slowly, &b.items));
	assert_int_equal(atomic_load(&b.items), 0);
	qf_pool_halt(false);
	assert_false(qf_pool_halted());
	assert_true(qf_pool_for(1, 5, 1, count_slowly, &b.items));
	assert_int_equal(atomic_load(&b.items), 5);
	qf_pool_wait(NULL);
}

static void nothing(void *ctx)
{
	atomic_store((atomic_bool *)ctx, true);
}

static void a_task_says_when_it_is_done(void **state)
{
	atomic_bool ran = false;
	struct qf_pool_task *task;

	(void)state;
	assert_true(qf_pool_start(&task, nothing, &ran));
	while (!qf_pool_done(task))
		usleep(100);
	assert_true(atomic_load(&ran));
	qf_pool_wait(task);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool sleep_once(void *ctx, uint64_t i, unsigned int worker)
{
	(void)ctx;
	(void)worker;
	usleep(i ? 1000 : 3000);
	return true;
}

/* Who has nothing to do sleeps: loops in which one worker waits 2 ms for the
 * other, and a pause after each, take next to no time of a processor. */
static void nobody_waits_busily(void **state)
{
	double before = cpu_seconds();
	int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		assert_true(qf_pool_for(2, 2, 1, sleep_once, NULL));
		usleep(1000);
	}
	assert_true(cpu_seconds() - before < 0.2);
}

/* --- rows --- */

#define PIECES 3000u
#define ROW_SLOTS 40u

struct pieces {
	uint32_t slots;
	unsigned int workers;
	uint64_t made, taken, stop_at;
	atomic_uint making;
	atomic_bool wrong;
	/* by slot: its piece's number, and what came of it */
	uint64_t number[ROW_SLOTS], done[ROW_SLOTS];
};

static bool make_piece(void *ctx, uint32_t slot)
{
	struct pieces *p = ctx;

	if (atomic_fetch_add(&p->making, 1))
		p->wrong = true;
	/* nobody may still have the slot */
	if (slot >= p->slots || p->number[slot])
		p->wrong = true;
	if (p->made < PIECES)
		p->number[slot] = ++p->made;
	atomic_fetch_sub(&p->making, 1);
	return p->number[slot];
}

static void do_piece(void *ctx, uint32_t slot, unsigned int worker)
{
	struct pieces *p = ctx;

	if (worker >= p->workers || p->done[slot])
		p->wrong = true;
	if (p->number[slot] % 97 == 0)
		usleep(300);
	p->done[slot] = p->number[slot] * 3;
}

static bool take_piece(void *ctx, uint32_t slot)
{
	struct pieces *p = ctx;

	if (p->number[slot] != ++p->taken || p->done[slot] != p->taken * 3)
		p->wrong = true;
	p->number[slot] = p->done[slot] = 0;
	return p->taken != p->stop_at;
}

static bool run_row(struct pieces *p, unsigned int jobs, uint32_t slots,
		    uint64_t stop_at)
{
	const struct qf_pool_row row = { slots, make_piece, do_piece,
					 take_piece, p };

	memset(p, 0, sizeof(*p));
	p->slots = slots;
	p->workers = qf_pool_jobs(jobs);
	p->stop_at = stop_at;
	return qf_pool_row(jobs, &row);
}

static void a_row_keeps_its_order(void **state)
{
	static const uint32_t slots[] = { 2, 3, ROW_SLOTS };
	struct pieces p;
	unsigned int jobs;
	size_t i;

	(void)state;
	for (jobs = 0; jobs < 6; jobs++)
		for (i = 0; i < ARRAY_SIZE(slots); i++) {
			assert_true(run_row(&p, jobs, slots[i], 0));
			assert_int_equal(p.taken, PIECES);
			assert_false(p.wrong);
		}
}

static void a_row_ends_when_told(void **state)
{
	struct pieces p;

	(void)state;
	assert_false(run_row(&p, 3, ROW_SLOTS, 100));
	assert_int_equal(p.taken, 100);
	assert_true(p.made < 100 + 2 * ROW_SLOTS);
	assert_false(p.wrong);
	qf_pool_halt(true);
	assert_false(run_row(&p, 3, ROW_SLOTS, 0));
	qf_pool_halt(false);
	assert_int_equal(p.taken, 1);
}

/* Where there can be no thread, the caller does it all. */
static void a_row_without_threads(void **state)
{
	const struct rlimit none = { 0, 0 };
	struct pieces p;
	int status;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (!getuid() && setuid(65534))
			_exit(2);
		setrlimit(RLIMIT_NPROC, &none);
		_exit(!run_row(&p, 2, 5, 0) || p.taken != PIECES || p.wrong);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* first, as a fork beside threads is no good start */
		cmocka_unit_test(a_row_without_threads),
		cmocka_unit_test(every_item_once),
		cmocka_unit_test(a_false_stops_the_loop),
		cmocka_unit_test(no_items_is_no_work),
		cmocka_unit_test(jobs_are_bounded),
		cmocka_unit_test(a_watcher_sees_it_go_on),
		cmocka_unit_test(a_loop_within_is_seen_if_wanted),
		cmocka_unit_test(a_task_is_watched_as_who_starts_it),
		cmocka_unit_test(a_task_runs_beside_and_halts),
		cmocka_unit_test(a_task_says_when_it_is_done),
		cmocka_unit_test(nobody_waits_busily),
		cmocka_unit_test(a_row_keeps_its_order),
		cmocka_unit_test(a_row_ends_when_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
