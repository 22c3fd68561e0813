// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck report: a page over a pool, from what check said of its images. */
#include "cmd.h"
#include "lib/base/text.h"
#include "viz/draw/outfile.h"
#include "viz/page/poolpage.h"
#include "viz/show/cmd_args.h"
#include "viz/viz.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: qfsck report [OPTION]... FILE...\n"
	"Makes a page over many images, the worst first, of what \"qfsck check\n"
	"--output=json\" has said of them: FILE holds its lines (-: standard input).\n"
	"FILE may be a page of \"qfsck viz --export\", too: the image that it is about\n"
	"has a link to it then. Of an image that is told of twice, the last line\n"
	"counts. Without --export, the page goes to standard output.\n\n"
	"      --export=FILE.html write it to this file, which must not be there yet\n"
	"  -h, --help             this text\n\n"
	"Exit codes: 0 done, 1 not.\n";

/* The absolute folder of the page TO, or of where we are. */
static bool folder_of(const char *to, char folder[PATH_MAX])
{
	const char *slash = to ? strrchr(to, '/') : NULL;
	char part[PATH_MAX] = ".";

	if (slash && slash - to < PATH_MAX - 1) {
		memcpy(part, to, (size_t)(slash - to) + 1);
		part[slash - to + 1] = '\0';
	}
	return realpath(part, folder) != NULL;
}

static int failed(const char *name, const struct qf_why *why)
{
	char safe[300];

	qf_args_failed(qf_text_safe(name, safe, sizeof(safe)), why);
	return QF_EXIT_FAILED;
}

static int make(const struct qf_poollist *l, const char *to)
{
	struct qf_outbuf out = { 0 };
	struct qf_why why = { 0 };
	char folder[PATH_MAX];
	enum qf_err err;

	if (!folder_of(to, folder))
		err = qf_err_set(&why, QF_ERR_USAGE, 0, QF_NOWHERE,
				 "there is no such folder");
	else
		err = qf_poolpage_make(l, folder, &out, &why);
	if (!err && to)
		err = qf_outfile_create(to, out.at, out.n, &why);
	else if (!err)
		err = qf_outfile_write("-", out.at, out.n, &why);
	qf_outbuf_free(&out);
	return err ? failed(to ? to : "standard output", &why) : QF_EXIT_CLEAN;
}

int qf_cmd_report(int argc, char **argv)
{
	const char *to = NULL;
	const struct qf_args_option options[] = {
		{ "export", 0, QF_ARGS_TEXT, &to },
		{ NULL, 0, QF_ARGS_FLAG, NULL },
	};
	struct qf_args args = { .command = "report",
				.help = help,
				.option = options,
				.own = true,
				.more = INT_MAX - 1 };
	struct qf_poollist list = { 0 };
	struct qf_why why = { 0 };
	int code = qf_args_parse(&args, argc, argv), i;

	if (code >= 0)
		return code;
	code = to && qf_outfile_is_new(to, &why) ? failed(to, &why) : 0;
	for (i = 0; !code && i < args.n; i++)
		if (qf_poollist_read(&list, args.arg[i], &why))
			code = failed(args.arg[i], &why);
	qf_poollist_sort(&list);
	if (!code)
		code = make(&list, to);
	qf_poollist_free(&list);
	return code;
}
