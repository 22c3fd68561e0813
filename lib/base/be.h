/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Big-endian numbers as they lie in the file. The wire types are byte
 * arrays of alignment 1: they can be laid over a buffer at any place, and
 * using one as a number without a call from here does not compile.
 */
#ifndef QF_BE_H
#define QF_BE_H

#include <stdint.h>
#include <string.h>

struct qf_be16 {
	uint8_t b[2];
};

struct qf_be32 {
	uint8_t b[4];
};

struct qf_be64 {
	uint8_t b[8];
};

static inline uint16_t qf_be_get16(struct qf_be16 v)
{
	uint16_t n;

	memcpy(&n, v.b, sizeof(n));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap16(n);
#endif
	return n;
}

static inline uint32_t qf_be_get32(struct qf_be32 v)
{
	uint32_t n;

	memcpy(&n, v.b, sizeof(n));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap32(n);
#endif
	return n;
}

static inline uint64_t qf_be_get64(struct qf_be64 v)
{
	uint64_t n;

	memcpy(&n, v.b, sizeof(n));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap64(n);
#endif
	return n;
}

static inline struct qf_be16 qf_be_put16(uint16_t n)
{
	struct qf_be16 v;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap16(n);
#endif
	memcpy(v.b, &n, sizeof(n));
	return v;
}

static inline struct qf_be32 qf_be_put32(uint32_t n)
{
	struct qf_be32 v;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap32(n);
#endif
	memcpy(v.b, &n, sizeof(n));
	return v;
}

static inline struct qf_be64 qf_be_put64(uint64_t n)
{
	struct qf_be64 v;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	n = __builtin_bswap64(n);
#endif
	memcpy(v.b, &n, sizeof(n));
	return v;
}

#endif
