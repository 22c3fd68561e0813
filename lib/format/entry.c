// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/entry.h"

static unsigned int compressed_odd(const struct qf_geometry *g, uint64_t size,
				   uint64_t entry, uint64_t bitmap)
{
	unsigned int odd = 0;
	uint64_t off, bytes;

	if (entry & QF_ENTRY_COPIED)
		odd |= QF_ODD_COMPRESSED_COPIED;
	if (g->data_file)
		return odd | QF_ODD_COMPRESSED_DATA_FILE;
	if (bitmap)
		return odd | QF_ODD_COMPRESSED_BITMAP;
	qf_entry_compressed(g, entry, &off, &bytes);
	if (qf_entry_past_end(g, size, off, bytes))
		odd |= QF_ODD_PAST_END;
	return odd;
}

unsigned int qf_entry_l2_odd(const struct qf_geometry *g, uint32_t version,
			     uint64_t size, uint64_t entry, uint64_t bitmap)
{
	enum qf_entry_kind kind = qf_entry_kind(g, entry);
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;
	unsigned int odd = 0;

	if (kind == QF_ENTRY_KIND_COMPRESSED)
		return compressed_odd(g, size, entry, bitmap);
	if (entry & QF_L2_RESERVED_MASK)
		odd |= QF_ODD_RESERVED;
	if (entry & QF_ENTRY_ZERO && version < 3)
		odd |= QF_ODD_ZERO_V2;
	if (entry & QF_ENTRY_ZERO && g->extl2)
		odd |= QF_ODD_ZERO_EXTL2;
	if (kind == QF_ENTRY_KIND_NONE) {
		if (bitmap & UINT32_MAX)
			odd |= QF_ODD_SUB_NO_CLUSTER;
		if (entry & QF_ENTRY_COPIED)
			odd |= QF_ODD_COPIED_NOTHING;
		return odd;
	}
	if (kind == QF_ENTRY_KIND_ZERO)
		return odd;
	if ((bitmap >> 32) & bitmap)
		odd |= QF_ODD_SUB_BOTH;
	if (off & (g->cluster_bytes - 1))
		odd |= QF_ODD_UNALIGNED;
	if (!g->data_file && qf_entry_past_end(g, size, off, g->cluster_bytes))
		odd |= QF_ODD_PAST_END;
	return odd;
}

uint32_t qf_entry_table_place(const struct qf_geometry *g,
			      const struct qf_be64 *table, uint64_t *l1_index)
{
	uint32_t step = g->l2_entry_bytes / 8, n = 0, i;
	uint64_t e, off, guest, at;

	for (i = 0; g->data_file && i < g->l2_entries; i++) {
		e = qf_be_get64(table[i * step]);
		off = e & QF_ENTRY_OFFSET_MASK;
		if (!off && !(e & QF_ENTRY_COPIED))
			continue;
		guest = off >> g->cluster_bits;
		at = guest >> g->l2_bits;
		if (e & (QF_ENTRY_COMPRESSED | QF_L2_RESERVED_MASK) ||
		    !(e & QF_ENTRY_COPIED) || off & (g->cluster_bytes - 1) ||
		    (guest & (g->l2_entries - 1)) != i ||
		    (n && at != *l1_index))
			return 0;
		*l1_index = at;
		n++;
	}
	return n;
}
