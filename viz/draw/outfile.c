// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that may be replaced: empty, a PNG picture, or text. */
static bool replaceable(int fd)
{
	unsigned char head[512];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return false;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		return true; /* /dev/null and the like */
	if (!S_ISREG(st.st_mode))
		return false;
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return false;
	if (n >= 4 && !memcmp(head, "\x89PNG", 4))
		return true;
	return !memchr(head, '\0', (size_t)n) &&
	       !(n >= 4 && !memcmp(head, "QFI\xfb", 4));
}

static bool write_all(int fd, const char *p, size_t n)
{
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

enum qf_err qf_outfile_write(const char *name, const void *bytes, size_t n,
			     struct qf_why *why)
{
	enum qf_err err = QF_OK;
	int fd;

	if (!strcmp(name, "-")) {
		if (!write_all(STDOUT_FILENO, bytes, n))
			return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
					  "cannot write");
		return QF_OK;
	}
	/* looked at before anything in it is changed */
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot be written");
	if (!replaceable(fd))
		err = qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				 "exists and is not a picture: not replaced");
	else if ((ftruncate(fd, 0) && errno != EINVAL) ||
		 !write_all(fd, bytes, n))
		err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				 "cannot be written");
	if (close(fd) && !err)
		err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				 "cannot be written");
	return err;
}

static enum qf_err not_new(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
			  "is there already: not replaced");
}

enum qf_err qf_outfile_is_new(const char *name, struct qf_why *why)
{
	struct stat st;

	return lstat(name, &st) ? QF_OK : not_new(why);
}

enum qf_err qf_outfile_create(const char *name, const void *bytes, size_t n,
			      struct qf_why *why)
{
	enum qf_err err = QF_OK;
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0 && errno == EEXIST)
		return not_new(why);
	if (fd < 0)
		return qf_err_set(why, QF_ERR_USAGE, errno, QF_NOWHERE,
				  "cannot be created");
	if (!write_all(fd, bytes, n))
		err = qf_err_set(why, QF_ERR_USAGE, errno, QF_NOWHERE,
				 "cannot be written");
	if (close(fd) && !err)
		err = qf_err_set(why, QF_ERR_USAGE, errno, QF_NOWHERE,
				 "cannot be written");
	if (err)
		unlink(name); /* a part of a page is none */
	return err;
}

#define SLICE (1u << 20)

static enum qf_err fill_file(int fd, uint64_t bytes, qf_outfile_fill *fill,
			     void *ctx, struct qf_why *why)
{
	char *buf = malloc(SLICE);
	enum qf_err err = QF_OK;
	uint64_t at;
	size_t n;

	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "not enough memory");
	for (at = 0; at < bytes && !err; at += n) {
		n = bytes - at < SLICE ? (size_t)(bytes - at) : SLICE;
		err = fill(ctx, buf, n, at, why);
		if (!err && !write_all(fd, buf, n))
			err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
					 "cannot be written");
	}
	free(buf);
	return err;
}

enum qf_err qf_outfile_new(const char *name, uint64_t bytes,
			   qf_outfile_fill *fill, void *ctx, struct qf_why *why)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	enum qf_err err;

	if (fd < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot be made");
	err = fill_file(fd, bytes, fill, ctx, why);
	if (close(fd) && !err)
		err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				 "cannot be written");
	if (err)
		unlink(name);
	return err;
}
