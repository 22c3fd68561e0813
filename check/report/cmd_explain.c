// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck explain: the catalogue for people, and as a man page. */
#include "check/check.h"
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static void list(void)
{
	const struct qf_problem_row *r;
	unsigned int i;

	for (i = 0; i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		printf("%u  %-7s  %-26s  %s\n", r->id,
		       qf_problem_severity(r->severity), r->name, r->message);
	}
}

/* As qf_complete_options has its lines. */
static void names(void)
{
	const struct qf_problem_row *r;
	unsigned int i;

	for (i = 0; i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		printf("%s\t\t-\t%s (%u)\n", r->name, r->message, r->id);
	}
}

static void explain(const struct qf_problem_row *r)
{
	static const char *const risks[] = {
		"The repair risks nothing.",
		("The repair changes how the guest's data are found, not the "
		 "data."),
		"The repair may change what the guest sees: read the plan.",
	};

	printf("%u %s (%s)\n\n  %s.\n\n", r->id, r->name,
	       qf_problem_severity(r->severity), r->message);
	printf("What it means:\n  %s\n\nWhat repair does:\n  %s\n  %s\n",
	       r->why, r->repair, risks[r->risk]);
}

static void troff(const char *s)
{
	for (; *s; s++) {
		if (*s == '-' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
	putchar('\n');
}

static void man_page(void)
{
	const struct qf_problem_row *r;
	unsigned int i;

	printf(".TH QFSCK\\-PROBLEMS 7 \"\" \"qfsck\"\n.SH NAME\n"
	       "qfsck\\-problems \\- everything that qfsck can find\n"
	       ".SH DESCRIPTION\nEvery finding of\n.BR qfsck (1)\n"
	       "has a number and a name, which never change.\n");
	for (i = 0; i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		printf(".SS %u ", r->id);
		troff(r->name);
		printf(".I %s:\n", qf_problem_severity(r->severity));
		troff(r->message);
		printf(".PP\n");
		troff(r->why);
		printf(".PP\nRepair: ");
		troff(r->repair);
	}
	printf(".SH SEE ALSO\n.BR qfsck (1),\n.BR qemu\\-img (1)\n");
}

int qf_cmd_explain(int argc, char **argv)
{
	const struct qf_problem_row *r;
	int i, code = 0;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs("Usage: qfsck explain [NUMBER|NAME]...\n"
		      "Tells what a finding means, what is at stake, and what "
		      "a repair does\nabout it. Without an argument, lists "
		      "all findings.\n\n"
		      "      --help             this text\n",
		      stdout);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--man")) {
		man_page();
		return 0;
	}
	if (qf_complete_asked(argc, argv)) {
		names();
		return 0;
	}
	if (argc < 2)
		list();
	for (i = 1; i < argc; i++) {
		r = qf_problem_find(argv[i]);
		if (r) {
			if (i > 1)
				putchar('\n');
			explain(r);
			continue;
		}
		fprintf(stderr,
			"qfsck explain: there is no problem \"%s\"; "
			"\"qfsck explain\" lists all\n",
			argv[i]);
		code = 1;
	}
	return code;
}
