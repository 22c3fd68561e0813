// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bytes in memory as an image: for the tests and the fuzzers. */
#include "lib/io/io.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct io_mem {
	struct qf_io io;
	const unsigned char *buf;
};

static int64_t mem_read(struct qf_io *io, void *buf, uint64_t len, uint64_t off)
{
	struct io_mem *m = (struct io_mem *)io;

	if (off >= io->size)
		return 0;
	if (len > io->size - off)
		len = io->size - off;
	memcpy(buf, m->buf + off, (size_t)len);
	return (int64_t)len;
}

static void mem_close(struct qf_io *io)
{
	free(io->name);
	free(io);
}

static const struct qf_io_ops mem_ops = {
	.read = mem_read,
	.read_cached = mem_read,
	.close = mem_close,
};

enum qf_err qf_io_mem_open(const void *buf, uint64_t len, const char *name,
			   struct qf_io **out, struct qf_why *why)
{
	struct io_mem *m = qf_mem_zalloc(1, sizeof(*m));

	if (!m || !(m->io.name = strdup(name))) {
		free(m);
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	}
	m->io.ops = &mem_ops;
	m->io.size = len;
	m->io.disk_bytes = len;
	m->io.fd = -1;
	m->buf = buf;
	*out = &m->io;
	return QF_OK;
}
