/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several images in a line each, the worst first, and how many ended how. */
#ifndef QF_SUMMARY_H
#define QF_SUMMARY_H

#include "check/many/imagelist.h"
#include "check/many/result.h"

#include <stdio.h>

struct qf_result;

/* A line an image of L, whose results are R; with QUIET none of a clean one.
 * Then the totals. */
void qf_summary_print(FILE *out, const struct qf_imagelist *l,
		      const struct qf_result *r, bool quiet);

/* The same as one JSON object. */
void qf_summary_json(FILE *out, const struct qf_imagelist *l,
		     const struct qf_result *r);

/* How many of N images ended how, in a line. */
void qf_summary_totals(FILE *out, const struct qf_result *r, size_t n);

#endif
