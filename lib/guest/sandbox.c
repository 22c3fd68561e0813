// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/sandbox.h"
#include "lib/guest/cage.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* 8 GiB; and so many records that they take some hundred MiB here. */
#define MAX_PAGES (1u << 17)
#define MAX_RECORDS (1u << 22)
/* A child that neither asks nor tells for so long has used up its time. */
#define SILENCE_SECONDS (2 * QF_CAGE_SECONDS)

/* Only for tests under an emulator, which has no cage (tests/cross). */
#ifndef QF_NO_CAGE
#define QF_NO_CAGE 0
#endif

/* Types of messages beside the caller's. */
#define ASK_PAGE 0xffffff01u
#define TELL_DONE 0xffffff02u

struct head {
	uint32_t type, bytes;
};

struct done {
	enum qf_err err;
	struct qf_why why;
};

struct served {
	struct qf_source_page page;
	bool ok;
};

/* --- both ends --- */

static bool send_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;
	ssize_t sent;

	for (; n; n -= (size_t)sent, p += sent) {
		sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			sent = 0;
		else if (sent <= 0)
			return false;
	}
	return true;
}

static bool receive_all(int fd, void *buf, size_t n)
{
	char *p = buf;
	ssize_t got;

	for (; n; n -= (size_t)got, p += got) {
		errno = 0;
		got = recv(fd, p, n, 0);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			return false;
	}
	return true;
}

/* --- the child's end --- */

/* What the child has to tell is sent in one go, with its next question. */
struct child {
	int fd;
	size_t n;
	char out[65536];
};

static bool flush(struct child *c)
{
	bool sent = send_all(c->fd, c->out, c->n);

	c->n = 0;
	return sent;
}

static bool put(struct child *c, uint32_t type, const void *buf, uint32_t n)
{
	struct head h = { type, n };

	if (n > QF_SANDBOX_RECORD)
		return false;
	if (c->n + sizeof(h) + n > sizeof(c->out) && !flush(c))
		return false;
	memcpy(c->out + c->n, &h, sizeof(h));
	memcpy(c->out + c->n + sizeof(h), buf, n);
	c->n += sizeof(h) + n;
	return true;
}

static bool tell(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	return put(ctx, type, record, n);
}

static bool ask(void *ctx, uint64_t off, struct qf_source_page *p)
{
	struct child *c = ctx;
	bool ok;

	return put(c, ASK_PAGE, &off, sizeof(off)) && flush(c) &&
	       receive_all(c->fd, p, sizeof(*p)) &&
	       receive_all(c->fd, &ok, sizeof(ok)) && ok;
}

static _Noreturn void be_child(const struct qf_sandbox *s, int fd)
{
	static struct child c;
	const struct qf_sandbox_teller t = { tell, &c };
	struct qf_source *src = NULL;
	struct done done = { 0 };

	c.fd = fd;
	done.err = qf_cage_enter(fd, &done.why);
	if (!done.err)
		done.err =
			qf_source_open(s->disk_bytes, ask, &c, &src, &done.why);
	if (!done.err)
		done.err = s->work(s->work_ctx, src, &t, &done.why);
	if (put(&c, TELL_DONE, &done, sizeof(done)))
		flush(&c);
	_exit(0);
}

/* --- the parent's end --- */

struct parent {
	const struct qf_sandbox *s;
	int fd;
	uint64_t pages, records;
	struct served served;
	uint64_t record[QF_SANDBOX_RECORD / 8]; /* aligned for any struct */
};

static enum qf_err give_up(struct qf_why *why, const char *text)
{
	return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE, "%s", text);
}

static enum qf_err serve(struct parent *p, struct qf_why *why)
{
	uint64_t off, max = p->s->max_pages ? p->s->max_pages : MAX_PAGES;

	memcpy(&off, p->record, sizeof(off));
	if (++p->pages > max)
		return give_up(why, "it would take too much reading");
	if (off % QF_SOURCE_PAGE || off >= p->s->disk_bytes)
		return give_up(why, "its reader went astray");
	memset(&p->served, 0, sizeof(p->served));
	p->served.ok = p->s->fetch(p->s->fetch_ctx, off, &p->served.page);
	if (!send_all(p->fd, &p->served.page, sizeof(p->served.page)) ||
	    !send_all(p->fd, &p->served.ok, sizeof(p->served.ok)))
		return QF_ERR_IO;
	return QF_OK;
}

static enum qf_err take(struct parent *p, const struct head *h,
			struct qf_why *why)
{
	uint64_t max = p->s->max_records ? p->s->max_records : MAX_RECORDS;

	if (++p->records > max)
		return give_up(why, "there is too much to tell");
	if (!p->s->take(p->s->take_ctx, h->type, p->record, h->bytes))
		return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
				  "stopped");
	return QF_OK;
}

/* What the child says of its end: no text of it is trusted to end. */
static enum qf_err finish(const struct parent *p, struct qf_why *why)
{
	struct done d;

	memcpy(&d, p->record, sizeof(d));
	d.why.text[sizeof(d.why.text) - 1] = '\0';
	if (!d.err)
		return QF_OK;
	qf_err_set(why, d.err, 0, QF_NOWHERE, "%s", d.why.text);
	switch (d.err) {
	case QF_ERR_NOMEM:
	case QF_ERR_FORMAT:
	case QF_ERR_USAGE:
		return d.err;
	default:
		return QF_ERR_UNSUPPORTED;
	}
}

/* Until the child is done. QF_ERR_IO: it is gone, see how it ended. */
static enum qf_err talk(struct parent *p, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	struct head h;

	while (!err) {
		if (qf_pool_halted())
			return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
					  "stopped");
		if (!receive_all(p->fd, &h, sizeof(h)))
			return QF_ERR_IO;
		if (h.bytes > sizeof(p->record))
			return give_up(why, "its reader went astray");
		if (!receive_all(p->fd, p->record, h.bytes))
			return QF_ERR_IO;
		if (h.type == TELL_DONE && h.bytes == sizeof(struct done))
			return finish(p, why);
		if (h.type == ASK_PAGE && h.bytes == sizeof(uint64_t))
			err = serve(p, why);
		else
			err = take(p, &h, why);
	}
	return err;
}

static enum qf_err tell_death(int status, struct qf_why *why)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return give_up(why, "reading it took too long");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return give_up(why, "its reader did what it may not do");
	return give_up(why, "its reader broke down over what it found");
}

static enum qf_err be_parent(const struct qf_sandbox *s, int fd, pid_t child,
			     struct qf_why *why)
{
	const struct timeval silence = { .tv_sec = SILENCE_SECONDS };
	struct parent *p = qf_mem_zalloc(1, sizeof(*p));
	enum qf_err err;
	int status = 0;

	if (!p) {
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the guest's file systems");
	} else {
		p->s = s;
		p->fd = fd;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence,
			   sizeof(silence));
		err = talk(p, why);
	}
	if (err != QF_ERR_IO)
		kill(child, SIGKILL);
	else if (errno == EAGAIN || errno == EWOULDBLOCK)
		kill(child, SIGXCPU);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	free(p);
	return err == QF_ERR_IO ? tell_death(status, why) : err;
}

static enum qf_err run_here(const struct qf_sandbox *s, struct qf_why *why)
{
	const struct qf_sandbox_teller t = { s->take, s->take_ctx };
	struct qf_source *src;
	enum qf_err err;

	err = qf_source_open(s->disk_bytes, s->fetch, s->fetch_ctx, &src, why);
	if (err)
		return err;
	err = s->work(s->work_ctx, src, &t, why);
	qf_source_close(src);
	return err;
}

enum qf_err qf_sandbox_run(const struct qf_sandbox *s, struct qf_why *why)
{
	enum qf_err err;
	int pair[2];
	pid_t child;

	if (s->uncaged || QF_NO_CAGE)
		return run_here(s, why);
	err = qf_cage_prepare(why);
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return qf_err_set(why, QF_ERR_UNSUPPORTED, errno, QF_NOWHERE,
				  "there is no room for another process");
	child = fork();
	if (!child)
		be_child(s, pair[1]);
	close(pair[1]);
	if (child < 0)
		err = qf_err_set(why, QF_ERR_UNSUPPORTED, errno, QF_NOWHERE,
				 "there is no room for another process");
	else
		err = be_parent(s, pair[0], child, why);
	close(pair[0]);
	return err;
}
