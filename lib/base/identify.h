/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stretch of bytes is, by libmagic. */
#ifndef QF_IDENTIFY_H
#define QF_IDENTIFY_H

#include <stddef.h>

/*
 * Describes the N bytes at BUF ("VMware4 disk image", "data", ...) in OUT.
 * Not for several threads at once. Returns OUT; "data" if libmagic does not
 * know or is not there.
 */
char *qf_identify_bytes(const void *buf, size_t n, char *out, size_t room);

#endif
