// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/beside/child.h"
#include "lib/base/mem.h"
#include "viz/show/outbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT (32u << 20) /* bytes of what it says */

extern char **environ;

struct qf_child {
	pid_t pid;
	int fd;
	struct qf_outbuf said;
	bool cut;
};

/* Its input is empty; what it says and what it complains of is one. */
static int spawn(struct qf_child *c, int to, const char *program,
		 char *const *argv)
{
	posix_spawn_file_actions_t fds;
	int err = posix_spawn_file_actions_init(&fds);

	if (err)
		return err;
	err = posix_spawn_file_actions_addopen(&fds, STDIN_FILENO, "/dev/null",
					       O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&fds, to, STDOUT_FILENO);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&fds, to, STDERR_FILENO);
	if (!err)
		err = posix_spawn(&c->pid, program, &fds, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fds);
	return err;
}

struct qf_child *qf_child_start(const char *program, char *const *argv)
{
	struct qf_child *c = qf_mem_zalloc(1, sizeof(*c));
	int ends[2], err;

	if (!c)
		return NULL;
	if (pipe2(ends, O_CLOEXEC)) {
		free(c);
		return NULL;
	}
	err = fcntl(ends[0], F_SETFL, O_NONBLOCK) ||
	      spawn(c, ends[1], program, argv);
	close(ends[1]);
	if (!err) {
		c->fd = ends[0];
		return c;
	}
	close(ends[0]);
	free(c);
	return NULL;
}

bool qf_child_step(struct qf_child *c, int ms)
{
	struct pollfd in = { .fd = c->fd, .events = POLLIN };
	char buf[65536];
	ssize_t n;

	poll(&in, 1, ms);
	while ((n = read(c->fd, buf, sizeof(buf))) > 0) {
		if (c->said.n + (size_t)n <= KEPT)
			qf_outbuf_add(&c->said, buf, (size_t)n);
		else
			c->cut = true;
	}
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static int end(struct qf_child *c)
{
	int status = -1;

	close(c->fd);
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *qf_child_take(struct qf_child *c, int *code, bool *cut)
{
	char *said;

	*code = end(c);
	*cut = c->cut;
	if (!c->said.n)
		qf_outbuf_add(&c->said, "", 0);
	said = c->said.failed ? NULL : c->said.at;
	if (c->said.failed)
		qf_outbuf_free(&c->said);
	free(c);
	return said;
}

void qf_child_drop(struct qf_child *c)
{
	if (!c)
		return;
	kill(c->pid, SIGKILL);
	end(c);
	qf_outbuf_free(&c->said);
	free(c);
}
