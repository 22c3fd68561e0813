/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another command of this program, run beside the browser for what it says.
 * It is the one way to what the browser does not know itself: the plan of a
 * repair, above all.
 */
#ifndef QF_CHILD_H
#define QF_CHILD_H

#include <stdbool.h>
#include <stddef.h>

struct qf_child;

/* Runs PROGRAM with ARGV (from its own name on, and a NULL at the end): it
 * reads nothing, and all that it says is kept. NULL if it cannot be run. */
struct qf_child *qf_child_start(const char *program, char *const *argv);

/* Takes what it has said by now, and waits up to MS for more. True: it has
 * ended. */
bool qf_child_step(struct qf_child *c, int ms);

/* What it said, the caller's to free; NULL without memory. Its exit code in
 * *CODE, negative: a signal ended it. *CUT: it said more than is kept. Ends
 * C. */
char *qf_child_take(struct qf_child *c, int *code, bool *cut);

/* Ends it, if it runs. NULL is allowed. */
void qf_child_drop(struct qf_child *c);

#endif
