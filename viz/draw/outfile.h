/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where pictures and saved screens go. A picture that is there already is
 * replaced; anything else, an image above all, is not.
 */
#ifndef QF_OUTFILE_H
#define QF_OUTFILE_H

#include "lib/base/err.h"

#include <stddef.h>

/*
 * Writes the N bytes at BYTES to NAME; "-" is standard output. Errors:
 * QF_ERR_USAGE if what stands there is no picture and no text, QF_ERR_IO.
 */
enum qf_err qf_outfile_write(const char *name, const void *bytes, size_t n,
			     struct qf_why *why);

#endif
