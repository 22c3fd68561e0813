// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bytes from an NBD server, by libnbd. All that is read goes through blocks
 * that are kept for a while, so that what is hinted is on its way while
 * something else is awaited, and a file that is read in order is fetched
 * ahead.
 *
 * One thread of each connection waits for the server and takes its answers.
 * No call into libnbd is made while the mutex is held: libnbd calls back
 * with a lock of its own, and the callbacks take the mutex.
 */
#include "lib/io/io_nbd.h"
#include "lib/base/dynload.h"
#include "lib/base/mem.h"
#include "lib/io/fetched.h"
#include "lib/io/rate.h"

#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* clang-format has no end with such a list */
// clang-format off
#define FUNCTIONS \
	X(create) X(close) X(add_meta_context) \
	X(set_uri_allow_local_file) X(connect_uri) X(get_size) \
	X(get_block_size) X(can_meta_context) X(aio_pread) \
	X(aio_block_status) X(aio_get_fd) X(aio_get_direction) \
	X(aio_notify_read) X(aio_notify_write) X(aio_is_dead) \
	X(aio_is_closed) X(aio_disconnect) X(get_error) X(get_errno)
// clang-format on

static struct {
#define X(f) __typeof__(nbd_##f) *f;
	FUNCTIONS
#undef X
} nbd;

static const char *const names[] = {
#define X(f) "nbd_" #f,
	FUNCTIONS
#undef X
};

#define BLOCK_BYTES (64u << 10)
#define EXTENTS 256u	     /* of one answer about holes */
#define ASK_BYTES (1u << 30) /* the most that is asked about holes at once */

#define GOODBYE_SECONDS 2

struct extent {
	uint64_t start, end;
	bool hole;
};

struct io_nbd {
	struct qf_io io;
	struct nbd_handle *h;
	pthread_t thread;
	bool started;
	int wake; /* eventfd: there is something to send, or to end */
	bool ending;
	bool dead;
	/* its mutex guards all that follows */
	struct qf_fetched blocks;
	bool tells_holes, asking;
	struct extent extent[EXTENTS];
	unsigned int extents;
};

static void wake_up(struct io_nbd *c)
{
	(void)eventfd_write(c->wake, 1);
}

/* --- the thread that waits for the server --- */

static void take_answers(struct io_nbd *c, short events)
{
	unsigned int dir = nbd.aio_get_direction(c->h);

	if (dir & LIBNBD_AIO_DIRECTION_READ && events & ~POLLOUT)
		nbd.aio_notify_read(c->h);
	else if (dir & LIBNBD_AIO_DIRECTION_WRITE && events & ~POLLIN)
		nbd.aio_notify_write(c->h);
}

static bool is_over(struct io_nbd *c)
{
	bool ending;

	pthread_mutex_lock(&c->blocks.lock);
	ending = c->ending;
	pthread_mutex_unlock(&c->blocks.lock);
	return ending || nbd.aio_is_dead(c->h) || nbd.aio_is_closed(c->h);
}

/* Whoever waits for an answer that cannot come any more is told so. */
static void tell_death(struct io_nbd *c)
{
	pthread_mutex_lock(&c->blocks.lock);
	c->dead = true;
	c->asking = false;
	pthread_mutex_unlock(&c->blocks.lock);
	qf_fetched_die(&c->blocks);
}

static void *wait_for_server(void *arg)
{
	struct io_nbd *c = arg;
	struct pollfd fd[2];
	unsigned int dir;
	eventfd_t n;

	while (!is_over(c)) {
		dir = nbd.aio_get_direction(c->h);
		fd[0].fd = nbd.aio_get_fd(c->h);
		fd[0].events = 0;
		if (dir & LIBNBD_AIO_DIRECTION_READ)
			fd[0].events |= POLLIN;
		if (dir & LIBNBD_AIO_DIRECTION_WRITE)
			fd[0].events |= POLLOUT;
		fd[1].fd = c->wake;
		fd[1].events = POLLIN;
		fd[0].revents = fd[1].revents = 0;
		if (poll(fd, 2, -1) < 0 && errno != EINTR)
			break;
		if (fd[1].revents & POLLIN)
			(void)eventfd_read(c->wake, &n);
		if (fd[0].revents)
			take_answers(c, fd[0].revents);
	}
	tell_death(c);
	return NULL;
}

/* --- blocks --- */

static int have_block(void *arg, int *error)
{
	qf_fetched_answer(arg, *error);
	return 1; /* libnbd need not keep the request */
}

/* As qf_fetched_ask. */
static void ask_for(void *ctx, struct qf_fetched_block *b, void *buf,
		    uint64_t len, uint64_t off)
{
	struct io_nbd *c = ctx;
	nbd_completion_callback done = { .callback = have_block,
					 .user_data = b };
	int error;

	if (nbd.aio_pread(c->h, buf, (size_t)len, off, done, 0) < 0) {
		error = nbd.get_errno();
		qf_fetched_answer(b, error ? error : EIO);
	}
	wake_up(c);
}

static int64_t nbd_read(struct qf_io *io, void *buf, uint64_t len, uint64_t off)
{
	qf_rate_take(len);
	return qf_fetched_read(&((struct io_nbd *)io)->blocks, buf, len, off);
}

static int64_t nbd_read_cached(struct qf_io *io, void *buf, uint64_t len,
			       uint64_t off)
{
	struct io_nbd *c = (struct io_nbd *)io;

	if (!qf_fetched_is_here(&c->blocks, len, off))
		return -EAGAIN;
	return nbd_read(io, buf, len, off);
}

static void nbd_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	qf_fetched_hint(&((struct io_nbd *)io)->blocks, len, off);
}

/* --- holes --- */

static int have_extents(void *arg, const char *context, uint64_t off,
			uint32_t *entry, size_t n, int *error)
{
	struct io_nbd *c = arg;
	size_t i;

	if (*error || strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION))
		return 0;
	pthread_mutex_lock(&c->blocks.lock);
	c->extents = 0;
	for (i = 0; i + 1 < n && c->extents < EXTENTS; i += 2) {
		c->extent[c->extents++] = (struct extent){
			.start = off,
			.end = off + entry[i],
			.hole = (entry[i + 1] & LIBNBD_STATE_HOLE) &&
				(entry[i + 1] & LIBNBD_STATE_ZERO),
		};
		off += entry[i];
	}
	pthread_mutex_unlock(&c->blocks.lock);
	return 0;
}

static int have_told(void *arg, int *error)
{
	struct io_nbd *c = arg;

	pthread_mutex_lock(&c->blocks.lock);
	if (*error)
		c->tells_holes = false;
	c->asking = false;
	pthread_cond_broadcast(&c->blocks.news);
	pthread_mutex_unlock(&c->blocks.lock);
	return 1;
}

/* Asks what lies at OFF and waits for it. With the mutex held. */
static void ask_holes(struct io_nbd *c, uint64_t off)
{
	uint64_t len = c->io.size - off;
	nbd_extent_callback each = { .callback = have_extents, .user_data = c };
	nbd_completion_callback done = { .callback = have_told,
					 .user_data = c };
	int error = EIO;

	if (len > ASK_BYTES)
		len = ASK_BYTES;
	while (c->asking)
		pthread_cond_wait(&c->blocks.news, &c->blocks.lock);
	c->asking = !c->dead;
	if (c->dead)
		return;
	pthread_mutex_unlock(&c->blocks.lock);
	if (nbd.aio_block_status(c->h, len, off, each, done, 0) < 0)
		(void)have_told(c, &error);
	wake_up(c);
	pthread_mutex_lock(&c->blocks.lock);
	while (c->asking)
		pthread_cond_wait(&c->blocks.news, &c->blocks.lock);
}

static const struct extent *extent_at(const struct io_nbd *c, uint64_t off)
{
	unsigned int i;

	for (i = 0; i < c->extents; i++)
		if (off >= c->extent[i].start && off < c->extent[i].end)
			return &c->extent[i];
	return NULL;
}

static enum qf_io_kind nbd_extent(struct qf_io *io, uint64_t off,
				  uint64_t limit, uint64_t *end)
{
	struct io_nbd *c = (struct io_nbd *)io;
	enum qf_io_kind kind = QF_IO_DATA;
	const struct extent *e;

	*end = limit;
	pthread_mutex_lock(&c->blocks.lock);
	if (c->tells_holes && off < io->size) {
		e = extent_at(c, off);
		if (!e) {
			ask_holes(c, off);
			e = extent_at(c, off);
		}
		if (e && e->hole)
			kind = QF_IO_HOLE;
		/* what lies beside it can be of its kind, too */
		for (; e && e < c->extent + c->extents &&
		       e->hole == (kind == QF_IO_HOLE);
		     e++)
			*end = e->end < limit ? e->end : limit;
	}
	pthread_mutex_unlock(&c->blocks.lock);
	return kind;
}

/* --- open and close --- */

/* Takes what was asked for, so that the server is not left in the middle of
 * an answer, and says goodbye; one that does not answer is left. */
static void leave(struct io_nbd *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GOODBYE_SECONDS;
	qf_fetched_settle(&c->blocks, &until);
	pthread_mutex_lock(&c->blocks.lock);
	c->ending = true;
	pthread_mutex_unlock(&c->blocks.lock);
	nbd.aio_disconnect(c->h, 0);
	wake_up(c);
	pthread_join(c->thread, NULL);
}

static void nbd_end(struct qf_io *io)
{
	struct io_nbd *c = (struct io_nbd *)io;

	if (c->started)
		leave(c);
	if (c->h)
		nbd.close(c->h);
	if (c->wake >= 0)
		close(c->wake);
	qf_fetched_free(&c->blocks);
	free(c->io.name);
	free(c);
}

static const struct qf_io_ops nbd_ops = {
	.read = nbd_read,
	.read_cached = nbd_read_cached,
	.hint = nbd_hint,
	.extent = nbd_extent,
	.close = nbd_end,
};

static enum qf_err refused(struct qf_why *why, const char *what)
{
	const char *text = nbd.get_error();

	qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE, "%s: %s", what,
		   text ? text : "not known why");
	qf_err_next(why, "see that the server runs and exports this image "
			 "(nbdinfo URI tells what it has)");
	return QF_ERR_IO;
}

/* Requests must fit what the server takes. */
static uint64_t fitting(struct io_nbd *c)
{
	int64_t least = nbd.get_block_size(c->h, LIBNBD_SIZE_MINIMUM);
	int64_t most = nbd.get_block_size(c->h, LIBNBD_SIZE_MAXIMUM);
	uint64_t n = BLOCK_BYTES;

	if (most > 0)
		while (n > (uint64_t)most && n > 512)
			n /= 2;
	if (least > 0)
		while (n < (uint64_t)least && n < 64u << 20)
			n *= 2;
	return n;
}

static enum qf_err connect_to(struct io_nbd *c, struct qf_why *why)
{
	int64_t size;

	c->h = nbd.create();
	if (!c->h)
		return refused(why, "cannot begin with NBD");
	if (nbd.add_meta_context(c->h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
	    nbd.set_uri_allow_local_file(c->h, true) < 0 ||
	    nbd.connect_uri(c->h, c->io.name) < 0)
		return refused(why, "cannot connect to the NBD server");
	size = nbd.get_size(c->h);
	if (size < 0)
		return refused(why, "the NBD server does not tell a size");
	c->io.size = c->io.disk_bytes = (uint64_t)size;
	c->tells_holes =
		nbd.can_meta_context(c->h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
	qf_fetched_size(&c->blocks, c->io.size, fitting(c));
	return QF_OK;
}

/* A name is all that tells one export from another. */
static uint64_t hash(const char *name)
{
	uint64_t h = 14695981039346656037ull;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211ull;
	return h | 1;
}

enum qf_err qf_io_nbd_open(const char *uri, struct qf_io **out,
			   struct qf_why *why)
{
	struct io_nbd *c;
	enum qf_err err;

	err = qf_dynload_load("libnbd.so.0", names,
			      sizeof(names) / sizeof(names[0]), &nbd, why);
	if (err)
		return err;
	c = qf_mem_zalloc(1, sizeof(*c));
	if (!c)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	c->io.ops = &nbd_ops;
	c->io.fd = -1;
	c->io.id[0] = UINT64_MAX;
	c->io.id[1] = hash(uri);
	c->io.name = strdup(uri);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!qf_fetched_init(&c->blocks, ask_for, c) || !c->io.name ||
	    c->wake < 0)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
	if (!err)
		err = connect_to(c, why);
	if (!err && pthread_create(&c->thread, NULL, wait_for_server, c))
		err = qf_err_set(why, QF_ERR_NOMEM, errno, QF_NOWHERE,
				 "cannot start a thread");
	c->started = !err;
	if (err)
		nbd_end(&c->io);
	else
		*out = &c->io;
	return err;
}
