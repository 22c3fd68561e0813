// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Children that die, for LD_PRELOAD: all that this process forks do, but for
 * the first $NOCHILD_SPARE.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

pid_t fork(void)
{
	const char *spare = getenv("NOCHILD_SPARE");
	static long count;
	pid_t (*real)(void);
	pid_t child;

	*(void **)&real = dlsym(RTLD_NEXT, "fork");
	count++;
	child = real();
	if (!child && count > (spare ? atol(spare) : 0))
		raise(SIGKILL);
	return child;
}
