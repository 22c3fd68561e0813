// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * qfsck check -r leaks|all: the repair's engine with the options, the report
 * and the exit codes of check. Without -r it is check itself.
 */
#include "check/check.h"
#include "cmd.h"
#include "lib/base/text.h"
#include "repair/repair.h"
#include "repair/tell/run.h"

#include <getopt.h>
#include <string.h>

enum {
	OPT_OUTPUT = 256,
	OPT_OTHER,
	OPT_REFUSED,
};

static const struct option options[] = {
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "format", required_argument, NULL, 'f' },
	{ "repair", required_argument, NULL, 'r' },
	{ "force-share", no_argument, NULL, 'U' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "progress", no_argument, NULL, 'p' },
	{ "cache", required_argument, NULL, 'T' },
	{ "jobs", required_argument, NULL, OPT_OTHER },
	{ "max-memory", required_argument, NULL, OPT_OTHER },
	{ "no-guest", no_argument, NULL, OPT_OTHER },
	{ "object", required_argument, NULL, OPT_OTHER },
	{ "files0-from", required_argument, NULL, OPT_REFUSED },
	{ "image-opts", no_argument, NULL, OPT_REFUSED },
	{ NULL, 0, NULL, 0 }
};

struct args {
	struct qf_run_opts run; /* first: the report finds the rest by it */
	bool asked, quiet, bad;
};

static void take_option(struct args *a, int opt)
{
	switch (opt) {
	case 'r':
		a->asked = true;
		a->run.leaks_only = !strcmp(optarg, "leaks");
		if (!a->run.leaks_only && strcmp(optarg, "all"))
			a->bad = true;
		break;
	case 'f':
		a->run.format = optarg;
		break;
	case 'q':
		a->quiet = true;
		break;
	case 'U':
	case OPT_REFUSED:
	case '?':
		a->bad = true;
		break;
	case OPT_OUTPUT:
		a->run.json = !strcmp(optarg, "json");
		break;
	default:
		break;
	}
}

static uint64_t fixed(uint64_t before, uint64_t after)
{
	return before > after ? before - after : 0;
}

static void report(const struct qf_run_opts *opts, struct qf_image *img,
		   const struct qf_planner *m, const struct qf_outcome *o)
{
	const struct args *a = (const struct args *)opts;
	struct qf_report_style style = { .quiet = a->quiet };
	uint64_t corruptions = 0, leaks = 0;
	json_t *j;

	if (o->applied) {
		corruptions =
			fixed(m->before.corruptions, o->left->corruptions);
		leaks = fixed(m->before.leaks, o->left->leaks);
	}
	if (opts->json) {
		j = qf_report_json(img, o->name, o->left, NULL);
		qf_json_int(j, "corruptions-fixed", corruptions);
		qf_json_int(j, "leaks-fixed", leaks);
		json_dumpf(j, stdout, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
		putchar('\n');
		json_decref(j);
		return;
	}
	if (o->applied && !a->quiet)
		printf("Repaired: %llu corruptions, %llu leaked clusters. To "
		       "take it back: qfsck undo %s %s\n",
		       (unsigned long long)corruptions,
		       (unsigned long long)leaks, QF_TEXT_WORD(o->undo_file),
		       QF_TEXT_WORD(o->name));
	qf_report_human(stdout, img, o->name, o->left, NULL, &style);
}

int qf_cmd_check_or_repair(int argc, char **argv)
{
	struct args a = { .run = { .mode = QF_RUN_ALL,
				   .limit = QF_RISK_DATA,
				   .report = report } };
	int opt;

	if (qf_complete_asked(argc, argv))
		return qf_cmd_check(argc, argv);
	optind = 1;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "f:r:UqpT:h", options, NULL)) !=
	       -1)
		take_option(&a, opt);
	opterr = 1;
	if (!a.asked)
		return qf_cmd_check(argc, argv);
	if (a.bad || optind + 1 != argc) {
		fprintf(stderr,
			"Usage: qfsck check -r leaks|all [-f qcow2] [-q] "
			"[--output=human|json] IMAGE\n"
			"\"qfsck repair\" has more to choose from.\n");
		return QF_EXIT_FAILED;
	}
	a.run.name = argv[optind];
	return qf_run_repair(&a.run);
}
