// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/header.h"

#include <inttypes.h>
#include <stddef.h>

static void take_v2(const struct qf_wire_header *w, struct qf_header *h)
{
	h->backing_name_off = qf_be_get64(w->backing_file_offset);
	h->backing_name_bytes = qf_be_get32(w->backing_file_size);
	h->cluster_bits = qf_be_get32(w->cluster_bits);
	h->disk_bytes = qf_be_get64(w->size);
	h->crypt_method = qf_be_get32(w->crypt_method);
	h->l1_entries = qf_be_get32(w->l1_size);
	h->l1_off = qf_be_get64(w->l1_table_offset);
	h->reftable_off = qf_be_get64(w->refcount_table_offset);
	h->reftable_clusters = qf_be_get32(w->refcount_table_clusters);
	h->snapshot_count = qf_be_get32(w->nb_snapshots);
	h->snapshots_off = qf_be_get64(w->snapshots_offset);
	h->refcount_order = 4;
	h->header_bytes = QF_V2_HEADER_BYTES;
}

static void take_v3(const struct qf_wire_header *w, struct qf_header *h)
{
	h->incompatible = qf_be_get64(w->incompatible_features);
	h->compatible = qf_be_get64(w->compatible_features);
	h->autoclear = qf_be_get64(w->autoclear_features);
	h->refcount_order = qf_be_get32(w->refcount_order);
	h->header_bytes = qf_be_get32(w->header_length);
	if (h->header_bytes > offsetof(struct qf_wire_header, compression_type))
		h->compression = w->compression_type;
	if (h->header_bytes > offsetof(struct qf_wire_header, padding))
		memcpy(h->padding, w->padding, sizeof(h->padding));
}

static enum qf_err check_sizes(const struct qf_header *h, struct qf_why *why)
{
	if (h->cluster_bits < QF_MIN_CLUSTER_BITS ||
	    h->cluster_bits > QF_MAX_CLUSTER_BITS)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 20,
				  "the header states cluster_bits %" PRIu32
				  ", and only 9 to 21 have a meaning",
				  h->cluster_bits);
	if (h->refcount_order > 6)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 96,
				  "the header states refcount_order %" PRIu32
				  ", and only 0 to 6 have a meaning",
				  h->refcount_order);
	if (h->version >= 3 && h->header_bytes < QF_V3_HEADER_BYTES)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 100,
				  "the header states its own length as %" PRIu32
				  ", and version 3 needs at least 104",
				  h->header_bytes);
	if (h->header_bytes > 1ull << h->cluster_bits)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 100,
				  "the header states its own length as %" PRIu32
				  ", more than a cluster",
				  h->header_bytes);
	return QF_OK;
}

static enum qf_err check_features(const struct qf_header *h, struct qf_why *why)
{
	uint64_t unknown = h->incompatible & ~QF_INCOMPAT_KNOWN;

	if (unknown)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 72,
				  "the image uses incompatible features that "
				  "are not known here (bits 0x%" PRIx64 ")",
				  unknown);
	if (h->incompatible & QF_INCOMPAT_EXTL2 &&
	    h->cluster_bits < QF_MIN_EXTL2_CLUSTER_BITS)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 20,
				  "extended L2 entries need clusters of 16 KiB "
				  "or more, and cluster_bits is %" PRIu32,
				  h->cluster_bits);
	if (h->crypt_method > QF_CRYPT_LUKS)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 32,
				  "the header states encryption method %" PRIu32
				  ", which is not known here",
				  h->crypt_method);
	if (h->compression > QF_COMPRESSION_ZSTD)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, 104,
				  "the header states compression type %u, "
				  "which is not known here",
				  h->compression);
	return QF_OK;
}

enum qf_err qf_header_parse(const void *buf, uint64_t bytes,
			    struct qf_header *h, struct qf_why *why)
{
	struct qf_wire_header w;
	enum qf_err err;

	memset(&w, 0, sizeof(w));
	memcpy(&w, buf, bytes < sizeof(w) ? (size_t)bytes : sizeof(w));
	memset(h, 0, sizeof(*h));
	if (bytes < 4 || qf_be_get32(w.magic) != QF_MAGIC)
		return qf_err_set(why, QF_ERR_FOREIGN, 0, 0,
				  "is not a qcow2 image");
	h->version = qf_be_get32(w.version);
	if (bytes < QF_V2_HEADER_BYTES)
		return qf_err_set(why, QF_ERR_FORMAT, 0, 0,
				  "the file ends inside the qcow2 header, "
				  "after %" PRIu64 " bytes",
				  bytes);
	if (h->version < 2 || h->version > 3)
		return qf_err_set(why,
				  h->version < 2 ? QF_ERR_FOREIGN
						 : QF_ERR_UNSUPPORTED,
				  0, 4,
				  "is of qcow version %" PRIu32
				  "; only versions 2 and 3 are checked",
				  h->version);
	take_v2(&w, h);
	if (h->version >= 3) {
		if (bytes < QF_V3_HEADER_BYTES)
			return qf_err_set(why, QF_ERR_FORMAT, 0, 0,
					  "the file ends inside the qcow2 "
					  "header, after %" PRIu64 " bytes",
					  bytes);
		take_v3(&w, h);
	}
	err = check_sizes(h, why);
	return err ? err : check_features(h, why);
}

uint64_t qf_header_l1_needed(const struct qf_geometry *g, uint64_t disk_bytes)
{
	uint32_t shift = g->cluster_bits + g->l2_bits;

	if (!disk_bytes)
		return 0;
	return ((disk_bytes - 1) >> shift) + 1;
}

void qf_header_geometry(const struct qf_header *h, struct qf_geometry *g)
{
	memset(g, 0, sizeof(*g));
	g->cluster_bits = h->cluster_bits;
	g->cluster_bytes = 1ull << h->cluster_bits;
	g->refcount_bits = 1u << h->refcount_order;
	g->refcount_max = h->refcount_order == 6
				  ? UINT64_MAX
				  : (1ull << g->refcount_bits) - 1;
	g->refblock_bits = h->cluster_bits + 3 - h->refcount_order;
	g->extl2 = h->incompatible & QF_INCOMPAT_EXTL2;
	g->data_file = h->incompatible & QF_INCOMPAT_DATA_FILE;
	g->l2_entry_bytes = g->extl2 ? 16 : 8;
	g->l2_bits = h->cluster_bits - (g->extl2 ? 4 : 3);
	g->l2_entries = 1u << g->l2_bits;
	g->csize_shift = 62 - (h->cluster_bits - 8);
	g->csize_mask = (1ull << (h->cluster_bits - 8)) - 1;
	g->coffset_mask = (1ull << g->csize_shift) - 1;
	g->subcluster_bytes = g->extl2 ? g->cluster_bytes / QF_SUBCLUSTERS
				       : g->cluster_bytes;
	g->l1_needed = qf_header_l1_needed(g, h->disk_bytes);
}

const char *qf_header_feature(unsigned int type, unsigned int bit)
{
	static const char *const names[3][5] = {
		{ "dirty bit", "corrupt bit", "external data file",
		  "compression type", "extended L2 entries" },
		{ "lazy refcounts" },
		{ "bitmaps", "raw external data" },
	};

	return type < 3 && bit < 5 ? names[type][bit] : NULL;
}
