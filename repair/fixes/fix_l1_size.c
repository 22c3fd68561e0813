// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The length of the active L1 table, against the size of the disk. Where the
 * table would reach over what others own, or is too short while what it lacks
 * stands behind it, the length is wrong; where no table of the length that the
 * disk would need can have been there, the size is.
 */
#include "lib/base/mem.h"
#include "repair/fixes/fix.h"
#include "repair/search/orphan.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#define HEADER_SIZE offsetof(struct qf_wire_header, size)
#define HEADER_L1_SIZE offsetof(struct qf_wire_header, l1_size)
#define MAX_ENTRIES (QF_MAX_L1_BYTES / 8)

/* What stands where the table is said to be. */
struct table {
	struct qf_fix_ctx *c;
	uint64_t off;
	uint64_t counted; /* entries that were followed */
	struct qf_be64 *entry;
	uint64_t n; /* of them, in the file */
};

/* True if the cluster of the table at byte AT is its own, or nobody's. */
static bool is_own(const struct table *t, uint64_t at)
{
	uint64_t cl = (t->off + at) >> t->c->img->geo.cluster_bits;
	uint64_t end =
		qf_mem_round_up(t->counted * 8, t->c->img->geo.cluster_bytes);
	unsigned int flags = 0;

	if (at >= end)
		return qf_orphan_is(t->c, t->off + at);
	return qf_ledger_count(t->c->recount.ledger, cl, &flags) == 1 &&
	       !(flags & QF_LEDGER_DOUBLE);
}

/* True if entry I, not zero, can be one: a table that nobody else has, or one
 * that a snapshot has there too. */
static bool can_be(const struct table *t, uint64_t i)
{
	const struct qf_image *img = t->c->img;
	uint64_t entry = qf_be_get64(t->entry[i]);
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;
	uint32_t holder;

	if (!off || qf_entry_l1_odd(&img->geo, img->io->size, entry))
		return false;
	if (i < t->counted)
		return !qf_fix_shared(t->c, off);
	return qf_orphan_is(t->c, off)
		       ? qf_orphan_is_l2(t->c, off)
		       : qf_walk_holders(&t->c->walk, (uint32_t)i, off, &holder,
					 1) > 0;
}

/* True if the entries from FROM to TO can all be entries. *USED is the number
 * of those that are not zero. */
static bool all_can_be(const struct table *t, uint64_t from, uint64_t to,
		       uint64_t *used)
{
	uint64_t i;

	*used = 0;
	for (i = from; i < to && i < t->n; i++) {
		if (!qf_be_get64(t->entry[i]))
			continue;
		if (!can_be(t, i))
			return false;
		++*used;
	}
	return true;
}

/* True if a table of N entries can stand there. */
static bool has_room(const struct table *t, uint64_t n)
{
	uint64_t at;

	for (at = 0; at < n * 8; at += t->c->img->geo.cluster_bytes)
		if (!is_own(t, at))
			return false;
	return n <= t->n;
}

/* True if what the header adds to N entries is not the table's. */
static bool reaches_too_far(const struct table *t, uint64_t n)
{
	const struct qf_geometry *g = &t->c->img->geo;
	uint64_t stated = t->c->img->hdr.l1_entries, at, used;
	bool foreign = stated > t->n;

	for (at = qf_mem_round_up(n * 8, g->cluster_bytes);
	     !foreign && at < stated * 8; at += g->cluster_bytes)
		foreign = !is_own(t, at);
	/* it may be the other one who is wrong */
	return foreign && (!all_can_be(t, n, stated, &used) || !used);
}

static enum qf_err put_length(struct qf_fix_ctx *c, enum qf_problem p,
			      uint64_t n, const char *how, struct qf_why *why)
{
	struct qf_be32 w = qf_be_put32((uint32_t)n);
	const struct qf_geometry *g = &c->img->geo;

	/* what lay behind the stated length read nothing of its own */
	if (!qf_plan_licence(c->plan, QF_HOLDER_ACTIVE,
			     (uint64_t)c->img->hdr.l1_entries
				     << (g->l2_bits + g->cluster_bits),
			     UINT64_MAX / 2))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	return qf_plan_put(c->plan, p, HEADER_L1_SIZE, &w, sizeof(w), why,
			   "give the active L1 table %" PRIu64
			   " entries, which is what the disk size needs: %s",
			   n, how);
}

/* The problem as which a length that is too large is reported, or -1. */
static int large_fault(const struct qf_fix_ctx *c)
{
	static const enum qf_problem as[] = { QF_P_HEADER_L1_OFFSET,
					      QF_P_HEADER_L1_OUTSIDE,
					      QF_P_DOUBLE_TABLES,
					      QF_P_DOUBLE_META };
	size_t i;

	for (i = 0; i < sizeof(as) / sizeof(as[0]); i++)
		if (qf_fix_found(c, as[i]) && qf_plan_allows(c->plan, as[i]))
			return (int)as[i];
	return -1;
}

/* The entries up to the last one in use, at least N, in N's last cluster. */
static uint64_t used_end(const struct table *t, uint64_t n)
{
	uint64_t i = qf_mem_round_up(n * 8, t->c->img->geo.cluster_bytes) / 8;

	if (i > t->n)
		i = t->n;
	while (i > n && !qf_be_get64(t->entry[i - 1]))
		i--;
	return i;
}

/* True if no entry below N is odd; whether others claim what they name is not
 * asked, as the table itself may, behind its end. */
static bool none_odd(const struct table *t, uint64_t n)
{
	const struct qf_image *img = t->c->img;
	uint64_t i, entry;

	for (i = 0; i < n; i++) {
		entry = qf_be_get64(t->entry[i]);
		if (entry && qf_entry_l1_odd(&img->geo, img->io->size, entry))
			return false;
	}
	return true;
}

/* True if the stated length passes the file's end and one of the first N
 * entries is in use: no such table was ever there, and what is read of it
 * behind those claims what it likes, the table's own cluster too. */
static bool passes_end(const struct table *t, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n && !qf_be_get64(t->entry[i]); i++)
		;
	return i < n && t->c->img->hdr.l1_entries > t->n;
}

static enum qf_err shorten(const struct table *t, struct qf_why *why)
{
	uint64_t needed = t->c->img->geo.l1_needed, n;
	int p = large_fault(t->c);

	if (p < 0 || !needed || needed > t->n)
		return QF_OK;
	n = used_end(t, needed);
	if (t->c->img->hdr.l1_entries <= n || !none_odd(t, n) ||
	    !reaches_too_far(t, n) || !(has_room(t, n) || passes_end(t, n)))
		return QF_OK;
	return put_length(t->c, (enum qf_problem)p, n,
			  "behind them stands what is no part of it", why);
}

/* The disk size by which the table was made, if a snapshot tells it. */
static uint64_t known_size(const struct qf_fix_ctx *c)
{
	const struct qf_snapshot_table *s = &c->img->snapshots;
	uint32_t i;

	for (i = s->n; i-- > 0;)
		if (s->snap[i].extra_bytes >= 16 &&
		    qf_header_l1_needed(&c->img->geo, s->snap[i].disk_bytes) ==
			    c->img->hdr.l1_entries)
			return s->snap[i].disk_bytes;
	return 0;
}

/* No table for a disk of that size can have been there: the size is wrong. */
static enum qf_err cut_disk(const struct table *t, struct qf_why *why)
{
	const struct qf_geometry *g = &t->c->img->geo;
	uint64_t known = known_size(t->c), used;
	struct qf_be64 w;

	if (!t->counted || !has_room(t, t->counted) ||
	    !all_can_be(t, 0, t->counted, &used) || !used)
		return QF_OK;
	w = qf_be_put64(known ? known
			      : t->counted << (g->l2_bits + g->cluster_bits));
	return qf_plan_put(
		t->c->plan, QF_P_HEADER_L1_SMALL, HEADER_SIZE, &w, sizeof(w),
		why, "give the disk %" PRIu64 " bytes, %s", qf_be_get64(w),
		known ? "as a snapshot had for an L1 table of this length"
		      : "which is as much as the L1 table can map: what stands "
			"behind the table is no part of it; what size it had "
			"is not known");
}

static enum qf_err lengthen(const struct table *t, struct qf_why *why)
{
	uint64_t needed = t->c->img->geo.l1_needed, used;

	if (!qf_plan_allows(t->c->plan, QF_P_HEADER_L1_SMALL))
		return QF_OK;
	if (needed <= MAX_ENTRIES && has_room(t, needed) &&
	    all_can_be(t, 0, needed, &used))
		return put_length(t->c, QF_P_HEADER_L1_SMALL, needed,
				  "they stand there, and are nobody else's",
				  why);
	return cut_disk(t, why);
}

/* Reads as many entries as the disk needs or the header states. */
static enum qf_err read_table(struct table *t, struct qf_why *why)
{
	const struct qf_image *img = t->c->img;
	uint64_t n = img->geo.l1_needed;
	uint64_t room = (img->io->size - t->off) / 8;

	if (n < img->hdr.l1_entries)
		n = img->hdr.l1_entries;
	n = qf_mem_round_up(n * 8, img->geo.cluster_bytes) / 8;
	if (n > MAX_ENTRIES)
		n = MAX_ENTRIES;
	t->n = n < room ? n : room;
	t->entry = qf_mem_zalloc(t->n + 1, 8);
	if (!t->entry)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the L1 table");
	if (img->l1_state != QF_PART_TOO_LARGE)
		t->counted = img->hdr.l1_entries;
	if (qf_io_read_pad(img->io, t->entry, t->n * 8, t->off, NULL))
		t->n = 0; /* what is unreadable is left alone */
	return QF_OK;
}

enum qf_err qf_fix_l1_size(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_image *img = c->img;
	struct table t = { .c = c, .off = img->hdr.l1_off };
	bool small = qf_fix_found(c, QF_P_HEADER_L1_SMALL);
	enum qf_err err;

	if (!t.off || t.off & (img->geo.cluster_bytes - 1) ||
	    t.off >= img->io->size ||
	    (!small && img->hdr.l1_entries <= img->geo.l1_needed))
		return QF_OK;
	err = read_table(&t, why);
	if (!err && t.n)
		err = small ? lengthen(&t, why) : shorten(&t, why);
	free(t.entry);
	return err;
}
