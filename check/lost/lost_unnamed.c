// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that no L1 entry names: whose they were, and what was lost with
 * the entry. Where another version of the table stands, the place is known;
 * else all empty entries are named.
 */
#include "check/lost/cut_off.h"
#include "check/passes/pass.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"

#include <inttypes.h>

/* Snapshots whose L1 tables are read entry by entry. */
#define MAX_HOLDERS 256u

static uint64_t span_bytes(const struct qf_image *img)
{
	return img->geo.cluster_bytes << img->geo.l2_bits;
}

static bool has_active(const struct qf_walk *w, const struct qf_group *g)
{
	uint32_t v;

	for (v = 0; v < g->n; v++)
		if (w->table[g->first + v].active)
			return true;
	return false;
}

/* True if an entry behind the stated end of the active L1 table, in its last
 * cluster, names an orphan: then the stated size is too small. */
static bool l1_was_longer(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t at = img->hdr.l1_off + img->hdr.l1_entries * 8ull;
	uint64_t end = qf_mem_round_up(at, img->geo.cluster_bytes);
	struct qf_be64 w;
	size_t i;

	if (img->l1_state != QF_PART_OK)
		return false;
	for (; at < end; at += 8) {
		if (qf_io_read_pad(img->io, &w, sizeof(w), at, NULL))
			return false;
		for (i = 0; i < c->lost.n_orphans; i++)
			if ((qf_be_get64(w) & QF_ENTRY_OFFSET_MASK) ==
			    c->lost.orphan[i].off)
				return true;
	}
	return false;
}

static bool count_entry(void *ctx, uint64_t index, uint64_t entry)
{
	(void)index;
	(void)entry;
	++*(uint64_t *)ctx;
	return false; /* one is enough */
}

static bool no_gap(void *ctx, uint64_t off, uint64_t bytes, int sys)
{
	(void)off;
	(void)bytes;
	(void)sys;
	++*(uint64_t *)ctx;
	return false;
}

/* True if HOLDER's L1 table holds nothing but zeros. */
static bool is_blank(const struct qf_image *img, uint32_t holder)
{
	uint64_t off, used = 0;
	struct qf_table_fns fns = { &used, count_entry, no_gap };
	uint32_t entries;

	if (!qf_image_l1(img, holder, &off, &entries) || !entries ||
	    off + entries * 8ull > img->io->size)
		return false;
	qf_walk_table(img->io, off, entries, &fns, NULL);
	return !used;
}

static uint32_t holders(const struct qf_pass_ctx *c)
{
	uint32_t n = qf_image_holders(c->img);

	return n < MAX_HOLDERS ? n : MAX_HOLDERS;
}

static void report(struct qf_pass_ctx *c, const struct qf_orphan *o)
{
	struct qf_finding *f = qf_pass_at(c, QF_P_L2_ORPHAN, o->off,
					  c->img->geo.cluster_bytes);

	qf_finding_unseen(f);
	if (o->placed)
		f->guest_off = qf_pass_guest(c->img, o->l1_index, 0);
	qf_finding_say(f,
		       "the table at 0x%" PRIx64 " has %" PRIu64
		       " entries, of which %" PRIu64
		       " point to clusters without an owner",
		       o->off, o->entries, o->leaked);
}

/* Where the place is known: for all who have nothing there. False if there
 * is nobody: the table was given up. */
static bool tell_placed(struct qf_pass_ctx *c, const struct qf_orphan *o)
{
	uint32_t h, n = 0;
	uint64_t entry;

	for (h = 0; h < holders(c); h++) {
		if (!qf_lost_l1_entry(c->img, h, o->l1_index, &entry) || entry)
			continue;
		if (!n++)
			report(c, o);
		qf_lost_table(c, h, o->l1_index, o->off);
	}
	return n;
}

/* True if the table is nothing: it holds no entry, in a cluster that counts as
 * free. An entry that leads there may have led to an orphan. */
static bool is_nothing(const struct qf_pass_ctx *c, const struct qf_l2_table *t)
{
	const struct qf_trouble *tr;

	if (t->odd || !t->off || t->filled || t->unread)
		return false;
	tr = qf_recount_at(&c->recount, t->off >> c->img->geo.cluster_bits);
	return tr && !(tr->why & QF_TROUBLE_UNKNOWN) && !tr->stated &&
	       tr->counted;
}

/* Loses what the entries map that lead to nothing. */
static void lose_nothings(struct qf_pass_ctx *c)
{
	const struct qf_group *g = c->walk.group;
	const struct qf_l2_table *t;
	uint32_t i, v;

	for (i = 0; i < c->walk.n_groups; i++, g++)
		for (v = 0; v < g->n; v++) {
			t = &c->walk.table[g->first + v];
			if (is_nothing(c, t))
				qf_lost_for_table(c, g->l1_index, t->off,
						  g->l1_index *
							  span_bytes(c->img),
						  span_bytes(c->img));
		}
}

/* How many L1 entries lead nowhere: each may be an orphan's. */
static uint64_t count_nowhere(const struct qf_pass_ctx *c)
{
	const unsigned int nowhere = QF_ODD_UNALIGNED | QF_ODD_PAST_END |
				     QF_ODD_OWN_L1;
	const struct qf_image *img = c->img;
	uint64_t n = 0, i, off;
	uint32_t h, entries;

	if (c->walk.n_gaps || img->snapshots.n < img->snapshots.stated ||
	    c->lost.snapshots.n)
		return UINT64_MAX;
	for (h = 0; h < qf_image_holders(img); h++)
		if (!qf_image_l1(img, h, &off, &entries) ||
		    off >= img->io->size)
			return UINT64_MAX;
	for (i = 0; i < c->walk.n_tables; i++)
		/* what leads to a table that was cut off had that one */
		if ((c->walk.table[i].odd & nowhere || !c->walk.table[i].off ||
		     is_nothing(c, &c->walk.table[i])) &&
		    !qf_cut_took(c->cut, c->walk.table[i].off))
			n += c->walk.table[i].weight;
	/* of two entries with one table, one had another */
	for (i = 0; i < c->out->n; i++)
		n += c->out->at[i].problem == QF_P_DOUBLE_L2;
	return n;
}

static void blank_table(struct qf_pass_ctx *c, uint32_t holder)
{
	struct qf_finding *f;
	uint32_t entries;
	uint64_t off;
	char who[400];

	qf_image_l1(c->img, holder, &off, &entries);
	f = qf_pass_at(c, QF_P_L1_ERASED, off, entries * 8ull);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "all %" PRIu32 " entries of the L1 table at 0x%" PRIx64
		       " are zero, and there are tables that no entry names",
		       entries, off);
	qf_finding_owner(f, "%s",
			 qf_describe_holder(c->img, holder, who, sizeof(who)));
	qf_lost_add(c->img, c->lost_ranges, holder, 0, UINT64_MAX);
}

/* Loses what the active disk has not mapped, L1 entries [FROM, TO). */
static void lose_stretch(struct qf_pass_ctx *c, uint64_t from, uint64_t to)
{
	if (from < to)
		qf_lost_add(c->img, c->lost_ranges, QF_HOLDER_ACTIVE,
			    from * span_bytes(c->img),
			    (to - from) * span_bytes(c->img));
}

/* Everything that the active disk does not map. */
static void lose_unmapped(struct qf_pass_ctx *c)
{
	const struct qf_group *g = c->walk.group;
	uint64_t needed = c->img->geo.l1_needed, from = 0;
	uint32_t i;

	for (i = 0; i < c->walk.n_groups && g->l1_index < needed; i++, g++) {
		if (!has_active(&c->walk, g))
			continue;
		lose_stretch(c, from, g->l1_index);
		from = g->l1_index + 1ull;
	}
	lose_stretch(c, from, needed);
}

/* Entries that a snapshot has empty, and another holder not. */
static bool lose_of_snapshots(struct qf_pass_ctx *c)
{
	const struct qf_walk *w = &c->walk;
	struct qf_lost_l1 l1;
	uint64_t entry;
	bool any = false;
	uint32_t h, i;

	for (h = 1; h < holders(c); h++) {
		qf_lost_l1_open(c->img, h, &l1);
		for (i = 0; i < w->n_groups; i++) {
			if (!qf_lost_l1_at(c->img, &l1, w->group[i].l1_index,
					   &entry) ||
			    entry)
				continue;
			any = true;
			qf_lost_add(c->img, c->lost_ranges, h,
				    w->group[i].l1_index * span_bytes(c->img),
				    span_bytes(c->img));
		}
	}
	return any;
}

/* How many of the tables have their entry by the judge's verdict: of these,
 * what they map is lost, and no more. */
static uint64_t lose_answered(struct qf_pass_ctx *c)
{
	const struct qf_question *q = c->questions->at;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->questions->n; i++, q++)
		if (q->kind == QF_QUESTION_SLOT && qf_question_is_answered(q)) {
			qf_lost_table(c, q->holder,
				      (uint32_t)(q->guest_off / q->bytes),
				      q->h[q->best].value);
			n++;
		}
	return n;
}

static void tell_unplaced(struct qf_pass_ctx *c, uint64_t n)
{
	bool full = c->walk.l1_entries_used >= c->img->geo.l1_needed &&
		    c->img->l1_state == QF_PART_OK;
	uint64_t nowhere = count_nowhere(c);
	bool blank = false, active = false;
	uint32_t h;
	size_t i;

	for (h = 0; h < holders(c); h++)
		if (is_blank(c->img, h)) {
			blank = true;
			active |= h == QF_HOLDER_ACTIVE;
			blank_table(c, h);
		}
	/* the remains of a snapshot whose deletion did not come to its end */
	if (!blank && full && !nowhere && !l1_was_longer(c) &&
	    !lose_of_snapshots(c))
		return;
	for (i = 0; i < c->lost.n_orphans; i++)
		if (!c->lost.orphan[i].placed)
			report(c, &c->lost.orphan[i]);
	lose_nothings(c);
	if (!active && n > nowhere && lose_answered(c) < n)
		lose_unmapped(c);
}

void qf_lost_unnamed(struct qf_pass_ctx *c)
{
	uint64_t unplaced = 0;
	size_t i;

	/* an L1 table that cannot be read may name them all */
	if (c->walk.n_gaps)
		return;
	for (i = 0; i < c->lost.n_orphans; i++) {
		if (c->lost.orphan[i].placed)
			tell_placed(c, &c->lost.orphan[i]);
		else
			unplaced++;
	}
	if (unplaced)
		tell_unplaced(c, unplaced);
}
