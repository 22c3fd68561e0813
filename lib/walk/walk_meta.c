// SPDX-License-Identifier: LGPL-2.1-or-later
/* The walker's part outside the L2 tables: metadata and pointer tables. */
#include "lib/base/mem.h"
#include "lib/walk/walk.h"

#include <stdlib.h>

#define CHUNK_BYTES (512ull << 10)
#define PIECE_BYTES 4096ull
#define CROSS_BUDGET (4ull << 20)

/*
 * Moves *AT to the next byte that is not in a hole of the file. What lies in
 * a hole reads as zeros, and a zero entry is of no interest.
 */
static void skip_hole(struct qf_io *io, uint64_t *at, uint64_t end)
{
	uint64_t kind_end;

	if (qf_io_extent(io, *at, end, &kind_end) == QF_IO_HOLE)
		*at = kind_end & ~7ull;
}

static bool visit_chunk(const struct qf_be64 *w, uint64_t n, uint64_t index,
			const struct qf_table_fns *fns)
{
	uint64_t i, entry;

	for (i = 0; i < n; i++) {
		entry = qf_be_get64(w[i]);
		if (entry && !fns->entry(fns->ctx, index + i, entry))
			return false;
	}
	return true;
}

/* After a failed read: the chunk piece by piece, passing over what fails. */
static enum qf_err read_pieces(struct qf_io *io, void *buf, uint64_t n,
			       uint64_t off, const struct qf_table_fns *fns,
			       struct qf_why *why)
{
	struct qf_why local = { 0 };
	uint64_t at, piece;

	for (at = 0; at < n; at += piece) {
		piece = n - at < PIECE_BYTES ? n - at : PIECE_BYTES;
		if (!qf_io_read_pad(io, (char *)buf + at, piece, off + at,
				    why ? why : &local))
			continue;
		if (!fns->gap)
			return QF_ERR_IO;
		memset((char *)buf + at, 0, piece);
		if (!fns->gap(fns->ctx, off + at, piece,
			      why ? why->sys : local.sys))
			return QF_ERR_STOPPED;
	}
	return QF_OK;
}

enum qf_err qf_walk_table(struct qf_io *io, uint64_t off, uint64_t entries,
			  const struct qf_table_fns *fns, struct qf_why *why)
{
	uint64_t at = off, end = off + entries * 8, n;
	enum qf_err err = QF_OK;
	struct qf_be64 *buf;

	if (end > io->size)
		end = io->size & ~7ull;
	if (at >= end)
		return QF_OK;
	n = end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES;
	buf = qf_mem_zalloc(1, n);
	if (!buf)
		return QF_ERR_NOMEM;
	while (!err && at < end) {
		/* asking for holes costs: only where a table is long */
		if (entries * 8 > CHUNK_BYTES)
			skip_hole(io, &at, end);
		n = end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES;
		err = qf_io_read_pad(io, buf, n, at, why);
		if (err)
			err = read_pieces(io, buf, n, at, fns, why);
		if (!err && !visit_chunk(buf, n / 8, (at - off) / 8, fns))
			err = QF_ERR_STOPPED;
		at += n;
	}
	free(buf);
	return err;
}

struct meta {
	struct qf_image *img;
	const struct qf_claim_fns *fns;
	struct qf_claim claim; /* template for the entries of a table */
};

static bool claim(struct meta *m, enum qf_ref_kind kind, uint32_t holder,
		  uint64_t off, uint64_t bytes, uint64_t pointer_off,
		  uint64_t index)
{
	struct qf_claim c = { .kind = kind,
			      .holder = holder,
			      .off = off,
			      .bytes = bytes,
			      .pointer_off = pointer_off,
			      .index = index };

	return !bytes || m->fns->claim(m->fns->ctx, &c);
}

static bool claim_l1_tables(struct meta *m)
{
	struct qf_image *img = m->img;
	uint32_t h, entries;
	uint64_t off, pointer;

	for (h = 0; h < qf_image_holders(img); h++) {
		if (!qf_image_l1(img, h, &off, &entries))
			continue;
		pointer = h ? img->snapshots.snap[h - 1].entry_off : 40;
		if (!claim(m, QF_REF_L1, h, off, entries * 8ull, pointer, 0))
			return false;
	}
	return true;
}

static bool claim_refcounts(struct meta *m)
{
	struct qf_image *img = m->img;
	uint64_t i, off;

	if (!claim(m, QF_REF_REFTABLE, QF_HOLDER_IMAGE, img->hdr.reftable_off,
		   img->reftable_entries * 8, 48, 0))
		return false;
	for (i = 0; i < img->reftable_used; i++) {
		/* as QEMU does: a pointer that breaks the rules owns nothing */
		if (img->reftable[i] &
		    (QF_REFT_RESERVED_MASK | (img->geo.cluster_bytes - 1)))
			continue;
		off = img->reftable[i] & QF_REFT_OFFSET_MASK;
		if (off && !claim(m, QF_REF_REFBLOCK, QF_HOLDER_IMAGE, off,
				  img->geo.cluster_bytes,
				  img->hdr.reftable_off + i * 8, i))
			return false;
	}
	return true;
}

static bool claim_bitmap_data(void *ctx, uint64_t index, uint64_t entry)
{
	struct meta *m = ctx;
	struct qf_claim c = m->claim;

	c.off = entry & QF_BME_OFFSET_MASK;
	c.index = index;
	c.pointer_off += index * 8;
	if (entry & QF_BME_RESERVED_MASK ||
	    (c.off && entry & QF_BME_ALL_ONES) ||
	    c.off & (m->img->geo.cluster_bytes - 1))
		return !m->fns->bad || m->fns->bad(m->fns->ctx, &c, entry);
	return !c.off || m->fns->claim(m->fns->ctx, &c);
}

static bool bitmap_gap(void *ctx, uint64_t off, uint64_t bytes, int sys)
{
	struct meta *m = ctx;

	return !m->fns->gap ||
	       m->fns->gap(m->fns->ctx, &m->claim, off, bytes, sys);
}

static enum qf_err claim_bitmap(struct meta *m, uint32_t i, bool skip)
{
	struct qf_table_fns fns = { m, claim_bitmap_data, bitmap_gap };
	struct qf_bitmap *bm = &m->img->bitmaps.bm[i];

	if (!claim(m, QF_REF_BITMAP_TABLE, i, bm->table_off,
		   bm->table_entries * 8ull, bm->entry_off, i))
		return QF_ERR_STOPPED;
	if (bm->table_state != QF_BITMAP_TABLE_OK || skip)
		return QF_OK;
	m->claim = (struct qf_claim){ .kind = QF_REF_BITMAP_DATA,
				      .holder = i,
				      .bytes = m->img->geo.cluster_bytes,
				      .pointer_off = bm->table_off };
	return qf_walk_table(m->img->io, bm->table_off, bm->table_entries, &fns,
			     NULL);
}

static int by_table(const void *pa, const void *pb)
{
	const struct qf_bitmap *const *a = pa, *const *b = pb;

	if ((*a)->table_off != (*b)->table_off)
		return (*a)->table_off < (*b)->table_off ? -1 : 1;
	return *a < *b ? -1 : *a > *b;
}

/*
 * Tables that cross each other are damage; they are followed all the same, but
 * only up to CROSS_BUDGET entries, as thousands of bitmaps could name one.
 * Marks in SKIP which are not. False: no memory.
 */
static bool skip_crossing(const struct qf_bitmap_dir *d, bool *skip)
{
	const struct qf_bitmap **at = qf_mem_zalloc(d->n, sizeof(*at)), *bm;
	uint64_t seen_end = 0, crossed = 0, twice, end;
	uint32_t i;

	for (i = 0; at && i < d->n; i++)
		at[i] = &d->bm[i];
	if (at && d->n)
		qsort(at, d->n, sizeof(*at), by_table);
	for (i = 0; at && i < d->n; i++) {
		bm = at[i];
		if (bm->table_state != QF_BITMAP_TABLE_OK)
			continue;
		end = bm->table_off + bm->table_entries * 8ull;
		twice = end < seen_end ? end : seen_end;
		twice = twice > bm->table_off ? (twice - bm->table_off) / 8 : 0;
		skip[bm - d->bm] = twice && crossed + twice > CROSS_BUDGET;
		if (skip[bm - d->bm])
			continue;
		crossed += twice;
		seen_end = end > seen_end ? end : seen_end;
	}
	free(at);
	return at;
}

/* Bitmaps count only while the autoclear bit vouches for them. */
static enum qf_err claim_bitmaps(struct meta *m)
{
	struct qf_bitmap_dir *d = &m->img->bitmaps;
	enum qf_err err = QF_OK;
	bool *skip;
	uint32_t i;

	if (!m->img->bitmaps_valid || d->state == QF_BITMAPS_OFFSET)
		return QF_OK;
	if (!claim(m, QF_REF_BITMAP_DIR, QF_HOLDER_IMAGE, d->off, d->bytes,
		   QF_NOWHERE, 0))
		return QF_ERR_STOPPED;
	skip = qf_mem_zalloc(d->n, sizeof(*skip));
	if (!skip || !skip_crossing(d, skip))
		err = QF_ERR_NOMEM;
	for (i = 0; !err && i < d->n; i++)
		err = claim_bitmap(m, i, skip[i]);
	free(skip);
	return err;
}

/* No program takes a LUKS header inside a cluster for one: that pointer leads
 * nowhere, and owns nothing. */
static uint64_t crypto_bytes(const struct qf_image *img)
{
	return img->ext.crypto_off & (img->geo.cluster_bytes - 1)
		       ? 0
		       : img->ext.crypto_bytes;
}

enum qf_err qf_walk_metadata(struct qf_image *img,
			     const struct qf_claim_fns *fns)
{
	struct meta m = { .img = img, .fns = fns };
	struct qf_snapshot_table *t = &img->snapshots;
	enum qf_err err;

	if (!claim(&m, QF_REF_HEADER, QF_HOLDER_IMAGE, 0,
		   img->geo.cluster_bytes, QF_NOWHERE, 0) ||
	    !claim_l1_tables(&m) ||
	    !claim(&m, QF_REF_SNAPSHOT_TABLE, QF_HOLDER_IMAGE, t->off, t->bytes,
		   64, 0) ||
	    !claim(&m, QF_REF_CRYPTO, QF_HOLDER_IMAGE, img->ext.crypto_off,
		   crypto_bytes(img), QF_NOWHERE, 0))
		return QF_ERR_STOPPED;
	err = claim_bitmaps(&m);
	if (!err && !claim_refcounts(&m))
		err = QF_ERR_STOPPED;
	return err;
}
