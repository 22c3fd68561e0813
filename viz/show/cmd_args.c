// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/cmd_args.h"
#include "check/check.h"
#include "cmd.h"
#include "lib/model/open.h"
#include "lib/base/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPT_HELP 'h'
#define OPT_BASE 256

int qf_args_wrong(const char *command, const char *text, const char *arg)
{
	char safe[300];

	fprintf(stderr, "qfsck %s: %s%s%s; see qfsck %s --help\n", command,
		text, arg ? ": " : "",
		arg ? qf_text_safe(arg, safe, sizeof(safe)) : "", command);
	return QF_EXIT_FAILED;
}

int qf_args_failed(const char *name, const struct qf_why *why)
{
	fprintf(stderr, "qfsck: %s: %s%s%s\n", name, why->text,
		why->next[0] ? "\n  Next: " : "", why->next);
	return why->err == QF_ERR_FOREIGN ? QF_EXIT_FOREIGN : QF_EXIT_FAILED;
}

int qf_args_print(json_t *o)
{
	int failed = !o || json_dumpf(o, stdout,
				      JSON_INDENT(4) | JSON_PRESERVE_ORDER);

	json_decref(o);
	if (failed) {
		fputs("qfsck: no memory for the output\n", stderr);
		return QF_EXIT_FAILED;
	}
	putchar('\n');
	return qf_args_flush();
}

int qf_args_flush(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return QF_EXIT_CLEAN;
	fprintf(stderr, "qfsck: cannot write the output: %s\n",
		strerror(errno));
	return QF_EXIT_FAILED;
}

bool qf_args_number(const char *text, uint64_t *out)
{
	static const char units[] = "kMGTPE";
	const char *unit;
	char *end;
	unsigned long long v;
	unsigned int shift = 0;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || strchr(text, '-'))
		return false;
	if (*end) {
		unit = strchr(units, *end == 'K' ? 'k' : *end);
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (shift && v >> (64 - shift))
		return false;
	*out = (uint64_t)v << shift;
	return true;
}

/* Stores the option O. Returns -1 to go on, else the exit code. */
static int store(const struct qf_args *a, const struct qf_args_option *o)
{
	switch (o->kind) {
	case QF_ARGS_FLAG:
		*(bool *)o->to = true;
		break;
	case QF_ARGS_TEXT:
		*(const char **)o->to = optarg;
		break;
	case QF_ARGS_NUMBER:
		if (!qf_args_number(optarg, o->to))
			return qf_args_wrong(a->command, "not a number",
					     optarg);
		break;
	case QF_ARGS_JSON:
		*(bool *)o->to = !strcmp(optarg, "json");
		if (strcmp(optarg, "json") && strcmp(optarg, "human"))
			return qf_args_wrong(a->command,
					     "unknown output format", optarg);
		break;
	}
	return -1;
}

/* The table in the form that getopt_long wants. */
static int translate(const struct qf_args_option *o, struct option *out,
		     char *letters)
{
	int n = 0, takes;

	for (; o[n].name; n++) {
		takes = o[n].kind == QF_ARGS_FLAG ? no_argument
						  : required_argument;
		out[n] = (struct option){ o[n].name, takes, NULL,
					  o[n].letter ? o[n].letter
						      : OPT_BASE + n };
		if (!o[n].letter)
			continue;
		*letters++ = o[n].letter;
		if (takes == required_argument)
			*letters++ = ':';
	}
	out[n] = (struct option){ "help", no_argument, NULL, OPT_HELP };
	*letters++ = OPT_HELP;
	*letters = '\0';
	return n;
}

/* The command's own options, and those that nearly all have. */
static void gather(struct qf_args *a, struct qf_args_option *all)
{
	const struct qf_args_option common[] = {
		{ "output", 0, QF_ARGS_JSON, &a->json },
		{ "force-share", 'U', QF_ARGS_FLAG, &a->share },
		{ "format", 'f', QF_ARGS_TEXT, &a->format },
	};
	int n = 0;

	while (n < QF_ARGS_MAX && a->option && a->option[n].name) {
		all[n] = a->option[n];
		n++;
	}
	if (!a->own)
		memcpy(all + n, common, sizeof(common));
}

int qf_args_parse(struct qf_args *a, int argc, char **argv)
{
	struct qf_args_option all[QF_ARGS_MAX + 4] = { 0 };
	struct option longs[QF_ARGS_MAX + 5] = { 0 };
	char letters[2 * QF_ARGS_MAX + 10];
	int n, opt, i, code;

	gather(a, all);
	n = translate(all, longs, letters);
	if (qf_complete_asked(argc, argv))
		return qf_complete_options(longs, letters, a->help);
	optind = 1;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(a->help, stdout);
			return QF_EXIT_CLEAN;
		}
		for (i = 0; i < n; i++)
			if (opt == OPT_BASE + i || opt == all[i].letter)
				break;
		if (opt == '?' || i == n)
			return qf_args_wrong(a->command, "wrong use", NULL);
		code = store(a, &all[i]);
		if (code >= 0)
			return code;
	}
	a->arg = argv + optind;
	a->n = argc - optind;
	if (a->n < 1)
		return qf_args_wrong(a->command, "no image given", NULL);
	if (a->n > 1 + a->more)
		return qf_args_wrong(a->command, "one image too many",
				     a->arg[1 + a->more]);
	return -1;
}

int qf_args_open(const struct qf_args *a, struct qf_image **img)
{
	struct qf_why why = { 0 };

	if (qf_open_image(a->arg[0], a->format, QF_LOCK_READ, a->share, img,
			  &why))
		return qf_args_failed(a->arg[0], &why);
	return -1;
}
