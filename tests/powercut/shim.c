// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded into the program under test: writes a trace of all that changes
 * files, or ends the program, or lets a call fail, at the Nth change.
 *
 *	QFSCK_CUT_TRACE=FILE	op, name, offset and bytes of every change
 *	QFSCK_CUT_KILL=N	SIGKILL in the midst of change number N
 *	QFSCK_CUT_STOP=N	SIGSTOP before change number N
 *	QFSCK_CUT_FAIL=N:ERRNO	change number N and all after it fail
 *	QFSCK_CUT_ONCE=N:ERRNO	change number N alone fails
 *	QFSCK_CUT_SHORT=1	every write writes at most 100 bytes
 *	QFSCK_CUT_NOPUNCH=N	the Nth punched hole and all after it find a
 *				file system that has none
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int trace = -1;
static long number;

static long setting(const char *name, int *err)
{
	const char *s = getenv(name), *colon = s ? strchr(s, ':') : NULL;

	if (err && colon)
		*err = atoi(colon + 1);
	return s ? atol(s) : -1;
}

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static ssize_t plain_write(const void *buf, size_t len)
{
	ssize_t (*fn)(int, const void *, size_t);

	*(void **)&fn = real("write");
	return fn(trace, buf, len);
}

static void note(const char *op, int fd, long long off, const void *buf,
		 size_t len)
{
	const char *file = getenv("QFSCK_CUT_TRACE");
	char link[64], name[4096], line[4300];
	ssize_t n;

	if (!file)
		return;
	if (trace < 0)
		trace = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			     0600);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	n = snprintf(line, sizeof(line), "%s %lld %zu %s\n", op, off, len,
		     name);
	if (plain_write(line, (size_t)n) != n ||
	    (buf && plain_write(buf, len) != (ssize_t)len))
		abort();
}

/* Counts the change; 0, or the errno with which it has to fail. */
static int count(void)
{
	int err = EIO;

	number++;
	if (setting("QFSCK_CUT_STOP", NULL) == number)
		kill(getpid(), SIGSTOP);
	if (setting("QFSCK_CUT_ONCE", &err) == number)
		return err;
	if (setting("QFSCK_CUT_FAIL", &err) > 0 &&
	    number >= setting("QFSCK_CUT_FAIL", &err))
		return err;
	return 0;
}

static int is_cut(void)
{
	return setting("QFSCK_CUT_KILL", NULL) == number;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t (*fn)(int, const void *, size_t, off_t);
	int err = count();

	*(void **)&fn = real("pwrite");
	if (err) {
		errno = err;
		return -1;
	}
	if (is_cut()) {
		/* whole sectors of it get there, the others do not */
		fn(fd, buf, len / 2 / 512 * 512, off);
		kill(getpid(), SIGKILL);
	}
	if (setting("QFSCK_CUT_SHORT", NULL) > 0 && len > 100)
		len = 100;
	note("write", fd, (long long)off, buf, len);
	return fn(fd, buf, len, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off);
ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	return pwrite(fd, buf, len, off);
}

int fsync(int fd)
{
	int (*fn)(int);
	int err = count();

	*(void **)&fn = real("fsync");
	if (err) {
		errno = err;
		return -1;
	}
	if (is_cut())
		kill(getpid(), SIGKILL);
	note("sync", fd, 0, NULL, 0);
	return fn(fd);
}

int ftruncate(int fd, off_t size)
{
	int (*fn)(int, off_t);
	int err = count();

	*(void **)&fn = real("ftruncate");
	if (err) {
		errno = err;
		return -1;
	}
	if (is_cut())
		kill(getpid(), SIGKILL);
	note("size", fd, (long long)size, NULL, 0);
	return fn(fd, size);
}

int ftruncate64(int fd, off64_t size);
int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	static long punches;
	int (*fn)(int, int, off_t, off_t);
	int err = count();

	*(void **)&fn = real("fallocate");
	punches++;
	if (!err && setting("QFSCK_CUT_NOPUNCH", NULL) > 0 &&
	    punches >= setting("QFSCK_CUT_NOPUNCH", NULL))
		err = EOPNOTSUPP;
	if (err) {
		errno = err;
		return -1;
	}
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		abort();
	if (is_cut()) {
		/* some of it is gone, the rest is not */
		fn(fd, mode, off, (len / 2 + 511) / 512 * 512);
		kill(getpid(), SIGKILL);
	}
	note("punch", fd, (long long)off, NULL, (size_t)len);
	return fn(fd, mode, off, len);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len);
int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	return fallocate(fd, mode, off, len);
}
