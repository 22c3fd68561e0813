// SPDX-License-Identifier: GPL-2.0-or-later
/* Persistent bitmaps: directory, entries, tables. */
#include "check/pass.h"
#include "lib/text.h"

#include <inttypes.h>
#include <string.h>

static void check_dir(struct qf_pass_ctx *c)
{
	const struct qf_bitmap_dir *d = &c->img->bitmaps;
	static const char *const words[] = {
		[QF_BITMAPS_OFFSET] = "it is said to be at 0x%" PRIx64
				      ", which no directory can be",
		[QF_BITMAPS_SIZE] = "its size makes no sense (at 0x%" PRIx64
				    ")",
		[QF_BITMAPS_COUNT] = "the number of bitmaps does not go with "
				     "what is there (at 0x%" PRIx64 ")",
		[QF_BITMAPS_CUT] = "an entry does not fit in (at 0x%" PRIx64
				   ")",
		[QF_BITMAPS_GARBLED] = "an entry makes no sense (at 0x%" PRIx64
				       ")",
	};
	struct qf_finding *f;

	if (d->state == QF_BITMAPS_OK)
		return;
	if (d->state == QF_BITMAPS_UNREADABLE) {
		qf_finding_say(qf_pass_at(c, QF_P_BITMAP_UNREADABLE, d->off,
					  d->bytes),
			       "the bitmap directory");
		return;
	}
	f = qf_pass_at(c, QF_P_BITMAP_DIR, d->bad_off, 24);
	qf_finding_say(f, words[d->state], d->bad_off);
}

static void own(struct qf_pass_ctx *c, struct qf_finding *f, uint32_t i)
{
	char name[300];

	qf_finding_owner(f, "bitmap \"%s\"",
			 qf_text_safe(c->img->bitmaps.bm[i].name, name,
				      sizeof(name)));
}

/* What keeps QEMU from loading this entry, or NULL. */
static const char *entry_fault(const struct qf_bitmap *bm)
{
	if (bm->flags & ~QF_BITMAP_FLAGS_KNOWN)
		return "reserved flags are set";
	if (bm->type != QF_BITMAP_TYPE_DIRTY)
		return "its type is not known";
	if (bm->granularity_bits < QF_MIN_GRANULARITY_BITS ||
	    bm->granularity_bits > QF_MAX_GRANULARITY_BITS)
		return "its granularity makes no sense";
	if (!bm->name_bytes || bm->name_bytes > QF_MAX_BITMAP_NAME)
		return "its name's length makes no sense";
	if (bm->extra_bytes && !(bm->flags & QF_BITMAP_EXTRA_COMPATIBLE))
		return "it has extra data that are not known here";
	return NULL;
}

static void check_bitmap(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_bitmap *bm = &c->img->bitmaps.bm[i];
	const char *fault = entry_fault(bm);
	struct qf_finding *f;

	if (fault) {
		f = qf_pass_at(c, QF_P_BITMAP_DIR, bm->entry_off,
			       bm->entry_bytes);
		qf_finding_say(f, "%s", fault);
		own(c, f, i);
	}
	if (bm->table_state != QF_BITMAP_TABLE_OK) {
		f = qf_pass_at(c, QF_P_BITMAP_TABLE, bm->entry_off,
			       bm->entry_bytes);
		qf_finding_say(f, "%" PRIu32 " entries at 0x%" PRIx64,
			       bm->table_entries, bm->table_off);
		own(c, f, i);
	}
}

static bool no_claim(void *ctx, const struct qf_claim *cl)
{
	(void)ctx;
	(void)cl;
	return true;
}

static bool bad_entry(void *ctx, const struct qf_claim *cl, uint64_t entry)
{
	struct qf_pass_ctx *c = ctx;
	struct qf_finding *f =
		qf_pass_at(c, QF_P_BITMAP_ENTRY, cl->pointer_off, 8);

	qf_finding_say(f, "entry %" PRIu64 " is 0x%016" PRIx64, cl->index,
		       entry);
	own(c, f, cl->holder);
	return true;
}

static bool gap(void *ctx, const struct qf_claim *cl, uint64_t off,
		uint64_t bytes, int sys)
{
	struct qf_pass_ctx *c = ctx;
	struct qf_finding *f =
		qf_pass_at(c, QF_P_BITMAP_UNREADABLE, off, bytes);

	qf_finding_say(f, "%s", strerror(sys));
	own(c, f, cl->holder);
	return true;
}

enum qf_err qf_pass_bitmaps(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct qf_claim_fns fns = { c, no_claim, bad_entry, gap };
	struct qf_finding *f;
	uint32_t i;

	(void)why;
	if (!c->img->ext.has_bitmaps)
		return QF_OK;
	if (!c->img->bitmaps_valid) {
		f = qf_pass_at(c, QF_P_BITMAPS_STALE, c->img->bitmaps.off,
			       c->img->bitmaps.bytes);
		qf_finding_say(f, "%" PRIu32 " bitmaps",
			       c->img->bitmaps.stated);
		return QF_OK;
	}
	check_dir(c);
	for (i = 0; i < c->img->bitmaps.n; i++)
		check_bitmap(c, i);
	return qf_walk_metadata(c->img, &fns);
}
