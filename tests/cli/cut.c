// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A sudden death, for LD_PRELOAD: the program is killed (kill -9) just before
 * its write number $CUT_NTH to the file $CUT_FILE. Without $CUT_NTH the
 * writes are counted into the file $CUT_COUNT.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_ulong writes;

static int is_ours(int fd)
{
	const char *name = getenv("CUT_FILE");
	struct stat a, b;

	return name && !stat(name, &a) && !fstat(fd, &b) &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void see(int fd)
{
	const char *nth = getenv("CUT_NTH");
	unsigned long n;

	if (!is_ours(fd))
		return;
	n = atomic_fetch_add(&writes, 1) + 1;
	if (nth && n == strtoul(nth, NULL, 0))
		kill(getpid(), SIGKILL);
}

__attribute__((destructor)) static void tell(void)
{
	const char *name = getenv("CUT_COUNT");
	FILE *f = name && atomic_load(&writes) ? fopen(name, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "%lu\n", atomic_load(&writes));
	fclose(f);
}

#define NEXT(type, name)                          \
	type *next;                               \
	*(void **)&next = dlsym(RTLD_NEXT, name); \
	see(fd)

typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef ssize_t pwritev_fn(int, const struct iovec *, int, off_t);
typedef ssize_t pwritev2_fn(int, const struct iovec *, int, off_t, int);
typedef int allocate_fn(int, int, off_t, off_t);
typedef int truncate_fn(int, off_t);

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	NEXT(pwrite_fn, "pwrite");
	return next(fd, buf, n, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
	NEXT(pwrite_fn, "pwrite64");
	return next(fd, buf, n, off);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	NEXT(pwritev_fn, "pwritev");
	return next(fd, v, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t off)
{
	NEXT(pwritev_fn, "pwritev64");
	return next(fd, v, n, off);
}

ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	NEXT(pwritev2_fn, "pwritev2");
	return next(fd, v, n, off, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	NEXT(pwritev2_fn, "pwritev64v2");
	return next(fd, v, n, off, flags);
}

int fallocate(int fd, int mode, off_t off, off_t n)
{
	NEXT(allocate_fn, "fallocate");
	return next(fd, mode, off, n);
}

int fallocate64(int fd, int mode, off_t off, off_t n)
{
	NEXT(allocate_fn, "fallocate64");
	return next(fd, mode, off, n);
}

int ftruncate(int fd, off_t n)
{
	NEXT(truncate_fn, "ftruncate");
	return next(fd, n);
}

int ftruncate64(int fd, off_t n)
{
	NEXT(truncate_fn, "ftruncate64");
	return next(fd, n);
}
