// SPDX-License-Identifier: GPL-2.0-or-later
/* qfsck explain: the catalogue for people, and as a man page. */
#include "check/check.h"
#include "cmd.h"
#include "lib/base/nearest.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void line(const struct qf_problem_row *r)
{
	printf("%u  %-7s  %-26s  %s\n", r->id, qf_problem_severity(r->severity),
	       r->name, r->message);
}

static void list(void)
{
	unsigned int i;

	for (i = 0; i < QF_PROBLEMS; i++)
		line(qf_problem_get((enum qf_problem)i));
}

/* The findings in whose name or words WORD stands; how many. */
static unsigned int list_of(const char *word)
{
	const struct qf_problem_row *r;
	unsigned int i, n = 0;

	for (i = 0; *word && i < QF_PROBLEMS; i++) {
		r = qf_problem_get((enum qf_problem)i);
		if (!strcasestr(r->name, word) && !strcasestr(r->message, word))
			continue;
		line(r);
		n++;
	}
	return n;
}

/* The name that may have been meant, or NULL. */
static const char *near(const char *word)
{
	unsigned int i, d, best = UINT_MAX;
	const char *name = NULL, *s;

	for (i = 0; i < QF_PROBLEMS; i++) {
		s = qf_problem_get((enum qf_problem)i)->name;
		d = qf_nearest_distance(word, s);
		if (d < best) {
			best = d;
			name = s;
		}
	}
	return qf_nearest_is_near(word, best) ? name : NULL;
}

/* TEXT in lines of at most 78 columns, each after two spaces. */
static void wrap(const char *text)
{
	const size_t room = 76;
	size_t n;

	while (*text) {
		n = strlen(text);
		if (n > room) {
			for (n = room; n && text[n] != ' '; n--)
				;
			if (!n)
				n = strcspn(text, " ");
		}
		printf("  %.*s\n", (int)n, text);
		text += n;
		while (*text == ' ')
			text++;
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

	printf("%u %s (%s)\n\n", r->id, r->name,
	       qf_problem_severity(r->severity));
	wrap(r->message);
	printf("\nWhat it means:\n");
	wrap(r->why);
	printf("\nWhat repair does:\n");
	wrap(r->repair);
	wrap(risks[r->risk]);
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

/* One argument of explain; false: it is nobody's. */
static bool tell(const char *word)
{
	const struct qf_problem_row *r = qf_problem_find(word);
	const char *name;

	if (r) {
		explain(r);
		return true;
	}
	if (list_of(word))
		return true;
	name = near(word);
	fprintf(stderr,
		"qfsck explain: no finding has the number, the name or the word "
		"\"%s\"; %s%s%s\n",
		word, name ? "did you mean \"" : "\"qfsck explain",
		name ? name : "", name ? "\"?" : "\" lists all");
	return false;
}

int qf_cmd_explain(int argc, char **argv)
{
	int i, code = 0;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs("Usage: qfsck explain [NUMBER|NAME|WORD]...\n"
		      "Tells what a finding means, what is at stake, and what "
		      "a repair does\nabout it. With a word, lists the findings "
		      "that have it; without an argument,\nall of them.\n\n"
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
		if (i > 1)
			putchar('\n');
		if (!tell(argv[i]))
			code = 1;
	}
	return code;
}
