// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/undofile/undobeside.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/qfsck-beside-XXXXXX";
static char image[200];

static void touch(const char *name)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void take_away(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

/* The folder was changed last at that time of the clock. */
static void changed_at(time_t t)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = t } };

	assert_int_equal(utimensat(AT_FDCWD, dir, times, 0), 0);
}

/* How many of N questions are answered by "there may be some". */
static unsigned int maybe(unsigned int n)
{
	unsigned int any = 0;

	while (n--)
		any += qf_undobeside_any(image);
	return any;
}

static void many_questions_are_answered_by_one_look(void **state)
{
	(void)state;
	touch("a.qcow2");
	changed_at(1000);
	assert_int_equal(maybe(31), 31);
	assert_int_equal(maybe(100), 0);
}

static void a_new_file_is_seen(void **state)
{
	(void)state;
	touch("a.qcow2.qfsck-undo.7");
	/* the folder's time is now: nothing is concluded from it */
	assert_int_equal(maybe(100), 100);
	changed_at(2000);
	assert_int_equal(maybe(300), 300);
	take_away("a.qcow2.qfsck-undo.7");
	changed_at(3000);
	assert_int_equal(maybe(31), 31);
	assert_int_equal(maybe(100), 0);
}

static void a_large_folder_waits_for_more_questions(void **state)
{
	char name[40];
	int i;

	(void)state;
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		touch(name);
	}
	changed_at(4000);
	assert_int_equal(maybe(63), 63);
	assert_int_equal(maybe(100), 0);
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take_away(name);
	}
}

static void what_is_no_folder_may_have_any(void **state)
{
	(void)state;
	snprintf(image, sizeof(image), "%s/none/a.qcow2", dir);
	assert_int_equal(maybe(100), 100);
	take_away("a.qcow2");
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_questions_are_answered_by_one_look),
		cmocka_unit_test(a_new_file_is_seen),
		cmocka_unit_test(a_large_folder_waits_for_more_questions),
		cmocka_unit_test(what_is_no_folder_may_have_any),
	};

	if (!mkdtemp(dir))
		return 1;
	snprintf(image, sizeof(image), "%s/a.qcow2", dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
