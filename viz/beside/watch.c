// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/beside/watch.h"

#include <errno.h>
#include <string.h>

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void read_header(struct qf_io *io, unsigned char *buf, size_t room)
{
	memset(buf, 0, room);
	(void)io->ops->read(io, buf, room, 0);
}

void qf_watch_start(struct qf_watch *w, struct qf_io *io)
{
	memset(w, 0, sizeof(*w));
	w->on = io->fd >= 0 && !fstat(io->fd, &w->st);
	if (!w->on)
		return;
	read_header(io, w->header, sizeof(w->header));
	w->late = !io->block_dev && ((uint64_t)w->st.st_size != io->size ||
				     w->st.st_mtim.tv_sec * 1000000000ll +
						     w->st.st_mtim.tv_nsec !=
					     io->mtime_ns);
}

enum qf_watch_state qf_watch_look(const struct qf_watch *w, struct qf_io *io)
{
	unsigned char header[sizeof(w->header)];
	struct stat st;

	if (!w->on)
		return QF_WATCH_SAME;
	if (stat(io->name, &st) < 0) {
		if (errno == ENOENT)
			return QF_WATCH_GONE;
	} else if (st.st_dev != w->st.st_dev || st.st_ino != w->st.st_ino) {
		return QF_WATCH_REPLACED;
	}
	/* ctime: who writes may set the other time back */
	if (w->late || fstat(io->fd, &st) < 0 || st.st_size != w->st.st_size ||
	    !same_time(st.st_mtim, w->st.st_mtim) ||
	    !same_time(st.st_ctim, w->st.st_ctim))
		return QF_WATCH_CHANGED;
	read_header(io, header, sizeof(header));
	return memcmp(header, w->header, sizeof(header)) ? QF_WATCH_CHANGED
							 : QF_WATCH_SAME;
}
