/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaving a host's disks to its guests. */
#ifndef QF_GENTLE_H
#define QF_GENTLE_H

#include <stdbool.h>

/*
 * The I/O priority of this thread, and of those that it makes: "idle" (only
 * when nobody else reads), "low" or "normal". False if CLASS is none of them.
 * Where the kernel refuses, that is said on stderr, and no error.
 */
bool qf_gentle_io(const char *class);

#endif
