/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One file of the guest's, past damage. */
#ifndef QF_EXTRACT_PATH_H
#define QF_EXTRACT_PATH_H

#include "repair/salvage/extract.h"

/*
 * Looks for the file PATH in the file systems of X's disk, for qf_extract_run to
 * put it out. OUT must live as long, and is freed with qf_guest_contents_free,
 * also after an error. TITLE, which has ROOM bytes, is made the name of its
 * volume. Errors: QF_ERR_NOMEM, QF_ERR_USAGE (there is no such file).
 */
enum qf_err qf_extract_path_find(struct qf_extract *x, const char *path,
				 struct qf_guest_contents *out, char *title,
				 size_t room, struct qf_why *why);

#endif
