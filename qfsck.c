// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck: fsck for QEMU disk images. The front door. */
#include "check/check.h"
#include "cmd.h"
#include "lib/base/nearest.h"
#include "repair/repair.h"
#include "viz/viz.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#ifndef QFSCK_VERSION
#define QFSCK_VERSION "0.1"
#endif
/* The commit that was built; "" in a release. */
#ifndef QFSCK_COMMIT
#define QFSCK_COMMIT ""
#endif

static const struct qf_cmd commands[] = {
	{ "check", "[OPTION]... IMAGE|FOLDER...",
	  "find what is wrong with images", qf_cmd_check_or_repair },
	{ "repair", "[-n|-y|-p] [OPTION]... IMAGE", "put a damaged image right",
	  qf_cmd_repair },
	{ "undo", "[-n] UNDOFILE [IMAGE]", "take a repair back", qf_cmd_undo },
	{ "extract", "[OPTION]... IMAGE OUT|-",
	  "write the disk, or a snapshot, as a raw file", qf_cmd_extract },
	{ "info", "[OPTION]... IMAGE", "tell what an image says of itself",
	  qf_cmd_info },
	{ "du", "[OPTION]... IMAGE", "tell what the file's room is used for",
	  qf_cmd_du },
	{ "owners", "[OPTION]... IMAGE", "tell who owns a place",
	  qf_cmd_owners },
	{ "diff", "[OPTION]... IMAGE [NEW]",
	  "tell where two disk states differ", qf_cmd_diff },
	{ "map", "[OPTION]... IMAGE", "tell where the disk's data lie",
	  qf_cmd_map },
	{ "guest", "[OPTION]... IMAGE",
	  "tell partitions, file systems and files of the disk", qf_cmd_guest },
	{ "viz", "[OPTION]... IMAGE", "browse an image, or draw it",
	  qf_cmd_viz },
	{ "report", "[OPTION]... FILE...",
	  "make a page of what check said of a pool", qf_cmd_report },
	{ "explain", "[NUMBER|NAME|WORD]...", "tell what a finding means",
	  qf_cmd_explain },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: qfsck COMMAND [OPTION]... [ARGUMENT]...\n"
		     "       qfsck IMAGE|FOLDER... [OPTION]...\n"
		     "fsck for QEMU disk images (qcow2).\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  qfsck %-9s%-28s %s\n", commands[i].name,
			commands[i].synopsis, commands[i].help);
	fprintf(out,
		"\n  --log=FILE before a command: append a line of JSON to FILE "
		"that tells\n  version, arguments, exit code, and the SHA-256 of "
		"the files named, before\n  and after\n");
	fprintf(out, "\nWithout a command, images and folders are checked. "
		     "\"qfsck COMMAND --help\" tells\n"
		     "the options. The manual: man qfsck.\n");
}

/* In one line: whoever mistypes does not want to read the manual. */
static int unknown(const char *word)
{
	unsigned int d, best = UINT_MAX;
	const char *name = NULL;
	size_t i;

	for (i = 0; i < N_COMMANDS; i++) {
		d = qf_nearest_distance(word, commands[i].name);
		if (d < best) {
			best = d;
			name = commands[i].name;
		}
	}
	fprintf(stderr, "qfsck: there is no command and no image \"%s\"; ",
		word);
	if (qf_nearest_is_near(word, best))
		fprintf(stderr, "did you mean \"qfsck %s\"?\n", name);
	else
		fprintf(stderr, "\"qfsck --help\" lists the commands\n");
	return QF_EXIT_FAILED;
}

/* A report that was not written whole is no success, whatever it said. */
static int finish(int code)
{
	if (!fflush(stdout) && !ferror(stdout))
		return code;
	perror("qfsck: cannot write the output");
	return QF_EXIT_FAILED;
}

static int version(void)
{
	printf("qfsck %s", QFSCK_VERSION);
	if (QFSCK_COMMIT[0])
		printf(" (commit %s)", QFSCK_COMMIT);
	putchar('\n');
	return finish(0);
}

/* The arguments of one run, without --log. */
static int run(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	size_t i;

	if (argc && !strcmp(slash ? slash + 1 : argv[0], "fsck.qcow2"))
		return qf_cmd_fsck(argc, argv);
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
			 !strcmp(argv[1], "help"))) {
		usage(stdout);
		return finish(0);
	}
	if (argc > 1 && !strcmp(argv[1], "--complete=images"))
		return finish(qf_complete_images(argc - 2, argv + 2));
	if (qf_complete_asked(argc, argv)) {
		for (i = 0; i < N_COMMANDS; i++)
			printf("%s\t\t-\t%s\n", commands[i].name,
			       commands[i].help);
		return finish(0);
	}
	if (argc > 1 && !strcmp(argv[1], "--version"))
		return version();
	for (i = 0; argc > 1 && i < N_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return finish(commands[i].run(argc - 1, argv + 1));
	/* an image alone: what one wants to know of it first */
	if (argc > 1 && *argv[1] != '-' && qf_check_is_there(argv[1]))
		return finish(qf_cmd_check_or_repair(argc, argv));
	if (argc > 1)
		return unknown(argv[1]);
	usage(stderr);
	return QF_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	if (argc > 1 &&
	    (!strcmp(argv[1], "--log") || !strncmp(argv[1], "--log=", 6)))
		return qf_cmd_log(argc, argv, QFSCK_VERSION, QFSCK_COMMIT, run);
	return run(argc, argv);
}
