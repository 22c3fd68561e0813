// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes at all as a guest's disk: every reader, in this process, without
 * its cage. No crash, no hang, and what is told lies on the disk.
 */
#include "lib/guest/guest.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool see(void *ctx, uint32_t volume, const struct qf_guest_block *b)
{
	const uint64_t *disk = ctx;

	(void)volume;
	if (b->says != QF_NOWHERE && b->says >= *disk)
		abort();
	return true;
}

static void ask(struct qf_guest *g, const uint8_t *data, uint64_t size)
{
	const struct qf_guest_range all = { 0, size };
	const struct qf_guest_loose piece = { data,
					      (uint32_t)size / 512 * 512 };
	struct qf_guest_names names;
	struct qf_guest_contents contents;
	struct qf_guest_runs runs;

	if (!qf_guest_use(g, &all, 1, &runs, NULL))
		qf_guest_runs_free(&runs);
	if (!qf_guest_names(g, &all, 1, &names, NULL))
		qf_guest_names_free(&names);
	qf_guest_blocks(g, &all, 1, see, &size, NULL);
	qf_guest_agree(g, &all, 1, see, &size, NULL);
	qf_guest_places(g, &piece, 1, see, &size, NULL);
	if (g->n && !qf_guest_path(g, 0, "/one/two", &names, NULL))
		qf_guest_names_free(&names);
	if (g->n && !qf_guest_contents(g, 0, "/one/two", &contents, NULL))
		qf_guest_contents_free(&contents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qf_chain_node node = { .disk_bytes = size };
	struct qf_chain chain = { .node = &node, .n = 1 };
	struct qf_disk *disk;
	struct qf_guest *g;

	if (!size || size > UINT32_MAX ||
	    qf_io_mem_open(data, size, "fuzz", &node.io, NULL))
		return 0;
	node.data = node.io;
	if (!qf_disk_open(&chain, QF_HOLDER_ACTIVE, &disk, NULL)) {
		if (!qf_guest_open(disk, true, &g, NULL)) {
			ask(g, data, size);
			qf_guest_close(g);
		}
		qf_disk_close(disk);
	}
	qf_io_close(node.io);
	return 0;
}
