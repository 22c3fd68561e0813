/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a check came to as figures for Prometheus' textfile collector. */
#ifndef QF_PROMFILE_H
#define QF_PROMFILE_H

#include "check/many/imagelist.h"
#include "check/many/result.h"

/*
 * Writes the results R of the images in L to NAME, in one step. SECONDS: what
 * the run took, which ended at NOW (seconds since the Epoch). Errors: as
 * qf_keepfile_replace.
 */
enum qf_err qf_promfile_write(const char *name, const struct qf_imagelist *l,
			      const struct qf_result *r, double seconds,
			      int64_t now, struct qf_why *why);

#endif
