/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands, as the front door knows them. */
#ifndef QF_CMD_H
#define QF_CMD_H

#include <stdbool.h>

struct qf_cmd {
	const char *name;
	const char *synopsis; /* behind the name, in the usage line */
	const char *help;     /* one line */
	int (*run)(int argc, char **argv);
};

/* Exit codes of check, as those of qemu-img check. */
enum qf_exit {
	QF_EXIT_CLEAN = 0,
	QF_EXIT_FAILED = 1,
	QF_EXIT_CORRUPT = 2,
	QF_EXIT_LEAKS = 3,
	QF_EXIT_FOREIGN = 63,
};

#endif
