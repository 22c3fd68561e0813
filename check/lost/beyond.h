/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data behind the end of the virtual disk: its size was shrunk or damaged. */
#ifndef QF_BEYOND_H
#define QF_BEYOND_H

#include "check/passes/pass.h"

/* Reports what a disk maps behind the size that the header, or the snapshot's
 * entry, states, and lists it as lost. */
void qf_beyond_check(struct qf_pass_ctx *c);

#endif
