/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One image of those that are checked: its report, and what it came to. */
#ifndef QF_CHECKONE_H
#define QF_CHECKONE_H

#include "check/many/checkargs.h"
#include "check/many/logline.h"
#include "check/many/poolstate.h"
#include "check/many/result.h"
#include "check/report/cmd_layers.h"

struct qf_checkone {
	const struct qf_checkargs *a;
	const struct qf_check_opts *opts; /* the jobs may be others */
	FILE *out, *err;
	struct qf_poolstate *state;   /* or NULL */
	const struct qf_logline *log; /* or NULL: no lines for the log */
};

/* Checks the image and prints its report. *R is freed by qf_result_free. */
void qf_checkone_run(const struct qf_checkone *c,
		     const struct qf_imagelist_name *name, struct qf_result *r);

/* The same with all that stands behind it. */
void qf_checkone_chain(const struct qf_checkone *c, struct qf_layers *layers,
		       const struct qf_imagelist_name *name,
		       struct qf_result *r);

#endif
