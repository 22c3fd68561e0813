/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One state of the disk, before and after a plan, side by side. Of gate. */
#ifndef QF_GATE_VIEW_H
#define QF_GATE_VIEW_H

#include "lib/model/chain.h"
#include "lib/model/disk.h"
#include "lib/io/io_overlay.h"

struct qf_gate_side {
	struct qf_image *img; /* the caller's */
	struct qf_chain_node node;
	struct qf_chain chain;
	struct qf_disk *disk; /* NULL: it has none that can be followed */
	unsigned char *buf;   /* owned */
};

struct qf_gate_view {
	struct qf_gate_side before, after;
	const struct qf_overlay *over;
	bool backing; /* what is not mapped shows a backing file */
	bool garbled; /* of the last difference: nothing sensible can be read */
};

/*
 * Opens the state of holder H of A and of holder K of B; the images stay the
 * caller's. OVER is what B has over A. Errors: QF_ERR_NOMEM. Free with
 * qf_gate_view_close, also after an error.
 */
enum qf_err qf_gate_view_open(struct qf_gate_view *v, struct qf_image *a,
			      uint32_t h, struct qf_image *b, uint32_t k,
			      const struct qf_overlay *over,
			      struct qf_why *why);
void qf_gate_view_close(struct qf_gate_view *v);

/*
 * Looks at the guest range [*AT, END) for the next piece that reads otherwise:
 * *AT is moved to it, *BYTES is how long it is, *HOW says what is different;
 * NULL: there is none. What read nothing before is no difference. V->garbled:
 * what the plan writes there is encrypted for another place of the file, so
 * that no licence can be meant for it. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_gate_view_next(struct qf_gate_view *v, uint64_t *at,
			      uint64_t end, uint64_t *bytes, const char **how,
			      struct qf_why *why);

#endif
