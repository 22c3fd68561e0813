// SPDX-License-Identifier: GPL-2.0-or-later
/* Judgements and words about the second walk's facts. */
#include "check/detail/detail.h"
#include "lib/walk/describe.h"

#include <inttypes.h>
#include <stdio.h>

/* With at least this many odd entries, and a quarter of all, a table holds
 * something else than L2 entries. */
#define GARBAGE_MIN 8

bool qf_detail_is_garbage(const struct qf_damage *d)
{
	uint64_t odd = d->entries - d->cut_off;

	if (d->foreign)
		return true;
	return odd >= GARBAGE_MIN && odd * 4 >= d->entries + d->sound;
}

char *qf_detail_describe(const struct qf_image *img,
			 const struct qf_detail_owner *o, char *buf,
			 size_t room)
{
	char who[400], more[48] = "";

	if (o->guest_off == QF_NOWHERE) {
		if (o->kind == QF_REF_L1)
			snprintf(buf, room, "L1 table of %s",
				 qf_describe_holder(img, o->holder, who,
						    sizeof(who)));
		else if (o->kind == QF_REF_REFBLOCK)
			snprintf(buf, room, "refcount block %" PRIu32,
				 o->l2_index);
		else
			snprintf(buf, room, "%s", qf_describe_kind(o->kind));
		return buf;
	}
	if (o->holders > 1)
		snprintf(more, sizeof(more), " and %" PRIu32 " other%s",
			 o->holders - 1, o->holders > 2 ? "s" : "");
	qf_describe_holder(img, o->holder, who, sizeof(who));
	if (o->kind == QF_REF_L2)
		snprintf(buf, room,
			 "L2 table of %s%s (L1 entry %" PRIu32
			 ", guest offset 0x%" PRIx64 ")",
			 who, more, o->l1_index, o->guest_off);
	else
		snprintf(buf, room,
			 "%s of %s%s at guest offset 0x%" PRIx64
			 " (L1 entry %" PRIu32 ", L2 entry %" PRIu32 ")",
			 qf_describe_kind(o->kind), who, more, o->guest_off,
			 o->l1_index, o->l2_index);
	return buf;
}
