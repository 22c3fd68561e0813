// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bad sector, for LD_PRELOAD: every read of the file $EIO_FILE that
 * touches [$EIO_OFF, $EIO_OFF + $EIO_LEN) fails as a disk does. Or a bad
 * moment: of all reads of files whose names begin with $EIO_PREFIX, the one
 * number $EIO_NTH fails, and the file $EIO_DONE is made.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t number(const char *name)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : 0;
}

/* Is this the read that has to fail? */
static int is_its_turn(int fd)
{
	const char *prefix = getenv("EIO_PREFIX"), *done = getenv("EIO_DONE");
	static atomic_ulong count;
	char link[64], name[4096];
	ssize_t n;

	if (!prefix || !done)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	if (strncmp(name, prefix, strlen(prefix)) != 0 ||
	    atomic_fetch_add(&count, 1) + 1 != number("EIO_NTH"))
		return 0;
	close(open(done, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return 1;
}

/* Does LEN bytes at OFF of FD touch the bad sector? */
static int is_bad(int fd, uint64_t off, uint64_t len)
{
	uint64_t bad = number("EIO_OFF"), bytes = number("EIO_LEN");
	const char *name = getenv("EIO_FILE");
	struct stat a, b;

	if (is_its_turn(fd))
		return 1;
	if (!name || stat(name, &a) || fstat(fd, &b) || a.st_ino != b.st_ino ||
	    a.st_dev != b.st_dev)
		return 0;
	return off < bad + bytes && bad < off + len;
}

typedef ssize_t pread_fn(int, void *, size_t, off_t);
typedef ssize_t preadv2_fn(int, const struct iovec *, int, off_t, int);

static ssize_t read_or_fail(const char *name, int fd, void *buf, size_t n,
			    off_t off)
{
	pread_fn *next;

	*(void **)&next = dlsym(RTLD_NEXT, name);
	if (!is_bad(fd, (uint64_t)off, n))
		return next(fd, buf, n, off);
	errno = EIO;
	return -1;
}

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
	return read_or_fail("pread", fd, buf, n, off);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
	return read_or_fail("pread64", fd, buf, n, off);
}

static ssize_t readv_or_fail(const char *name, int fd, const struct iovec *v,
			     int n, off_t off, int flags)
{
	preadv2_fn *next;
	uint64_t len = 0;
	int i;

	*(void **)&next = dlsym(RTLD_NEXT, name);
	for (i = 0; i < n; i++)
		len += v[i].iov_len;
	if (!is_bad(fd, (uint64_t)off, len))
		return next(fd, v, n, off, flags);
	errno = EIO;
	return -1;
}

ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	return readv_or_fail("preadv2", fd, v, n, off, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
	return readv_or_fail("preadv64v2", fd, v, n, off, flags);
}
