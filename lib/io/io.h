/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the bytes of an image come from. There is no write member: nothing
 * that holds a struct qf_io can change an image (promise 1).
 *
 * All members may be called from several threads at once.
 */
#ifndef QF_IO_H
#define QF_IO_H

#include "lib/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qf_io;

/* What lies in a stretch of the file, as the file system tells it. */
enum qf_io_kind {
	QF_IO_DATA,
	QF_IO_HOLE,
};

struct qf_io_ops {
	/*
	 * Reads LEN bytes at OFF. Returns the bytes read, which is less than
	 * LEN only at the end of the file, or -errno.
	 */
	int64_t (*read)(struct qf_io *io, void *buf, uint64_t len,
			uint64_t off);

	/*
	 * The same, but only if no disk has to be waited for; otherwise
	 * -EAGAIN. May be NULL: then read is always used.
	 */
	int64_t (*read_cached)(struct qf_io *io, void *buf, uint64_t len,
			       uint64_t off);

	/* Says that LEN bytes at OFF will be read soon. May be NULL. */
	void (*hint)(struct qf_io *io, uint64_t off, uint64_t len);

	/*
	 * The kind of the byte at OFF, and in *END where that kind ends (at
	 * most LIMIT). May be NULL: all is data.
	 */
	enum qf_io_kind (*extent)(struct qf_io *io, uint64_t off,
				  uint64_t limit, uint64_t *end);

	void (*close)(struct qf_io *io);
};

struct qf_io {
	const struct qf_io_ops *ops;
	uint64_t size;	  /* bytes */
	char *name;	  /* as the user gave it; owned */
	uint64_t id[2];	  /* device and inode, or 0, 0: to find loops */
	int64_t mtime_ns; /* of the last write, since the Epoch; 0: not known */
	int fd;		  /* the file descriptor behind it, or -1 */
	bool block_dev;	  /* a block device: no end, no holes, no truncate */
	bool believed;	  /* the user says that it is qcow2: see believe.h */
	uint64_t disk_bytes; /* bytes that the file takes on its disk */
};

/*
 * Opens NAME (a regular file or a block device) for reading. *IO is owned by
 * the caller: qf_io_close. Errors: QF_ERR_IO with the reason (missing,
 * directory, permission, ...).
 */
enum qf_err qf_io_file_open(const char *name, struct qf_io **io,
			    struct qf_why *why);

/*
 * Opens NAME, which is an NBD server's export if it begins with nbd:// or one
 * of its kin (io_nbd.h), else a local file. Errors: as those two have;
 * QF_ERR_UNSUPPORTED for another protocol (https://, ssh://, ...), with the
 * command that makes NBD of it.
 */
enum qf_err qf_io_open(const char *name, struct qf_io **io, struct qf_why *why);

/* True if NAME is not a local file's: qf_io_open then asks a server. */
bool qf_io_is_remote(const char *name);

/* The LEN bytes at BUF as an image; BUF stays the caller's. */
enum qf_err qf_io_mem_open(const void *buf, uint64_t len, const char *name,
			   struct qf_io **io, struct qf_why *why);

/* Closes and frees; NULL is allowed. */
void qf_io_close(struct qf_io *io);

/*
 * Reads exactly LEN bytes at OFF. Errors: QF_ERR_OUTSIDE if the file ends
 * before, QF_ERR_IO.
 */
enum qf_err qf_io_read(struct qf_io *io, void *buf, uint64_t len, uint64_t off,
		       struct qf_why *why);

/*
 * Reads LEN bytes at OFF as QEMU does: what lies past the end of the file
 * reads as zeros. Errors: QF_ERR_IO.
 */
enum qf_err qf_io_read_pad(struct qf_io *io, void *buf, uint64_t len,
			   uint64_t off, struct qf_why *why);

/*
 * As qf_io_read_pad, but answers QF_ERR_BUSY instead of waiting for a disk.
 */
enum qf_err qf_io_read_cached(struct qf_io *io, void *buf, uint64_t len,
			      uint64_t off);

void qf_io_hint(struct qf_io *io, uint64_t off, uint64_t len);

enum qf_io_kind qf_io_extent(struct qf_io *io, uint64_t off, uint64_t limit,
			     uint64_t *end);

#endif
