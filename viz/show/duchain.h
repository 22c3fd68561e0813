/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of a backing chain hold, and what joining them would move. */
#ifndef QF_DUCHAIN_H
#define QF_DUCHAIN_H

#include "lib/model/disk.h"

/* Guest bytes. */
struct qf_duchain_layer {
	uint64_t data, zeros;		  /* that the file maps itself */
	uint64_t shown_data, shown_zeros; /* of them, what the disk shows */
	/* Of the disk: it reads zeros because this file is too short. A pull
	 * writes them down, as QEMU does it, but for those past the end of the
	 * file that is next to the image. */
	uint64_t past_end;
	uint64_t unknown; /* nobody knows what it has there: damage */
	/*
	 * What a commit to the file below has to map there anew, in whole
	 * clusters of that one; 0 for the last one, and above a raw file.
	 */
	uint64_t grows;
};

/*
 * Looks at every file of CHAIN, of which DISK is the active state. *LAYER has
 * one a node and is freed by free(). Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_duchain_make(const struct qf_chain *chain, struct qf_disk *disk,
			    struct qf_duchain_layer **layer,
			    struct qf_why *why);

#endif
