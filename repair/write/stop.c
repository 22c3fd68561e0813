// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/stop.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t asked;

static void note(int sig)
{
	(void)sig;
	asked = 1;
}

void qf_stop_catch(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = note;
	/* a write that is under way goes on */
	sa.sa_flags = SA_RESTART;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

bool qf_stop_asked(void)
{
	return asked;
}
