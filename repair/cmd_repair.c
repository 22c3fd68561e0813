// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck repair. */
#include "check/check.h"
#include "cmd.h"
#include "repair/repair.h"
#include "repair/tell/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_OUTPUT = 256,
	OPT_RISK,
	OPT_GUESS,
	OPT_GUEST,
	OPT_CHOOSE,
	OPT_PLACE,
	OPT_IN_USE,
	OPT_UNDO,
	OPT_UNDO_DIR,
	OPT_OUTPUT_IMAGE,
	OPT_JOBS,
	OPT_TRIM,
	OPT_FORGET,
	OPT_ALL
};

#define LETTERS "nypRf:h"

static const struct option options[] = {
	{ "dry-run", no_argument, NULL, 'n' },
	{ "yes", no_argument, NULL, 'y' },
	{ "preen", no_argument, NULL, 'p' },
	{ "recursive", no_argument, NULL, 'R' },
	{ "risk", required_argument, NULL, OPT_RISK },
	{ "guess", no_argument, NULL, OPT_GUESS },
	{ "guest", no_argument, NULL, OPT_GUEST },
	{ "choose", required_argument, NULL, OPT_CHOOSE },
	{ "place", required_argument, NULL, OPT_PLACE },
	{ "in-use-bitmaps", required_argument, NULL, OPT_IN_USE },
	{ "undo", required_argument, NULL, OPT_UNDO },
	{ "undo-dir", required_argument, NULL, OPT_UNDO_DIR },
	{ "trim", no_argument, NULL, OPT_TRIM },
	{ "forget", no_argument, NULL, OPT_FORGET },
	{ "output-image", required_argument, NULL, OPT_OUTPUT_IMAGE },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "all", no_argument, NULL, OPT_ALL },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "format", required_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char help[] =
	"Usage: qfsck repair [-n|-y|-p] [OPTION]... IMAGE\n"
	"       qfsck repair -n [-R] [OPTION]... IMAGE|FOLDER...\n"
	"Puts a damaged qcow2 image right. The repair is planned, tried on the\n"
	"plan alone, and written only if the image is then better; an undo file\n"
	"keeps every byte that is changed.\n\n"
	"  -n, --dry-run          show the plan, change nothing; of several images\n"
	"                         that of each\n"
	"  -R, --recursive        with -n: of a folder, the images in all folders\n"
	"                         below it as well\n"
	"  -y, --yes              do all of it, within --risk\n"
	"  -p, --preen            do what risks nothing\n"
	"      --risk=RISK        none, metadata or data (the default): what may\n"
	"                         be at stake at the most\n"
	"      --guess            do also what the evidence calls possible, not\n"
	"                         likely; restore a table also from an older copy\n"
	"                         that does not account for all that came after it\n"
	"      --guest            look also for what check --guest finds; with\n"
	"                         --guess, or --choose, entries that have changed\n"
	"                         places are exchanged, where all agrees then\n"
	"      --choose=PLACE=VALUE\n"
	"                         your own answer to a question that check --why\n"
	"                         lists: the entry at host offset PLACE led to\n"
	"                         host offset VALUE (0: to nothing)\n"
	"      --place=HOST:SLOT  an L2 table that nobody names, at this host\n"
	"                         offset, belongs to this L1 entry of the disk\n"
	"      --in-use-bitmaps=remove\n"
	"                         remove bitmaps that may have missed writes;\n"
	"                         keep: leave them (the default, unless asked)\n"
	"      --trim             give back the room of all free clusters: punch\n"
	"                         them out of the file, cut off its free end\n"
	"      --forget           nothing is missed of what earlier repairs gave\n"
	"                         up: free what was kept, take the mark away\n"
	"      --undo=FILE        the undo file (default: IMAGE.qfsck-undo)\n"
	"      --undo-dir=FOLDER  the undo file goes there, and not beside the image\n"
	"      --output-image=NEW repair a copy, leave IMAGE as it is\n"
	"      --output=FORMAT    human (the default) or json\n"
	"      --all              show every edit of the plan, also where many are alike\n"
	"      --jobs=N           threads to use (default: one a processor)\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"      --help             this text\n\n"
	"Without -n, -y and -p it asks, on a terminal, about each kind of\n"
	"problem; without a terminal it shows the plan and stops.\n"
	"Exit codes: 0 clean now, 1 failed, 2 corruption left, 3 leaks left.\n";

static int wrong_use(const char *text, const char *arg)
{
	fprintf(stderr, "qfsck repair: %s%s%s; see qfsck repair --help\n", text,
		arg ? ": " : "", arg ? arg : "");
	return QF_EXIT_FAILED;
}

static int take_risk(struct qf_run_opts *o, const char *s)
{
	unsigned int r;

	for (r = QF_RISK_NONE; r <= QF_RISK_DATA; r++)
		if (!strcmp(s, qf_problem_risk((enum qf_risk)r))) {
			o->limit = (enum qf_risk)r;
			return -1;
		}
	return wrong_use("no such risk", s);
}

static int take_jobs(struct qf_run_opts *o, const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*end || end == s || *s == '-' || n > 4096)
		return wrong_use("not a number of jobs", s);
	o->jobs = (unsigned int)n;
	return -1;
}

/* The user's answers of one kind, as they come. */
struct choices {
	struct qf_choice *at; /* owned */
	size_t n;
};

/* Two numbers with SIGN between them, as C writes numbers; FORM says so. */
static int take_pair(struct choices *l, const char *s, char sign,
		     const char *form)
{
	struct qf_choice c, *grown;
	char *end;

	errno = 0;
	c.place = strtoull(s, &end, 0);
	if (errno || end == s || *end != sign || *s == '-')
		return wrong_use(form, s);
	s = end + 1;
	c.value = strtoull(s, &end, 0);
	if (errno || end == s || *end || *s == '-')
		return wrong_use(form, s);
	grown = realloc(l->at, (l->n + 1) * sizeof(*l->at));
	if (!grown)
		return QF_EXIT_FAILED;
	l->at = grown;
	l->at[l->n++] = c;
	return -1;
}

struct answers {
	struct choices choice, place;
};

/* Takes one option. Returns -1 to go on, else the exit code. */
static int take_option(struct qf_run_opts *o, struct answers *l, int opt)
{
	switch (opt) {
	case 'n':
		o->mode = QF_RUN_SHOW;
		return -1;
	case 'y':
		o->mode = QF_RUN_ALL;
		return -1;
	case 'p':
		o->mode = QF_RUN_PREEN;
		return -1;
	case 'f':
		o->format = optarg;
		return -1;
	case OPT_RISK:
		return take_risk(o, optarg);
	case OPT_GUESS:
		o->guess = true;
		return -1;
	case OPT_GUEST:
		o->guest = true;
		return -1;
	case OPT_CHOOSE:
		return take_pair(&l->choice, optarg, '=', "not PLACE=VALUE");
	case OPT_PLACE:
		return take_pair(&l->place, optarg, ':', "not HOST:SLOT");
	case OPT_IN_USE:
		if (strcmp(optarg, "keep") && strcmp(optarg, "remove"))
			return wrong_use("neither keep nor remove", optarg);
		o->bitmaps = *optarg == 'k' ? QF_RUN_BITMAPS_KEEP
					    : QF_RUN_BITMAPS_REMOVE;
		return -1;
	case OPT_ALL:
		o->all = true;
		return -1;
	case OPT_TRIM:
		o->trim = true;
		return -1;
	case OPT_FORGET:
		o->forget = true;
		return -1;
	case OPT_UNDO_DIR:
		o->undo_dir = optarg;
		return -1;
	case OPT_UNDO:
		o->undo_file = optarg;
		return -1;
	case OPT_OUTPUT_IMAGE:
		o->output_image = optarg;
		return -1;
	case OPT_OUTPUT:
		o->json = !strcmp(optarg, "json");
		if (!o->json && strcmp(optarg, "human"))
			return wrong_use("unknown output format", optarg);
		return -1;
	case OPT_JOBS:
		return take_jobs(o, optarg);
	case 'h':
		fputs(help, stdout);
		return QF_EXIT_CLEAN;
	default:
		return wrong_use("wrong use", NULL);
	}
}

/* The plan of each, and how many need what. */
static int show_each(struct qf_run_opts *o, const struct qf_imagelist *l)
{
	struct qf_result *r = calloc(l->n + 1, sizeof(*r));
	int code = QF_EXIT_CLEAN;
	bool in_use;
	size_t i;

	if (!r)
		return QF_EXIT_FAILED;
	o->many = true;
	o->in_use = &in_use;
	for (i = 0; i < l->n; i++) {
		in_use = false;
		o->name = l->at[i].text;
		r[i].code = qf_run_repair(o);
		r[i].kind = in_use ? QF_RESULT_IN_USE
				   : qf_result_of_code(r[i].code);
		/* as with check: a running machine is no failure */
		if (!in_use)
			code = qf_report_gravest(code, r[i].code);
	}
	if (l->n)
		qf_summary_totals(o->json ? stderr : stdout, r, l->n);
	free(r);
	return code;
}

/* One image; with -n several, and folders. */
static int run(struct qf_run_opts *o, bool deep, char **name, int n)
{
	struct qf_imagelist l = { 0 };
	bool good = true, one;
	int i, code;

	for (i = 0; good && i < n; i++)
		good = qf_imagelist_add(&l, name[i]);
	if (good && o->mode == QF_RUN_SHOW)
		good = qf_folder_open(&l, deep);
	one = n == 1 && l.n == 1 && !l.at[0].found;
	if (!good) {
		code = QF_EXIT_FAILED;
	} else if (one) {
		o->name = name[0];
		code = qf_run_repair(o);
	} else {
		code = show_each(o, &l);
	}
	qf_imagelist_free(&l);
	return code;
}

int qf_cmd_repair(int argc, char **argv)
{
	struct qf_run_opts o = { .limit = QF_RISK_DATA };
	struct answers l = { 0 };
	bool deep = false;
	int opt, code = -1;

	if (qf_complete_asked(argc, argv))
		return qf_complete_options(options, LETTERS, help);
	optind = 1;
	while (code < 0 &&
	       (opt = getopt_long(argc, argv, LETTERS, options, NULL)) != -1) {
		if (opt == 'R')
			deep = true;
		else
			code = take_option(&o, &l, opt);
	}
	if (code < 0 && optind >= argc)
		code = wrong_use("no image given", NULL);
	if (code < 0 && (deep || optind + 1 != argc) && o.mode != QF_RUN_SHOW)
		code = wrong_use("one image is repaired at a time; of several "
				 "-n shows the plans",
				 NULL);
	if (code < 0 && optind + 1 != argc &&
	    (l.choice.n || l.place.n || o.undo_file || o.output_image))
		code = wrong_use("--choose, --place, --undo and --output-image "
				 "are about one image",
				 NULL);
	if (code < 0) {
		o.choice = l.choice.at;
		o.n_choices = l.choice.n;
		o.placed = l.place.at;
		o.n_places = l.place.n;
		if (o.mode == QF_RUN_PREEN)
			o.limit = QF_RISK_NONE;
		o.terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
		code = run(&o, deep, argv + optind, argc - optind);
	}
	free(l.choice.at);
	free(l.place.at);
	return code;
}
