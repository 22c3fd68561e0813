/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qfsck guest --files and --path: both print, and return the exit code. */
#ifndef QF_GUESTFILES_H
#define QF_GUESTFILES_H

#include "lib/guest/guest.h"
#include "viz/show/cmd_args.h"

/* RANGES: see the help of the command. DISK is what G is of. */
int qf_guestfiles_of_ranges(struct qf_guest *g, struct qf_disk *disk,
			    const struct qf_args *a, const char *ranges);

/* The file PATH, in whichever volume it is. */
int qf_guestfiles_of_path(struct qf_guest *g, struct qf_disk *disk,
			  const struct qf_args *a, const char *path);

#endif
