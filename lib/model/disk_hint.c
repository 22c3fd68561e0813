// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of the files will be read soon, for a stretch of the disk. */
#include "lib/model/disk.h"
#include "lib/model/disk_layer.h"
#include "lib/format/entry.h"

/* The bytes of a file from which a stretch comes: none with an empty one. */
static struct qf_io *source_of(const struct qf_disk *g,
			       const struct qf_disk_extent *e, uint64_t *off,
			       uint64_t *bytes)
{
	const struct qf_chain_node *node = g->layer[e->depth].node;

	*bytes = 0;
	if (e->kind == QF_DISK_DATA) {
		*off = e->host_off;
		*bytes = e->bytes;
		return node->data;
	}
	if (e->kind == QF_DISK_COMPRESSED)
		qf_entry_compressed(&node->img->geo, e->entry, off, bytes);
	return node->io;
}

void qf_disk_hint(struct qf_disk *g, uint64_t off, uint64_t len)
{
	uint64_t at, from, n, start = 0, end = 0;
	struct qf_io *io, *last = NULL;
	struct qf_disk_extent e;
	char first;

	for (at = off; at < off + len; at += e.bytes) {
		if (qf_disk_at(g, at, off + len - at, &e, NULL))
			break;
		io = source_of(g, &e, &from, &n);
		if (!io || !n)
			continue;
		/* what is at hand needs no word; mostly all is, or nothing */
		if (!last && !qf_io_read_cached(io, &first, 1, from))
			return;
		if (io == last && from <= end && from >= start) {
			end = from + n > end ? from + n : end;
			continue;
		}
		if (last)
			qf_io_hint(last, start, end - start);
		last = io;
		start = from;
		end = from + n;
	}
	if (last)
		qf_io_hint(last, start, end - start);
}
