/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * L1 and L2 entries: what the bits say. Section "Cluster mapping" and
 * "Extended L2 Entries". Pure and inline: this is the innermost loop.
 */
#ifndef QF_ENTRY_H
#define QF_ENTRY_H

#include "lib/format/format.h"
#include "lib/format/header.h"

enum qf_entry_kind {
	QF_ENTRY_KIND_NONE,	  /* unallocated: the backing file shows */
	QF_ENTRY_KIND_ZERO,	  /* reads as zeros, owns no host cluster */
	QF_ENTRY_KIND_ZERO_ALLOC, /* reads as zeros, owns a host cluster */
	QF_ENTRY_KIND_DATA,
	QF_ENTRY_KIND_COMPRESSED,
};

/* Facts about an entry that the format does not allow. */
enum qf_entry_odd {
	QF_ODD_RESERVED = 1u << 0,  /* reserved bits are set */
	QF_ODD_UNALIGNED = 1u << 1, /* offset inside a cluster */
	QF_ODD_PAST_END = 1u << 2,  /* a cluster or more past the file */
	QF_ODD_COMPRESSED_COPIED = 1u << 3,
	QF_ODD_COMPRESSED_DATA_FILE = 1u << 4,
	QF_ODD_COMPRESSED_BITMAP = 1u << 5,
	QF_ODD_SUB_BOTH = 1u << 6,	   /* allocated and zero at once */
	QF_ODD_SUB_NO_CLUSTER = 1u << 7,   /* allocated, but no host cluster */
	QF_ODD_ZERO_V2 = 1u << 8,	   /* zero flag before version 3 */
	QF_ODD_ZERO_EXTL2 = 1u << 9,	   /* bit 0 with extended L2 entries */
	QF_ODD_NOT_GUEST_OFF = 1u << 10,   /* data file: not the guest offset */
	QF_ODD_DATA_FILE_PLAIN = 1u << 11, /* data file: COPIED is missing */
	QF_ODD_COPIED_NOTHING = 1u << 12,  /* COPIED, but no host cluster */
	QF_ODD_OWN_L1 = 1u << 13, /* L1 entry: leads to the table it is in */
	QF_ODD_KINDS = 14
};

static inline enum qf_entry_kind qf_entry_kind(const struct qf_geometry *g,
					       uint64_t entry)
{
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;

	if (entry & QF_ENTRY_COMPRESSED)
		return QF_ENTRY_KIND_COMPRESSED;
	if (entry & QF_ENTRY_ZERO && !g->extl2)
		return off ? QF_ENTRY_KIND_ZERO_ALLOC : QF_ENTRY_KIND_ZERO;
	if (off)
		return QF_ENTRY_KIND_DATA;
	/* With a data file, offset 0 is a valid host offset. */
	if (g->data_file && entry & QF_ENTRY_COPIED)
		return QF_ENTRY_KIND_DATA;
	return QF_ENTRY_KIND_NONE;
}

/* Host offset and length in bytes of a compressed cluster's sectors. */
static inline void qf_entry_compressed(const struct qf_geometry *g,
				       uint64_t entry, uint64_t *off,
				       uint64_t *bytes)
{
	uint64_t sectors = ((entry >> g->csize_shift) & g->csize_mask) + 1;

	*off = entry & g->coffset_mask;
	*bytes = sectors * 512 - (*off & 511);
}

/*
 * True if BYTES at OFF reach a whole cluster or more past the end of a file
 * of SIZE bytes; the file's last cluster may be partial.
 */
static inline bool qf_entry_past_end(const struct qf_geometry *g, uint64_t size,
				     uint64_t off, uint64_t bytes)
{
	uint64_t end;

	if (__builtin_add_overflow(off, bytes, &end))
		return true;
	return end >= size && end - size >= g->cluster_bytes;
}

/* What is odd about the L1 entry: enum qf_entry_odd. SIZE: the file's. */
static inline unsigned int qf_entry_l1_odd(const struct qf_geometry *g,
					   uint64_t size, uint64_t entry)
{
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;
	unsigned int odd = 0;

	if (entry & QF_L1_RESERVED_MASK)
		odd |= QF_ODD_RESERVED;
	if (off & (g->cluster_bytes - 1))
		odd |= QF_ODD_UNALIGNED;
	if (qf_entry_past_end(g, size, off, g->cluster_bytes))
		odd |= QF_ODD_PAST_END;
	return odd;
}

/*
 * What is odd about an L2 entry with its subcluster bitmap (0 without
 * extended L2 entries), in an image of VERSION in a file of SIZE bytes.
 */
unsigned int qf_entry_l2_odd(const struct qf_geometry *g, uint32_t version,
			     uint64_t size, uint64_t entry, uint64_t bitmap);

/*
 * With an external data file each cluster lies at its own guest offset, so that
 * an L2 table tells at which L1 index it stands: *L1_INDEX. Returns how many
 * entries of the cluster at TABLE say so; 0 if one says otherwise, or if the
 * image has no data file.
 */
uint32_t qf_entry_table_place(const struct qf_geometry *g,
			      const struct qf_be64 *table, uint64_t *l1_index);

#endif
