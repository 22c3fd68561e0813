// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/bitmap.h"
#include "lib/base/mem.h"

#include <stdlib.h>

uint64_t qf_bitmap_table_needed(const struct qf_geometry *g,
				uint8_t granularity_bits, uint64_t disk_bytes)
{
	uint64_t bits;

	if (granularity_bits > 63)
		return 0;
	bits = qf_mem_div_up(disk_bytes, 1ull << granularity_bits);
	return qf_mem_div_up(qf_mem_div_up(bits, 8), g->cluster_bytes);
}

static enum qf_bitmap_table_state table_state(const struct qf_io *io,
					      const struct qf_geometry *g,
					      const struct qf_bitmap *bm)
{
	uint64_t bytes = (uint64_t)bm->table_entries * 8;

	if (bm->table_off & (g->cluster_bytes - 1) || !bm->table_off ||
	    bm->table_off >= io->size || bytes > io->size - bm->table_off)
		return QF_BITMAP_TABLE_OFFSET;
	if (!bm->table_entries ||
	    bm->table_entries > QF_MAX_BITMAP_TABLE_ENTRIES)
		return QF_BITMAP_TABLE_SIZE;
	return QF_BITMAP_TABLE_OK;
}

static bool all_zero(const unsigned char *p, uint64_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* Decodes the entry in P, of which LEFT bytes are there. */
static enum qf_err take_entry(const unsigned char *p, uint64_t left,
			      struct qf_bitmap *bm)
{
	struct qf_wire_bitmap w;
	uint64_t used;

	if (left < sizeof(w))
		return QF_ERR_OUTSIDE;
	memcpy(&w, p, sizeof(w));
	bm->table_off = qf_be_get64(w.table_offset);
	bm->table_entries = qf_be_get32(w.table_size);
	bm->flags = qf_be_get32(w.flags);
	bm->type = w.type;
	bm->granularity_bits = w.granularity_bits;
	bm->name_bytes = qf_be_get16(w.name_len);
	bm->extra_bytes = qf_be_get32(w.extra_len);
	used = sizeof(w) + (uint64_t)bm->extra_bytes + bm->name_bytes;
	if (used > left)
		return QF_ERR_OUTSIDE;
	bm->entry_bytes = (uint32_t)qf_mem_round_up(used, 8);
	if (bm->entry_bytes > left)
		bm->entry_bytes = (uint32_t)left;
	bm->name = qf_mem_zalloc(1, (size_t)bm->name_bytes + 1);
	if (!bm->name)
		return QF_ERR_NOMEM;
	memcpy(bm->name, p + sizeof(w) + bm->extra_bytes, bm->name_bytes);
	bm->padding_dirty = !all_zero(p + used, bm->entry_bytes - used);
	return QF_OK;
}

static enum qf_err take_all(struct qf_io *io, const struct qf_geometry *g,
			    const unsigned char *buf, struct qf_bitmap_dir *d)
{
	struct qf_bitmap *bm;
	uint64_t at = 0;
	size_t room = 0;
	enum qf_err err;

	while (at < d->bytes) {
		if (d->n == d->stated) {
			d->state = QF_BITMAPS_COUNT;
			break;
		}
		if (!qf_mem_grow((void **)&d->bm, d->n, &room, sizeof(*bm)))
			return QF_ERR_NOMEM;
		bm = &d->bm[d->n];
		memset(bm, 0, sizeof(*bm));
		bm->entry_off = d->off + at;
		err = take_entry(buf + at, d->bytes - at, bm);
		if (err == QF_ERR_NOMEM)
			return err;
		if (err) {
			d->state = QF_BITMAPS_CUT;
			d->bad_off = d->off + at;
			return QF_OK;
		}
		d->n++;
		at += bm->entry_bytes;
		bm->table_state = table_state(io, g, bm);
	}
	if (d->n < d->stated && d->state == QF_BITMAPS_OK)
		d->state = QF_BITMAPS_COUNT;
	return QF_OK;
}

/* Looks whether there is a directory that can be read at all. */
static bool usable(struct qf_io *io, const struct qf_geometry *g,
		   struct qf_bitmap_dir *d)
{
	if (d->off & (g->cluster_bytes - 1) || !d->off || d->off >= io->size)
		d->state = QF_BITMAPS_OFFSET;
	else if (!d->bytes || d->bytes > QF_MAX_BITMAP_DIRECTORY_BYTES ||
		 d->bytes > io->size - d->off)
		d->state = QF_BITMAPS_SIZE;
	else if (!d->stated || d->stated > QF_MAX_BITMAPS)
		d->state = QF_BITMAPS_COUNT;
	else
		return true;
	return false;
}

enum qf_err qf_bitmap_read(struct qf_io *io, const struct qf_geometry *g,
			   const struct qf_ext_list *ext,
			   struct qf_bitmap_dir *d, struct qf_why *why)
{
	unsigned char *buf;
	enum qf_err err;

	memset(d, 0, sizeof(*d));
	if (!ext->has_bitmaps)
		return QF_OK;
	d->off = ext->bitmap_dir_off;
	d->bytes = ext->bitmap_dir_bytes;
	d->stated = ext->bitmap_count;
	d->bad_off = d->off;
	if (!usable(io, g, d))
		return QF_OK;
	buf = qf_mem_zalloc(1, (size_t)d->bytes);
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, d->off,
				  "no memory for the bitmap directory");
	err = qf_io_read(io, buf, d->bytes, d->off, why);
	if (err) {
		d->state = QF_BITMAPS_UNREADABLE;
		err = QF_OK;
	} else {
		err = take_all(io, g, buf, d);
	}
	free(buf);
	if (err) {
		qf_bitmap_free(d);
		qf_err_set(why, err, 0, d->off, "no memory for the bitmaps");
	}
	return err;
}

void qf_bitmap_free(struct qf_bitmap_dir *d)
{
	uint32_t i;

	for (i = 0; i < d->n; i++)
		free(d->bm[i].name);
	free(d->bm);
	d->bm = NULL;
	d->n = 0;
}
