/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What earlier repairs of the image have left behind, in words and as JSON. */
#ifndef QF_REPORT_PENDING_H
#define QF_REPORT_PENDING_H

#include "lib/undofile/undofind.h"

#include <jansson.h>
#include <stdio.h>

/* Looks for what is at work on the image NAME behind IO, and says so. Free
 * F's name. */
void qf_report_pending(FILE *err, const char *name, struct qf_io *io,
		       struct qf_undofind *f);

/* Says so if an earlier repair of the image gave pointers up: what is leaked
 * may be what they led to, and must not be freed by anyone. */
void qf_report_given_up(FILE *err, const char *name, struct qf_io *io);

/* What is at work, for a program; NULL if there is nothing. */
json_t *qf_report_pending_json(const struct qf_undofind *f);

#endif
