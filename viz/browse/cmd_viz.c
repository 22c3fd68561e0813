// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck viz: the browser, its scripts, and pictures. */
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"
#include "viz/browse/script.h"
#include "viz/browse/tui.h"
#include "viz/page/export.h"
#include "viz/viz.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: qfsck viz [OPTION]... IMAGE\n"
	"       qfsck viz --export FILE.svg|FILE.png|FILE.html IMAGE\n"
	"Browses a qcow2 image: the disk as the guest has it, with its partitions\n"
	"and files, and what of it is lost; a map of the file, its snapshots, what\n"
	"is wrong, who owns what, and the bytes. Never changes a byte of it.\n"
	"Press ? in the browser for its keys. It locks the image only while it\n"
	"reads it, and says if the image changes afterwards.\n\n"
	"      --export=FILE      write the maps of disk and file, the snapshots and\n"
	"                         the findings as a picture (.svg, .png) or a page\n"
	"                         (.html), which must not be there yet\n"
	"      --hash             tell the SHA-256 of the image's file in the page\n"
	"      --hilbert          draw the map along a Hilbert curve\n"
	"      --ascii            only plain characters\n"
	"      --colour=MODE      auto (the default; heeds NO_COLOR), 256, 16\n"
	"                         or mono; with 256 a large map has two rows a line\n"
	"      --script=FILE      no terminal: press the keys that FILE lists\n"
	"                         and save screens (size WxH, key NAME..., type\n"
	"                         TEXT, click X Y, wait, save FILE)\n"
	"  -U, --force-share      read an image that another program writes\n"
	"  -f, --format=FMT       the image's format; with qcow2 it is read also where\n"
	"                         its magic or its version is damaged\n"
	"  -h, --help             this text\n\n"
	"Exit codes: 0 done, 1 not shown, 63 not qcow2.\n";

struct args {
	const char *export, *script, *colour, *format;
	bool hilbert, ascii, share, hash;
};

static bool colours_of(const char *mode, enum qf_tui_colours *out)
{
	static const char *const modes[] = { "auto", "256", "16", "mono" };
	int i;

	for (i = 0; i < 4; i++)
		if (!strcmp(mode, modes[i])) {
			*out = (enum qf_tui_colours)i;
			return true;
		}
	return false;
}

static enum qf_err draw(const struct args *a, struct qf_image *img,
			const char *name, const char *command,
			struct qf_why *why)
{
	const struct qf_export x = {
		.to = a->export,
		.name = name,
		.command = command,
		.hilbert = a->hilbert,
		.share = a->share,
		.hash = a->hash,
	};

	return qf_export_run(&x, img, why);
}

static enum qf_err browse(const struct args *a, struct qf_image *img,
			  const char *name, struct qf_why *why)
{
	enum qf_tui_colours colours = QF_COLOURS_AUTO;
	struct qf_app app;
	enum qf_err err = qf_app_open(&app, img, name, a->share, why);

	colours_of(a->colour, &colours);
	app.map.grid.hilbert = a->hilbert;
	app.program = "/proc/self/exe";
	app.ascii = a->ascii ||
		    (!a->script && strcmp(nl_langinfo(CODESET), "UTF-8"));
	app.fine = a->script && colours == QF_COLOURS_256 && !app.ascii;
	if (!err)
		err = a->script ? qf_script_run(&app, a->script, why)
				: qf_tui_run(&app, colours, why);
	qf_app_close(&app);
	return err;
}

int qf_cmd_viz(int argc, char **argv)
{
	struct args a = { .colour = "auto" };
	const struct qf_args_option options[] = {
		{ "export", 0, QF_ARGS_TEXT, &a.export },
		{ "hash", 0, QF_ARGS_FLAG, &a.hash },
		{ "hilbert", 0, QF_ARGS_FLAG, &a.hilbert },
		{ "ascii", 0, QF_ARGS_FLAG, &a.ascii },
		{ "colour", 0, QF_ARGS_TEXT, &a.colour },
		{ "color", 0, QF_ARGS_TEXT, &a.colour },
		{ "script", 0, QF_ARGS_TEXT, &a.script },
		{ "force-share", 'U', QF_ARGS_FLAG, &a.share },
		{ "format", 'f', QF_ARGS_TEXT, &a.format },
		{ NULL, 0, QF_ARGS_FLAG, NULL },
	};
	struct qf_args args = {
		.command = "viz", .help = help, .option = options, .own = true
	};
	enum qf_tui_colours colours;
	struct qf_why why = { 0 };
	struct qf_image *img;
	enum qf_err err;
	char command[2000];
	int code;

	qf_export_command(argc, argv, command, sizeof(command));
	code = qf_args_parse(&args, argc, argv);
	if (code >= 0)
		return code;
	setlocale(LC_CTYPE, "");
	if (!colours_of(a.colour, &colours))
		return qf_args_wrong("viz", "unknown colour mode", a.colour);
	if (a.export && a.script)
		return qf_args_wrong("viz", "use either --export or --script",
				     NULL);
	if (a.hash && (!a.export || !strrchr(a.export, '.') ||
		       strncasecmp(strrchr(a.export, '.'), ".htm", 4)))
		return qf_args_wrong("viz", "--hash is for a page (.html)",
				     NULL);
	if (a.export && !qf_export_known(a.export))
		return qf_args_wrong("viz",
				     "FILE must end in .svg, .png or .html",
				     a.export);
	err = qf_open_image(args.arg[0], a.format, QF_LOCK_READ, a.share, &img,
			    &why);
	if (err)
		return qf_args_failed(args.arg[0], &why);
	err = a.export ? draw(&a, img, args.arg[0], command, &why)
		       : browse(&a, img, args.arg[0], &why);
	if (err)
		return qf_args_failed(err == QF_ERR_USAGE && a.export
					      ? a.export
					      : args.arg[0],
				      &why);
	return QF_EXIT_CLEAN;
}
