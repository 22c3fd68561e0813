/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What persistent bitmaps mark as changed: their tables and bits. Sections
 * "Bitmap table" and "Bitmap data".
 */
#ifndef QF_DIRTY_H
#define QF_DIRTY_H

#include "lib/model/image.h"

/* As QEMU has it, several bitmaps merged mark what any of them marks. */
struct qf_dirty;

/*
 * The bitmaps of IMG that LIST names: one, or several by commas. Only those
 * that QEMU relies on can be had. IMG stays the caller's and must live as
 * long. Errors: QF_ERR_USAGE (no such bitmap; WHY names those there are),
 * QF_ERR_FORMAT (damaged, or QEMU does not load it), QF_ERR_BUSY (in use, or
 * left so), QF_ERR_NOMEM. Free with qf_dirty_close (NULL-safe).
 */
enum qf_err qf_dirty_open(const struct qf_image *img, const char *list,
			  struct qf_dirty **out, struct qf_why *why);
void qf_dirty_close(struct qf_dirty *d);

/*
 * Whether the guest byte OFF is marked, and in *END (at most OFF + LIMIT)
 * where that ends; what follows can be alike. Errors: QF_ERR_IO,
 * QF_ERR_FORMAT.
 */
enum qf_err qf_dirty_at(struct qf_dirty *d, uint64_t off, uint64_t limit,
			bool *marked, uint64_t *end, struct qf_why *why);

/* The name of the first of them that is disabled: it is told of no write.
 * NULL: none is. */
const char *qf_dirty_disabled(const struct qf_dirty *d);

#endif
