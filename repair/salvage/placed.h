/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk as it would be if an L2 table that nobody names stood at a place of
 * the user's choice. Nothing is written to the image.
 */
#ifndef QF_PLACED_H
#define QF_PLACED_H

#include "lib/io/io_overlay.h"
#include "lib/model/image.h"

struct qf_placed {
	struct qf_overlay *over;
	struct qf_image *img; /* as it would be */
};

/*
 * Lets the L2 table at the host offset HOST map the stretch of BASE's active
 * disk in which the guest offset GUEST lies. What of BASE's L1 table cannot be
 * read is empty. BASE stays the caller's and must live longer. Errors:
 * QF_ERR_USAGE (no table can be there, or no such stretch), QF_ERR_NOMEM, as
 * qf_image_open. Free with qf_placed_free, also after an error.
 */
enum qf_err qf_placed_open(struct qf_image *base, uint64_t host, uint64_t guest,
			   struct qf_placed *p, struct qf_why *why);
void qf_placed_free(struct qf_placed *p);

#endif
