/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal of XFS: whether it was left in order. Internal to the reader. */
#ifndef QF_XFS_LOG_H
#define QF_XFS_LOG_H

#include "lib/unixfs/xfs_lib.h"

/* Clean if the last record says that the file system was unmounted. Not
 * known for a journal that lies elsewhere, or cannot be read. */
enum qf_guest_clean qf_xfs_log_state(struct qf_xfs *x);

#endif
