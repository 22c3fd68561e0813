/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clusters that nobody owns, but that do not count as free. What a lost table
 * mapped looks exactly so: they are leaked only where the check found nothing
 * lost, and no earlier repair gave anything up.
 */
#ifndef QF_UNOWNED_H
#define QF_UNOWNED_H

#include "check/check.h"

/* What they are called, in every view, picture and list. */
#define QF_UNOWNED_WORDS "no owner, may be lost data"

/* True if, by the report REP on IMG, they may be lost data. Without memory to
 * look for an earlier repair's note, too. */
bool qf_unowned_by_report(struct qf_image *img, const struct qf_report *rep);

/*
 * The same by a check made for it, beside writers if SHARED, with JOBS
 * threads (0: one a processor). Only worth its time if there are such
 * clusters. Errors: as qf_check_run.
 */
enum qf_err qf_unowned_by_check(struct qf_image *img, bool shared,
				unsigned int jobs, bool *may_be_lost,
				struct qf_why *why);

#endif
