// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the guest has lost: tables that were erased, orphaned, overwritten or
 * cannot be reached. Names each holder's guest ranges, and withholds the
 * clusters without an owner from the leak fix where they may be the lost
 * data.
 */
#include "check/lost/lost_subclusters.h"
#include "check/passes/pass.h"
#include "check/passes/table_versions.h"
#include "check/detail/whatis.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/walk/describe.h"

#include <inttypes.h>

static uint64_t span_bytes(const struct qf_image *img)
{
	return img->geo.cluster_bytes << img->geo.l2_bits;
}

static void lose_span(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off)
{
	qf_lost_for_table(c, l1_index, off, l1_index * span_bytes(c->img),
			  span_bytes(c->img));
}

/* What fills the erased table's file range: zeros on disk, or a hole. */
static const char *erased_how(struct qf_pass_ctx *c,
			      const struct qf_l2_table *t)
{
	uint64_t end, off = t->off, bytes = c->img->geo.cluster_bytes;

	if (t->filled)
		return "holds a copy of a refcount block";
	if (qf_io_extent(c->img->io, off, off + bytes, &end) == QF_IO_HOLE &&
	    end >= off + bytes)
		return "lies in a hole of the file";
	return "holds nothing but zeros";
}

static void erased_tables(struct qf_pass_ctx *c)
{
	const struct qf_group *g;
	struct qf_finding *f;
	char span[32];
	size_t i;

	for (i = 0; i < c->lost.n_erased; i++) {
		const struct qf_l2_table *t = &c->walk.table[c->lost.erased[i]];

		g = qf_walk_group_of(&c->walk, c->lost.erased[i]);
		f = qf_pass_at(c, QF_P_L2_ERASED, t->off,
			       c->img->geo.cluster_bytes);
		qf_finding_unseen(f);
		f->guest_off = qf_pass_guest(c->img, g->l1_index, 0);
		qf_finding_say(f,
			       "the table at 0x%" PRIx64 " %s; it mapped %s of "
			       "the disk from guest offset 0x%" PRIx64 " on",
			       t->off, erased_how(c, t),
			       qf_text_bytes(span_bytes(c->img), span,
					     sizeof(span)),
			       f->guest_off);
		qf_pass_own_table(c, f, g->l1_index, t);
		lose_span(c, g->l1_index, t->off);
	}
}

static void erased_parts(struct qf_pass_ctx *c)
{
	const struct qf_geometry *geo = &c->img->geo;
	const struct qf_lost_part *p = c->lost.part;
	const struct qf_l2_table *t;
	const struct qf_group *g;
	struct qf_finding *f;
	size_t i;

	for (i = 0; i < c->lost.n_parts; i++, p++) {
		g = qf_walk_group_of(&c->walk, p->table);
		t = &c->walk.table[p->table];
		f = qf_pass_at(c, QF_P_L2_ERASED_PART,
			       t->off +
				       (uint64_t)p->index * geo->l2_entry_bytes,
			       (uint64_t)p->n * geo->l2_entry_bytes);
		qf_finding_unseen(f);
		f->guest_off = qf_pass_guest(c->img, g->l1_index, p->index);
		qf_finding_say(f,
			       "%" PRIu32 " entr%s of the table at 0x%" PRIx64
			       ", from index %" PRIu32
			       " on, hold%s nothing but zeros; they stand for "
			       "guest offset 0x%" PRIx64 " and on",
			       p->n, p->n == 1 ? "y" : "ies", t->off, p->index,
			       p->n == 1 ? "s" : "", f->guest_off);
		qf_pass_own_table(c, f, g->l1_index, t);
		qf_lost_for_table(c, g->l1_index, t->off, f->guest_off,
				  (uint64_t)p->n << geo->cluster_bits);
	}
}

static void orphan_snapshots(struct qf_pass_ctx *c)
{
	const struct qf_orphan_snapshots *o = &c->lost.snapshots;
	struct qf_finding *f;
	size_t i;

	if (!o->n)
		return;
	f = qf_pass_at(c, QF_P_SNAP_ORPHANS, o->off, c->img->geo.cluster_bytes);
	f->count = o->n;
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "the table at 0x%" PRIx64 " has %zu snapshot%s, the "
		       "first is %s (\"%s\"); the header counts %" PRIu32,
		       o->off, o->n, o->n == 1 ? "" : "s", o->at[0].id,
		       o->at[0].name, c->img->hdr.snapshot_count);
	for (i = 0; i < o->n; i++)
		qf_lost_add_id(c->lost_ranges, o->at[i].id,
			       o->at[i].disk_bytes);
}

/* L1 entries that lead nowhere, and tables that cannot be read. */
static void lost_entries(struct qf_pass_ctx *c)
{
	const unsigned int nowhere = QF_ODD_UNALIGNED | QF_ODD_PAST_END |
				     QF_ODD_OWN_L1;
	const struct qf_group *g;
	uint32_t i, v;

	for (i = 0; i < c->walk.n_groups; i++) {
		g = &c->walk.group[i];
		for (v = 0; v < g->n; v++) {
			const struct qf_l2_table *t =
				&c->walk.table[g->first + v];

			if (t->odd & nowhere || t->unread || !t->off)
				lose_span(c, g->l1_index, t->off);
		}
	}
}

/* Parts of L1 tables that could not be read. */
static void lost_gaps(struct qf_pass_ctx *c)
{
	const struct qf_walk_gap *g = c->walk.gap;
	uint64_t off, first, end;
	uint32_t h, last, entries;
	size_t i;

	for (i = 0; i < c->walk.n_gaps; i++, g++) {
		/* of tables that cross each other there may be very many */
		h = g->crossing ? g->holder : 0;
		last = g->crossing ? h : qf_image_holders(c->img) - 1;
		for (; h <= last; h++) {
			if (!qf_image_l1(c->img, h, &off, &entries) ||
			    g->off < off || g->off >= off + entries * 8ull)
				continue;
			first = (g->off - off) / 8;
			end = (g->off + g->bytes - off) / 8;
			qf_lost_add(c->img, c->lost_ranges, h,
				    first * span_bytes(c->img),
				    (end - first) * span_bytes(c->img));
		}
	}
}

/* True if what the entry led to cannot be read, or nothing says what it was. */
static bool is_unread(const struct qf_pass_ctx *c, const struct qf_odd_entry *e)
{
	/* QEMU refuses to read where these are, or reads nothing */
	const unsigned int unread =
		QF_ODD_UNALIGNED | QF_ODD_PAST_END | QF_ODD_COPIED_NOTHING |
		QF_ODD_COMPRESSED_DATA_FILE | QF_ODD_SUB_NO_CLUSTER |
		QF_ODD_SUB_BOTH | QF_ODD_ZERO_V2 | QF_ODD_NOT_GUEST_OFF;

	/* the flag for zeros stands among reserved bits: it is one of them */
	return e->odd & unread ||
	       (e->odd & QF_ODD_RESERVED &&
		(qf_entry_kind(&c->img->geo, e->entry) == QF_ENTRY_KIND_ZERO ||
		 qf_entry_kind(&c->img->geo, e->entry) ==
			 QF_ENTRY_KIND_ZERO_ALLOC));
}

/* Single entries that cannot be read; a garbage table loses its whole span. */
static void lost_damage(struct qf_pass_ctx *c)
{
	const struct qf_odd_entry *e = c->detail.odd;
	const struct qf_damage *d = c->detail.damage;
	size_t i, k = 0;

	for (i = 0; i < c->detail.n_damages; i++, d++) {
		uint64_t off = c->walk.table[d->table].off;

		if (qf_detail_is_garbage(d) || d->more) {
			lose_span(c, d->l1_index, off);
			continue;
		}
		while (k < c->detail.n_odd && e[k].table < d->table)
			k++;
		for (; k < c->detail.n_odd && e[k].table == d->table; k++)
			if (is_unread(c, &e[k]))
				qf_lost_for_table(
					c, d->l1_index, off,
					qf_pass_guest(c->img, d->l1_index,
						      e[k].index),
					c->img->geo.cluster_bytes * e[k].n);
		if (d->odd[__builtin_ctz(QF_ODD_SUB_NO_CLUSTER)] &&
		    !qf_lost_subclusters(c, d->l1_index, off))
			c->lost_ranges->failed = true;
	}
}

/* What an entry led to that the judge knows to be bent; also one that is alone
 * on its cluster, because another entry lost that. */
static void lost_claims(struct qf_pass_ctx *c)
{
	const struct qf_geometry *g = &c->img->geo;
	const struct qf_question *q = c->questions->at;
	size_t i;

	for (i = 0; i < c->questions->n; i++, q++)
		if (q->kind == QF_QUESTION_CLAIM && qf_question_is_answered(q))
			qf_lost_for_table(
				c,
				(uint32_t)(q->guest_off >>
					   (g->l2_bits + g->cluster_bits)),
				q->place_off & ~(g->cluster_bytes - 1),
				q->guest_off, q->bytes);
}

/* L1 entries that may lead to another's table: what that maps, and what their
 * own maps, is in doubt. */
static void bent_tables(struct qf_pass_ctx *c)
{
	const struct qf_question *q = c->questions->at;
	struct qf_finding *f;
	char who[400];
	uint64_t now;
	uint32_t i1;
	size_t i;

	for (i = 0; i < c->questions->n; i++, q++) {
		if (q->kind != QF_QUESTION_TABLE || !qf_question_best_value(q))
			continue;
		i1 = (uint32_t)(q->guest_off / span_bytes(c->img));
		if (!qf_lost_l1_entry(c->img, q->holder, i1, &now))
			continue;
		now &= QF_ENTRY_OFFSET_MASK;
		f = qf_pass_at(c, QF_P_L1_BENT, q->place_off, 8);
		qf_finding_unseen(f);
		f->guest_off = q->guest_off;
		qf_finding_say(f,
			       "entry %" PRIu32
			       " leads to the table at 0x%" PRIx64
			       ", and the one at 0x%" PRIx64 " lacks an owner",
			       i1, now, qf_question_best_value(q));
		qf_finding_owner(f, "%s",
				 qf_describe_holder(c->img, q->holder, who,
						    sizeof(who)));
		qf_lost_table(c, q->holder, i1, now);
		qf_lost_table(c, q->holder, i1, qf_question_best_value(q));
	}
}

/* Disks whose whole L1 table is out of reach. */
static void lost_disks(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t off, kept, end = img->io->size;
	uint32_t h, entries;

	for (h = 0; h < qf_image_holders(img); h++) {
		if (!qf_image_l1(img, h, &off, &entries)) {
			if (h || img->l1_state != QF_PART_ABSENT)
				qf_lost_add(c->img, c->lost_ranges, h, 0,
					    UINT64_MAX);
			continue;
		}
		kept = off < end ? (end - off) / 8 : 0;
		if (kept < entries)
			qf_lost_add(c->img, c->lost_ranges, h,
				    kept * span_bytes(img), UINT64_MAX);
	}
}

/* The disk looks empty, and is not: see lost_l1.c. */
static void astray_l1(struct qf_pass_ctx *c)
{
	const struct qf_header *h = &c->img->hdr;
	struct qf_finding *f;

	if (qf_lost_l1_counts(c->img)) {
		f = qf_pass_at(c, QF_P_HEADER_L1_OFFSET, h->l1_off,
			       h->l1_entries * 8ull);
		qf_finding_unseen(f);
		qf_finding_say(f,
			       "at 0x%" PRIx64 " is the refcount table: its "
			       "first block counts the header",
			       h->l1_off);
		qf_lost_add(c->img, c->lost_ranges, QF_HOLDER_ACTIVE, 0,
			    UINT64_MAX);
		/* the size stands beside that pointer */
		if (h->l1_entries > c->img->geo.l1_needed)
			qf_lost_add_beyond(c->lost_ranges, QF_HOLDER_ACTIVE,
					   h->disk_bytes,
					   h->l1_entries * span_bytes(c->img) -
						   h->disk_bytes);
	}
	if (c->lost.l1_blank) {
		f = qf_pass_at(c, QF_P_L1_ERASED, h->l1_off,
			       h->l1_entries * 8ull);
		qf_finding_unseen(f);
		qf_finding_say(f,
			       "all %" PRIu32 " entries of the L1 table at "
			       "0x%" PRIx64 " are zero, and clusters without "
			       "an owner hold data",
			       h->l1_entries, h->l1_off);
		qf_lost_add(c->img, c->lost_ranges, QF_HOLDER_ACTIVE, 0,
			    UINT64_MAX);
	}
	if (!c->lost.l1_leads)
		return;
	f = qf_pass_at(c, QF_P_HEADER_L1_OFFSET, h->l1_off,
		       h->l1_entries * 8ull);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "at 0x%" PRIx64 " is an L2 table, which leads to "
		       "%" PRIu64 " of the clusters without an owner",
		       h->l1_off, c->lost.l1_leads);
	qf_lost_add(c->img, c->lost_ranges, QF_HOLDER_ACTIVE, 0, UINT64_MAX);
}

/* QEMU reads a snapshot table as far as its entries follow one another. */
static void unread_snapshots(struct qf_pass_ctx *c)
{
	uint32_t i;

	for (i = c->img->snapshots.whole; i < c->img->snapshots.n; i++)
		qf_lost_add(c->img, c->lost_ranges, QF_HOLDER_SNAPSHOT(i), 0,
			    UINT64_MAX);
}

enum qf_err qf_pass_lost(struct qf_pass_ctx *c, struct qf_why *why)
{
	size_t before = c->out->n;
	bool all = true;
	enum qf_err err;

	astray_l1(c);
	orphan_snapshots(c);
	if (!c->opts->cut_told) {
		qf_lost_shared(c);
		qf_lost_unnamed(c);
		bent_tables(c);
		all = qf_table_versions(c);
	}
	c->withhold = c->out->n > before || !all;
	unread_snapshots(c);
	lost_entries(c);
	lost_gaps(c);
	lost_damage(c);
	lost_claims(c);
	lost_disks(c);
	err = qf_lost_cut(c);
	if (!err)
		err = qf_lost_mixups(c);
	/* the leaks that speak for an erased part are those of a table, or of
	 * a snapshot, that is known to be lost */
	if (c->lost_ranges->n || c->withhold ||
	    c->img->snapshots.n < c->img->snapshots.stated)
		c->lost.n_parts = 0;
	before = c->out->n;
	erased_tables(c);
	erased_parts(c);
	/* where a map is lost, what has no owner may be what it mapped */
	c->withhold |= c->out->n > before || c->lost_ranges->n ||
		       c->img->snapshots.n < c->img->snapshots.stated;
	c->withhold &= !c->opts->cut_told;
	return err ? qf_err_set(why, err, 0, QF_NOWHERE,
				"no memory for what is lost")
		   : QF_OK;
}
