/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes that the hex view shows: of the file, or of the disk as its guest
 * reads it, with compressed clusters inflated.
 */
#ifndef QF_HEX_BYTES_H
#define QF_HEX_BYTES_H

#include "viz/browse/app.h"

/* The cursor in them, and how many there are. */
uint64_t *qf_hex_bytes_cursor(struct qf_app *a);
uint64_t qf_hex_bytes_size(const struct qf_app *a);

/* The disk that is read, or NULL: it is not known yet. */
struct qf_guestmap *qf_hex_bytes_disk(const struct qf_app *a);

/* Reads N bytes at OFF; zeros behind the end. Of the disk, what is lost is
 * zeros, and *LOST (may be NULL) is set. */
enum qf_err qf_hex_bytes_read(struct qf_app *a, void *buf, uint64_t n,
			      uint64_t off, bool *lost, struct qf_why *why);

/* How many bytes from OFF on are zeros without a look at them. */
uint64_t qf_hex_bytes_zeros(struct qf_app *a, uint64_t off);

/* Writes N bytes from OFF on to the new file NAME, and says how that went. */
void qf_hex_bytes_write(struct qf_app *a, const char *name, uint64_t off,
			uint64_t n);

/* From the bytes of the disk to those of the file at the same place. */
void qf_hex_bytes_to_file(struct qf_app *a);

#endif
