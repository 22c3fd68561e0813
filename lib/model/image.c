// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/image.h"
#include "lib/format/believe.h"
#include "lib/format/entry.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"

#include <stdlib.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
}

/* The state of a table of BYTES at OFF, before it is read. */
static enum qf_part part_state(const struct qf_image *img, uint64_t off,
			       uint64_t bytes, uint64_t limit)
{
	/* at the start of the file is the header, and nothing else */
	if (off & (img->geo.cluster_bytes - 1) || (bytes && !off))
		return QF_PART_UNALIGNED;
	if (bytes > limit)
		return QF_PART_TOO_LARGE;
	if (!bytes)
		return QF_PART_ABSENT;
	/* the file's last cluster may be partial, and reads as zeros */
	if (off >= img->io->size ||
	    qf_entry_past_end(&img->geo, img->io->size, off, bytes))
		return QF_PART_OUTSIDE;
	return QF_PART_OK;
}

/*
 * Loads the refcount table as far as the file holds it: what lies past the
 * end reads as zeros, and the state tells.
 */
static enum qf_err load_reftable(struct qf_image *img, struct qf_why *why)
{
	uint64_t bytes = (uint64_t)img->hdr.reftable_clusters
			 << img->geo.cluster_bits;
	struct qf_be64 w;
	uint64_t i;

	img->reftable_state = part_state(img, img->hdr.reftable_off, bytes,
					 QF_MAX_REFTABLE_BYTES);
	if (img->reftable_state != QF_PART_OK &&
	    img->reftable_state != QF_PART_OUTSIDE)
		return QF_OK;
	img->reftable = qf_mem_zalloc(bytes / 8, 8);
	if (!img->reftable)
		return no_memory(why);
	if (qf_io_read_pad(img->io, img->reftable, bytes, img->hdr.reftable_off,
			   why)) {
		img->reftable_state = QF_PART_UNREADABLE;
		memset(img->reftable, 0, bytes);
		return QF_OK;
	}
	img->reftable_entries = bytes / 8;
	for (i = 0; i < img->reftable_entries; i++) {
		memcpy(&w, &img->reftable[i], sizeof(w));
		img->reftable[i] = qf_be_get64(w);
		if (img->reftable[i])
			img->reftable_used = i + 1;
	}
	return QF_OK;
}

/* Backing file name: "Byte 8 - 15" and "16 - 19" of the header. */
static enum qf_err take_backing_name(struct qf_image *img,
				     const unsigned char *area, uint64_t bytes,
				     struct qf_why *why)
{
	uint64_t off = img->hdr.backing_name_off;
	uint64_t len = img->hdr.backing_name_bytes;

	if (!off)
		return QF_OK;
	if (off > bytes || len > bytes - off || len > QF_MAX_BACKING_NAME) {
		img->backing_name_bad = true;
		return QF_OK;
	}
	img->backing_name = qf_mem_zalloc(1, (size_t)len + 1);
	if (!img->backing_name)
		return no_memory(why);
	memcpy(img->backing_name, area + off, (size_t)len);
	return QF_OK;
}

/* Reads the first cluster: extensions, backing name, data file name. */
static enum qf_err load_header_cluster(struct qf_image *img, struct qf_why *why)
{
	uint64_t bytes = img->geo.cluster_bytes;
	uint64_t off = img->hdr.backing_name_off;
	unsigned char *area;
	const char *name;
	enum qf_err err;

	area = qf_mem_zalloc(1, (size_t)bytes);
	if (!area)
		return no_memory(why);
	err = qf_io_read_pad(img->io, area, bytes, 0, why);
	if (err)
		goto out;
	img->ext_area_end = off && off < bytes ? off : bytes;
	err = qf_ext_parse(area, img->hdr.header_bytes, img->ext_area_end,
			   &img->ext, why);
	if (!err)
		err = take_backing_name(img, area, bytes, why);
	name = qf_ext_string(&img->ext, QF_EXT_DATA_FILE);
	if (!err && name && img->geo.data_file) {
		img->data_file_name = strdup(name);
		if (!img->data_file_name)
			err = no_memory(why);
	}
out:
	free(area);
	return err;
}

static enum qf_err load(struct qf_image *img, struct qf_why *why)
{
	struct qf_wire_header w;
	int64_t n = img->io->ops->read(img->io, &w, sizeof(w), 0);
	enum qf_err err;

	if (n < 0)
		return qf_err_set(why, QF_ERR_IO, (int)-n, 0,
				  "cannot read the header");
	err = qf_believe_parse(img->io, &w, (uint64_t)n, &img->hdr, why);
	if (err)
		return err;
	qf_header_geometry(&img->hdr, &img->geo);
	err = load_header_cluster(img, why);
	if (err)
		return err;
	img->l1_state = part_state(img, img->hdr.l1_off,
				   (uint64_t)img->hdr.l1_entries * 8,
				   QF_MAX_L1_BYTES);
	err = load_reftable(img, why);
	if (!err)
		err = qf_snapshot_read(img->io, &img->hdr, &img->snapshots,
				       why);
	img->bitmaps_valid = img->hdr.version >= 3 &&
			     img->hdr.autoclear & QF_AUTOCLEAR_BITMAPS;
	if (!err)
		err = qf_bitmap_read(img->io, &img->geo, &img->ext,
				     &img->bitmaps, why);
	return err;
}

enum qf_err qf_image_open(struct qf_io *io, struct qf_image **out,
			  struct qf_why *why)
{
	struct qf_image *img = qf_mem_zalloc(1, sizeof(*img));
	enum qf_err err;

	if (!img) {
		qf_io_close(io);
		return no_memory(why);
	}
	img->io = io;
	err = load(img, why);
	if (err) {
		qf_image_close(img);
		return err;
	}
	*out = img;
	return QF_OK;
}

void qf_image_close(struct qf_image *img)
{
	if (!img)
		return;
	qf_ext_free(&img->ext);
	qf_snapshot_free(&img->snapshots);
	qf_bitmap_free(&img->bitmaps);
	free(img->backing_name);
	free(img->data_file_name);
	free(img->reftable);
	qf_io_close(img->io);
	free(img);
}

uint64_t qf_image_clusters(const struct qf_image *img)
{
	return qf_mem_div_up(img->io->size, img->geo.cluster_bytes);
}

/*
 * The block that has the refcount of CLUSTER, and the byte in it; 0: no block,
 * or none that can be followed.
 */
static enum qf_err find_refcount(const struct qf_image *img, uint64_t cluster,
				 uint64_t *off, struct qf_why *why)
{
	uint64_t block =
		qf_image_refblock(img, cluster >> img->geo.refblock_bits);
	uint64_t i = cluster & ((1ull << img->geo.refblock_bits) - 1);

	*off = 0;
	if (!block && img->reftable_state == QF_PART_UNREADABLE)
		return qf_err_set(why, QF_ERR_IO, 0, img->hdr.reftable_off,
				  "the refcount table cannot be read");
	if (block & (img->geo.cluster_bytes - 1))
		return qf_err_set(why, QF_ERR_FORMAT, 0, block,
				  "the refcount block is not aligned");
	if (block)
		*off = block + ((i << img->hdr.refcount_order) >> 3);
	return QF_OK;
}

/* The refcount of CLUSTER, whose (first) byte is at BUF. */
static uint64_t take_refcount(const struct qf_image *img, uint64_t cluster,
			      const unsigned char *buf)
{
	uint32_t order = img->hdr.refcount_order;

	return qf_refblock_get(buf, order,
			       order < 3 ? cluster & ((8u >> order) - 1) : 0);
}

enum qf_err qf_image_refcount(const struct qf_image *img, uint64_t cluster,
			      uint64_t *refcount, struct qf_why *why)
{
	unsigned char buf[8] = { 0 };
	uint64_t off;
	enum qf_err err = find_refcount(img, cluster, &off, why);

	*refcount = 0;
	if (err || !off)
		return err;
	err = qf_io_read_pad(img->io, buf, sizeof(buf), off, why);
	if (!err)
		*refcount = take_refcount(img, cluster, buf);
	return err;
}

enum qf_err qf_image_refcount_near(const struct qf_image *img,
				   struct qf_refcount_piece *p,
				   uint64_t cluster, uint64_t *refcount,
				   struct qf_why *why)
{
	uint64_t off, at;
	enum qf_err err = find_refcount(img, cluster, &off, why);

	*refcount = 0;
	if (err || !off)
		return err;
	at = off & ~(uint64_t)(sizeof(p->bytes) - 1);
	if (!p->held || p->off != at) {
		p->held = !qf_io_read_pad(img->io, p->bytes, sizeof(p->bytes),
					  at, NULL);
		p->off = at;
	}
	if (!p->held)
		return qf_image_refcount(img, cluster, refcount, why);
	*refcount = take_refcount(img, cluster, p->bytes + (off - at));
	return QF_OK;
}

bool qf_image_l1(const struct qf_image *img, uint32_t holder, uint64_t *off,
		 uint32_t *entries)
{
	const struct qf_snapshot *s;

	if (holder == QF_HOLDER_ACTIVE) {
		*off = img->hdr.l1_off;
		*entries = img->hdr.l1_entries;
		return img->l1_state == QF_PART_OK ||
		       img->l1_state == QF_PART_OUTSIDE;
	}
	if (holder == QF_HOLDER_IMAGE || holder > img->snapshots.n)
		return false;
	s = &img->snapshots.snap[holder - 1];
	*off = s->l1_off;
	*entries = s->l1_entries;
	return s->l1_entries && !(s->l1_off & (img->geo.cluster_bytes - 1)) &&
	       s->l1_entries <= QF_MAX_L1_BYTES / 8;
}
