// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/io/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void qf_io_close(struct qf_io *io)
{
	if (io)
		io->ops->close(io);
}

static enum qf_err io_failed(struct qf_why *why, int64_t n, uint64_t len,
			     uint64_t off)
{
	return qf_err_set(why, QF_ERR_IO, (int)-n, off,
			  "cannot read %" PRIu64 " bytes at offset 0x%" PRIx64,
			  len, off);
}

enum qf_err qf_io_read(struct qf_io *io, void *buf, uint64_t len, uint64_t off,
		       struct qf_why *why)
{
	int64_t n = io->ops->read(io, buf, len, off);

	if (n < 0)
		return io_failed(why, n, len, off);
	if ((uint64_t)n < len)
		return qf_err_set(why, QF_ERR_OUTSIDE, 0, off,
				  "the file ends at 0x%" PRIx64
				  ", before the %" PRIu64
				  " bytes at offset 0x%" PRIx64,
				  io->size, len, off);
	return QF_OK;
}

enum qf_err qf_io_read_pad(struct qf_io *io, void *buf, uint64_t len,
			   uint64_t off, struct qf_why *why)
{
	int64_t n = io->ops->read(io, buf, len, off);

	if (n < 0)
		return io_failed(why, n, len, off);
	memset((char *)buf + n, 0, (size_t)(len - (uint64_t)n));
	return QF_OK;
}

enum qf_err qf_io_read_cached(struct qf_io *io, void *buf, uint64_t len,
			      uint64_t off)
{
	int64_t n;

	if (!io->ops->read_cached)
		return QF_ERR_BUSY;
	n = io->ops->read_cached(io, buf, len, off);
	if (n == -EAGAIN)
		return QF_ERR_BUSY;
	if (n < 0)
		return QF_ERR_IO;
	memset((char *)buf + n, 0, (size_t)(len - (uint64_t)n));
	return QF_OK;
}

void qf_io_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	if (io->ops->hint)
		io->ops->hint(io, off, len);
}

enum qf_io_kind qf_io_extent(struct qf_io *io, uint64_t off, uint64_t limit,
			     uint64_t *end)
{
	if (io->ops->extent)
		return io->ops->extent(io, off, limit, end);
	*end = limit;
	return QF_IO_DATA;
}
