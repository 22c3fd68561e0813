/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refcounts in a refcount block, of any width. Pure. */
#ifndef QF_REFBLOCK_H
#define QF_REFBLOCK_H

#include "lib/base/be.h"

#include <stddef.h>

/*
 * Refcount number I of BLOCK, whose refcounts are 1 << ORDER bits wide.
 * Widths under 8 bits: least significant bits first. Section "Refcount block
 * entry".
 */
static inline uint64_t qf_refblock_get(const void *block, uint32_t order,
				       uint64_t i)
{
	const uint8_t *b = block;
	struct qf_be16 w16;
	struct qf_be32 w32;
	struct qf_be64 w64;

	switch (order) {
	case 4:
		memcpy(&w16, b + i * 2, sizeof(w16));
		return qf_be_get16(w16);
	case 3:
		return b[i];
	case 5:
		memcpy(&w32, b + i * 4, sizeof(w32));
		return qf_be_get32(w32);
	case 6:
		memcpy(&w64, b + i * 8, sizeof(w64));
		return qf_be_get64(w64);
	default: /* 0 to 2: 1, 2 or 4 bits */
		return ((unsigned int)b[i >> (3 - order)] >>
			((i & ((8u >> order) - 1)) << order)) &
		       ((1u << (1u << order)) - 1);
	}
}

/* Sets refcount number I of BLOCK to VALUE, which must fit the width. */
void qf_refblock_set(void *block, uint32_t order, uint64_t i, uint64_t value);

/*
 * Decodes N refcounts from number FIRST on into OUT. The widths of 8 and 16
 * bits are written so that the compiler can use vectors.
 */
void qf_refblock_decode(const void *block, uint32_t order, uint64_t first,
			uint64_t n, uint64_t *out);

#endif
