/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walls around a child of sandbox.c. Internal to it. */
#ifndef QF_CAGE_H
#define QF_CAGE_H

#include "lib/base/err.h"

/* Processor time that a child has. */
#define QF_CAGE_SECONDS 60
/* Memory that it may take, beside what this process has. */
#define QF_CAGE_BYTES (1ull << 30)

/* In the parent: has all at hand that qf_cage_enter needs. Errors:
 * QF_ERR_UNSUPPORTED. */
enum qf_err qf_cage_prepare(struct qf_why *why);

/*
 * In the child, and for good: nothing is left but memory and the socket FD.
 * Errors: QF_ERR_UNSUPPORTED: then nothing may be done.
 */
enum qf_err qf_cage_enter(int fd, struct qf_why *why);

#endif
