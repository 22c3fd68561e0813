/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a file holds, out of what any reader has. In the child. Internal to
 * lib/guest. */
#ifndef QF_CONTENT_H
#define QF_CONTENT_H

#include "lib/guest/job.h"

/* Tells the file j->path, if there is one, and its parts. Errors:
 * QF_ERR_NOMEM. */
enum qf_err qf_content_of_path(struct qf_job *j, const struct qf_reader *r,
			       void *fs, struct qf_why *why);

#endif
