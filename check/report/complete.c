// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the shells' completion asks (share/completion): a command's options as
 * its own table has them, and which of some files are images.
 */
#include "check/check.h"
#include "check/many/folder.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What an option's argument may be, by the option's name: the words to choose
 * from, a file, a directory, or what no shell can know. */
static const struct {
	const char *name, *values;
} arguments[] = {
	{ "against", "file" },
	{ "at", "any" },
	{ "bitmap", "any" },
	{ "cache", "none writeback writethrough directsync unsafe" },
	{ "choose", "any" },
	{ "cluster", "any" },
	{ "color", "auto 256 16 mono" },
	{ "colour", "auto 256 16 mono" },
	{ "domain", "any" },
	{ "domain-xml", "file" },
	{ "export", "file" },
	{ "files", "any" },
	{ "files0-from", "file" },
	{ "format", "qcow2" },
	{ "from", "any" },
	{ "guest", "any" },
	{ "host", "any" },
	{ "if-deleted", "any" },
	{ "in-use", "skip share fail" },
	{ "in-use-bitmaps", "keep remove" },
	{ "io-priority", "idle low normal" },
	{ "jobs", "any" },
	{ "key-file", "file" },
	{ "map", "file" },
	{ "max-length", "any" },
	{ "max-memory", "any" },
	{ "max-rate", "any" },
	{ "object", "any" },
	{ "orphans", "directory" },
	{ "output", "human json" },
	{ "output-image", "file" },
	{ "path", "any" },
	{ "place", "any" },
	{ "prom", "file" },
	{ "repair", "leaks all" },
	{ "risk", "none metadata data" },
	{ "script", "file" },
	{ "shard", "any" },
	{ "snapshot", "any" },
	{ "start-offset", "any" },
	{ "state", "file" },
	{ "table", "any" },
	{ "to", "any" },
	{ "undo", "file" },
	{ "undo-dir", "directory" },
};

static const char *values_of(const struct option *o)
{
	size_t i;

	if (o->has_arg == no_argument)
		return "-";
	for (i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
		if (!strcmp(arguments[i].name, o->name))
			return arguments[i].values;
	return "unknown"; /* a test looks for it */
}

/* Where HELP explains the option NAME: behind its name; NULL if nowhere. */
static const char *explained(const char *help, const char *name)
{
	size_t n = strlen(name);
	const char *line, *at;

	for (line = help; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n ");
		if (*line != '-')
			continue;
		at = line[1] == '-' ? line : line + strcspn(line, " \n") + 1;
		if (!strncmp(at, "--", 2) && !strncmp(at + 2, name, n) &&
		    strchr("= \n", at[2 + n]))
			return at + 2 + n + strcspn(at + 2 + n, " \n");
	}
	return NULL;
}

/* The first clause of it, on one line. */
static void print_explained(const char *s)
{
	bool gap = false, begun = false;

	for (; s && *s && !strchr(";:([", *s); s++) {
		if (*s == '\n' &&
		    (s[1] == '\n' || s[1 + strspn(s + 1, " ")] == '-'))
			break;
		if (*s == ' ' || *s == '\n') {
			gap = begun;
			continue;
		}
		if (gap)
			putchar(' ');
		putchar(*s);
		gap = false;
		begun = true;
	}
	putchar('\n');
}

bool qf_complete_asked(int argc, char **argv)
{
	return argc == 2 && !strcmp(argv[1], "--complete");
}

int qf_complete_options(const struct option *o, const char *letters,
			const char *help)
{
	const char *text;

	for (; o->name; o++) {
		text = explained(help, o->name);
		if (!text) /* taken for compatibility alone */
			continue;
		printf("--%s\t", o->name);
		if (o->val > 0 && o->val < 128 && strchr(letters, o->val))
			printf("-%c", o->val);
		printf("\t%s\t", values_of(o));
		print_explained(text);
	}
	return 0;
}

/* By the magic; a block device is taken for one, a folder leads to some. */
static bool is_image(const char *name)
{
	static const char *const suffixes[] = { ".qcow2", ".qcow", ".img" };
	struct stat st;
	size_t i, n = strlen(name), len;

	if (stat(name, &st))
		return false;
	if (S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return true;
	if (!S_ISREG(st.st_mode))
		return false;
	/* one whose magic is damaged, or that may not be read */
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		len = strlen(suffixes[i]);
		if (n > len && !strcmp(name + n - len, suffixes[i]))
			return true;
	}
	return qf_folder_has_magic(name);
}

int qf_complete_images(int n, char **names)
{
	int i;

	for (i = 0; i < n; i++)
		if (is_image(names[i]))
			puts(names[i]);
	return 0;
}
