/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backing files: names to paths, and what stands behind an image. */
#ifndef QF_CHAIN_H
#define QF_CHAIN_H

#include "lib/image.h"

/*
 * The path that NAME, written in the image at IMAGE_PATH, means, as QEMU
 * resolves it: relative to the image's folder, "file:" taken off, and the
 * file name out of a "json:" pseudo protocol. Owned by the caller; NULL
 * without memory or if NAME is no local file (nbd://...).
 */
char *qf_chain_path(const char *image_path, const char *name);

/* QF_OK if PATH can be opened for reading; else the reason in WHY. */
enum qf_err qf_chain_readable(const char *path, struct qf_why *why);

#endif
