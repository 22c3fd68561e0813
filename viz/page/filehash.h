/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SHA-256 of an image's file, all bytes of it, as sha256sum has it. */
#ifndef QF_FILEHASH_H
#define QF_FILEHASH_H

#include "lib/io/io.h"

#define QF_FILEHASH_TEXT 65

/* Errors: QF_ERR_IO, QF_ERR_UNSUPPORTED (there is no OpenSSL), QF_ERR_NOMEM. */
enum qf_err qf_filehash_sha256(struct qf_io *io, char text[QF_FILEHASH_TEXT],
			       struct qf_why *why);

#endif
