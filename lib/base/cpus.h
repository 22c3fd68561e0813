/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many processors this process may keep busy: not the machine's, but those
 * that its affinity and its control group leave it. */
#ifndef QF_CPUS_H
#define QF_CPUS_H

/* At least 1. Looked up once. */
unsigned int qf_cpus_count(void);

/*
 * The processors that the quotas of the control groups allow, rounded up: of
 * this process's group and all above it, in version 2 or 1. 0: no bound. ROOT
 * stands before /proc and /sys ("" but in a test).
 */
unsigned int qf_cpus_quota(const char *root);

#endif
