// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/open.h"
#include "lib/base/identify.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_BYTES (256u << 10)

/* Says what a file that is no qcow2 image is instead. */
static void say_what_it_is(const char *name, struct qf_why *why)
{
	unsigned char *buf;
	struct qf_io *io;
	char what[200];
	int64_t n;

	if (qf_io_file_open(name, &io, NULL))
		return;
	buf = malloc(SAMPLE_BYTES);
	n = buf ? io->ops->read(io, buf, SAMPLE_BYTES, 0) : 0;
	if (!io->size)
		qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE, "is empty (0 bytes)");
	else if (n > 0)
		qf_err_set(why, QF_ERR_FOREIGN, 0, 0,
			   "is not a qcow2 image but: %s",
			   qf_identify_bytes(buf, (size_t)n, what,
					     sizeof(what)));
	if (io->size)
		qf_err_next(why, "if it should be one, its header is "
				 "destroyed");
	else
		qf_err_next(why, "an image that is empty has lost everything; "
				 "look for a backup");
	free(buf);
	qf_io_close(io);
}

static void advise(const char *name, enum qf_err err, bool write,
		   struct qf_why *why)
{
	if (!why)
		return;
	switch (err) {
	case QF_ERR_BUSY:
		qf_err_next(why, write ? "stop that program first"
				       : "stop that program first, or read "
					 "beside it with -U (--force-share): "
					 "what it writes meanwhile can look "
					 "like damage");
		break;
	case QF_ERR_UNSUPPORTED:
		if (why->off == QF_NOWHERE)
			qf_err_next(why, write ? "copy the image to another "
						 "file system"
					       : "if nobody uses the image, "
						 "add -U (--force-share)");
		break;
	case QF_ERR_FORMAT:
		qf_err_next(why, "the header is damaged beyond reading; keep "
				 "a copy of the file before trying anything");
		break;
	case QF_ERR_FOREIGN:
		say_what_it_is(name, why);
		break;
	default:
		break;
	}
}

enum qf_err qf_open_image(const char *name, enum qf_lock_mode mode, bool share,
			  struct qf_image **out, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_io_file_open(name, &io, why);

	if (err)
		return err;
	if (!share)
		err = qf_lock_take(io->fd, mode, why);
	if (err)
		qf_io_close(io);
	else
		err = qf_image_open(io, out, why);
	advise(name, err, mode == QF_LOCK_WRITE, why);
	return err && why && why->err ? why->err : err;
}
