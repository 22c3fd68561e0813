// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/lock.h"
#include "lib/base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USES_BASE 100
#define REFUSES_BASE 200

static const struct {
	unsigned int uses, refuses;
} modes[] = {
	[QF_LOCK_READ] = { QF_LOCK_CONSISTENT_READ,
			   QF_LOCK_WRITES | QF_LOCK_RESIZE },
	[QF_LOCK_WRITE] = { 0xf, 0xf },
};

static int lock_byte(int fd, int cmd, short type, off_t byte, struct flock *fl)
{
	memset(fl, 0, sizeof(*fl));
	fl->l_type = type;
	fl->l_whence = SEEK_SET;
	fl->l_start = byte;
	fl->l_len = 1;
	return fcntl(fd, cmd, fl) < 0 ? errno : 0;
}

static int lock_all(int fd, off_t base, unsigned int perms)
{
	struct flock fl;
	unsigned int n;
	int err = 0;

	for (n = 0; n < QF_LOCK_PERMS && !err; n++)
		if (perms >> n & 1)
			err = lock_byte(fd, F_OFD_SETLK, F_RDLCK, base + n,
					&fl);
	return err;
}

/* True if anyone else holds one of the bytes. */
static bool held_by_others(int fd, off_t base, unsigned int perms)
{
	struct flock fl;
	unsigned int n;

	for (n = 0; n < QF_LOCK_PERMS; n++)
		if (perms >> n & 1 &&
		    !lock_byte(fd, F_OFD_GETLK, F_WRLCK, base + n, &fl) &&
		    fl.l_type != F_UNLCK)
			return true;
	return false;
}

void qf_lock_drop(int fd)
{
	struct flock fl;

	memset(&fl, 0, sizeof(fl));
	fl.l_type = F_UNLCK;
	fl.l_whence = SEEK_SET;
	(void)fcntl(fd, F_OFD_SETLK, &fl);
}

/* One "lock:" line of /proc/PID/fdinfo/FD into the holder's bits. */
static void take_line(const char *line, struct qf_lock_holder *h)
{
	uint64_t start, end;
	const char *p = line;
	unsigned int n, field = 0;

	/* lock: 1: OFDLCK ADVISORY READ -1 fe:00:1234 100 100 */
	while (*p && field < 7) {
		while (*p && !isspace((unsigned char)*p))
			p++;
		while (isspace((unsigned char)*p))
			p++;
		field++;
	}
	if (sscanf(p, "%" SCNu64 " %" SCNu64, &start, &end) != 2)
		return;
	for (n = 0; n < QF_LOCK_PERMS; n++) {
		if (start <= USES_BASE + n && USES_BASE + n <= end)
			h->uses |= 1u << n;
		if (start <= REFUSES_BASE + n && REFUSES_BASE + n <= end)
			h->refuses |= 1u << n;
	}
}

static void read_fdinfo(const char *path, struct qf_lock_holder *h)
{
	FILE *f = fopen(path, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "lock:", 5))
			take_line(line, h);
	if (f)
		fclose(f);
}

/* Reads a small /proc file; NUL bytes become spaces. */
static void read_words(const char *path, char *buf, size_t room)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(buf, 1, room - 1, f) : 0, i;

	if (f)
		fclose(f);
	while (n && (buf[n - 1] == '\0' || buf[n - 1] == '\n'))
		n--;
	buf[n] = '\0';
	for (i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = ' ';
}

static void name_process(struct qf_lock_holder *h)
{
	char path[64], raw[sizeof(h->command)];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)h->pid);
	read_words(path, raw, sizeof(h->program));
	qf_text_safe(raw, h->program, sizeof(h->program));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)h->pid);
	read_words(path, raw, sizeof(raw));
	qf_text_safe(raw, h->command, sizeof(h->command));
}

/* All locks of process PID on the file ST; false if it has none. */
static bool scan_process(const char *pid, const struct stat *st,
			 struct qf_lock_holder *h)
{
	char path[300];
	struct dirent *de;
	struct stat fst;
	DIR *dir;

	memset(h, 0, sizeof(*h));
	h->pid = (pid_t)atoi(pid);
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && (de = readdir(dir))) {
		if (de->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fd/%.20s", pid,
			 de->d_name);
		if (stat(path, &fst) < 0 || fst.st_ino != st->st_ino ||
		    fst.st_dev != st->st_dev)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%.20s", pid,
			 de->d_name);
		read_fdinfo(path, h);
	}
	if (dir)
		closedir(dir);
	return h->uses || h->refuses;
}

size_t qf_lock_holders(int fd, struct qf_lock_holder *h, size_t room)
{
	struct qf_lock_holder one;
	struct dirent *de;
	struct stat st;
	size_t n = 0;
	DIR *dir;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	dir = opendir("/proc");
	while (dir && (de = readdir(dir))) {
		if (!isdigit((unsigned char)de->d_name[0]) ||
		    atoi(de->d_name) == (int)getpid() ||
		    !scan_process(de->d_name, &st, &one))
			continue;
		if (n < room) {
			name_process(&one);
			h[n] = one;
		}
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

/* Finds the holder that excludes MODE and says so. */
static enum qf_err busy(int fd, enum qf_lock_mode mode, struct qf_why *why)
{
	struct qf_lock_holder h[16];
	size_t n = qf_lock_holders(fd, h, 16), i;

	for (i = 0; i < n && i < 16; i++)
		if (h[i].refuses & modes[mode].uses ||
		    h[i].uses & modes[mode].refuses)
			return qf_err_set(why, QF_ERR_BUSY, 0, QF_NOWHERE,
					  "is in use%s by process %d (%s): %s",
					  h[i].uses & QF_LOCK_WRITES
						  ? " for writing"
						  : "",
					  (int)h[i].pid, h[i].program,
					  h[i].command);
	return qf_err_set(why, QF_ERR_BUSY, 0, QF_NOWHERE,
			  "is in use by another program, which cannot be seen "
			  "from here (another user's or another host's)");
}

enum qf_err qf_lock_take(int fd, enum qf_lock_mode mode, struct qf_why *why)
{
	int err = lock_all(fd, USES_BASE, modes[mode].uses);
	enum qf_err held;

	if (!err)
		err = lock_all(fd, REFUSES_BASE, modes[mode].refuses);
	if (err == EAGAIN || err == EACCES) {
		qf_lock_drop(fd);
		return busy(fd, mode, why);
	}
	if (err)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, err, QF_NOWHERE,
				  "cannot be locked: the file system refuses");
	if (held_by_others(fd, REFUSES_BASE, modes[mode].uses) ||
	    held_by_others(fd, USES_BASE, modes[mode].refuses)) {
		held = busy(fd, mode, why);
		qf_lock_drop(fd);
		return held;
	}
	return QF_OK;
}
