/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A page over many images, the worst first, with links to their own pages. */
#ifndef QF_POOLPAGE_H
#define QF_POOLPAGE_H

#include "viz/page/poollist.h"
#include "viz/show/outbuf.h"

/* FOLDER is where the page will lie, for its links: an absolute path. Errors:
 * QF_ERR_NOMEM. */
enum qf_err qf_poolpage_make(const struct qf_poollist *l, const char *folder,
			     struct qf_outbuf *out, struct qf_why *why);

#endif
