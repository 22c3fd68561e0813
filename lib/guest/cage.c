// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/cage.h"
#include "lib/base/dynload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUNCTIONS X(init) X(rule_add_array) X(load) X(release)

static struct {
#define X(f) __typeof__(seccomp_##f) *f;
	FUNCTIONS
#undef X
} seccomp;

static const char *const names[] = {
#define X(f) "seccomp_" #f,
	FUNCTIONS
#undef X
};

/* A sanitizer's own bookkeeping needs more memory and more calls. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum condition {
	ALWAYS,
	OUR_SOCKET, /* the first argument is the socket */
	NO_CODE,    /* the third does not ask for memory to run code in */
	TO_SEND,    /* of socketcall: no other socket is open */
	TO_RECEIVE,
};

static const struct {
	int call;
	enum condition condition;
} allowed[] = {
	{ SCMP_SYS(sendto), OUR_SOCKET },
	{ SCMP_SYS(recvfrom), OUR_SOCKET },
/* there its arguments lie in memory, where no filter can look */
#ifdef __s390x__
	{ SCMP_SYS(mmap), ALWAYS },
#else
	{ SCMP_SYS(mmap), NO_CODE },
#endif
	{ SCMP_SYS(mprotect), NO_CODE },
	{ SCMP_SYS(mremap), ALWAYS },
	{ SCMP_SYS(munmap), ALWAYS },
	{ SCMP_SYS(madvise), ALWAYS },
	{ SCMP_SYS(brk), ALWAYS },
	{ SCMP_SYS(futex), ALWAYS },
	{ SCMP_SYS(clock_gettime), ALWAYS },
	/* the C library's qsort asks how much memory there is */
	{ SCMP_SYS(sysinfo), ALWAYS },
	{ SCMP_SYS(rt_sigreturn), ALWAYS },
	{ SCMP_SYS(exit), ALWAYS },
	{ SCMP_SYS(exit_group), ALWAYS },
/* the same calls, as some machines have them */
#ifdef SYS_mmap2
	{ SCMP_SYS(mmap2), NO_CODE },
#endif
#ifdef SYS_socketcall
	{ SCMP_SYS(socketcall), TO_SEND },
	{ SCMP_SYS(socketcall), TO_RECEIVE },
#endif
#ifdef SYS_futex_time64
	{ SCMP_SYS(futex_time64), ALWAYS },
#endif
#ifdef SYS_clock_gettime64
	{ SCMP_SYS(clock_gettime64), ALWAYS },
#endif
};

enum qf_err qf_cage_prepare(struct qf_why *why)
{
	return qf_dynload_load("libseccomp.so.2", names,
			       sizeof(names) / sizeof(names[0]), &seccomp, why);
}

/* The address space that is taken already; 0: not known. */
static uint64_t taken(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[64] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool limit(int what, rlim_t n)
{
	const struct rlimit r = { n, n };

	return !setrlimit((__rlimit_resource_t)what, &r);
}

static bool set_limits(void)
{
	uint64_t has = taken();

	return limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) &&
	       limit(RLIMIT_CPU, QF_CAGE_SECONDS) &&
	       (SANITIZED || (has && limit(RLIMIT_AS, has + QF_CAGE_BYTES))) &&
	       limit(RLIMIT_NOFILE, 0);
}

/* The terminal's and the user's signals are the parent's business; what the
 * parent does when it breaks down, to its terminal, is none of the child's. */
static void hold_signals(void)
{
	static const int held[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 };
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL,
				       SIGABRT };
	sigset_t set;
	size_t i;

	for (i = 0; !SANITIZED && i < sizeof(crashes) / sizeof(crashes[0]); i++)
		signal(crashes[i], SIG_DFL);

	sigemptyset(&set);
	for (i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		sigaddset(&set, held[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGXCPU, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int allow(scmp_filter_ctx f, int call, enum condition c, int fd)
{
	const struct scmp_arg_cmp socket = { .arg = 0,
					     .op = SCMP_CMP_EQ,
					     .datum_a = (scmp_datum_t)fd };
	const struct scmp_arg_cmp no_code = { .arg = 2,
					      .op = SCMP_CMP_MASKED_EQ,
					      .datum_a = PROT_EXEC };
	const struct scmp_arg_cmp what = { .arg = 0,
					   .op = SCMP_CMP_EQ,
					   .datum_a = c == TO_SEND ? SYS_SEND
								   : SYS_RECV };

	switch (c) {
	case TO_SEND:
	case TO_RECEIVE:
		return seccomp.rule_add_array(f, SCMP_ACT_ALLOW, call, 1,
					      &what);
	case OUR_SOCKET:
		return seccomp.rule_add_array(f, SCMP_ACT_ALLOW, call, 1,
					      &socket);
	case NO_CODE:
		return seccomp.rule_add_array(f, SCMP_ACT_ALLOW, call, 1,
					      &no_code);
	default:
		return seccomp.rule_add_array(f, SCMP_ACT_ALLOW, call, 0, NULL);
	}
}

static int filter_calls(int fd)
{
	scmp_filter_ctx f = seccomp.init(SCMP_ACT_KILL_PROCESS);
	int failed = f ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; !failed && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		failed = allow(f, allowed[i].call, allowed[i].condition, fd);
	if (!failed)
		failed = seccomp.load(f);
	if (f)
		seccomp.release(f);
	return failed;
}

enum qf_err qf_cage_enter(int fd, struct qf_why *why)
{
	int failed = 0;

	hold_signals();
	if (fd > 0)
		close_range(0, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0u, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || !set_limits())
		failed = errno ? errno : EPERM;
	if (!failed)
		failed = -filter_calls(fd);
	if (!failed)
		return QF_OK;
	return qf_err_set(why, QF_ERR_UNSUPPORTED, failed, QF_NOWHERE,
			  "it is not looked at, because its reader cannot be "
			  "caged");
}
