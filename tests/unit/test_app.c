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
	static const char keys[] = "2 s1]mo5o4w35u?";
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
static void test_goto(void **unused)
{
	static const struct {
		const char *typed;
		uint64_t at;
	} cases[] = {
		{ "0x3000", 0x3000 }, { "8k", 8192 },	{ "c5", 5 * 4096 },
		{ "0%", 0 },	      { "4096", 4096 }, { "C2", 2 * 4096 },
	};
	static const char *const wrong[] = { "x",
					     "-1",
					     "12q",
					     "5%%",
					     "c",
					     "99999999999999999999",
					     "c0xffffffffffffffff",
					     "" };
	struct qf_image *img;
	struct qf_app a;
	struct mini m;
	const char *p;
	size_t i;

	(void)unused;
	make_image(&m);
	img = mini_open(&m);
	assert_int_equal(qf_app_open(&a, img, "test", false, NULL), QF_OK);
	for (i = 0; i < ARRAY_SIZE(cases) + ARRAY_SIZE(wrong); i++) {
		bool good = i < ARRAY_SIZE(cases);
		uint64_t before = a.at;

		qf_drive_key(&a, ':');
		for (p = good ? cases[i].typed : wrong[i - ARRAY_SIZE(cases)];
		     *p; p++)
			qf_drive_key(&a, (uint32_t)*p);
		qf_drive_key(&a, QF_KEY_ENTER);
		assert_int_equal(a.at, good ? cases[i].at : before);
	}
	/* past the end: as far as the file goes */
	qf_app_go(&a, QF_VIEW_MAP, UINT64_MAX);
	assert_int_equal(a.at, img->io->size - 1);
	qf_drive_key(&a, QF_KEY_BACKSPACE);
	assert_int_equal(a.at, 2 * 4096);
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
