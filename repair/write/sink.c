// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/sink.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define COPY_BYTES (1u << 20)
#define PIPE_BYTES (1 << 20) /* what anyone may ask for */
#define FIRST_BYTES 4096     /* of a copy, which are written last */

enum qf_err qf_sink_create(struct qf_sink *s, const char *name,
			   unsigned int mode, struct qf_why *why)
{
	memset(s, 0, sizeof(*s));
	s->fd = -1;
	s->name = strdup(name);
	if (!s->name)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	s->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (s->fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot create \"%s\"", name);
	return QF_OK;
}

void qf_sink_stdout(struct qf_sink *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = STDOUT_FILENO;
	s->stream = true;
	/* fewer turns of writer and reader; where it is no pipe, nothing */
	(void)fcntl(s->fd, F_SETPIPE_SZ, PIPE_BYTES);
}

enum qf_err qf_sink_folder(const char *name, unsigned int mode,
			   struct qf_why *why)
{
	if (mkdir(name, mode))
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot create the folder \"%s\"", name);
	return QF_OK;
}

#define STREAM UINT64_MAX /* for an offset */

static int write_all(int fd, const void *buf, uint64_t len, uint64_t off)
{
	const char *p = buf;
	ssize_t n;

	while (len) {
		n = off == STREAM ? write(fd, p, len)
				  : pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		p += n;
		off += off == STREAM ? 0 : (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static enum qf_err failed(const struct qf_sink *s, int err, uint64_t off,
			  struct qf_why *why)
{
	if (s->stream)
		return qf_err_set(why, QF_ERR_IO, err, off,
				  "cannot write to standard output");
	return qf_err_set(why, QF_ERR_IO, err, off, "cannot write to \"%s\"",
			  s->name);
}

enum qf_err qf_sink_put(const struct qf_sink *s, const void *buf, uint64_t len,
			uint64_t off, struct qf_why *why)
{
	int err = write_all(s->fd, buf, len, off);

	return err ? failed(s, err, off, why) : QF_OK;
}

enum qf_err qf_sink_write(struct qf_sink *s, const void *buf, uint64_t len,
			  struct qf_why *why)
{
	int err = write_all(s->fd, buf, len, s->stream ? STREAM : s->at);

	if (err)
		return failed(s, err, s->at, why);
	s->at += len;
	return QF_OK;
}

enum qf_err qf_sink_skip(struct qf_sink *s, uint64_t len, struct qf_why *why)
{
	static const char zeros[64 << 10];
	enum qf_err err = QF_OK;
	uint64_t n;

	if (!s->stream) {
		s->at += len;
		return QF_OK;
	}
	for (; !err && len; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		err = qf_sink_write(s, zeros, n, why);
	}
	return err;
}

enum qf_err qf_sink_end(struct qf_sink *s, struct qf_why *why)
{
	if (s->at > INT64_MAX || ftruncate(s->fd, (off_t)s->at) < 0)
		return qf_err_set(why, QF_ERR_IO,
				  s->at > INT64_MAX ? EFBIG : errno, s->at,
				  "cannot make \"%s\" as long as the disk",
				  s->name);
	return QF_OK;
}

/* The folder in which NAME is: owned by the caller. */
static char *folder_of(const char *name)
{
	char *copy = strdup(name), *slash = copy ? strrchr(copy, '/') : NULL;

	if (slash && slash != copy)
		*slash = '\0';
	else if (slash)
		slash[1] = '\0';
	else if (copy) {
		free(copy);
		copy = strdup(".");
	}
	return copy;
}

enum qf_err qf_sink_sync(struct qf_sink *s, struct qf_why *why)
{
	char *folder = folder_of(s->name);
	int fd = -1, err = 0;

	if (fsync(s->fd) < 0)
		err = errno;
	if (folder)
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && (fd < 0 || fsync(fd) < 0))
		err = errno == EINVAL ? 0 : errno;
	if (fd >= 0)
		close(fd);
	free(folder);
	return err ? qf_err_set(why, QF_ERR_IO, err, QF_NOWHERE,
				"cannot make \"%s\" durable", s->name)
		   : QF_OK;
}

void qf_sink_close(struct qf_sink *s, bool remove)
{
	if (s->fd >= 0 && !s->stream) {
		if (remove)
			unlink(s->name);
		close(s->fd);
	}
	free(s->name);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

/* True if the file FD is empty or begins as a line of JSON does. */
static bool is_log(int fd)
{
	struct stat st;
	char c = '{';

	return !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       (!st.st_size || (pread(fd, &c, 1, 0) == 1 && c == '{'));
}

enum qf_err qf_sink_append(const char *name, const void *buf, uint64_t len,
			   struct qf_why *why)
{
	int fd = open(name,
		      O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC,
		      0644);
	int err = 0;

	if (fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "the log cannot be written");
	if (!is_log(fd)) {
		close(fd);
		return qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
				  "is no log: it is not empty, and does not "
				  "begin as a line of JSON does");
	}
	/* one write, so that runs beside each other keep their lines whole */
	if (len && write(fd, buf, len) != (ssize_t)len)
		err = errno ? errno : ENOSPC;
	if (!err && len && fsync(fd) < 0)
		err = errno;
	close(fd);
	return err ? qf_err_set(why, QF_ERR_IO, err, QF_NOWHERE,
				"the log cannot be written")
		   : QF_OK;
}

void qf_sink_remove(const char *name)
{
	unlink(name);
}

uint64_t qf_sink_room(const char *name)
{
	char *folder = folder_of(name);
	struct statvfs st;
	uint64_t room = UINT64_MAX;

	if (folder && !statvfs(folder, &st) &&
	    !qf_mem_mul(st.f_bavail, st.f_frsize, &room))
		room = UINT64_MAX;
	free(folder);
	return room;
}

bool qf_sink_is_on(const char *name, uint64_t dev)
{
	char *folder = folder_of(name);
	struct stat st;
	bool same = folder && !stat(folder, &st) && st.st_dev == dev;

	free(folder);
	return same;
}

bool qf_sink_is_memory(const char *name)
{
	char *folder = folder_of(name);
	struct statfs st;
	bool is = folder && !statfs(folder, &st) &&
		  (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC);

	free(folder);
	return is;
}

/* Copies the data of [AT, END). */
static int copy_data(int from, struct qf_sink *s, off_t at, off_t end,
		     char *buf)
{
	ssize_t n;
	int err;

	while (at < end) {
		n = pread(from, buf,
			  end - at < COPY_BYTES ? (size_t)(end - at)
						: COPY_BYTES,
			  at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		err = write_all(s->fd, buf, (uint64_t)n, (uint64_t)at);
		if (err)
			return err;
		at += n;
	}
	return 0;
}

/*
 * Copies what is no hole; the first block last, when all else is durable: a
 * copy that was cut short must not look like an image with holes in it.
 */
static int copy_extents(int from, struct qf_sink *s, off_t size)
{
	off_t first = size < FIRST_BYTES ? size : FIRST_BYTES;
	char *buf = malloc(COPY_BYTES);
	off_t at = first, end;
	int err = buf ? 0 : ENOMEM;

	while (!err && at < size) {
		end = lseek(from, at, SEEK_DATA);
		if (end < 0 && errno == ENXIO)
			break;
		if (end >= 0)
			at = end;
		end = lseek(from, at, SEEK_HOLE);
		if (end <= at)
			end = size;
		err = copy_data(from, s, at, end, buf);
		at = end;
	}
	if (!err && (ftruncate(s->fd, size) < 0 || fsync(s->fd) < 0))
		err = errno;
	if (!err)
		err = copy_data(from, s, 0, first, buf);
	free(buf);
	return err;
}

enum qf_err qf_sink_copy(const char *from, const char *to, struct qf_why *why)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC), err = 0;
	struct qf_sink s;
	struct stat st;
	enum qf_err e;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err = errno;
		if (fd >= 0)
			close(fd);
		return qf_err_set(why, QF_ERR_IO, err, QF_NOWHERE,
				  "cannot read the image");
	}
	if (S_ISBLK(st.st_mode))
		st.st_size = lseek(fd, 0, SEEK_END);
	e = qf_sink_create(&s, to, st.st_mode & 0777, why);
	if (!e && ioctl(s.fd, FICLONE, fd) < 0)
		err = copy_extents(fd, &s, st.st_size);
	if (err)
		e = qf_err_set(why, QF_ERR_IO, err, QF_NOWHERE,
			       "cannot copy the image to \"%s\"", to);
	if (!e)
		e = qf_sink_sync(&s, why);
	qf_sink_close(&s, e != QF_OK);
	close(fd);
	return e;
}
