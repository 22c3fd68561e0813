// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Preloaded: the clock, and with it the times of all files, are LATER_DAYS
 * days ahead. (libfaketime moves files' times for some programs only, and
 * makes the waits of others fail or never end.)
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#define DAY 86400

static time_t ahead;

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void start(void)
{
	const char *days = getenv("LATER_DAYS");

	ahead = days ? atol(days) * DAY : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int (*real)(clockid_t, struct timespec *) = next("clock_gettime");
	int ret = real(clock, t);

	if (!ret && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		t->tv_sec += ahead;
	return ret;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	int (*real)(struct timeval *, void *) = next("gettimeofday");
	int ret = real(t, zone);

	if (!ret)
		t->tv_sec += ahead;
	return ret;
}

time_t time(time_t *t)
{
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

/* The two names of each: with and without _FILE_OFFSET_BITS=64 they are the
 * same on a machine of 64 bits. */
#define STAT(name, args, ...)                        \
	int name args                                \
	{                                            \
		int(*real) args = next(#name);       \
		int ret = real(__VA_ARGS__);         \
                                                     \
		if (!ret) {                          \
			st->st_atim.tv_sec += ahead; \
			st->st_mtim.tv_sec += ahead; \
			st->st_ctim.tv_sec += ahead; \
		}                                    \
		return ret;                          \
	}

#define STATS(stat_type, stat, lstat, fstat, fstatat)                          \
	STAT(stat, (const char *restrict path, struct stat_type *restrict st), \
	     path, st)                                                         \
	STAT(lstat,                                                            \
	     (const char *restrict path, struct stat_type *restrict st), path, \
	     st)                                                               \
	STAT(fstat, (int fd, struct stat_type *st), fd, st)                    \
	STAT(fstatat,                                                          \
	     (int fd, const char *restrict path,                               \
	      struct stat_type *restrict st, int flags),                       \
	     fd, path, st, flags)

STATS(stat, stat, lstat, fstat, fstatat)
STATS(stat64, stat64, lstat64, fstat64, fstatat64)

int statx(int fd, const char *restrict path, int flags, unsigned int mask,
	  struct statx *restrict st)
{
	int (*real)(int, const char *, int, unsigned int, struct statx *) =
		next("statx");
	int ret = real(fd, path, flags, mask, st);

	if (!ret) {
		st->stx_atime.tv_sec += ahead;
		st->stx_mtime.tv_sec += ahead;
		st->stx_ctime.tv_sec += ahead;
		st->stx_btime.tv_sec += ahead;
	}
	return ret;
}

/* What is set is seen again: a given time is moved back. */
static const struct timespec *back(const struct timespec given[2],
				   struct timespec moved[2])
{
	int i;

	for (i = 0; given && i < 2; i++) {
		moved[i] = given[i];
		if (given[i].tv_nsec != UTIME_NOW &&
		    given[i].tv_nsec != UTIME_OMIT)
			moved[i].tv_sec -= ahead;
	}
	return given ? moved : NULL;
}

int utimensat(int fd, const char *path, const struct timespec t[2], int flags)
{
	int (*real)(int, const char *, const struct timespec *, int) =
		next("utimensat");
	struct timespec moved[2];

	return real(fd, path, back(t, moved), flags);
}

int futimens(int fd, const struct timespec t[2])
{
	int (*real)(int, const struct timespec *) = next("futimens");
	struct timespec moved[2];

	return real(fd, back(t, moved));
}
