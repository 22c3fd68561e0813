// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/gentle.h"

#include <linux/ioprio.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *word;
	int priority;
} classes[] = {
	{ "idle", IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0) },
	{ "low", IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7) },
	{ "normal", IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4) },
};

bool qf_gentle_io(const char *class)
{
	size_t i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strcmp(class, classes[i].word))
			continue;
		if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
			    classes[i].priority))
			perror("qfsck: cannot set the I/O priority");
		return true;
	}
	return false;
}
