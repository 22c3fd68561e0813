// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck undo. */
#include "check/check.h"
#include "cmd.h"
#include "lib/model/open.h"
#include "repair/write/journal.h"
#include "repair/repair.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "nh"

static const struct option options[] = { { "dry-run", no_argument, NULL, 'n' },
					 { "help", no_argument, NULL, 'h' },
					 { NULL, 0, NULL, 0 } };

static const char help[] =
	"Usage: qfsck undo [-n] UNDOFILE [IMAGE]\n"
	"Takes a repair back: gives the image exactly the bytes and the size that\n"
	"it had before. Without IMAGE it is the one that was repaired, looked for\n"
	"beside the undo file. An image that has been written to since the repair\n"
	"is refused.\n\n"
	"  -n, --dry-run          only look whether it can be done\n"
	"      --help             this text\n\n"
	"Exit codes: 0 done (with -n: it can be done), 1 not.\n";

static int failed(const char *name, const struct qf_why *why)
{
	fprintf(stderr, "qfsck: %s: %s%s%s\n", name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	return QF_EXIT_FAILED;
}

/* The recorded image, in the undo file's folder: owned by the caller. */
static char *beside(const char *undo_file, const char *image)
{
	const char *slash = strrchr(undo_file, '/');
	char *name;

	if (asprintf(&name, "%.*s%s", slash ? (int)(slash - undo_file) + 1 : 0,
		     undo_file, image) < 0)
		return NULL;
	return name;
}

static int undo(struct qf_undofile *u, const char *name, bool check_only)
{
	struct qf_why why = { 0 };
	struct qf_image *img;
	enum qf_err err;

	/* what the undo file records tells that it is one */
	err = qf_open_image(name, "qcow2", QF_LOCK_WRITE, false, &img, &why);
	if (err)
		return failed(name, &why);
	err = qf_journal_undo(img->io, u, check_only, &why);
	qf_image_close(img);
	if (err)
		return failed(name, &why);
	printf("%s: %s\n", name,
	       check_only ? "the repair can be taken back"
			  : "the repair has been taken back; the image has "
			    "the bytes that it had before");
	return QF_EXIT_CLEAN;
}

int qf_cmd_undo(int argc, char **argv)
{
	struct qf_why why = { 0 };
	struct qf_undofile *u;
	bool check_only = false;
	char *name = NULL;
	int opt, code;

	if (qf_complete_asked(argc, argv))
		return qf_complete_options(options, LETTERS, help);
	optind = 1;
	while ((opt = getopt_long(argc, argv, LETTERS, options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return QF_EXIT_CLEAN;
		}
		if (opt != 'n')
			return QF_EXIT_FAILED;
		check_only = true;
	}
	if (optind >= argc || optind + 2 < argc) {
		fputs(help, stderr);
		return QF_EXIT_FAILED;
	}
	if (qf_undofile_open(argv[optind], &u, &why))
		return failed(argv[optind], &why);
	if (optind + 1 == argc)
		name = beside(argv[optind], u->name);
	code = undo(u, name ? name : argv[argc - 1], check_only);
	free(name);
	qf_undofile_close(u);
	return code;
}
