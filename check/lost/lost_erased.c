// SPDX-License-Identifier: GPL-2.0-or-later
/* L2 tables that hold nothing, though they mapped something. */
#include "check/lost/lost_gaps.h"
#include "check/lost/lost_guest.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SEVERAL_TABLES 3u
#define SEVERAL_LEAKS 8u
#define MAX_BLOCKS 64u
#define MAX_TABLES 4096u
#define HOLE_UNIT 4096u /* of file systems */

/* The first cluster behind a table, but for a refcount block that QEMU may
 * have needed just then. */
static uint64_t first_behind(const struct qf_search *s, uint64_t table_cluster)
{
	return table_cluster + 1 + qf_lost_is_refblock(s, table_cluster + 1);
}

/* True if what entry I of the table in s->buf maps begins in a cluster that is
 * counted too often. *PACKED: it is compressed. */
static bool is_high(const struct qf_search *s, uint32_t i, bool *packed)
{
	const struct qf_geometry *geo = &s->img->geo;
	uint64_t e, off, bytes, cluster;
	enum qf_entry_kind kind;
	struct qf_be64 w;

	memcpy(&w, s->buf + (uint64_t)i * geo->l2_entry_bytes, sizeof(w));
	e = qf_be_get64(w);
	kind = qf_entry_kind(geo, e);
	*packed = kind == QF_ENTRY_KIND_COMPRESSED;
	if (!*packed && kind != QF_ENTRY_KIND_DATA)
		return false;
	off = e & QF_ENTRY_OFFSET_MASK;
	if (*packed)
		qf_entry_compressed(geo, e, &off, &bytes);
	cluster = off >> geo->cluster_bits;
	return cluster < s->t->clusters && qf_lost_leaked(s->t, cluster) &&
	       !qf_lost_is_explained(s, cluster);
}

/* True if a version of the table beside T has clusters counted too often:
 * T shared them until it was emptied. Where the version itself is counted too
 * often, a holder of it has vanished instead. A cluster with compressed data
 * is counted for others as well: of those, most must be. */
static bool any_is_high(const struct qf_search *s, const struct qf_group *g)
{
	const struct qf_geometry *geo = &s->img->geo;
	const struct qf_l2_table *t;
	uint32_t v, i, all, high;
	bool packed, yes;

	for (v = 0; v < g->n; v++) {
		t = &s->w->table[g->first + v];
		if (!t->filled || t->unfollowed ||
		    qf_lost_leaked(s->t, t->off >> geo->cluster_bits) ||
		    qf_io_read_pad(s->img->io, s->buf, geo->cluster_bytes,
				   t->off, NULL))
			continue;
		for (i = all = high = 0; i < geo->l2_entries; i++) {
			yes = is_high(s, i, &packed);
			if (yes && !packed)
				return true;
			all += packed;
			high += yes;
		}
		if (high && high * 2 >= all)
			return true;
	}
	return false;
}

/* The same for all empty versions of the group. */
static bool sibling_is_high(struct qf_search *s, const struct qf_group *g)
{
	if (s->high_group != g)
		s->high = any_is_high(s, g);
	s->high_group = g;
	return s->high;
}

/* True if CLUSTER had all the owners that T has, and more than one: a writer
 * that was killed had not got so far with it. */
static bool was_shared(const struct qf_search *s, uint64_t cluster,
		       const struct qf_l2_table *t)
{
	const struct qf_trouble *tr = qf_recount_at(s->t, cluster);

	return !tr->counted && tr->stated > 1 && tr->stated == t->weight;
}

/* The leaks right behind an emptied table. */
static uint64_t leaks_behind(const struct qf_search *s, uint64_t first)
{
	uint64_t n = 0, c;

	for (c = first; qf_gap_is_leak(s, c) || qf_lost_is_refblock(s, c); c++)
		n += !qf_lost_is_refblock(s, c);
	return n;
}

/* True if the table lies in a hole of the file: QEMU writes an empty table
 * before anything names it, so that no killed writer leaves that. */
static bool is_hole(const struct qf_search *s, const struct qf_l2_table *t)
{
	uint64_t bytes = s->img->geo.cluster_bytes, end;

	return bytes > HOLE_UNIT && qf_lost_holes_tell(s->img) &&
	       qf_io_extent(s->img->io, t->off, t->off + bytes, &end) ==
		       QF_IO_HOLE &&
	       end >= t->off + bytes;
}

enum emptied {
	NOT_EMPTIED,
	EMPTY_AT_END, /* if others were: a killed writer leaves such a one */
	EMPTY_WITH_LEAKS, /* if the other leaks do not speak of a writer that
			   * was killed, and then of another */
	EMPTIED,	  /* beyond doubt */
};

/* The leaks, and how many of them lie before all L2 tables. */
struct all_leaks {
	struct qf_gap_leaks l;
	uint64_t before;
};

static struct all_leaks count_leaks(const struct qf_search *s)
{
	struct all_leaks a = { .l = qf_gap_leaks(s) };
	const struct qf_trouble *tr = s->t->trouble;
	uint64_t table, end;
	size_t i;

	if (!s->w->n_tables)
		return a;
	table = s->known[0] >> s->img->geo.cluster_bits;
	for (i = 0; i < s->t->n_troubles && tr->first < table; i++, tr++) {
		end = tr->first + tr->n < table ? tr->first + tr->n : table;
		if (qf_gap_is_leak(s, tr->first))
			a.before += qf_lost_unexplained(s, tr->first,
							end - tr->first);
	}
	return a;
}

static int by_offset(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/*
 * Judges an empty table by leaks that do not lie right behind it: what was
 * there may have been discarded or copied, and the table too. A killed writer
 * leaves no leaks before all tables, for a table comes before its data; and
 * next to none but in the last clusters.
 */
static enum emptied judge_far(struct qf_search *s, const struct qf_l2_table *t,
			      const struct all_leaks *a)
{
	uint64_t table = t->off >> s->img->geo.cluster_bits;

	if (s->old_tables || s->old_snapshots || a->l.n < SEVERAL_LEAKS ||
	    !qf_lost_holds_data(s, a->l.first))
		return NOT_EMPTIED;
	if ((a->l.stated > 1 && a->l.stated == t->weight) ||
	    a->before >= SEVERAL_LEAKS)
		return EMPTIED;
	/* version 2 has no zero flag: discards empty a table for good */
	if (s->img->hdr.version < 3)
		return NOT_EMPTIED;
	if (qf_lost_killed_tail(s, table))
		return a->l.scattered && !a->l.tail &&
				       a->l.inside << s->img->geo.cluster_bits >
					       QF_WINDOW_BYTES
			       ? EMPTY_WITH_LEAKS
			       : NOT_EMPTIED;
	return EMPTY_WITH_LEAKS;
}

/*
 * True if T holds what a refcount block of 64-bit counts holds: its ones read
 * as entries of zeros, which map nothing and are not odd. A block that is full
 * of ones is left out: a table of a disk that was zeroed is so too.
 */
static bool is_refblock_copy(struct qf_search *s, const struct qf_l2_table *t)
{
	uint64_t bytes = s->img->geo.cluster_bytes;
	size_t i;

	if (s->img->hdr.refcount_order != 6 || s->img->geo.extl2 ||
	    t->unfollowed || t->unread ||
	    qf_io_read_pad(s->img->io, s->buf, bytes, t->off, NULL) ||
	    !memcmp(s->buf, s->buf + 8, bytes - 8))
		return false;
	for (i = 0; i < s->n_refblocks && i < MAX_BLOCKS; i++)
		if (s->refblock[i] != t->off &&
		    !qf_io_read_pad(s->img->io, s->other, bytes, s->refblock[i],
				    NULL) &&
		    !memcmp(s->buf, s->other, bytes))
			return true;
	return false;
}

/* The same, asked only of tables that map nothing. */
static bool looks_like_refblock(struct qf_search *s,
				const struct qf_l2_table *t)
{
	struct qf_be64 w;

	if (!t->filled || t->odd || !t->off ||
	    s->img->hdr.refcount_order != 6 || s->blocks_read >= MAX_TABLES ||
	    qf_io_read_pad(s->img->io, &w, sizeof(w), t->off, NULL) ||
	    qf_be_get64(w) > 0xffff)
		return false;
	s->blocks_read++;
	return is_refblock_copy(s, t);
}

/* True if the table holds nothing. If the file ends within it, that is told
 * otherwise. */
static bool is_blank(const struct qf_search *s, const struct qf_l2_table *t)
{
	return !t->filled && !t->unread && !t->odd && t->off &&
	       s->img->io->size - t->off >= s->img->geo.cluster_bytes;
}

static enum emptied judge(struct qf_search *s, const struct qf_group *g,
			  const struct qf_l2_table *t,
			  const struct all_leaks *a, enum qf_lost_use use,
			  bool more)
{
	uint64_t table = t->off >> s->img->geo.cluster_bits, first;
	enum emptied far;

	if (looks_like_refblock(s, t))
		return EMPTIED;
	if (!is_blank(s, t) || use == QF_LOST_FREE)
		return NOT_EMPTIED;
	if (use == QF_LOST_USED || more)
		return EMPTIED;
	if (g->n > 1 && sibling_is_high(s, g))
		return EMPTIED;
	first = first_behind(s, table);
	if (!qf_lost_leaked(s->t, first))
		return judge_far(s, t, a);
	if (is_hole(s, t))
		return EMPTIED;
	if (!qf_lost_holds_data(s, first))
		return NOT_EMPTIED;
	if (was_shared(s, first, t))
		return EMPTIED;
	if (qf_lost_killed_tail(s, table)) {
		far = judge_far(s, t, a);
		return far ? far : EMPTY_AT_END;
	}
	return leaks_behind(s, first) << s->img->geo.cluster_bits >
			       QF_WINDOW_BYTES
		       ? EMPTIED
		       : EMPTY_WITH_LEAKS;
}

static bool add_table(struct qf_lost *l, uint64_t table)
{
	if (!qf_mem_grow((void **)&l->erased, l->n_erased, &l->erased_room,
			 sizeof(uint64_t)))
		return false;
	l->erased[l->n_erased++] = table;
	return true;
}

/* The tables that hold nothing, and what the guest says of each. */
struct blanks {
	uint64_t *at;	       /* numbers in walk->table, ascending; owned */
	enum qf_lost_use *use; /* owned */
	size_t n;
	/* the guest uses what some of them should map, and there are more leaks
	 * than those can have mapped: the others were erased as well, or some
	 * of them */
	bool more;
};

/* Whether the tables that the guest uses leave leaks over. */
static bool leave_leaks(const struct qf_search *s, const struct blanks *b,
			uint64_t leaks)
{
	uint64_t room = 0;
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->use[i] == QF_LOST_USED)
			room += s->img->geo.l2_entries;
	return room && leaks > room;
}

static bool find_blanks(struct qf_search *s, uint64_t leaks, struct blanks *b)
{
	uint64_t k;

	b->at = qf_mem_zalloc(s->n_empty + 1, sizeof(*b->at));
	b->use = qf_mem_zalloc(s->n_empty + 1, sizeof(*b->use));
	if (!b->at || !b->use)
		return false;
	for (k = 0; k < s->w->n_tables && b->n < s->n_empty; k++)
		if (is_blank(s, &s->w->table[k]))
			b->at[b->n++] = k;
	if (!s->no_guest && leaks && b->n &&
	    !qf_lost_ask_guest(s, b->at, b->n, leaks, b->use))
		return false;
	b->more = leave_leaks(s, b, leaks);
	return true;
}

static enum qf_lost_use use_of(const struct blanks *b, uint64_t table)
{
	const uint64_t *at =
		bsearch(&table, b->at, b->n, sizeof(table), by_offset);

	return at ? b->use[at - b->at] : QF_LOST_UNKNOWN;
}

/* Takes the tables that are emptied, as sure as LEAST says. */
static bool take(struct qf_search *s, const struct all_leaks *a,
		 const struct blanks *b, enum emptied least)
{
	const struct qf_group *g;
	uint32_t i, v;

	for (i = 0; i < s->w->n_groups; i++) {
		g = &s->w->group[i];
		for (v = 0; v < g->n; v++) {
			if (judge(s, g, &s->w->table[g->first + v], a,
				  use_of(b, g->first + v), b->more) >= least &&
			    !add_table(s->l, g->first + v))
				return false;
		}
	}
	return true;
}

/* True if all leaks lie in the file's last clusters, where a writer that was
 * killed had those that it was about to use. */
static bool are_last(const struct qf_search *s,
		     const struct qf_gap_leaks *leaks)
{
	return (s->t->clusters - leaks->first) << s->img->geo.cluster_bits <=
	       QF_WINDOW_BYTES;
}

/* True if the leaks are few, and the first of them lies before all the empty
 * tables: it is another table's. */
static bool are_anothers(const struct qf_search *s,
			 const struct qf_gap_leaks *leaks)
{
	uint32_t bits = s->img->geo.cluster_bits;
	size_t i;

	for (i = 0; i < s->l->n_erased; i++)
		if (s->w->table[s->l->erased[i]].off >> bits < leaks->first)
			return false;
	return leaks->n << bits <= QF_WINDOW_BYTES / 8;
}

/*
 * True if the leaks may be those of a writer that was killed: they are the
 * file's last clusters, and more than the empty tables could map, or no more
 * than one has on its way behind several such tables or beginning before
 * them. Leaks in the midst of a file are what tables mapped.
 */
static bool may_be_killed(const struct qf_search *s,
			  const struct qf_gap_leaks *leaks)
{
	uint64_t i;

	if (!are_last(s, leaks))
		return false;
	if (leaks->n > s->l->n_erased * (uint64_t)s->img->geo.l2_entries ||
	    are_anothers(s, leaks))
		return true;
	for (i = 0; i < s->w->n_tables && !s->w->table[i].filled; i++)
		;
	return i < s->w->n_tables && s->l->n_erased >= SEVERAL_TABLES &&
	       leaks->n << s->img->geo.cluster_bits <= QF_WINDOW_BYTES;
}

static bool find_erased(struct qf_search *s, const struct all_leaks *a,
			const struct blanks *b)
{
	enum emptied least = EMPTY_AT_END;

	if (!take(s, a, b, EMPTY_WITH_LEAKS))
		return false;
	if (!s->l->n_erased)
		return true;
	if (may_be_killed(s, &a->l))
		least = EMPTIED;
	s->l->n_erased = 0;
	return take(s, a, b, least);
}

bool qf_lost_find_erased(struct qf_search *s)
{
	struct all_leaks a = count_leaks(s);
	struct blanks b = { 0 };
	bool ok = find_blanks(s, a.l.n, &b) && find_erased(s, &a, &b);

	free(b.at);
	free(b.use);
	return ok;
}
