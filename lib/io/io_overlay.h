/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image as it would be after some edits: what was put over it, and
 * elsewhere the bytes of another io. Nothing is written anywhere. The edits
 * are kept in blocks of 512 bytes, so that they can be taken out again as
 * what differs, in the order of the file.
 */
#ifndef QF_IO_OVERLAY_H
#define QF_IO_OVERLAY_H

#include "lib/io/io.h"

#define QF_OVERLAY_BLOCK 512u

struct qf_overlay;

/* An overlay over BASE, which stays the caller's and must live longer.
 * Errors: QF_ERR_NOMEM. Free with qf_overlay_free. */
enum qf_err qf_overlay_new(struct qf_io *base, struct qf_overlay **out,
			   struct qf_why *why);
void qf_overlay_free(struct qf_overlay *o);

/*
 * Puts LEN bytes at OFF, also past the end, which then moves. Not while
 * someone reads. Errors: QF_ERR_NOMEM, QF_ERR_IO (a block that is covered in
 * part has to be read first).
 */
enum qf_err qf_overlay_put(struct qf_overlay *o, uint64_t off, const void *buf,
			   uint64_t len, struct qf_why *why);

/*
 * Puts the LEN bytes that the base has at SRC to OFF, without reading them
 * now. All three are multiples of QF_OVERLAY_BLOCK. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_overlay_copy(struct qf_overlay *o, uint64_t off, uint64_t src,
			    uint64_t len, struct qf_why *why);

/*
 * The edited bytes at FROM or behind: *OFF and *LEN (at most LIMIT) of the
 * first such run. False if there are none.
 */
bool qf_overlay_next(const struct qf_overlay *o, uint64_t from, uint64_t limit,
		     uint64_t *off, uint64_t *len);

/* The size that the image then has. */
uint64_t qf_overlay_size(const struct qf_overlay *o);

/* True if the place has been put to, in full or in part. */
bool qf_overlay_covers(const struct qf_overlay *o, uint64_t off, uint64_t len);

/*
 * Where the base has the byte that the overlay shows at OFF: at *SRC, and so
 * for *LEN bytes at the least. False if it was put.
 */
bool qf_overlay_source(const struct qf_overlay *o, uint64_t off, uint64_t *src,
		       uint64_t *len);

/*
 * An io that shows the overlay as it is at the time of each reading; its
 * size is the present one. It must be closed before the overlay is freed.
 */
enum qf_err qf_overlay_view(struct qf_overlay *o, struct qf_io **io,
			    struct qf_why *why);

#endif
