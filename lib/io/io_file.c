// SPDX-License-Identifier: LGPL-2.1-or-later
/* Regular files and block devices, by pread. */
#include "lib/io/io.h"
#include "lib/base/mem.h"
#include "lib/io/rate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The Makefile sees to it: with fewer bits an offset would be cut. */
_Static_assert(sizeof(off_t) == 8, "offsets have 64 bits");

/* One call reads at most this much: pread takes less than 2 GiB at once. */
#define MAX_CALL (1U << 30)

static int64_t read_all(struct qf_io *io, void *buf, uint64_t len, uint64_t off,
			int flags)
{
	uint64_t done = 0;
	struct iovec v;
	ssize_t n;

	if (off > INT64_MAX)
		return 0;
	while (done < len) {
		v.iov_base = (char *)buf + done;
		v.iov_len = len - done < MAX_CALL ? (size_t)(len - done)
						  : MAX_CALL;
		if (off + done > INT64_MAX)
			break;
		if (flags)
			n = preadv2(io->fd, &v, 1, (off_t)(off + done), flags);
		else
			n = pread(io->fd, v.iov_base, v.iov_len,
				  (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	qf_rate_take(done);
	return (int64_t)done;
}

static int64_t file_read(struct qf_io *io, void *buf, uint64_t len,
			 uint64_t off)
{
	return read_all(io, buf, len, off, 0);
}

static int64_t file_read_cached(struct qf_io *io, void *buf, uint64_t len,
				uint64_t off)
{
	int64_t n = read_all(io, buf, len, off, RWF_NOWAIT);

	/* A file system without RWF_NOWAIT is read in the plain way. */
	return n == -EOPNOTSUPP ? -EAGAIN : n;
}

static void file_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	if (off <= INT64_MAX && len <= INT64_MAX)
		(void)posix_fadvise(io->fd, (off_t)off, (off_t)len,
				    POSIX_FADV_WILLNEED);
}

static enum qf_io_kind file_extent(struct qf_io *io, uint64_t off,
				   uint64_t limit, uint64_t *end)
{
	off_t data, hole;

	*end = limit;
	if (io->block_dev || off >= io->size || off > INT64_MAX)
		return QF_IO_DATA;
	data = lseek(io->fd, (off_t)off, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? QF_IO_HOLE : QF_IO_DATA;
	if ((uint64_t)data > off) {
		if ((uint64_t)data < limit)
			*end = (uint64_t)data;
		return QF_IO_HOLE;
	}
	hole = lseek(io->fd, (off_t)off, SEEK_HOLE);
	if (hole > 0 && (uint64_t)hole < limit && (uint64_t)hole > off)
		*end = (uint64_t)hole;
	return QF_IO_DATA;
}

static void file_close(struct qf_io *io)
{
	close(io->fd);
	free(io->name);
	free(io);
}

static const struct qf_io_ops file_ops = {
	.read = file_read,
	.read_cached = file_read_cached,
	.hint = file_hint,
	.extent = file_extent,
	.close = file_close,
};

/* Fills size, identity and kind; refuses what is neither file nor disk. */
static enum qf_err take_stat(struct qf_io *io, struct qf_why *why)
{
	struct stat st;

	if (fstat(io->fd, &st) < 0)
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot look at the file");
	io->id[0] = st.st_dev;
	io->id[1] = st.st_ino;
	io->disk_bytes = (uint64_t)st.st_blocks * 512;
	if (S_ISREG(st.st_mode)) {
		io->mtime_ns =
			st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
		io->size = (uint64_t)st.st_size;
		return QF_OK;
	}
	if (S_ISBLK(st.st_mode)) {
		io->block_dev = true;
		if (ioctl(io->fd, BLKGETSIZE64, &io->size) < 0)
			return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
					  "cannot get the device's size");
		io->disk_bytes = io->size;
		return QF_OK;
	}
	return qf_err_set(
		why, QF_ERR_IO, 0, QF_NOWHERE, "is %s, not a disk image",
		S_ISDIR(st.st_mode) ? "a directory" : "a special file");
}

enum qf_err qf_io_file_open(const char *name, struct qf_io **out,
			    struct qf_why *why)
{
	struct qf_io *io = qf_mem_zalloc(1, sizeof(*io));
	enum qf_err err;

	if (!io)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	io->ops = &file_ops;
	io->name = strdup(name);
	/* O_NONBLOCK: a FIFO must not hang the open; it is refused below. */
	io->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (io->fd < 0) {
		err = qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				 "cannot open");
		goto fail;
	}
	err = io->name ? take_stat(io, why)
		       : qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				    "no memory");
	if (err)
		goto fail;
	*out = io;
	return QF_OK;
fail:
	if (io->fd >= 0)
		close(io->fd);
	free(io->name);
	free(io);
	return err;
}
