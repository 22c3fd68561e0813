// SPDX-License-Identifier: GPL-2.0-or-later
/* Progress on stderr: a bar on a terminal, a line on SIGUSR1. */
#include "check/check.h"
#include "check/report/progress.h"
#include "lib/base/pool.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR 30

static struct {
	char name[64];
	const char *unit;
	bool wanted, terminal;
	atomic_bool drawn; /* stands on the terminal */
	double start, last;
	uint64_t n; /* of the loop at hand */
	/* of several images */
	bool pool;
	uint64_t images, weight;
	atomic_uint_fast64_t done, weight_done;
} p;

static volatile sig_atomic_t asked;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *bar(double part, char *buf)
{
	int full = (int)(part * BAR);

	memset(buf, ' ', BAR);
	memset(buf, '#', (size_t)(full < BAR ? full : BAR));
	buf[BAR] = '\0';
	return buf;
}

static void draw_pool(double t, const char *end)
{
	uint64_t done = atomic_load(&p.done);
	double part = p.weight ? (double)atomic_load(&p.weight_done) /
					 (double)p.weight
			       : (double)done / (double)p.images;
	double took = t - p.start;
	char buf[BAR + 1];

	fprintf(stderr, "[%s] %5.1f%% %" PRIu64 "/%" PRIu64 " images",
		bar(part, buf), part * 100, done, p.images);
	if (part > 0 && took > 0)
		fprintf(stderr, ", %.0f/s, %.0f s left", (double)done / took,
			took / part * (1 - part));
	fprintf(stderr, "%s%.40s%s", p.name[0] ? ": " : "", p.name, end);
}

static void draw(uint64_t done, uint64_t n, double t, const char *end)
{
	double part = n ? (double)done / (double)n : 1;
	double rate = t > p.start ? (double)done / (t - p.start) : 0;
	double left = rate > 0 ? (double)(n - done) / rate : 0;
	char buf[BAR + 1];

	fprintf(stderr, "%s", p.terminal && *end != '\n' ? "\r" : "");
	if (p.pool)
		draw_pool(t, end);
	else
		fprintf(stderr,
			"%s: [%s] %5.1f%% %" PRIu64 "/%" PRIu64
			" %s, %.0f %s/s, %.0f s left%s",
			p.name, bar(part, buf), part * 100, done, n, p.unit,
			rate, p.unit, left, end);
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
	if (!p.pool && (n != p.n || !done)) {
		p.n = n;
		p.start = t;
	}
	if (t - p.last < 0.2 || (!p.wanted && t - p.start < 1))
		return;
	p.last = t;
	atomic_store(&p.drawn, p.terminal);
	draw(done, n, t, p.terminal ? "\033[K" : "\n");
}

static void on_signal(int sig)
{
	(void)sig;
	asked = 1;
}

static void start(const char *name, bool wanted)
{
	struct sigaction sa;

	atomic_store(&p.drawn, false);
	atomic_store(&p.done, 0);
	atomic_store(&p.weight_done, 0);
	p.pool = false;
	p.n = 0;
	memset(&sa, 0, sizeof(sa));
	qf_text_safe(name, p.name, sizeof(p.name));
	p.unit = "tables";
	p.wanted = wanted;
	p.terminal = isatty(STDERR_FILENO);
	p.start = p.last = now();
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
}

void qf_progress_start(const char *name, bool wanted)
{
	start(name, wanted);
	qf_pool_watch(tick);
}

void qf_progress_pool(uint64_t n, uint64_t weight, bool wanted)
{
	start("", wanted);
	p.pool = true;
	p.images = n;
	p.weight = weight;
	qf_pool_watch_all(tick);
}

void qf_progress_image(const char *name)
{
	qf_text_safe(name ? name : "", p.name, sizeof(p.name));
}

void qf_progress_done(uint64_t weight)
{
	atomic_fetch_add(&p.weight_done, weight);
	atomic_fetch_add(&p.done, 1);
}

void qf_progress_unit(const char *unit)
{
	/* of several images at once each has its own */
	if (!p.pool)
		p.unit = unit;
}

void qf_progress_step(uint64_t done, uint64_t n, const char *unit)
{
	p.unit = unit;
	tick(done, n);
}

void qf_progress_clear(void)
{
	if (atomic_exchange(&p.drawn, false))
		fprintf(stderr, "\r\033[K");
}

void qf_progress_stop(void)
{
	qf_pool_watch(NULL);
	qf_progress_clear();
	p.wanted = p.terminal = p.pool = false;
}
