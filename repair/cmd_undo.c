// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck undo. */
#include "check/check.h"
#include "cmd.h"
#include "lib/base/text.h"
#include "lib/model/open.h"
#include "repair/write/journal.h"
#include "repair/write/sink.h"
#include "repair/repair.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LETTERS "nh"

enum { OPT_LIST = 256, OPT_FORGET };

static const struct option options[] = {
	{ "dry-run", no_argument, NULL, 'n' },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "forget", no_argument, NULL, OPT_FORGET },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static const char help[] =
	"Usage: qfsck undo [-n] UNDOFILE [IMAGE]\n"
	"       qfsck undo --list FOLDER\n"
	"       qfsck undo --forget UNDOFILE...\n"
	"Takes a repair back: gives the image exactly the bytes and the size that\n"
	"it had before. Without IMAGE it is the one that was repaired, looked for\n"
	"beside the undo file. An image that has been written to since the repair\n"
	"is refused.\n\n"
	"  -n, --dry-run          only look whether it can be done\n"
	"      --list             tell which undo files are in a folder, and of what\n"
	"      --forget           the repairs shall stay: remove their undo files;\n"
	"                         none that is still needed\n"
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

static const char *state_of(const struct qf_undofile *u)
{
	static const char *const words[] = {
		[QF_UNDO_PENDING] = "the repair has not ended",
		[QF_UNDO_APPLIED] = "repaired; can be taken back",
		[QF_UNDO_ROLLED_BACK] = "rolled back; not needed",
		[QF_UNDO_BEGUN] = "the undo has not ended",
		[QF_UNDO_UNDONE] = "taken back; not needed",
	};

	if (u->health == QF_UNDO_UNFINISHED)
		return "nothing was written; not needed";
	return u->health == QF_UNDO_DAMAGED ? "damaged" : words[u->state];
}

static void list_one(const char *path)
{
	struct qf_undofile *u;
	char image[2048], file[4096], bytes[32];

	if (qf_undofile_peek(path, &u, NULL))
		return;
	printf("%s: of %s, %s, %s\n", qf_text_safe(path, file, sizeof(file)),
	       qf_text_safe(u->name, image, sizeof(image)),
	       qf_text_bytes(u->io->size, bytes, sizeof(bytes)), state_of(u));
	qf_undofile_close(u);
}

/* The undo files in FOLDER, by their names. */
static int list(const char *folder)
{
	struct dirent **at;
	int n = scandir(folder, &at, NULL, alphasort), i;
	char *path;

	if (n < 0) {
		fprintf(stderr, "qfsck: %s: %s\n", folder, strerror(errno));
		return QF_EXIT_FAILED;
	}
	for (i = 0; i < n; i++) {
		if (asprintf(&path, "%s/%s", folder, at[i]->d_name) >= 0) {
			list_one(path);
			free(path);
		}
		free(at[i]);
	}
	free(at);
	return QF_EXIT_CLEAN;
}

/* Why an undo file has to stay; NULL: it need not. */
static const char *needed_for(const struct qf_undofile *u)
{
	if (u->health == QF_UNDO_DAMAGED)
		return "is damaged: whether it is needed is not known";
	if (u->health == QF_UNDO_WHOLE && qf_undofile_unfinished(u))
		return "is needed to finish or to roll back: qfsck repair does";
	if (u->flags & QF_UNDO_GAVE_UP && !(u->flags & QF_UNDO_MARKED) &&
	    u->state == QF_UNDO_APPLIED)
		return "alone remembers what the repair gave up: first qfsck "
		       "repair --forget IMAGE";
	return NULL;
}

static int forget(const char *name)
{
	struct qf_why why = { 0 };
	struct qf_undofile *u;
	const char *reason;

	if (qf_undofile_open(name, &u, &why))
		return failed(name, &why);
	reason = needed_for(u);
	qf_undofile_close(u);
	if (reason) {
		fprintf(stderr, "qfsck: %s: %s\n", name, reason);
		return QF_EXIT_FAILED;
	}
	qf_sink_remove(name);
	if (!access(name, F_OK)) {
		fprintf(stderr, "qfsck: %s: cannot be removed\n", name);
		return QF_EXIT_FAILED;
	}
	printf("%s: removed\n", name);
	return QF_EXIT_CLEAN;
}

static int take_back(char **name, int n, bool check_only)
{
	struct qf_why why = { 0 };
	struct qf_undofile *u;
	char *image = NULL;
	int code;

	if (n < 1 || n > 2) {
		fputs(help, stderr);
		return QF_EXIT_FAILED;
	}
	if (qf_undofile_open(name[0], &u, &why))
		return failed(name[0], &why);
	if (n == 1)
		image = beside(name[0], u->name);
	code = undo(u, image ? image : name[n - 1], check_only);
	free(image);
	qf_undofile_close(u);
	return code;
}

int qf_cmd_undo(int argc, char **argv)
{
	bool check_only = false;
	int opt, what = 0, code = QF_EXIT_CLEAN;

	if (qf_complete_asked(argc, argv))
		return qf_complete_options(options, LETTERS, help);
	optind = 1;
	while ((opt = getopt_long(argc, argv, LETTERS, options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return QF_EXIT_CLEAN;
		}
		if (opt == '?')
			return QF_EXIT_FAILED;
		if (opt == 'n')
			check_only = true;
		else
			what = opt;
	}
	if (!what)
		return take_back(argv + optind, argc - optind, check_only);
	if (check_only || optind >= argc) {
		fputs(help, stderr);
		return QF_EXIT_FAILED;
	}
	for (; optind < argc; optind++)
		code = qf_report_gravest(code, what == OPT_LIST
						       ? list(argv[optind])
						       : forget(argv[optind]));
	return code;
}
