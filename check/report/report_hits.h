/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was hit, in words and as JSON. */
#ifndef QF_REPORT_HITS_H
#define QF_REPORT_HITS_H

#include "check/report/hits.h"
#include "check/report/json.h"

#include <stdio.h>

/* Prints what lay in the lost ranges of every state. H may be NULL. */
void qf_report_hits(FILE *out, const struct qf_image *img,
		    const struct qf_hits *h, bool all);

/* Adds to O, the entry of hit number I in the list "lost", what was there. */
void qf_report_hit_json(json_t *o, const struct qf_hits *h, size_t i);

#endif
