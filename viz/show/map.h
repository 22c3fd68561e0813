/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stretches of a disk, merged as `qemu-img map` merges them. */
#ifndef QF_MAP_H
#define QF_MAP_H

#include "lib/model/disk.h"

/* False stops. */
typedef bool qf_map_fn(void *ctx, const struct qf_disk_extent *e);

/*
 * Calls FN for the stretches of [START, START + BYTES), which is cut to the
 * disk. Errors: QF_ERR_NOMEM, QF_ERR_STOPPED.
 */
enum qf_err qf_map_run(struct qf_disk *g, uint64_t start, uint64_t bytes,
		       qf_map_fn *fn, void *ctx, struct qf_why *why);

/*
 * The holder that TEXT names in IMG: "active", a snapshot's id or name; NULL
 * is the active disk. Errors: QF_ERR_USAGE, and WHY tells which there are.
 */
enum qf_err qf_map_holder(const struct qf_image *img, const char *text,
			  uint32_t *holder, struct qf_why *why);

#endif
