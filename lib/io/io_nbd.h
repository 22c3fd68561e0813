/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes that an NBD server exports. */
#ifndef QF_IO_NBD_H
#define QF_IO_NBD_H

#include "lib/io/io.h"

/*
 * Connects to the export at URI (nbd://, nbds://, nbd+unix://, nbds+unix://)
 * and reads its bytes as a file; many requests are in flight, and holes are
 * what the server's block status tells. *IO is the caller's: qf_io_close.
 * Errors: QF_ERR_IO (nobody there, refused), QF_ERR_UNSUPPORTED (libnbd is
 * not installed), QF_ERR_NOMEM. Once the connection is lost every read fails
 * with ENOTCONN.
 */
enum qf_err qf_io_nbd_open(const char *uri, struct qf_io **io,
			   struct qf_why *why);

#endif
