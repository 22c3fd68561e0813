// SPDX-License-Identifier: LGPL-2.1-or-later
/* Linux swap: a header and pages; which of them are in use nobody wrote. */
#include "lib/guest/ident.h"
#include "lib/guest/le.h"
#include "lib/guest/reader.h"

#include <string.h>

static bool probe(struct qf_volume *v, struct qf_guest_fs *fs)
{
	static const uint32_t sizes[] = { 4096, 8192, 16384, 65536 };
	unsigned char head[1024 + 48], magic[10];
	uint64_t bytes;
	size_t i;

	if (!qf_volume_read(v, head, sizeof(head), 0))
		return false;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (qf_volume_read(v, magic, 10, sizes[i] - 10) &&
		    !memcmp(magic, "SWAPSPACE2", 10))
			break;
	if (i == sizeof(sizes) / sizeof(sizes[0]) ||
	    qf_le_get32(head, 1024) != 1)
		return false;
	strcpy(fs->kind, "swap");
	fs->block_bytes = sizes[i];
	bytes = (uint64_t)qf_le_get32(head, 1028) + 1;
	fs->bytes = bytes * sizes[i];
	qf_ident_uuid(head + 1036, fs->uuid, sizeof(fs->uuid));
	qf_ident_text(head + 1052, 16, fs->label, sizeof(fs->label));
	fs->opaque = true;
	return true;
}

const struct qf_reader qf_fs_swap_reader = { .probe = probe };
