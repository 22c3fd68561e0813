// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/cmd_args.h"
#include "cmd.h"
#include "lib/text.h"

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
	case QF_ARGS_IGNORE:
		break;
	}
	return -1;
}

/* The table in the form that getopt_long wants. */
static int translate(const struct qf_args_option *o, struct option *out,
		     char *letters)
{
	int n = 0, takes;

	for (; o[n].name && n < QF_ARGS_MAX; n++) {
		takes = o[n].kind == QF_ARGS_FLAG ? no_argument
						  : required_argument;
		out[n] =
			(struct option){ o[n].name, takes, NULL, OPT_BASE + n };
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

int qf_args_parse(struct qf_args *a, int argc, char **argv)
{
	struct option longs[QF_ARGS_MAX + 2] = { 0 };
	char letters[2 * QF_ARGS_MAX + 2];
	int n = translate(a->option, longs, letters), opt, i, code;

	optind = 1;
	while ((opt = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (opt == OPT_HELP) {
			fputs(a->help, stdout);
			return QF_EXIT_CLEAN;
		}
		for (i = 0; i < n; i++)
			if (opt == OPT_BASE + i || opt == a->option[i].letter)
				break;
		if (opt == '?' || i == n)
			return qf_args_wrong(a->command, "wrong use", NULL);
		code = store(a, &a->option[i]);
		if (code >= 0)
			return code;
	}
	a->arg = argv + optind;
	a->n = argc - optind;
	if (a->n < a->min)
		return qf_args_wrong(a->command, "no image given", NULL);
	if (a->n > a->max)
		return qf_args_wrong(a->command, "one image too many",
				     a->arg[a->max]);
	return -1;
}
