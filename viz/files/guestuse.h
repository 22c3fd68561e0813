/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the use of a guest's volume and its mapping in the image lie over each
 * other. */
#ifndef QF_GUESTUSE_H
#define QF_GUESTUSE_H

#include "lib/guest/guest.h"

#define QF_GUESTUSE_CELLS 40

/* By enum qf_guest_use. */
struct qf_guestuse {
	uint64_t bytes[3];
	uint64_t mapped[3];	   /* of these, the image or a base has data */
	uint64_t damaged[3];	   /* of these, nobody knows where they are */
	struct qf_guest_runs runs; /* in the order of the volume */
	char bar[QF_GUESTUSE_CELLS + 1]; /* '#' used, '.' free, '?' unknown,
					    '!' damaged */
};

/*
 * Asks the file system of VOLUME, and DISK, which the volumes are of, for
 * its mapping. Errors: QF_ERR_NOMEM. Free with qf_guestuse_free.
 */
enum qf_err qf_guestuse_of(struct qf_guest *g, struct qf_disk *disk,
			   uint32_t volume, struct qf_guestuse *out,
			   struct qf_why *why);
void qf_guestuse_free(struct qf_guestuse *u);

#endif
