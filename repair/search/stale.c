// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/search/stale.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define MAX_BYTES (1ull << 30)

/* True if nobody owns CLUSTER, and it may be looked at. */
static bool is_wanted(const struct qf_fix_ctx *c, uint64_t cluster, bool leaked)
{
	uint64_t stated;

	if (qf_ledger_count(c->recount.ledger, cluster, NULL) ||
	    qf_ranges_has(&c->plan->fresh, cluster << c->img->geo.cluster_bits))
		return false;
	return leaked || (!qf_fix_refcount(c, cluster, &stated) && !stated);
}

enum qf_err qf_stale_scan(const struct qf_fix_ctx *c, bool leaked,
			  bool (*see)(void *ctx, uint64_t off,
				      const struct qf_be64 *buf),
			  void *ctx, bool *all, struct qf_why *why)
{
	uint64_t size = c->img->geo.cluster_bytes, at = 0, end = 0, spent = 0;
	uint64_t last = c->recount.clusters << c->img->geo.cluster_bits;
	struct qf_be64 *buf = qf_mem_zalloc(1, size);

	*all = true;
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look for older tables");
	for (; at < last; at += size) {
		if (at + size > end &&
		    qf_io_extent(c->img->io, at, last, &end) == QF_IO_HOLE &&
		    end >= at + size) {
			at = (end & ~(size - 1)) - size;
			continue;
		}
		if (!is_wanted(c, at >> c->img->geo.cluster_bits, leaked))
			continue;
		if (spent + size > MAX_BYTES) {
			*all = false;
			break;
		}
		spent += size;
		if (qf_io_read_pad(c->img->io, buf, size, at, NULL))
			*all = false; /* who knows what stands there */
		else if (!see(ctx, at, buf))
			break;
	}
	free(buf);
	return QF_OK;
}
