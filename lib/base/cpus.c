// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/base/cpus.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM 4096

/* Reads a small file whole; false if it cannot be had. */
static bool read_file(const char *path, char *buf, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, room - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* QUOTA of PERIOD in whole processors; 0: no bound. */
static unsigned int whole(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	return (unsigned int)((quota - 1) / period + 1);
}

/* Version 2: "max 100000", or "150000 100000". */
static unsigned int quota_2(const char *folder)
{
	char path[PATH_ROOM + 32], text[64];
	long long quota, period;

	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (!read_file(path, text, sizeof(text)) ||
	    sscanf(text, "%lld %lld", &quota, &period) != 2)
		return 0;
	return whole(quota, period);
}

/* Version 1: a file for each; a quota of -1 is none. */
static unsigned int quota_1(const char *folder)
{
	char path[PATH_ROOM + 32], quota[64], period[64];

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
	if (!read_file(path, quota, sizeof(quota)))
		return 0;
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
	if (!read_file(path, period, sizeof(period)))
		return 0;
	return whole(atoll(quota), atoll(period));
}

/* The least bound of GROUP below MOUNT, and of all groups above it. */
static unsigned int least(const char *mount, const char *group,
			  unsigned int (*quota)(const char *folder))
{
	char folder[PATH_ROOM];
	size_t bare = strlen(mount);
	unsigned int n, best = 0;
	char *slash;

	if (snprintf(folder, sizeof(folder), "%s%s", mount, group) >=
	    (int)sizeof(folder))
		return 0;
	for (;;) {
		n = quota(folder);
		if (n && (!best || n < best))
			best = n;
		slash = strrchr(folder + bare, '/');
		if (!slash)
			return best;
		*slash = '\0';
	}
}

/* True if LIST, of words with commas between, has WORD. */
static bool has_word(const char *list, size_t len, const char *word)
{
	const char *at = list, *end = list + len, *comma;

	for (; at < end; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(end - at));
		if (!comma)
			comma = end;
		if ((size_t)(comma - at) == strlen(word) &&
		    !strncmp(at, word, strlen(word)))
			return true;
	}
	return false;
}

/* One line of /proc/self/cgroup: "0::/group", "4:cpu,cpuacct:/group". */
static unsigned int quota_of_line(const char *root, char *line)
{
	char mount[PATH_ROOM];
	char *kinds = strchr(line, ':');
	char *group = kinds ? strchr(kinds + 1, ':') : NULL;

	if (!group)
		return 0;
	*group++ = '\0';
	kinds++;
	if (!*kinds) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		return least(mount, group, quota_2);
	}
	if (!has_word(kinds, strlen(kinds), "cpu"))
		return 0;
	snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
	return least(mount, group, quota_1);
}

unsigned int qf_cpus_quota(const char *root)
{
	char path[PATH_ROOM], text[8192];
	char *line, *next = text;
	unsigned int n, best = 0;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (!read_file(path, text, sizeof(text)))
		return 0;
	while ((line = strsep(&next, "\n"))) {
		n = quota_of_line(root, line);
		if (n && (!best || n < best))
			best = n;
	}
	return best;
}

/* Those of the affinity mask; more than fit into one: all that there are. */
static unsigned int allowed(void)
{
	cpu_set_t set;
	long n = sched_getaffinity(0, sizeof(set), &set)
			 ? sysconf(_SC_NPROCESSORS_ONLN)
			 : CPU_COUNT(&set);

	return n > 0 ? (unsigned int)n : 1;
}

unsigned int qf_cpus_count(void)
{
	static atomic_uint known;
	unsigned int n = atomic_load(&known), quota;

	if (n)
		return n;
	n = allowed();
	quota = qf_cpus_quota("");
	if (quota && quota < n)
		n = quota;
	atomic_store(&known, n);
	return n;
}
