// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1 tables that are not where the header or a snapshot's entry says, or not
 * as long. The table itself is known by what it holds: pointers to L2 tables
 * and nothing else. A pointer is restored only if one disk is without a table,
 * and one run of clusters without an owner is such a table. Else all is left
 * as it is: the entry is the evidence that something is missing.
 */
#include "lib/base/mem.h"
#include "repair/search/l1find.h"
#include "repair/search/orphan.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#define HEADER_L1 offsetof(struct qf_wire_header, l1_table_offset)
#define L1_OFF offsetof(struct qf_wire_snapshot, l1_table_offset)
#define L1_SIZE offsetof(struct qf_wire_snapshot, l1_size)
#define DISK_SIZE                          \
	(sizeof(struct qf_wire_snapshot) + \
	 offsetof(struct qf_wire_snapshot_extra, disk_size))

static const struct qf_snapshot *snapshot(const struct qf_fix_ctx *c,
					  uint32_t i)
{
	return &c->img->snapshots.snap[i];
}

/* The L1 entries that disk and VM state of the snapshot need; 0: unknown. */
static uint64_t needed(const struct qf_fix_ctx *c, const struct qf_snapshot *s)
{
	const struct qf_geometry *g = &c->img->geo;
	unsigned int span = g->l2_bits + g->cluster_bits;
	uint64_t n = qf_mem_div_up(s->disk_bytes, 1ull << span);

	if (s->extra_bytes < 16)
		return 0;
	n += qf_mem_div_up(s->vm_state_bytes, 1ull << span);
	return n <= QF_MAX_L1_BYTES / 8 ? n : 0;
}

/* The length of the snapshot's table, as far as its entry can be believed. */
static uint64_t believed(const struct qf_fix_ctx *c,
			 const struct qf_snapshot *s)
{
	return s->l1_entries && s->l1_entries <= QF_MAX_L1_BYTES / 8
		       ? s->l1_entries
		       : needed(c, s);
}

static bool crosses(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* True if the active disk's L1 table lies where the snapshot's should. */
static bool crosses_active(const struct qf_fix_ctx *c,
			   const struct qf_snapshot *s)
{
	uint64_t off;
	uint32_t n;

	return qf_image_l1(c->img, QF_HOLDER_ACTIVE, &off, &n) &&
	       crosses(s->l1_off, s->l1_entries * 8ull, off, n * 8ull);
}

/* True if COPIED is set in the active L1 table exactly where the refcount is
 * 1. A snapshot's has the flags that were right when it was taken. */
static bool flags_are_exact(const struct qf_fix_ctx *c)
{
	uint64_t off, stated, named = 0;
	struct qf_be64 w;
	uint32_t n, i;

	if (!qf_image_l1(c->img, QF_HOLDER_ACTIVE, &off, &n))
		return false;
	for (i = 0; i < n; i++) {
		if (qf_io_read_pad(c->img->io, &w, sizeof(w), off + i * 8ull,
				   NULL))
			return false;
		if (!qf_be_get64(w))
			continue;
		if (qf_image_refcount(c->img,
				      (qf_be_get64(w) & QF_ENTRY_OFFSET_MASK) >>
					      c->img->geo.cluster_bits,
				      &stated, NULL) ||
		    (stated == 1) != !!(qf_be_get64(w) & QF_ENTRY_COPIED))
			return false;
		named++;
	}
	return named;
}

/* The finding that tells of another owner of the L1 table at OFF, or that it
 * was not followed; -1: there is none. */
static int crossing(const struct qf_fix_ctx *c, uint64_t off, uint64_t entries)
{
	const struct qf_finding *f = c->rep->findings.at;
	uint64_t bytes =
		qf_mem_round_up(entries * 8, c->img->geo.cluster_bytes);
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++) {
		if (f->problem != QF_P_DOUBLE_TABLES &&
		    f->problem != QF_P_DOUBLE_META &&
		    f->problem != QF_P_REFBLOCK_SHARED &&
		    f->problem != QF_P_L1_CROSSING)
			continue;
		if (f->host_off != QF_NOWHERE &&
		    crosses(off, bytes, f->host_off, f->length))
			return (int)f->problem;
	}
	return -1;
}

/* Why the snapshot's L1 pointer cannot be true, or -1. *BUDGET bytes may be
 * read for all snapshots together. */
static int fault_of(const struct qf_fix_ctx *c, uint32_t i, uint64_t *budget)
{
	const struct qf_snapshot *s = snapshot(c, i);
	const struct qf_image *img = c->img;
	struct qf_l1find here = { .c = c,
				  .holder = QF_HOLDER_SNAPSHOT(i),
				  .entries = s->l1_entries,
				  .budget = *budget };
	bool is_table;
	int p;

	if (s->l1_off & (img->geo.cluster_bytes - 1))
		return QF_P_SNAP_L1_UNALIGNED;
	if (s->l1_entries > QF_MAX_L1_BYTES / 8 || !s->l1_entries)
		return -1; /* the size is what is wrong */
	if (qf_entry_past_end(&img->geo, img->io->size, s->l1_off,
			      s->l1_entries * 8ull))
		return qf_cut_took(&c->plan->cut, s->l1_off)
			       ? -1
			       : QF_P_SNAP_L1_OUTSIDE;
	p = crossing(c, s->l1_off, s->l1_entries);
	if (crosses_active(c, s)) {
		/* either of the two may be wrong */
		if (!flags_are_exact(c))
			return -1;
		return p < 0 ? (int)QF_P_DOUBLE_TABLES : p;
	}
	if (p < 0)
		return -1;
	/* a table that still is one was not moved: the other one came */
	is_table = qf_l1find_is(&here, s->l1_off);
	*budget = here.budget;
	return is_table ? -1 : p;
}

/* True if what stands at OFF is no L1 table at all. */
static bool is_garbage(const struct qf_fix_ctx *c, uint64_t off)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem == QF_P_L1_GARBAGE && f->host_off == off)
			return true;
	return false;
}

/* Why the header's pointer cannot be true, or -1. */
static int active_fault(const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	struct qf_l1find here = { .c = c,
				  .holder = QF_HOLDER_ACTIVE,
				  .entries = img->hdr.l1_entries,
				  .budget = QF_L1FIND_BYTES };
	uint64_t stated;

	if (img->l1_state == QF_PART_UNALIGNED)
		return QF_P_HEADER_L1_OFFSET;
	/* a right pointer to what is gone is not pointed elsewhere */
	if (img->l1_state == QF_PART_OUTSIDE)
		return qf_cut_took(&c->plan->cut, img->hdr.l1_off)
			       ? -1
			       : QF_P_HEADER_L1_OUTSIDE;
	if (img->l1_state != QF_PART_OK || !here.entries)
		return -1;
	if (is_garbage(c, img->hdr.l1_off))
		return QF_P_L1_GARBAGE;
	/* a place that is free or someone else's, and no table is there */
	if (!qf_fix_found(c, QF_P_HEADER_L1_OFFSET) &&
	    crossing(c, img->hdr.l1_off, here.entries) < 0 &&
	    (qf_image_refcount(img, img->hdr.l1_off >> img->geo.cluster_bits,
			       &stated, NULL) ||
	     stated))
		return -1;
	return qf_l1find_is(&here, img->hdr.l1_off)
		       ? -1
		       : (int)QF_P_HEADER_L1_OFFSET;
}

/* The only snapshot with a wrong pointer; false if there are none or more. */
static bool only_one(const struct qf_fix_ctx *c, uint32_t *which, int *problem)
{
	uint64_t budget = QF_L1FIND_BYTES;
	uint32_t i, n = 0;
	int p;

	for (i = 0; i < c->img->snapshots.n && n < 2; i++) {
		p = fault_of(c, i, &budget);
		if (p < 0)
			continue;
		*which = i;
		*problem = p;
		n++;
	}
	/* what could not be read any more says nothing */
	return n == 1 && budget >= QF_L1FIND_STEP;
}

static enum qf_err fix_pointer(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct qf_l1find s = { .c = c, .budget = QF_L1FIND_BYTES };
	const struct qf_snapshot *sn;
	struct qf_be64 w;
	uint32_t which;
	int problem;

	if (!c->recount.leaked || !only_one(c, &which, &problem) ||
	    !qf_plan_allows(c->plan, (enum qf_problem)problem))
		return QF_OK;
	sn = snapshot(c, which);
	s.holder = QF_HOLDER_SNAPSHOT(which);
	s.entries = believed(c, sn);
	if (!s.entries || !qf_l1find_look(&s) || s.n != 1)
		return QF_OK;
	w = qf_be_put64(s.found);
	return qf_plan_put(
		c->plan, (enum qf_problem)problem, sn->entry_off + L1_OFF, &w,
		sizeof(w), why,
		"point snapshot %s to the only L1 table without an owner, at "
		"0x%" PRIx64 ": of its entries, %" PRIu64
		" point to L2 tables that are known at their places, %" PRIu64
		" to L2 tables without an owner, and none elsewhere",
		sn->id, s.found, s.named, s.lost);
}

/* True if a snapshot cannot be read: a table without an owner may be its. */
static bool misses_snapshots(const struct qf_fix_ctx *c)
{
	return c->img->snapshots.n < c->img->snapshots.stated;
}

/* The header's pointer, if it is the only one that is wrong. */
static enum qf_err fix_active(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct qf_l1find s = { .c = c,
			       .holder = QF_HOLDER_ACTIVE,
			       .entries = c->img->hdr.l1_entries,
			       .budget = QF_L1FIND_BYTES };
	uint64_t budget = QF_L1FIND_BYTES;
	int p = active_fault(c);
	struct qf_be64 w;
	uint32_t i;

	if (p < 0 || !c->recount.leaked || misses_snapshots(c) ||
	    s.entries > QF_MAX_L1_BYTES / 8 ||
	    !qf_plan_allows(c->plan, (enum qf_problem)p))
		return QF_OK;
	for (i = 0; i < c->img->snapshots.n; i++)
		if (fault_of(c, i, &budget) >= 0 &&
		    !crosses_active(c, snapshot(c, i)))
			return QF_OK;
	if (!qf_l1find_look(&s) || s.n != 1)
		return QF_OK;
	w = qf_be_put64(s.found);
	return qf_plan_put(
		c->plan, (enum qf_problem)p, HEADER_L1, &w, sizeof(w), why,
		"point the header to the only L1 table without an owner, at "
		"0x%" PRIx64 ": of its entries, %" PRIu64
		" point to L2 tables that are known at their places, %" PRIu64
		" to L2 tables without an owner, and none elsewhere",
		s.found, s.named, s.lost);
}

/* The finding about the length of snapshot I's table, or -1. */
static int size_fault(const struct qf_fix_ctx *c, const struct qf_snapshot *s)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	for (i = 0; i < c->rep->findings.n; i++, f++)
		if ((f->problem == QF_P_SNAP_L1_SIZE ||
		     f->problem == QF_P_SNAP_DISK_SIZE) &&
		    f->host_off == s->entry_off)
			return (int)f->problem;
	return -1;
}

/* True if none of the table's clusters is someone else's. */
static bool has_room(const struct qf_fix_ctx *c, const struct qf_snapshot *s,
		     uint64_t entries)
{
	uint64_t size = c->img->geo.cluster_bytes, at, n;
	uint64_t end = qf_mem_round_up(entries * 8, size);
	uint64_t own = qf_mem_round_up(s->l1_entries * 8ull, size);
	unsigned int flags;

	if (s->l1_entries > QF_MAX_L1_BYTES / 8)
		own = 0; /* it was not followed */
	for (at = 0; at < end; at += size) {
		if (at >= own && !qf_orphan_is(c, s->l1_off + at))
			return false;
		flags = 0;
		n = qf_ledger_count(
			c->recount.ledger,
			(s->l1_off + at) >> c->img->geo.cluster_bits, &flags);
		if (n != (at < own) || flags & QF_LEDGER_DOUBLE)
			return false;
	}
	return true;
}

/* The disk of today has the length for which the table was made. */
static enum qf_err fix_disk_size(struct qf_fix_ctx *c,
				 const struct qf_snapshot *s,
				 struct qf_why *why)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_be64 w = qf_be_put64(c->img->hdr.disk_bytes);

	if (g->l1_needed != s->l1_entries || s->extra_bytes < 16)
		return QF_OK;
	return qf_plan_put(c->plan, QF_P_SNAP_DISK_SIZE,
			   s->entry_off + DISK_SIZE, &w, sizeof(w), why,
			   "give snapshot %s the disk size of the active disk, "
			   "for which its L1 table has the length",
			   s->id);
}

/* True if a table of s->entries entries stands where SN's should, and names
 * L2 tables behind the stated end. */
static bool goes_on(struct qf_l1find *s, const struct qf_snapshot *sn)
{
	const struct qf_image *img = s->c->img;

	return s->entries && !(sn->l1_off & (img->geo.cluster_bytes - 1)) &&
	       sn->l1_off &&
	       !qf_entry_past_end(&img->geo, img->io->size, sn->l1_off,
				  s->entries * 8) &&
	       has_room(s->c, sn, s->entries) && qf_l1find_is(s, sn->l1_off) &&
	       (sn->l1_entries > s->entries || s->end > sn->l1_entries);
}

static enum qf_err fix_size(struct qf_fix_ctx *c, uint32_t i, enum qf_problem p,
			    struct qf_why *why)
{
	const struct qf_snapshot *sn = snapshot(c, i);
	struct qf_l1find s = { .c = c,
			       .holder = QF_HOLDER_SNAPSHOT(i),
			       .entries = needed(c, sn),
			       .budget = QF_L1FIND_BYTES };
	struct qf_be32 w;

	if (!goes_on(&s, sn))
		return p == QF_P_SNAP_DISK_SIZE ? fix_disk_size(c, sn, why)
						: QF_OK;
	w = qf_be_put32((uint32_t)s.entries);
	return qf_plan_put(
		c->plan, p, sn->entry_off + L1_SIZE, &w, sizeof(w), why,
		"give the L1 table of snapshot %s the %" PRIu64
		" entries that its disk and VM state need: so many are there, "
		"%" PRIu64 " of them name L2 tables",
		sn->id, s.entries, s.named + s.lost);
}

enum qf_err qf_fix_l1_place(struct qf_fix_ctx *c, struct qf_why *why)
{
	size_t had = c->plan->n;
	enum qf_err err = QF_OK;
	uint32_t i;
	int p;

	if (c->img->geo.data_file)
		return QF_OK;
	for (i = 0; !err && i < c->img->snapshots.n && c->plan->n == had; i++) {
		p = size_fault(c, snapshot(c, i));
		if (p >= 0 && qf_plan_allows(c->plan, (enum qf_problem)p))
			err = fix_size(c, i, (enum qf_problem)p, why);
	}
	if (!err && c->plan->n == had)
		err = fix_active(c, why);
	if (!err && c->plan->n == had)
		err = fix_pointer(c, why);
	return err;
}
