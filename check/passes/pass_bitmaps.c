// SPDX-License-Identifier: GPL-2.0-or-later
/* Persistent bitmaps: directory, entries, tables. */
#include "check/passes/pass.h"
#include "lib/io/lock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HOLDERS 64
#define NAMES 5u /* of stale bitmaps that are listed */

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

/* True if a program writes to the image just now: its bitmaps are in use. */
static bool is_written(const struct qf_image *img)
{
	struct qf_lock_holder h[MAX_HOLDERS];
	size_t n, i;

	if (img->io->fd < 0)
		return false;
	n = qf_lock_holders(img->io->fd, h, MAX_HOLDERS);
	for (i = 0; i < n && i < MAX_HOLDERS; i++)
		if (h[i].uses & QF_LOCK_WRITES)
			return true;
	return false;
}

static void in_use(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_bitmap *bm = &c->img->bitmaps.bm[i];
	char image[1200], name[1200];
	struct qf_finding *f =
		qf_pass_at(c, QF_P_BITMAP_IN_USE, bm->entry_off + 12, 4);

	qf_text_file(c->img->io->name, image, sizeof(image));
	qf_text_shell(bm->name, name, sizeof(name));
	qf_finding_say(f,
		       "every incremental backup that relies on it fails from "
		       "now on. To mend that: \"qemu-img bitmap --remove %s "
		       "%s\", then \"qemu-img bitmap --add %s %s\" and a full "
		       "backup",
		       image, name, image, name);
	own(c, f, i);
}

/* QEMU loads a bitmap only if its table has just the size of the disk's. */
static void check_size(struct qf_pass_ctx *c, uint32_t i)
{
	const struct qf_bitmap *bm = &c->img->bitmaps.bm[i];
	uint64_t disk = c->img->hdr.disk_bytes & ~511ull;
	uint64_t needed = qf_bitmap_table_needed(&c->img->geo,
						 bm->granularity_bits, disk);
	struct qf_finding *f;

	if (!disk || bm->table_entries == needed ||
	    bm->table_state == QF_BITMAP_TABLE_SIZE)
		return;
	f = qf_pass_at(c, QF_P_BITMAP_SIZE, bm->entry_off + 8, 4);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "its table has %" PRIu32
		       " entries, and a disk of %" PRIu64
		       " bytes in pieces of %" PRIu64 " needs %" PRIu64,
		       bm->table_entries, disk,
		       (uint64_t)1 << bm->granularity_bits, needed);
	own(c, f, i);
}

static void check_bitmap(struct qf_pass_ctx *c, uint32_t i, bool written)
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
	if (!(bm->flags & QF_BITMAP_IN_USE)) {
		if (!fault)
			check_size(c, i);
	} else if (!written) {
		in_use(c, i);
	}
}

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct qf_bitmap *bm = ctx;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = strcmp(bm[i].name, bm[j].name);

	return order ? order : i < j ? -1 : i > j;
}

/* Every bitmap that has the name of one before it. */
static bool check_names(struct qf_pass_ctx *c)
{
	const struct qf_bitmap_dir *d = &c->img->bitmaps;
	uint32_t *order = qf_mem_zalloc(d->n, sizeof(*order)), i;
	const struct qf_bitmap *bm;
	struct qf_finding *f;

	if (!order)
		return false;
	for (i = 0; i < d->n; i++)
		order[i] = i;
	qsort_r(order, d->n, sizeof(*order), by_name, d->bm);
	for (i = 1; i < d->n; i++) {
		bm = &d->bm[order[i]];
		if (!*bm->name || strcmp(bm->name, d->bm[order[i - 1]].name))
			continue;
		f = qf_pass_at(c, QF_P_BITMAP_NAME_TWICE, bm->entry_off,
			       bm->entry_bytes);
		qf_finding_unseen(f);
		qf_finding_say(f,
			       "entry %" PRIu32 " of the directory, and one "
			       "before it at 0x%" PRIx64,
			       order[i], d->bm[order[i - 1]].entry_off);
		own(c, f, order[i]);
	}
	free(order);
	return true;
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

/* The bitmaps that a writer without support for them has left behind. */
static void stale(struct qf_pass_ctx *c)
{
	const struct qf_bitmap_dir *d = &c->img->bitmaps;
	struct qf_finding *f =
		qf_pass_at(c, QF_P_BITMAPS_STALE, d->off, d->bytes);
	char names[400] = "", name[100];
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < d->n && i < NAMES; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s\"%s\"",
				      i ? ", " : ": ",
				      qf_text_safe(d->bm[i].name, name,
						   sizeof(name) / 2));
	f->count = d->stated;
	qf_finding_say(f, "%" PRIu32 " bitmaps%s%s", d->stated, names,
		       d->n > NAMES ? ", ..." : "");
}

enum qf_err qf_pass_bitmaps(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct qf_claim_fns fns = { c, no_claim, bad_entry, gap };
	bool written;
	uint32_t i;

	if (!c->img->ext.has_bitmaps)
		return QF_OK;
	if (!c->img->bitmaps_valid) {
		stale(c);
		return QF_OK;
	}
	check_dir(c);
	written = c->opts->shared && is_written(c->img);
	for (i = 0; i < c->img->bitmaps.n; i++)
		check_bitmap(c, i, written);
	if (!check_names(c))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the bitmaps' names");
	return qf_pass_metadata(c, &fns, why);
}
