/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One qcow2 file, opened: header, extensions, refcount table, snapshot table
 * and bitmap directory in memory; the tables with one entry a cluster stay
 * in the file. Opening is lenient: whatever part is damaged has a state that
 * says so, and the rest is there all the same.
 */
#ifndef QF_IMAGE_H
#define QF_IMAGE_H

#include "lib/format/bitmap.h"
#include "lib/format/ext.h"
#include "lib/format/header.h"
#include "lib/io/io.h"
#include "lib/format/snapshot.h"

/* The state of a table that the header points to. */
enum qf_part {
	QF_PART_OK,
	QF_PART_ABSENT,	    /* the header says that there is none */
	QF_PART_UNALIGNED,  /* its offset is no multiple of a cluster */
	QF_PART_OUTSIDE,    /* (partly) past the end of the file */
	QF_PART_TOO_LARGE,  /* longer than QEMU's limit */
	QF_PART_UNREADABLE, /* an I/O error */
};

struct qf_image {
	struct qf_io *io; /* owned */
	struct qf_header hdr;
	struct qf_geometry geo;
	struct qf_ext_list ext;
	uint64_t ext_area_end; /* where the extensions must end */

	char *backing_name;    /* owned; NULL: none, or not readable */
	bool backing_name_bad; /* its place or length has no meaning */
	char *data_file_name;  /* owned; NULL: none */

	enum qf_part l1_state;

	uint64_t *reftable;	   /* owned; in host order, raw entries */
	uint64_t reftable_entries; /* loaded */
	uint64_t reftable_used;	   /* up to the last that is not 0 */
	enum qf_part reftable_state;

	struct qf_snapshot_table snapshots;
	struct qf_bitmap_dir bitmaps;
	bool bitmaps_valid; /* the autoclear bit vouches for them */
};

/*
 * Reads the image behind IO, which it owns from now on, also on failure.
 * Errors: as qf_header_parse, QF_ERR_IO (the header cannot be read),
 * QF_ERR_NOMEM. *OUT is freed with qf_image_close.
 */
enum qf_err qf_image_open(struct qf_io *io, struct qf_image **out,
			  struct qf_why *why);

void qf_image_close(struct qf_image *img);

/* The clusters that the file has, a partial last one included. */
uint64_t qf_image_clusters(const struct qf_image *img);

/* The host offset of refcount block I, reserved bits off; 0: none. */
static inline uint64_t qf_image_refblock(const struct qf_image *img, uint64_t i)
{
	if (i >= img->reftable_entries)
		return 0;
	return img->reftable[i] & QF_REFT_OFFSET_MASK;
}

/*
 * The refcount that the file states for CLUSTER. Errors: QF_ERR_IO if its
 * block or the refcount table cannot be read, QF_ERR_FORMAT if its block is
 * not aligned.
 */
enum qf_err qf_image_refcount(const struct qf_image *img, uint64_t cluster,
			      uint64_t *refcount, struct qf_why *why);

/* What was read last around a refcount; all zero at first. */
struct qf_refcount_piece {
	uint64_t off;
	bool held;
	unsigned char bytes[512];
};

/*
 * The same for one who asks for many that lie close to each other, while
 * nothing changes in the file: most are answered out of P.
 */
enum qf_err qf_image_refcount_near(const struct qf_image *img,
				   struct qf_refcount_piece *p,
				   uint64_t cluster, uint64_t *refcount,
				   struct qf_why *why);

/*
 * Who holds a reference: the active disk, a snapshot (its place in the
 * table), or the image as a whole.
 */
#define QF_HOLDER_ACTIVE 0u
#define QF_HOLDER_IMAGE UINT32_MAX
#define QF_HOLDER_SNAPSHOT(i) ((uint32_t)(i) + 1)

/* Place and length of the holder's L1 table; false if it has none that can
 * be followed (unaligned, too large). */
bool qf_image_l1(const struct qf_image *img, uint32_t holder, uint64_t *off,
		 uint32_t *entries);

static inline uint32_t qf_image_holders(const struct qf_image *img)
{
	return img->snapshots.n + 1;
}

#endif
