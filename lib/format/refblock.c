// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/refblock.h"

void qf_refblock_set(void *block, uint32_t order, uint64_t i, uint64_t value)
{
	uint8_t *b = block;
	struct qf_be16 w16 = qf_be_put16((uint16_t)value);
	struct qf_be32 w32 = qf_be_put32((uint32_t)value);
	struct qf_be64 w64 = qf_be_put64(value);
	unsigned int shift, mask;

	switch (order) {
	case 3:
		b[i] = (uint8_t)value;
		return;
	case 4:
		memcpy(b + i * 2, &w16, sizeof(w16));
		return;
	case 5:
		memcpy(b + i * 4, &w32, sizeof(w32));
		return;
	case 6:
		memcpy(b + i * 8, &w64, sizeof(w64));
		return;
	default:
		shift = (unsigned int)(i & ((8u >> order) - 1)) << order;
		mask = ((1u << (1u << order)) - 1) << shift;
		b += i >> (3 - order);
		*b = (uint8_t)((*b & ~mask) | ((value << shift) & mask));
	}
}

void qf_refblock_decode(const void *block, uint32_t order, uint64_t first,
			uint64_t n, uint64_t *out)
{
	const uint8_t *b = block;
	uint64_t i;

	for (i = 0; i < n; i++)
		out[i] = qf_refblock_get(b, order, first + i);
}
