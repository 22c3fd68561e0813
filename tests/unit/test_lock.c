// SPDX-License-Identifier: GPL-2.0-or-later
/* Locks between two open descriptions of one file, and against a child. */
#include "lib/io/lock.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[4096];

static int make_file(void **state)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%.4000s/qfsck-lock-XXXXXX",
		 tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static int open_it(void)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	return fd;
}

/* Takes these bytes for another program, by an fd of its own. */
static int hold(unsigned int uses, unsigned int refuses)
{
	struct flock fl;
	unsigned int n;
	int fd = open_it();

	for (n = 0; n < 8; n++) {
		if (!((n < 4 ? uses : refuses) >> n % 4 & 1))
			continue;
		memset(&fl, 0, sizeof(fl));
		fl.l_type = F_RDLCK;
		fl.l_whence = SEEK_SET;
		fl.l_start = (n < 4 ? 100 : 200) + n % 4;
		fl.l_len = 1;
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
	}
	return fd;
}

static enum qf_err ask(enum qf_lock_mode mode)
{
	int fd = open_it();
	enum qf_err err = qf_lock_take(fd, mode, NULL);

	close(fd);
	return err;
}

static void who_may_come_in(void **state)
{
	static const struct {
		unsigned int uses, refuses;
		enum qf_err read, write;
	} rows[] = {
		{ 0, 0, QF_OK, QF_OK },
		/* a reader like ourselves */
		{ 1, 2 | 8, QF_OK, QF_ERR_BUSY },
		/* a running virtual machine */
		{ 1 | 2, 2 | 8, QF_ERR_BUSY, QF_ERR_BUSY },
		{ 2, 0, QF_ERR_BUSY, QF_ERR_BUSY },
		{ 4, 0, QF_OK, QF_ERR_BUSY },
		{ 8, 0, QF_ERR_BUSY, QF_ERR_BUSY },
		/* refuses that anyone reads */
		{ 0, 1, QF_ERR_BUSY, QF_ERR_BUSY },
		{ 0, 2, QF_OK, QF_ERR_BUSY },
	};
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = hold(rows[i].uses, rows[i].refuses);
		assert_int_equal(ask(QF_LOCK_READ), rows[i].read);
		assert_int_equal(ask(QF_LOCK_WRITE), rows[i].write);
		close(fd);
	}
	assert_int_equal(ask(QF_LOCK_WRITE), QF_OK);
}

static void our_locks_hold_others_off(void **state)
{
	int a = open_it();

	(void)state;
	assert_int_equal(qf_lock_take(a, QF_LOCK_READ, NULL), QF_OK);
	assert_int_equal(ask(QF_LOCK_READ), QF_OK);
	assert_int_equal(ask(QF_LOCK_WRITE), QF_ERR_BUSY);
	qf_lock_drop(a);
	assert_int_equal(ask(QF_LOCK_WRITE), QF_OK);
	assert_int_equal(qf_lock_take(a, QF_LOCK_WRITE, NULL), QF_OK);
	assert_int_equal(ask(QF_LOCK_READ), QF_ERR_BUSY);
	close(a);
	assert_int_equal(ask(QF_LOCK_READ), QF_OK);
}

static void a_refusal_leaves_no_lock_behind(void **state)
{
	int other = hold(1 | 2, 2 | 8), a = open_it(), b;

	(void)state;
	assert_int_equal(qf_lock_take(a, QF_LOCK_READ, NULL), QF_ERR_BUSY);
	close(other);
	b = open_it();
	assert_int_equal(qf_lock_take(b, QF_LOCK_WRITE, NULL), QF_OK);
	close(b);
	close(a);
}

static void the_holder_is_named(void **state)
{
	struct qf_lock_holder h[4];
	struct qf_why why = { 0 };
	int ready[2], fd;
	char pid[32], c;
	pid_t child;

	(void)state;
	if (getenv("QFSCK_UNDER")) /* whose name would be told */
		skip();
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		hold(1 | 2, 2 | 8);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	fd = open_it();
	memset(h, 0, sizeof(h));
	assert_int_equal(qf_lock_holders(fd, h, 4), 1);
	assert_int_equal(h[0].pid, child);
	assert_int_equal(h[0].uses, 1 | 2);
	assert_int_equal(h[0].refuses, 2 | 8);
	assert_string_equal(h[0].program, "test_lock");
	assert_non_null(strstr(h[0].command, "test_lock"));
	assert_int_equal(qf_lock_holders(fd, h, 0), 1);
	assert_int_equal(qf_lock_take(fd, QF_LOCK_READ, &why), QF_ERR_BUSY);
	snprintf(pid, sizeof(pid), "process %d (test_lock)", (int)child);
	assert_non_null(strstr(why.text, "in use for writing"));
	assert_non_null(strstr(why.text, pid));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(qf_lock_holders(fd, h, 4), 0);
	assert_int_equal(qf_lock_take(fd, QF_LOCK_READ, &why), QF_OK);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

static void what_cannot_be_locked(void **state)
{
	struct qf_why why = { 0 };

	(void)state;
	assert_int_equal(qf_lock_take(-1, QF_LOCK_READ, &why),
			 QF_ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "cannot be locked"));
	assert_int_equal(qf_lock_holders(-1, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_come_in),
		cmocka_unit_test(our_locks_hold_others_off),
		cmocka_unit_test(a_refusal_leaves_no_lock_behind),
		cmocka_unit_test(the_holder_is_named),
		cmocka_unit_test(what_cannot_be_locked),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
