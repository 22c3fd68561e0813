// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that no L1 entry names, put back where they were. Either there is
 * evidence for the place (see place.c), or one table and one empty L1 entry,
 * and the judge says that they belong together (ask_slot.c). What is in a table must go with the place
 * and with the refcounts: see qf_orphan_suits().
 */
#include "lib/base/mem.h"
#include "repair/plan/decide.h"
#include "repair/search/orphan.h"
#include "repair/search/place.h"

#include <inttypes.h>

/* So many L1 entries of snapshots are looked at. */
#define MAX_ENTRIES 65536u
#define MAX_HOLDERS 16u

/* True if entry INDEX of the active L1 table is empty and may be written. */
static bool is_empty(const struct qf_fix_ctx *c, uint64_t index)
{
	uint64_t l1_off;
	uint32_t entries;

	return index < c->img->geo.l1_needed && !qf_place_active(c, index) &&
	       qf_image_l1(c->img, QF_HOLDER_ACTIVE, &l1_off, &entries) &&
	       index < entries && !qf_fix_shared(c, l1_off + index * 8);
}

/* True if an entry may have been bent to where something else is, also before
 * this repair or one before it parted the two: then a table without a name is
 * rather its than an empty entry's. */
static bool may_be_bent(const struct qf_fix_ctx *c)
{
	return c->plan->cloned_beside_leaks || c->plan->withhold_leaks ||
	       qf_fix_found(c, QF_P_DOUBLE_L2) ||
	       qf_fix_found(c, QF_P_DOUBLE_TABLES) ||
	       qf_fix_found(c, QF_P_DOUBLE_META) ||
	       qf_fix_found(c, QF_P_REFBLOCK_SHARED);
}

/* The table at OFF; NULL: there is none. */
static struct qf_place_table *table_at(struct qf_place *p, uint64_t off)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->t[i].off == off)
			return &p->t[i];
	return NULL;
}

/* True if the guest's file systems speak for the answer; without them, one
 * table and one empty entry must be all that is wrong. */
static bool is_vouched(const struct qf_question *q)
{
	const uint64_t guest = qf_witness_bit(QF_WITNESS_SLOT_GUEST);
	unsigned int i;

	for (i = 0; i < q->n; i++)
		if (q->h[i].said & guest)
			return true;
	return false;
}

/* Tables and empty entries, as the verdicts have them. */
static void take_slots(struct qf_place *p)
{
	const struct qf_fix_ctx *c = p->c;
	const struct qf_questions *l = &c->rep->questions;
	const struct qf_question *q;
	struct qf_place_table *t;
	uint64_t value;
	bool only = p->n == 1 && !qf_fix_found(c, QF_P_L2_ERASED) &&
		    !qf_fix_found(c, QF_P_L2_ERASED_PART) &&
		    !qf_fix_found(c, QF_P_L2_GARBAGE);
	size_t i;

	if (!p->all || may_be_bent(c))
		return;
	for (i = 0; i < l->n; i++) {
		q = &l->at[i];
		if (q->kind != QF_QUESTION_SLOT || (!only && !is_vouched(q)) ||
		    qf_decide(c->plan, c->rep, q->kind, q->place_off, &value,
			      NULL) != QF_DECIDE_VALUE)
			continue;
		t = table_at(p, value);
		if (!t || t->how)
			continue;
		t->index = (uint32_t)(q->guest_off / q->bytes);
		t->how = is_vouched(q)
				 ? "what it maps is what the guest's file "
				   "systems have there"
				 : "it is the only table without a name, and "
				   "this the only empty entry";
	}
}

/* True if another table is to come to the same place. */
static bool is_contested(const struct qf_place *p,
			 const struct qf_place_table *t)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (&p->t[i] != t && p->t[i].how && p->t[i].index == t->index)
			return true;
	return false;
}

/* Points entry INDEX of the active L1 table to the table at OFF. */
static enum qf_err name_table(struct qf_fix_ctx *c, enum qf_problem problem,
			      uint64_t index, uint64_t off, const char *how,
			      struct qf_why *why)
{
	uint64_t l1_off, stated;
	uint32_t entries;
	struct qf_be64 w;

	if (!qf_image_l1(c->img, QF_HOLDER_ACTIVE, &l1_off, &entries) ||
	    qf_fix_refcount(c, off >> c->img->geo.cluster_bits, &stated))
		return QF_OK;
	w = qf_be_put64(off | (stated == 1 ? QF_ENTRY_COPIED : 0));
	return qf_plan_put(c->plan, problem, l1_off + index * 8, &w, sizeof(w),
			   why,
			   "point the empty L1 entry %" PRIu64
			   " to the table at 0x%" PRIx64
			   ", whose clusters lack an owner: %s",
			   index, off, how);
}

/* True if an empty L1 entry stands at OFF, in the file and no one else's. */
static bool is_vacant(const struct qf_fix_ctx *c, uint64_t off)
{
	unsigned int flags = 0;
	struct qf_be64 e;

	return off < c->img->io->size &&
	       qf_ledger_count(c->recount.ledger,
			       off >> c->img->geo.cluster_bits, &flags) == 1 &&
	       !(flags & QF_LEDGER_DOUBLE) &&
	       !qf_io_read_pad(c->img->io, &e, sizeof(e), off, NULL) &&
	       !qf_be_get64(e);
}

/* An empty entry of a snapshot's L1 table that may be a lost table's. */
struct vacancy {
	uint32_t snapshot, index;
	uint64_t off; /* of the entry */
	unsigned int n;
};

/*
 * Looks for the entry of T in the table of snapshot I. What a snapshot has
 * mapped, the active disk goes on mapping: its entry there is not empty.
 */
static void look_for_vacancy(const struct qf_fix_ctx *c, uint32_t i,
			     const struct qf_place_table *t, struct vacancy *v,
			     unsigned int *budget)
{
	const struct qf_geometry *g = &c->img->geo;
	uint64_t off, at, needed;
	uint32_t n, k;

	if (!qf_image_l1(c->img, QF_HOLDER_SNAPSHOT(i), &off, &n))
		return;
	needed = qf_mem_div_up(c->img->snapshots.snap[i].disk_bytes,
			       g->cluster_bytes << g->l2_bits);
	for (k = 0; k < n && k < needed && v->n < 2; k++) {
		if (t->how && k != t->index)
			continue;
		if (!*budget) {
			v->n = 2; /* not all were looked at */
			return;
		}
		--*budget;
		at = off + k * 8ull;
		if (!qf_place_active(c, k) || !is_vacant(c, at) ||
		    !qf_orphan_suits(c, t->off, k, false))
			continue;
		*v = (struct vacancy){ i, k, at, v->n + 1 };
	}
}

/* A snapshot's table: done if there is one, and one place for it. */
static enum qf_err fix_snapshots_table(struct qf_place *p, struct qf_why *why)
{
	struct qf_fix_ctx *c = p->c;
	struct vacancy v = { 0 };
	unsigned int budget = MAX_ENTRIES;
	uint32_t i;

	if (p->n != 1 || !p->all || p->t->doubt || p->t->deleted ||
	    may_be_bent(c))
		return QF_OK;
	for (i = 0; i < c->img->snapshots.n && v.n < 2; i++)
		look_for_vacancy(c, i, p->t, &v, &budget);
	if (v.n != 1)
		return QF_OK;
	return qf_plan_put64(c->plan, QF_P_L2_ORPHAN, v.off, p->t->off, why,
			     "point the only empty L1 entry of a snapshot, "
			     "where the active disk has a table, to the only "
			     "table that no entry names");
}

static enum qf_err fix_orphans(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct qf_place p;
	enum qf_err err = qf_place_find(c, &p, why);
	const struct qf_place_table *t;
	size_t had = c->plan->n, i;

	if (!err)
		take_slots(&p);
	for (i = 0; !err && i < p.n; i++) {
		t = &p.t[i];
		if (!t->how || t->doubt || !is_empty(c, t->index) ||
		    is_contested(&p, t))
			continue;
		if (qf_orphan_suits(c, t->off, t->index, true))
			err = name_table(c, QF_P_L2_ORPHAN, t->index, t->off,
					 t->how, why);
	}
	if (!err && c->plan->n == had)
		err = fix_snapshots_table(&p, why);
	qf_place_free(&p);
	return err;
}

/* The tables at the L1 index of the entry at OFF; NULL: none. */
static const struct qf_group *group_of(const struct qf_fix_ctx *c, uint64_t off)
{
	uint64_t l1_off;
	uint32_t h, n, k;

	for (h = 0; h < qf_image_holders(c->img); h++) {
		if (!qf_image_l1(c->img, h, &l1_off, &n) || off < l1_off ||
		    off - l1_off >= n * 8ull)
			continue;
		for (k = 0; k < c->walk.n_groups; k++)
			if (c->walk.group[k].l1_index == (off - l1_off) / 8)
				return &c->walk.group[k];
	}
	return NULL;
}

static bool is_high(const struct qf_fix_ctx *c, uint64_t off)
{
	uint64_t cluster = off >> c->img->geo.cluster_bits, stated;

	return !qf_fix_refcount(c, cluster, &stated) &&
	       stated > qf_ledger_count(c->recount.ledger, cluster, NULL);
}

/* True if the snapshot H has a table that does not count too many. */
static bool has_even(const struct qf_fix_ctx *c, uint32_t h,
		     unsigned int *budget)
{
	uint64_t l1_off, off;
	struct qf_be64 e;
	uint32_t n, k;

	if (!qf_image_l1(c->img, h, &l1_off, &n))
		return false;
	for (k = 0; k < n && *budget; k++) {
		--*budget;
		if (qf_io_read_pad(c->img->io, &e, sizeof(e), l1_off + k * 8ull,
				   NULL))
			return false;
		off = qf_be_get64(e) & QF_ENTRY_OFFSET_MASK;
		if (off && !is_high(c, off))
			return true;
	}
	return false;
}

/*
 * A "snapshot -a" that was killed leaves the same as an erased entry, but at
 * every table of the snapshot it went to. True if it was none: each snapshot
 * that has the table at OFF also has one that does not count too many.
 */
static bool is_no_goto(const struct qf_fix_ctx *c, const struct qf_group *g,
		       uint64_t off, unsigned int *budget)
{
	uint32_t h[MAX_HOLDERS], n, i;

	n = qf_walk_holders(&c->walk, g->l1_index, off, h, MAX_HOLDERS);
	for (i = 0; i < n && i < MAX_HOLDERS; i++)
		if (h[i] != QF_HOLDER_ACTIVE && !has_even(c, h[i], budget))
			return false;
	return n <= MAX_HOLDERS;
}

/* Entries that were erased while another disk still has the table. */
static enum qf_err fix_erased(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_finding *f = c->rep->findings.at;
	struct qf_ranges taken = { 0 };
	const struct qf_group *g;
	enum qf_err err = QF_OK;
	unsigned int budget = MAX_ENTRIES;
	uint64_t table;
	size_t i;

	for (i = 0; !err && i < c->rep->findings.n; i++, f++) {
		if (f->problem != QF_P_L1_ERASED || f->host_off == QF_NOWHERE ||
		    f->rest || f->length != 8 || !is_vacant(c, f->host_off))
			continue;
		g = group_of(c, f->host_off);
		table = g ? qf_place_lacking(c, g, 1) : 0;
		if (!table || qf_ranges_has(&taken, table) ||
		    !is_no_goto(c, g, table, &budget))
			continue;
		/* it counts two owners from now on: without COPIED */
		if (!qf_ranges_add(&taken, table, 1))
			err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					 "no memory for the plan");
		else
			err = qf_plan_put64(
				c->plan, QF_P_L1_ERASED, f->host_off, table,
				why,
				"point the empty L1 entry to the "
				"table that another disk has there, "
				"and that counts one reference "
				"more than it has");
	}
	qf_ranges_free(&taken);
	return err;
}

enum qf_err qf_fix_unnamed(struct qf_fix_ctx *c, struct qf_why *why)
{
	size_t had = c->plan->n;
	enum qf_err err = QF_OK;

	if (qf_fix_found(c, QF_P_SNAP_ORPHANS) ||
	    c->img->l1_state != QF_PART_OK || c->walk.n_gaps ||
	    c->img->hdr.l1_entries < c->img->geo.l1_needed)
		return QF_OK;
	if (qf_fix_found(c, QF_P_L1_ERASED) &&
	    qf_plan_allows(c->plan, QF_P_L1_ERASED))
		err = fix_erased(c, why);
	if (!err && c->plan->n == had && qf_fix_found(c, QF_P_L2_ORPHAN) &&
	    qf_plan_allows(c->plan, QF_P_L2_ORPHAN) &&
	    c->recount.leaked != c->plan->vain_place) {
		err = fix_orphans(c, why);
		if (c->plan->n == had)
			c->plan->vain_place = c->recount.leaked;
	}
	return err;
}
