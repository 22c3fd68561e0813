/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Little-endian numbers at any place of a buffer: what lies on a guest's
 * disk is mostly little-endian. The caller sees that the bytes are there.
 */
#ifndef QF_LE_H
#define QF_LE_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t qf_le_get(const void *buf, size_t at, unsigned int bytes)
{
	const unsigned char *p = (const unsigned char *)buf + at;
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | p[bytes];
	return n;
}

static inline uint16_t qf_le_get16(const void *buf, size_t at)
{
	return (uint16_t)qf_le_get(buf, at, 2);
}

static inline uint32_t qf_le_get32(const void *buf, size_t at)
{
	return (uint32_t)qf_le_get(buf, at, 4);
}

static inline uint64_t qf_le_get64(const void *buf, size_t at)
{
	return qf_le_get(buf, at, 8);
}

#endif
