// SPDX-License-Identifier: GPL-2.0-or-later
/* Progress on stderr: a bar on a terminal, a line on SIGUSR1. */
#include "check/check.h"
#include "check/report/progress.h"
#include "lib/base/pool.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR 30

static struct {
	char name[64];
	const char *unit;
	bool wanted, terminal, drawn;
	double start, last;
	uint64_t n; /* of the loop at hand */
} p;

static volatile sig_atomic_t asked;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw(uint64_t done, uint64_t n, double t, const char *end)
{
	double part = n ? (double)done / (double)n : 1;
	double rate = t > p.start ? (double)done / (t - p.start) : 0;
	double left = rate > 0 ? (double)(n - done) / rate : 0;
	char bar[BAR + 1];
	int full = (int)(part * BAR);

	memset(bar, ' ', BAR);
	memset(bar, '#', (size_t)(full < BAR ? full : BAR));
	bar[BAR] = '\0';
	fprintf(stderr,
		"%s%s: [%s] %5.1f%% %" PRIu64 "/%" PRIu64
		" %s, %.0f %s/s, %.0f s left%s",
		p.terminal && *end != '\n' ? "\r" : "", p.name, bar, part * 100,
		done, n, p.unit, rate, p.unit, left, end);
	fflush(stderr);
}

static void tick(uint64_t done, uint64_t n)
{
	double t;

	if (asked) {
		asked = 0;
		draw(done, n, now(), "\n");
	}
	if (!p.wanted && !p.terminal)
		return;
	t = now();
	if (n != p.n || !done) {
		p.n = n;
		p.start = t;
	}
	if (t - p.last < 0.2 || (!p.wanted && t - p.start < 1))
		return;
	p.last = t;
	p.drawn = true;
	draw(done, n, t, p.terminal ? "\033[K" : "\n");
}

static void on_signal(int sig)
{
	(void)sig;
	asked = 1;
}

void qf_progress_start(const char *name, bool wanted)
{
	struct sigaction sa;

	memset(&p, 0, sizeof(p));
	memset(&sa, 0, sizeof(sa));
	snprintf(p.name, sizeof(p.name), "%s", name);
	p.unit = "tables";
	p.wanted = wanted;
	p.terminal = isatty(STDERR_FILENO);
	p.start = p.last = now();
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	qf_pool_watch(tick);
}

void qf_progress_unit(const char *unit)
{
	p.unit = unit;
}

void qf_progress_step(uint64_t done, uint64_t n, const char *unit)
{
	p.unit = unit;
	tick(done, n);
}

void qf_progress_stop(void)
{
	qf_pool_watch(NULL);
	if (p.drawn && p.terminal)
		fprintf(stderr, "\r\033[K");
	p.wanted = p.terminal = p.drawn = false;
}
