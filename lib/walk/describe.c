// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/walk/describe.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>

char *qf_describe_holder(const struct qf_image *img, uint32_t holder, char *buf,
			 size_t room)
{
	char id[128], name[192];
	const struct qf_snapshot *s;

	if (holder == QF_HOLDER_ACTIVE) {
		snprintf(buf, room, "the active disk");
	} else if (holder == QF_HOLDER_IMAGE || holder > img->snapshots.n) {
		snprintf(buf, room, "the image");
	} else {
		s = &img->snapshots.snap[holder - 1];
		snprintf(buf, room, "snapshot %s (\"%s\")",
			 *s->id ? qf_text_safe(s->id, id, sizeof(id))
				: "without an id",
			 qf_text_safe(s->name, name, sizeof(name)));
	}
	return buf;
}

static const struct {
	const char *words, *key;
} kinds[QF_REF_KINDS] = {
	[QF_REF_HEADER] = { "header", "header" },
	[QF_REF_L1] = { "L1 table", "l1" },
	[QF_REF_L2] = { "L2 table", "l2" },
	[QF_REF_DATA] = { "guest data", "data" },
	[QF_REF_COMPRESSED] = { "compressed guest data", "compressed" },
	[QF_REF_REFTABLE] = { "refcount table", "refcount-table" },
	[QF_REF_REFBLOCK] = { "refcount block", "refcount-block" },
	[QF_REF_SNAPSHOT_TABLE] = { "snapshot table", "snapshot-table" },
	[QF_REF_BITMAP_DIR] = { "bitmap directory", "bitmap-directory" },
	[QF_REF_BITMAP_TABLE] = { "bitmap table", "bitmap-table" },
	[QF_REF_BITMAP_DATA] = { "bitmap data", "bitmap-data" },
	[QF_REF_CRYPTO] = { "encryption header", "crypto" },
};

const char *qf_describe_kind(enum qf_ref_kind kind)
{
	return kinds[kind].words;
}

const char *qf_describe_kind_key(enum qf_ref_kind kind)
{
	return kinds[kind].key;
}

const char *qf_describe_odd(unsigned int odd)
{
	static const char *const words[QF_ODD_KINDS] = {
		"reserved bits set",
		"not at a cluster's start",
		"past the end of the file",
		"compressed with COPIED",
		"compressed with a data file",
		"compressed with a subcluster bitmap",
		"subclusters allocated and zero at once",
		"subclusters without a cluster",
		"zero flag in version 2",
		"bit 0 set with extended entries",
		"not at its guest offset",
		"COPIED missing with a data file",
		"COPIED without a cluster",
		"the L1 table itself",
	};
	unsigned int bit = (unsigned int)__builtin_ctz(odd ? odd : 1);

	return bit < QF_ODD_KINDS ? words[bit] : "odd";
}
