// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * qfsck --log: a command runs in a child process, so that the log has a line
 * also where it is killed.
 */
#include "cmd.h"
#include "repair/evidence/runlog.h"
#include "repair/repair.h"
#include "repair/write/sink.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sent to this process alone, they are meant for the child. */
static const int passed_on[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1 };

static volatile sig_atomic_t child;

static void pass_on(int sig, siginfo_t *info, void *ctx)
{
	int saved = errno;

	(void)ctx;
	/* the terminal's go to both anyway */
	if (info->si_code <= 0 && child > 0)
		kill((pid_t)child, sig);
	errno = saved;
}

static int failed(const char *log, const struct qf_why *why)
{
	fprintf(stderr, "qfsck: %s: %s%s%s\n", log, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	return QF_EXIT_FAILED;
}

/* Runs the command; false: there is no process for it. */
static bool run_child(struct qf_runlog *l, int argc, char **argv,
		      int (*run)(int argc, char **argv))
{
	struct sigaction act = { .sa_sigaction = pass_on,
				 .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction old[sizeof(passed_on) / sizeof(passed_on[0])];
	size_t i, n = sizeof(passed_on) / sizeof(passed_on[0]);
	sigset_t all, mask;
	int status = 0;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	for (i = 0; i < n; i++) {
		sigaction(passed_on[i], NULL, &old[i]);
		/* what nohup has it ignore stays so */
		if (old[i].sa_handler != SIG_IGN)
			sigaction(passed_on[i], &act, NULL);
	}
	fflush(NULL);
	pid = fork();
	if (!pid) {
		for (i = 0; i < n; i++)
			sigaction(passed_on[i], &old[i], NULL);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		exit(run(argc, argv));
	}
	child = pid;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	l->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	l->code = WIFEXITED(status) ? WEXITSTATUS(status) : QF_EXIT_FAILED;
	return pid > 0;
}

/* The command under the log LOG: its exit code, as a shell has it. */
static int logged(const char *log, const char *version, const char *commit,
		  int argc, char **argv, int (*run)(int argc, char **argv))
{
	struct qf_why why = { 0 };
	struct qf_runlog l = { 0 };
	enum qf_err err = qf_sink_append(log, NULL, 0, &why);
	int code = QF_EXIT_FAILED;

	if (!err)
		err = qf_runlog_begin(&l, argv, log, &why);
	if (err) {
		code = failed(log, &why);
	} else if (!run_child(&l, argc, argv, run)) {
		perror("qfsck: no process for the command");
	} else {
		code = l.signal ? 128 + l.signal : l.code;
		if (qf_runlog_end(&l, version, commit, log, &why))
			code = failed(log, &why);
	}
	qf_runlog_free(&l);
	return code;
}

int qf_cmd_log(int argc, char **argv, const char *version, const char *commit,
	       int (*run)(int argc, char **argv))
{
	const char *log = strchr(argv[1], '=');
	int used = 1;

	if (log) {
		log++;
	} else {
		log = argc > 2 ? argv[2] : "";
		used = 2;
	}
	if (!*log || argc <= used + 1) {
		fputs("qfsck: --log=FILE stands before a command\n", stderr);
		return QF_EXIT_FAILED;
	}
	argv[used] = argv[0];
	return logged(log, version, commit, argc - used, argv + used, run);
}
