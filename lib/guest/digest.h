/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checksums of file systems that are no CRC. Written here, because a
 * library's may open files or ask for random numbers, which a caged reader
 * must not. Each is of N bytes.
 */
#ifndef QF_DIGEST_H
#define QF_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* XXH64 with seed 0. */
uint64_t qf_digest_xxh64(const void *buf, size_t n);

/* FIPS 180-4. */
void qf_digest_sha256(const void *buf, size_t n, unsigned char out[32]);

/* RFC 7693, 32 bytes long, without a key. */
void qf_digest_blake2b(const void *buf, size_t n, unsigned char out[32]);

#endif
