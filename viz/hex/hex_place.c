// SPDX-License-Identifier: GPL-2.0-or-later
/* Which structure a cluster holds, and which part of it. */
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "viz/hex/hex.h"

#include <inttypes.h>
#include <stdio.h>

static bool within(uint64_t off, uint64_t start, uint64_t bytes)
{
	return off >= start && off - start < bytes;
}

/* True if the cluster lies in the holder's L1 table. */
static bool in_l1(struct qf_hex *h, uint32_t holder)
{
	char who[128];
	uint32_t entries;
	uint64_t off;

	if (!qf_image_l1(h->img, holder, &off, &entries) ||
	    !within(h->off, off, (uint64_t)entries * 8))
		return false;
	h->as = QF_HEX_L1;
	h->first = (h->off - off) / 8;
	snprintf(h->title, sizeof(h->title), "L1 table of %s",
		 qf_describe_holder(h->img, holder, who, sizeof(who)));
	return true;
}

static void place_l1(struct qf_hex *h)
{
	uint32_t i;

	for (i = 0; i < qf_image_holders(h->img); i++)
		if (in_l1(h, i))
			return;
	h->as = QF_HEX_L1;
	snprintf(h->title, sizeof(h->title), "L1 table");
}

static void place_refblock(struct qf_hex *h)
{
	uint64_t i;

	h->as = QF_HEX_REFBLOCK;
	for (i = 0; i < h->img->reftable_entries; i++) {
		if (qf_image_refblock(h->img, i) != h->off)
			continue;
		h->first = i << h->img->geo.refblock_bits;
		snprintf(h->title, sizeof(h->title),
			 "refcount block %" PRIu64
			 ", of the clusters from %" PRIu64 " on",
			 i, h->first);
		return;
	}
	snprintf(h->title, sizeof(h->title), "refcount block");
}

static void place_bitmap(struct qf_hex *h)
{
	const struct qf_bitmap_dir *d = &h->img->bitmaps;
	uint32_t i;

	if (within(h->off, d->off, d->bytes)) {
		h->as = QF_HEX_BITMAP_DIR;
		snprintf(h->title, sizeof(h->title), "bitmap directory");
		return;
	}
	snprintf(h->title, sizeof(h->title), "bits of a bitmap");
	for (i = 0; i < d->n; i++)
		if (within(h->off, d->bm[i].table_off,
			   (uint64_t)d->bm[i].table_entries * 8)) {
			h->as = QF_HEX_BITMAP_TABLE;
			h->first = (h->off - d->bm[i].table_off) / 8;
			snprintf(h->title, sizeof(h->title),
				 "table of bitmap %u", i);
			return;
		}
}

static void place_reftable(struct qf_hex *h)
{
	h->as = QF_HEX_REFTABLE;
	if (h->off >= h->img->hdr.reftable_off)
		h->first = (h->off - h->img->hdr.reftable_off) / 8;
	snprintf(h->title, sizeof(h->title), "refcount table");
}

/* Damaged: the header's pointers say what ought to be there. */
static void place_damaged(struct qf_hex *h)
{
	const struct qf_image *img = h->img;
	uint64_t i;

	snprintf(h->title, sizeof(h->title), "damaged");
	if (!h->off) {
		h->as = QF_HEX_HEADER;
		return;
	}
	for (i = 0; i < qf_image_holders(img); i++)
		if (in_l1(h, (uint32_t)i))
			return;
	if (within(h->off, img->hdr.reftable_off, img->reftable_entries * 8)) {
		place_reftable(h);
		return;
	}
	for (i = 0; i < img->reftable_entries; i++)
		if (qf_image_refblock(img, i) == h->off) {
			place_refblock(h);
			return;
		}
	if (within(h->off, img->snapshots.off, img->snapshots.bytes))
		h->as = QF_HEX_SNAPSHOTS;
	else if (h->guest != QF_NOWHERE)
		h->as = QF_HEX_L2;
}

void qf_hex_set(struct qf_hex *h, const struct qf_image *img, uint64_t off,
		enum qf_kind kind, uint64_t guest)
{
	h->img = img;
	h->as = QF_HEX_DATA;
	h->off = off;
	h->first = QF_NOWHERE;
	h->guest = guest;
	snprintf(h->title, sizeof(h->title), "%s",
		 qf_palette_kind(kind)->title);
	switch (kind) {
	case QF_KIND_HEADER:
		h->as = QF_HEX_HEADER;
		break;
	case QF_KIND_L1:
		place_l1(h);
		break;
	case QF_KIND_L2:
		h->as = QF_HEX_L2;
		break;
	case QF_KIND_REFTABLE:
		place_reftable(h);
		break;
	case QF_KIND_REFBLOCK:
		place_refblock(h);
		break;
	case QF_KIND_SNAPTABLE:
		h->as = QF_HEX_SNAPSHOTS;
		break;
	case QF_KIND_BITMAP:
		place_bitmap(h);
		break;
	case QF_KIND_DAMAGED:
	case QF_KIND_UNKNOWN:
		place_damaged(h);
		break;
	default:
		break;
	}
}
