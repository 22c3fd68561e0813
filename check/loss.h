/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the states of a disk have lost, for those who read them: the judge's
 * list, as the report of a check has it. A reader alone takes an erased table
 * for an empty one. Nothing is printed here.
 */
#ifndef QF_LOSS_H
#define QF_LOSS_H

#include "check/check.h"
#include "lib/model/disk.h"

/* The lists of the files that were judged, each once. */
struct qf_loss {
	/* set by the caller: */
	bool shared; /* the images may be written meanwhile (-U) */
	bool data;   /* inflate every compressed cluster as well */
	/* private */
	struct qf_loss_file *file;
	size_t n, room;
};

/*
 * Judges each image of CHAIN that was not judged before, and tells DISK, which
 * is HOLDER's state of it, what it has lost (qf_disk_lose); of the backing
 * files, that is what their active disks have lost. Errors: as qf_check_run,
 * and with SHARED as qf_check_shared. Free with qf_loss_free, also after an
 * error.
 */
enum qf_err qf_loss_tell(struct qf_loss *l, const struct qf_chain *chain,
			 uint32_t holder, struct qf_disk *disk,
			 struct qf_why *why);

/* IMG was judged, and the report's list is LOST, which is copied: it is not
 * judged again. Errors: QF_ERR_NOMEM. */
enum qf_err qf_loss_know(struct qf_loss *l, const struct qf_image *img,
			 const struct qf_lost_list *lost, struct qf_why *why);
void qf_loss_free(struct qf_loss *l);

#endif
