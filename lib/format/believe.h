/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A header whose first eight bytes are damaged: without the magic nothing
 * says that a file is a qcow2 image, and without a version nothing says how
 * it is read. Where the user vouches for the format (-f qcow2), both follow
 * from the rest of the header, if that is sound.
 */
#ifndef QF_BELIEVE_H
#define QF_BELIEVE_H

#include "lib/format/header.h"
#include "lib/io/io.h"

/*
 * As qf_header_parse, for the BYTES at BUF that IO begins with. If the user
 * vouches for IO (io->believed), a wrong magic or version is put right in *H,
 * which then says so (magic_wrong, version_wrong). Errors: as
 * qf_header_parse, also where the rest of the header is not sound, or the
 * places in it lie past the end of the file.
 */
enum qf_err qf_believe_parse(const struct qf_io *io, const void *buf,
			     uint64_t bytes, struct qf_header *h,
			     struct qf_why *why);

/* The version by which the image behind IO, whose header begins with W, is
 * read; where that cannot be told, what the header states. */
uint32_t qf_believe_version(const struct qf_io *io,
			    const struct qf_wire_header *w);

#endif
