// SPDX-License-Identifier: GPL-2.0-or-later
/* fsck.qcow2: qfsck repair with the flags and the exit codes of fsck(8). */
#include "repair/repair.h"
#include "cmd.h"
#include "repair/tell/run.h"
#include "repair/write/stop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	FSCK_CORRECTED = 1,
	FSCK_UNCORRECTED = 4,
	FSCK_ERROR = 8,
	FSCK_USAGE = 16,
	FSCK_CANCELLED = 32,
};

struct args {
	struct qf_run_opts run; /* first: the report finds the rest by it */
	bool applied;
};

static void report(const struct qf_run_opts *opts, struct qf_image *img,
		   const struct qf_planner *m, const struct qf_outcome *o)
{
	struct args *a = (struct args *)opts;

	(void)img;
	a->applied = o->applied;
	if (o->applied || !m->plan->n)
		qf_report_outcome(stdout, m, o);
}

static const char help[] =
	"Usage: fsck.qcow2 [-a|-p|-n|-y] IMAGE...\n"
	"Repairs qcow2 images, with the options and exit codes of fsck(8).\n\n"
	"  -a, -p      do what risks nothing, and ask nothing\n"
	"  -n          show the plan, change nothing\n"
	"  -y          do all of it\n"
	"  -f -r -v -V -T -C FD -t TYPE\n"
	"              taken, as other fsck programs take them; they change nothing\n"
	"      --help  this text\n\n"
	"Without any it asks, on a terminal, about each kind of problem, and without\n"
	"a terminal shows the plan. Each repair leaves an undo file: see \"qfsck undo\".\n"
	"Exit codes, added together: 0 nothing was wrong, 1 all is right now, 4 errors\n"
	"are left, 8 not readable or in use, 16 wrong use, 32 stopped by a signal.\n"
	"All else: qfsck --help.\n";

static int usage(void)
{
	fprintf(stderr, "Usage: fsck.qcow2 [-a|-p|-n|-y] IMAGE...; "
			"fsck.qcow2 --help tells more\n");
	return FSCK_USAGE;
}

static int one(struct args *a, const char *name)
{
	int code;

	a->run.name = name;
	a->applied = false;
	code = qf_run_repair(&a->run);
	if (qf_stop_asked() && !a->applied)
		return FSCK_CANCELLED;
	if (code == QF_EXIT_CLEAN)
		return a->applied ? FSCK_CORRECTED : 0;
	if (code == QF_EXIT_CORRUPT || code == QF_EXIT_LEAKS)
		return FSCK_UNCORRECTED | (a->applied ? FSCK_CORRECTED : 0);
	return FSCK_ERROR | (a->applied ? FSCK_CORRECTED : 0);
}

int qf_cmd_fsck(int argc, char **argv)
{
	struct args a = { .run = { .limit = QF_RISK_DATA, .report = report } };
	int opt, code = 0;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(help, stdout);
		return fflush(stdout) ? FSCK_ERROR : 0;
	}
	while ((opt = getopt(argc, argv, "apnyfrvVTC:t:")) != -1) {
		switch (opt) {
		case 'a':
		case 'p':
			a.run.mode = QF_RUN_PREEN;
			a.run.limit = QF_RISK_NONE;
			break;
		case 'n':
			a.run.mode = QF_RUN_SHOW;
			break;
		case 'y':
			a.run.mode = QF_RUN_ALL;
			break;
		case '?':
			return usage();
		default: /* means nothing for an image */
			break;
		}
	}
	if (optind >= argc)
		return usage();
	a.run.terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	for (; optind < argc; optind++)
		code |= one(&a, argv[optind]);
	return code;
}
