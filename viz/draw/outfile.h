/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where pictures, pages and saved screens go. A saved screen replaces a picture
 * or text; nothing replaces anything else, an image above all.
 */
#ifndef QF_OUTFILE_H
#define QF_OUTFILE_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the N bytes at BYTES to NAME; "-" is standard output. Errors:
 * QF_ERR_USAGE if what stands there is no picture and no text, QF_ERR_IO.
 */
enum qf_err qf_outfile_write(const char *name, const void *bytes, size_t n,
			     struct qf_why *why);

/*
 * The same for a file that must not be there yet; what could not be written
 * whole is taken away again. Errors: QF_ERR_USAGE.
 */
enum qf_err qf_outfile_create(const char *name, const void *bytes, size_t n,
			      struct qf_why *why);

/* QF_OK if there is no file NAME yet; else QF_ERR_USAGE. */
enum qf_err qf_outfile_is_new(const char *name, struct qf_why *why);

/* Gives N bytes of the file, AT bytes behind its beginning. */
typedef enum qf_err qf_outfile_fill(void *ctx, void *buf, size_t n, uint64_t at,
				    struct qf_why *why);

/* Makes the file NAME, which must not be there, of BYTES bytes. Errors:
 * QF_ERR_IO, QF_ERR_NOMEM, those of FILL; then there is no such file. */
enum qf_err qf_outfile_new(const char *name, uint64_t bytes,
			   qf_outfile_fill *fill, void *ctx,
			   struct qf_why *why);

#endif
