/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a name to an open, locked image: what every command begins with. */
#ifndef QF_OPEN_H
#define QF_OPEN_H

#include "lib/model/image.h"
#include "lib/io/lock.h"

/*
 * Opens the image NAME and locks it in MODE, or not at all with SHARE
 * (-U: it may be in use and change). The lock lasts until qf_image_close.
 * FORMAT is the user's word (-f), or NULL: any other than qcow2 is
 * QF_ERR_FOREIGN, and with "qcow2" magic and version need not be right.
 * Errors: as qf_io_file_open, qf_lock_take and qf_image_open; WHY then has
 * the next step too. For QF_ERR_FOREIGN, WHY says what the file is.
 */
enum qf_err qf_open_image(const char *name, const char *format,
			  enum qf_lock_mode mode, bool share,
			  struct qf_image **out, struct qf_why *why);

/* The FORMAT with which IMG was opened, to open its file once more. */
const char *qf_open_format(const struct qf_image *img);

#endif
