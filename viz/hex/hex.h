/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of an image as the format names them: eight at a time, with
 * their fields, entries or refcounts in words. No toolkit in it, no reading
 * but of what the image has in memory.
 */
#ifndef QF_HEX_H
#define QF_HEX_H

#include "lib/model/image.h"
#include "viz/draw/palette.h"

enum qf_hex_as {
	QF_HEX_DATA,
	QF_HEX_HEADER,
	QF_HEX_L1,
	QF_HEX_L2,
	QF_HEX_REFTABLE,
	QF_HEX_REFBLOCK,
	QF_HEX_SNAPSHOTS,
	QF_HEX_BITMAP_DIR,
	QF_HEX_BITMAP_TABLE,
};

/* What a cluster is read as. */
struct qf_hex {
	const struct qf_image *img;
	enum qf_hex_as as;
	uint64_t off;	/* host offset of its first byte */
	uint64_t first; /* number of the first entry; of the first cluster
			 * that a refcount block counts; QF_NOWHERE: unknown */
	uint64_t guest; /* L2: guest offset of the first entry, or NOWHERE */
	char title[160];
};

/*
 * Sets H for the cluster at OFF, which the map calls KIND. GUEST: for an L2
 * table the guest offset that its first entry maps, or QF_NOWHERE.
 */
void qf_hex_set(struct qf_hex *h, const struct qf_image *img, uint64_t off,
		enum qf_kind kind, uint64_t guest);

/* Bytes of a row: 8 where there are fields, 16 for plain data. */
static inline unsigned int qf_hex_width(const struct qf_hex *h)
{
	return h->as == QF_HEX_DATA ? 16 : 8;
}

/*
 * Says in TEXT (empty: nothing) what the 8 bytes at BYTES mean, AT bytes
 * behind H->off (a multiple of 8, below the cluster's size; the cluster's
 * bytes behind them can be read as well). *TARGET becomes the host offset that they
 * point to, or QF_NOWHERE.
 */
void qf_hex_row(const struct qf_hex *h, uint64_t at, const unsigned char *bytes,
		char *text, size_t room, uint64_t *target);

#endif
