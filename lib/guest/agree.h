/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a file system's allocation map and its files agree. In the child.
 * Internal to lib/guest. */
#ifndef QF_AGREE_H
#define QF_AGREE_H

#include "lib/guest/job.h"

/* Tells, as a block that fails, each range that an area or a file has though
 * the map calls it free. Errors: QF_ERR_NOMEM. */
enum qf_err qf_agree_look(struct qf_job *j, const struct qf_reader *r, void *fs,
			  struct qf_why *why);

#endif
