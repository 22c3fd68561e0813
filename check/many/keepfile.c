// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/keepfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0644

bool qf_keepfile_add(int fd, const void *buf, size_t n)
{
	const char *p = buf;
	ssize_t done;

	while (n) {
		done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* True if it is empty, or begins with MAGIC. */
static bool is_ours(int fd, const char *magic)
{
	size_t n = strlen(magic);
	char head[64];
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       (!st.st_size ||
		(n <= sizeof(head) && pread(fd, head, n, 0) == (ssize_t)n &&
		 !memcmp(head, magic, n)));
}

static enum qf_err refuse(struct qf_why *why)
{
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "is there and is a file of another kind: not replaced");
	qf_err_next(why, "give another name");
	return QF_ERR_USAGE;
}

static enum qf_err cannot(int sys, struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_IO, sys, QF_NOWHERE, "cannot be written");
}

/* What is there may be replaced. */
static enum qf_err look_at(const char *name, const char *magic,
			   struct qf_why *why)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool ours;

	if (fd < 0)
		return errno == ENOENT ? QF_OK : cannot(errno, why);
	ours = is_ours(fd, magic);
	close(fd);
	return ours ? QF_OK : refuse(why);
}

/* The name of the folder that NAME is in, made durable. */
static void sync_folder(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *folder = slash ? strndup(name, (size_t)(slash - name) + 1)
			     : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	free(folder);
}

static int write_new(const char *name, const void *buf, size_t n)
{
	int fd, err = 0;

	unlink(name); /* of a process that had our number, and was killed */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		  MODE);
	if (fd < 0)
		return errno;
	if (!qf_keepfile_add(fd, buf, n) || fsync(fd))
		err = errno ? errno : EIO;
	if (close(fd) && !err)
		err = errno;
	return err;
}

enum qf_err qf_keepfile_replace(const char *name, const char *magic,
				const void *buf, size_t n, struct qf_why *why)
{
	char *target = realpath(name, NULL), *new = NULL;
	enum qf_err err = look_at(name, magic, why);
	int sys;

	if (err)
		goto out;
	if (!target)
		target = strdup(name);
	if (!target || asprintf(&new, "%s.new%d", target, (int)getpid()) < 0) {
		new = NULL;
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
		goto out;
	}
	sys = write_new(new, buf, n);
	if (!sys && rename(new, target))
		sys = errno;
	if (sys) {
		unlink(new);
		err = cannot(sys, why);
	} else {
		sync_folder(target);
	}
out:
	free(target);
	free(new);
	return err;
}

/* True if the name still leads to the open file. */
static bool is_current(const char *name, int fd)
{
	struct stat a, b;

	return !stat(name, &a) && !fstat(fd, &b) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

enum qf_err qf_keepfile_open(const char *name, const char *magic, int *out,
			     struct qf_why *why)
{
	struct stat st;
	int fd, sys;

	for (;;) {
		fd = open(name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, MODE);
		if (fd < 0)
			return cannot(errno, why);
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			sys = errno;
			close(fd);
			return sys == EWOULDBLOCK
				       ? qf_err_set(why, QF_ERR_BUSY, 0,
						    QF_NOWHERE,
						    "is in use by another "
						    "qfsck")
				       : cannot(sys, why);
		}
		/* the one before us may have replaced it meanwhile */
		if (is_current(name, fd))
			break;
		close(fd);
	}
	if (!is_ours(fd, magic)) {
		close(fd);
		return refuse(why);
	}
	if (!fstat(fd, &st) && !st.st_size &&
	    !qf_keepfile_add(fd, magic, strlen(magic))) {
		sys = errno;
		close(fd);
		return cannot(sys, why);
	}
	*out = fd;
	return QF_OK;
}
