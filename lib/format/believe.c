// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/believe.h"
#include "lib/format/ext.h"

#include <string.h>

static bool is_aligned(const struct qf_header *h, uint64_t off)
{
	return !(off & ((1ull << h->cluster_bits) - 1));
}

/* True if a table of BYTES can begin at OFF. */
static bool is_place(const struct qf_header *h, uint64_t file_bytes,
		     uint64_t off, uint64_t bytes, uint64_t limit)
{
	return is_aligned(h, off) && bytes <= limit && off && off < file_bytes;
}

/* True if all that the header points to can be there. */
static bool is_placed(const struct qf_header *h, uint64_t file_bytes)
{
	uint64_t reft = (uint64_t)h->reftable_clusters << h->cluster_bits;

	if (!reft || !is_place(h, file_bytes, h->reftable_off, reft,
			       QF_MAX_REFTABLE_BYTES))
		return false;
	if (h->l1_entries && !is_place(h, file_bytes, h->l1_off,
				       h->l1_entries * 8ull, QF_MAX_L1_BYTES))
		return false;
	if (h->snapshot_count > QF_MAX_SNAPSHOTS ||
	    (h->snapshot_count &&
	     !is_place(h, file_bytes, h->snapshots_off, 0, 0)))
		return false;
	return !h->backing_name_off ||
	       (h->backing_name_off < 1ull << h->cluster_bits &&
		h->backing_name_bytes <= QF_MAX_BACKING_NAME);
}

/*
 * True if the bytes behind the first 72 are what version 2 has there: a
 * header extension, or an end mark and zeros up to the backing file's name.
 */
static bool has_v2_tail(const struct qf_wire_header *w, uint64_t bytes,
			const struct qf_header *h)
{
	const unsigned char *p = (const unsigned char *)w;
	uint64_t end = bytes < sizeof(*w) ? bytes : sizeof(*w), i;
	struct qf_be32 type, len;

	if (h->backing_name_off && h->backing_name_off < end)
		end = h->backing_name_off;
	if (end < QF_V2_HEADER_BYTES + 8)
		return true;
	memcpy(&type, p + QF_V2_HEADER_BYTES, sizeof(type));
	memcpy(&len, p + QF_V2_HEADER_BYTES + 4, sizeof(len));
	if (qf_be_get32(type))
		return strcmp(qf_ext_name(qf_be_get32(type)), "unknown") &&
		       qf_be_get32(len) <= 1ull << h->cluster_bits;
	for (i = QF_V2_HEADER_BYTES; i < end; i++)
		if (p[i])
			return false;
	return true;
}

/* Reads W as a header of VERSION. True if it can be one. */
static bool reads_as(struct qf_wire_header *w, uint64_t bytes,
		     uint64_t file_bytes, uint32_t version, struct qf_header *h)
{
	w->version = qf_be_put32(version);
	return !qf_header_parse(w, bytes, h, NULL) && is_placed(h, file_bytes);
}

/*
 * The version that the header is of; 0: it is sound as neither. One that it
 * states and can be of needs no more evidence. *OPEN: both fit, and 3 can
 * read all that 2 can.
 */
static uint32_t find_version(struct qf_wire_header *w, uint64_t bytes,
			     uint64_t file_bytes, bool *open)
{
	uint32_t stated = qf_be_get32(w->version);
	struct qf_header h;
	bool two, three;

	*open = false;
	if ((stated == 2 || stated == 3) &&
	    reads_as(w, bytes, file_bytes, stated, &h))
		return stated;
	two = reads_as(w, bytes, file_bytes, 2, &h) &&
	      has_v2_tail(w, bytes, &h);
	/* its own length is a number that chance does not write there */
	three = reads_as(w, bytes, file_bytes, 3, &h) && !(h.header_bytes % 8);
	*open = two && three;
	return three ? 3 : two ? 2 : 0;
}

enum qf_err qf_believe_parse(const struct qf_io *io, const void *buf,
			     uint64_t bytes, struct qf_header *h,
			     struct qf_why *why)
{
	struct qf_wire_header w = { 0 };
	enum qf_err err = qf_header_parse(buf, bytes, h, why);
	uint32_t magic, stated, version;
	bool open;

	if (!err || !io->believed || bytes < QF_V2_HEADER_BYTES)
		return err;
	if (bytes > sizeof(w))
		bytes = sizeof(w);
	memcpy(&w, buf, (size_t)bytes);
	magic = qf_be_get32(w.magic);
	stated = qf_be_get32(w.version);
	w.magic = qf_be_put32(QF_MAGIC);
	version = find_version(&w, bytes, io->size, &open);
	if (!version)
		return err;
	reads_as(&w, bytes, io->size, version, h);
	h->magic_wrong = magic != QF_MAGIC;
	h->version_wrong = stated != version;
	h->version_open = open;
	h->stated_magic = magic;
	h->stated_version = stated;
	return QF_OK;
}

uint32_t qf_believe_version(const struct qf_io *io,
			    const struct qf_wire_header *w)
{
	struct qf_header h;

	if (!io->believed || qf_believe_parse(io, w, sizeof(*w), &h, NULL))
		return qf_be_get32(w->version);
	return h.version;
}
