// SPDX-License-Identifier: GPL-2.0-or-later
/* The browser without memory, and over bytes that cannot be read. */
#include "lib/base/mem.h"
#include "tests/unit/mini.h"
#include "tests/unit/unit.h"
#include "viz/browse/drive.h"
#include "viz/browse/frame.h"

#include <locale.h>

static const struct mini_opts plain = { .version = 3,
					.cluster_bits = 12,
					.refcount_order = 4,
					.disk_bytes = 8 << 20 };

static void make_image(struct mini *m)
{
	uint64_t i;

	mini_make(m, &plain);
	for (i = 0; i < 20; i++)
		mini_data(m, i * 37);
	mini_snapshot(m, "1", "first");
	for (i = 0; i < 5; i++)
		mini_data(m, i * 37);
	mini_snapshot(m, "2", "second");
	mini_bitmap(m, "daily");
}

/* Through every view, with everything that takes memory. */
static void use(struct qf_app *a)
{
	static const char keys[] = "3 s2]mo6o5O1+v1]o6v46u789p4ne n6bbyb?";
	const char *p;

	qf_drive_wait(a);
	for (p = keys; *p; p++) {
		qf_drive_key(a, (uint32_t)*p);
		qf_drive_wait(a);
		qf_frame_draw(a);
	}
	qf_cells_resize(&a->screen, 200, 50);
	qf_frame_draw(a);
}

static void test_no_memory(void **unused)
{
	struct qf_image *img;
	struct qf_app a;
	struct mini m;
	int opened = 0;
	bool ok;
	long n;

	(void)unused;
	make_image(&m);
	for (n = 1; n < 250; n += n < 60 ? 1 : 7) {
		img = mini_open(&m);
		assert_non_null(img);
		qf_mem_fail_at(n);
		ok = !qf_app_open(&a, img, "test", false, NULL);
		opened += ok;
		if (ok)
			use(&a);
		qf_mem_fail_at(0);
		/* and it goes on once there is memory again */
		if (ok)
			use(&a);
		qf_app_close(&a);
	}
	assert_true(opened > 20);
	mini_free(&m);
}

/* The row of the screen at Y. */
static char *row_of(struct qf_app *a, int y)
{
	char *text = qf_cells_dump(&a->screen), *p = text, *line;

	assert_non_null(text);
	while (y--)
		p = strchr(p, '\n') + 1;
	line = strndup(p, strcspn(p, "\n"));
	free(text);
	return line;
}

static void test_unreadable(void **unused)
{
	struct mini_faulty f = { 0 };
	struct qf_image *img;
	struct qf_why why;
	struct qf_app a;
	struct mini m;
	uint64_t data;
	char *line;

	(void)unused;
	make_image(&m);
	data = mini_data(&m, 900);
	assert_int_equal(qf_image_open(mini_faulty_io(&f, &m), &img, &why),
			 QF_OK);
	f.fail_off = data;
	f.fail_bytes = 1;
	assert_int_equal(qf_app_open(&a, img, "test", false, &why), QF_OK);
	qf_drive_wait(&a);
	qf_app_go(&a, QF_VIEW_HEX, data);
	qf_frame_draw(&a);
	line = row_of(&a, 2);
	assert_non_null(strstr(line, "Input/output error"));
	free(line);
	/* a search passes over it, and says so */
	qf_app_go(&a, QF_VIEW_HEX, 0);
	strcpy(a.pattern, "no such bytes");
	qf_drive_key(&a, 'n');
	qf_drive_wait(&a);
	assert_non_null(strstr(a.message, "could not be read"));
	/* the next cluster can be looked at as ever */
	qf_app_go(&a, QF_VIEW_HEX, 0);
	qf_frame_draw(&a);
	line = row_of(&a, 2);
	assert_non_null(strstr(line, "magic 0x514649fb"));
	free(line);
	use(&a);
	qf_app_close(&a);
	mini_free(&m);
}

/* Places as they are typed. */
static void go(struct qf_app *a, const char *place)
{
	qf_drive_key(a, ':');
	for (; *place; place++)
		qf_drive_key(a, (uint32_t)*place);
	qf_drive_key(a, QF_KEY_ENTER);
}

static void test_goto(void **unused)
{
	static const struct {
		enum qf_view_id in; /* where it is typed */
		const char *typed;
		bool guest; /* it is a place of the guest's disk */
		uint64_t at;
	} cases[] = {
		{ QF_VIEW_MAP, "0x3000", false, 0x3000 },
		{ QF_VIEW_MAP, "8k", false, 8192 },
		{ QF_VIEW_MAP, "c5", false, 5 * 4096 },
		{ QF_VIEW_MAP, "0%", false, 0 },
		{ QF_VIEW_HEX, "4096", false, 4096 },
		{ QF_VIEW_OWNERS, "C2", false, 2 * 4096 },
		{ QF_VIEW_MAP, "g1M", true, 1 << 20 },
		{ QF_VIEW_MAP, "gc3", true, 3 * 4096 },
		{ QF_VIEW_GUEST, "50%", true, 4 << 20 },
		{ QF_VIEW_GUEST, "0x5000", true, 0x5000 },
		{ QF_VIEW_GUEST, "h8k", false, 8192 },
		{ QF_VIEW_GUEST, "H0x3000", false, 0x3000 },
	};
	static const char *const wrong[] = { "x",
					     "-1",
					     "12q",
					     "5%%",
					     "c",
					     "g",
					     "gh5",
					     "g8M", /* the disk's end */
					     "99999999999999999999",
					     "c0xffffffffffffffff",
					     "" };
	struct qf_image *img;
	struct qf_app a;
	struct mini m;
	size_t i;

	(void)unused;
	make_image(&m);
	img = mini_open(&m);
	assert_int_equal(qf_app_open(&a, img, "test", false, NULL), QF_OK);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		a.view = cases[i].in;
		go(&a, cases[i].typed);
		assert_int_equal(a.view == QF_VIEW_GUEST, cases[i].guest);
		assert_int_equal(cases[i].guest ? a.guest.at : a.at,
				 cases[i].at);
	}
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		uint64_t at = a.at, guest = a.guest.at;

		go(&a, wrong[i]);
		assert_int_equal(a.at, at);
		assert_int_equal(a.guest.at, guest);
		assert_true(!*wrong[i] || *a.message);
	}
	/* what was typed before comes back */
	qf_drive_key(&a, ':');
	qf_drive_key(&a, QF_KEY_UP);
	assert_string_equal(a.typed, "c0xffffffffffffffff");
	qf_drive_key(&a, QF_KEY_UP);
	qf_drive_key(&a, QF_KEY_UP);
	assert_string_equal(a.typed, "g8M");
	qf_drive_key(&a, QF_KEY_DOWN);
	assert_string_equal(a.typed, "99999999999999999999");
	qf_drive_key(&a, QF_KEY_ESC);
	/* past the end: as far as the file goes */
	qf_app_go(&a, QF_VIEW_MAP, UINT64_MAX);
	assert_int_equal(a.at, img->io->size - 1);
	qf_drive_key(&a, QF_KEY_BACKSPACE);
	assert_int_equal(a.at, 0x3000);
	qf_app_close(&a);
	mini_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_goto),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
