/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of an image in words. Pure; no printing. */
#ifndef QF_DESCRIBE_H
#define QF_DESCRIBE_H

#include "lib/walk/walk.h"

#include <stddef.h>

/* "the active disk", "snapshot 3 (\"before upgrade\")", "the image". */
char *qf_describe_holder(const struct qf_image *img, uint32_t holder, char *buf,
			 size_t room);

/* "L2 table", "refcount block", "guest data", ... */
const char *qf_describe_kind(enum qf_ref_kind kind);

/* The kind in the words of the JSON shapes: "l2", "refcount-block", ... */
const char *qf_describe_kind_key(enum qf_ref_kind kind);

/* What an unlucky entry does wrong, e.g. "reserved bits set". ODD is one
 * bit of enum qf_entry_odd. */
const char *qf_describe_odd(unsigned int odd);

#endif
