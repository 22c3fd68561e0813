// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/dirty.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One bitmap, and the cluster of its bits that was read last. */
struct bits {
	const struct qf_bitmap *bm;
	uint64_t index;	     /* of the cluster, in the table */
	bool held;	     /* it has been read */
	int all;	     /* all bits are this; -1: see bytes */
	unsigned char *byte; /* owned; a cluster */
};

struct qf_dirty {
	const struct qf_image *img;
	struct bits *of; /* owned */
	uint32_t n;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the bitmap");
}

static const struct qf_bitmap *find(const struct qf_image *img,
				    const char *name)
{
	uint32_t i;

	for (i = 0; i < img->bitmaps.n; i++)
		if (!strcmp(img->bitmaps.bm[i].name, name))
			return &img->bitmaps.bm[i];
	return NULL;
}

static enum qf_err not_there(const struct qf_image *img, const char *name,
			     struct qf_why *why)
{
	const struct qf_bitmap_dir *d = &img->bitmaps;
	char list[200] = "", safe[80];
	size_t n = 0;
	uint32_t i;

	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE, "has no bitmap \"%s\"",
		   qf_text_safe(name, safe, sizeof(safe)));
	for (i = 0; i < d->n && n < sizeof(list) - 90; i++)
		n += (size_t)snprintf(
			list + n, sizeof(list) - n, "%s\"%s\"", i ? ", " : "",
			qf_text_safe(d->bm[i].name, safe, sizeof(safe)));
	if (why && d->n)
		qf_err_next(why, "it has %s%s", list, i < d->n ? ", ..." : "");
	return QF_ERR_USAGE;
}

/* What keeps QEMU from loading the bitmap, or NULL. */
static const char *fault(const struct qf_image *img, const struct qf_bitmap *bm)
{
	if (bm->type != QF_BITMAP_TYPE_DIRTY ||
	    bm->flags & ~QF_BITMAP_FLAGS_KNOWN ||
	    (bm->extra_bytes && !(bm->flags & QF_BITMAP_EXTRA_COMPATIBLE)))
		return "is of a kind that is not known";
	if (bm->granularity_bits < QF_MIN_GRANULARITY_BITS ||
	    bm->granularity_bits > QF_MAX_GRANULARITY_BITS)
		return "has a granularity that makes no sense";
	if (bm->table_state != QF_BITMAP_TABLE_OK)
		return "has a table whose place or size makes no sense";
	if (bm->table_entries !=
	    qf_bitmap_table_needed(&img->geo, bm->granularity_bits,
				   img->hdr.disk_bytes & ~511ull))
		return "has not the size of the disk";
	return NULL;
}

static enum qf_err check(const struct qf_image *img, const struct qf_bitmap *bm,
			 struct qf_why *why)
{
	const char *text = fault(img, bm);
	char safe[100];

	qf_text_safe(bm->name, safe, sizeof(safe));
	if (text) {
		qf_err_set(why, QF_ERR_FORMAT, 0, bm->entry_off,
			   "the bitmap \"%s\" %s: QEMU does not load it", safe,
			   text);
		qf_err_next(why, "qfsck check tells what is wrong");
		return QF_ERR_FORMAT;
	}
	if (!(bm->flags & QF_BITMAP_IN_USE))
		return QF_OK;
	qf_err_set(why, QF_ERR_BUSY, 0, bm->entry_off,
		   "the bitmap \"%s\" is in use, or was left so: the file has "
		   "it as it was before, and QEMU does not rely on it",
		   safe);
	qf_err_next(why, "stop the program that writes to the image; if there "
			 "is none, the bitmap is lost: make a new one and a "
			 "full backup");
	return QF_ERR_BUSY;
}

static enum qf_err add(struct qf_dirty *d, const char *name, struct qf_why *why)
{
	const struct qf_bitmap *bm = find(d->img, name);
	struct bits *b = &d->of[d->n];
	enum qf_err err;

	if (!bm)
		return not_there(d->img, name, why);
	err = check(d->img, bm, why);
	if (err)
		return err;
	b->bm = bm;
	b->byte = qf_mem_zalloc(1, d->img->geo.cluster_bytes);
	if (!b->byte)
		return no_memory(why);
	d->n++;
	return QF_OK;
}

/* A bitmap's name may have commas in it. */
static enum qf_err add_all(struct qf_dirty *d, const char *list,
			   struct qf_why *why)
{
	enum qf_err err = QF_OK;
	const char *p;
	size_t most = 1;
	char *copy, *rest, *name;

	for (p = list; *p; p++)
		most += *p == ',';
	d->of = qf_mem_zalloc(most, sizeof(*d->of));
	copy = strdup(list);
	if (!d->of || !copy) {
		err = no_memory(why);
	} else if (find(d->img, list)) {
		err = add(d, list, why);
	} else {
		rest = copy;
		while (!err && (name = strsep(&rest, ",")))
			err = add(d, name, why);
	}
	free(copy);
	return err;
}

enum qf_err qf_dirty_open(const struct qf_image *img, const char *list,
			  struct qf_dirty **out, struct qf_why *why)
{
	struct qf_dirty *d;
	enum qf_err err;

	if (img->ext.has_bitmaps && !img->bitmaps_valid) {
		qf_err_set(why, QF_ERR_FORMAT, 0, img->bitmaps.off,
			   "the bitmaps are stale: a program that does not "
			   "know them has written to the image, and QEMU "
			   "ignores them");
		qf_err_next(why, "make new bitmaps and a full backup");
		return QF_ERR_FORMAT;
	}
	d = qf_mem_zalloc(1, sizeof(*d));
	if (!d)
		return no_memory(why);
	d->img = img;
	err = add_all(d, list, why);
	if (err)
		qf_dirty_close(d);
	else
		*out = d;
	return err;
}

void qf_dirty_close(struct qf_dirty *d)
{
	uint32_t i;

	if (!d)
		return;
	for (i = 0; i < d->n; i++)
		free(d->of[i].byte);
	free(d->of);
	free(d);
}

/* The bits of the table's entry INDEX, in B. */
static enum qf_err load(const struct qf_image *img, struct bits *b,
			uint64_t index, struct qf_why *why)
{
	uint64_t at = b->bm->table_off + index * 8, entry, off;
	struct qf_be64 w;
	enum qf_err err;

	if (b->held && b->index == index)
		return QF_OK;
	b->held = false;
	err = qf_io_read(img->io, &w, sizeof(w), at, why);
	if (err)
		return err;
	entry = qf_be_get64(w);
	off = entry & QF_BME_OFFSET_MASK;
	if (entry & QF_BME_RESERVED_MASK || (off && entry & QF_BME_ALL_ONES) ||
	    off & (img->geo.cluster_bytes - 1)) {
		qf_err_set(why, QF_ERR_FORMAT, 0, at,
			   "the bitmap's table is damaged: entry %" PRIu64
			   " is 0x%016" PRIx64,
			   index, entry);
		qf_err_next(why, "qfsck check tells what is wrong");
		return QF_ERR_FORMAT;
	}
	b->all = off ? -1 : (int)(entry & QF_BME_ALL_ONES);
	if (off)
		err = qf_io_read(img->io, b->byte, img->geo.cluster_bytes, off,
				 why);
	b->index = index;
	b->held = !err;
	return err;
}

static bool bit_at(const struct bits *b, uint64_t i)
{
	return b->all >= 0 ? b->all : b->byte[i >> 3] >> (i & 7) & 1;
}

/* Of the cluster that is held: where the run of bits alike that begins at I
 * ends, at N at the latest. */
static uint64_t run_end(const struct bits *b, uint64_t i, uint64_t n)
{
	bool bit = bit_at(b, i);
	unsigned char same = bit ? 0xff : 0;

	if (b->all >= 0)
		return n;
	for (i++; i < n;) {
		if (!(i & 7) && b->byte[i >> 3] == same)
			i += 8;
		else if (bit_at(b, i) == bit)
			i++;
		else
			break;
	}
	return i < n ? i : n;
}

/* The same of one bitmap: *END may lie beyond the disk. */
static enum qf_err one_at(const struct qf_image *img, struct bits *b,
			  uint64_t off, bool *marked, uint64_t *end,
			  struct qf_why *why)
{
	uint8_t shift = b->bm->granularity_bits;
	uint64_t per = img->geo.cluster_bytes * 8, bit = off >> shift;
	enum qf_err err = load(img, b, bit / per, why);

	if (err)
		return err;
	*marked = bit_at(b, bit % per);
	bit += run_end(b, bit % per, per) - bit % per;
	*end = bit > UINT64_MAX >> shift ? UINT64_MAX : bit << shift;
	return QF_OK;
}

enum qf_err qf_dirty_at(struct qf_dirty *d, uint64_t off, uint64_t limit,
			bool *marked, uint64_t *end, struct qf_why *why)
{
	uint64_t e, clean_end = off + limit, marked_end = off;
	enum qf_err err;
	uint32_t i;
	bool m;

	*marked = false;
	for (i = 0; i < d->n; i++) {
		err = one_at(d->img, &d->of[i], off, &m, &e, why);
		if (err)
			return err;
		*marked |= m;
		if (m && e > marked_end)
			marked_end = e;
		if (!m && e < clean_end)
			clean_end = e;
	}
	*end = *marked && marked_end < off + limit ? marked_end : off + limit;
	if (!*marked)
		*end = clean_end;
	return QF_OK;
}

const char *qf_dirty_disabled(const struct qf_dirty *d)
{
	uint32_t i;

	for (i = 0; i < d->n; i++)
		if (!(d->of[i].bm->flags & QF_BITMAP_AUTO))
			return d->of[i].bm->name;
	return NULL;
}
