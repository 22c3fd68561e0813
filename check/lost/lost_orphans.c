// SPDX-License-Identifier: GPL-2.0-or-later
/* L2 tables that no L1 entry names, found among the clusters without an
 * owner. */
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <stdlib.h>

/* How many clusters without an owner are read in search of tables. */
#define MAX_READS 2048u
#define MAX_SECTORS 65536u /* of them, the first sector alone */
#define FIRST_ONES 2u
#define SECTOR_BYTES 512u
/* How many clusters that an L1 table names are read to be sure. */
#define MAX_TARGETS 2u
/* How many tables are read to find the places of orphans. */
#define MAX_PLACED 4096u

static void mark(struct qf_search *s, uint64_t cluster)
{
	if (cluster / 8 < s->explained_bytes)
		s->explained[cluster / 64] |= 1ull << (cluster % 64);
}

bool qf_lost_is_explained(const struct qf_search *s, uint64_t cluster)
{
	return s->explained[cluster / 64] >> (cluster % 64) & 1;
}

uint64_t qf_lost_unexplained(const struct qf_search *s, uint64_t first,
			     uint64_t n)
{
	uint64_t sum = n, at = first, end = first + n, bits;

	if (!s->l->n_orphans)
		return n;
	while (at < end) {
		bits = s->explained[at / 64] & ~0ull << (at % 64);
		if (at / 64 == end / 64)
			bits &= (1ull << (end % 64)) - 1;
		sum -= (uint64_t)__builtin_popcountll(bits);
		at = (at / 64 + 1) * 64;
	}
	return sum;
}

/* The same with an external data file: what a table maps is not in this one,
 * but each entry tells where the table stands. */
static bool weigh_outside(const struct qf_geometry *g,
			  const struct qf_be64 *buf, struct qf_orphan *o)
{
	uint64_t index;

	o->entries = qf_entry_table_place(g, buf, &index);
	if (!o->entries || index > UINT32_MAX)
		return false;
	o->leaked = o->entries;
	o->flagged = true;
	o->placed = true;
	o->l1_index = (uint32_t)index;
	return true;
}

/* True if entry E says that its cluster, which has one owner by the count, is
 * the active disk's: no snapshot's table has the flag there. */
static bool is_owned(const struct qf_search *s, uint64_t e, uint64_t cluster)
{
	return e & QF_ENTRY_COPIED && !(e & QF_ENTRY_COMPRESSED) &&
	       qf_recount_at(s->t, cluster)->stated == 1;
}

/*
 * Counts what the cluster in BUF would be as an L2 table. False if it
 * cannot be one: nothing in it, or entries that break the rules.
 */
static bool weigh_l2(struct qf_search *s, const unsigned char *buf,
		     struct qf_orphan *o, bool marking)
{
	const struct qf_geometry *g = &s->img->geo;
	uint64_t e, bitmap, off, bytes, first, n;
	struct qf_run r = { 0 };
	struct qf_be64 w;
	uint32_t i;

	o->entries = o->leaked = o->shared = o->owned = 0;
	o->flagged = false;
	if (g->data_file)
		return weigh_outside(g, (const struct qf_be64 *)buf, o);
	for (i = 0; i < g->l2_entries; i++) {
		memcpy(&w, buf + (uint64_t)i * g->l2_entry_bytes, 8);
		e = qf_be_get64(w);
		bitmap = 0;
		if (g->extl2) {
			memcpy(&w, buf + i * 16ull + 8, 8);
			bitmap = qf_be_get64(w);
		}
		if (!e && !bitmap)
			continue;
		if (qf_entry_l2_odd(g, s->img->hdr.version, s->img->io->size, e,
				    bitmap))
			return false;
		r.entry = e;
		r.n = 1;
		r.kind = (uint8_t)qf_entry_kind(g, e);
		bytes = qf_recount_run_bytes(s->img, &r, &off);
		if (!bytes)
			continue;
		o->entries++;
		o->flagged |= (e & (QF_ENTRY_COPIED | QF_ENTRY_COMPRESSED)) !=
			      0;
		n = qf_recount_touched(s->img, off, bytes, &first);
		o->shared += n && qf_recount_counted(s->t, first);
		if (n && qf_lost_leaked(s->t, first)) {
			o->leaked++;
			o->owned += is_owned(s, e, first);
			if (marking)
				mark(s, first);
		}
	}
	return o->entries > 0;
}

/* True if OFF is in a table of bitmaps that are not valid any more. */
static bool is_stale_bitmap(const struct qf_search *s, uint64_t off)
{
	const struct qf_bitmap *bm = s->img->bitmaps.bm;
	uint32_t i;

	for (i = 0; i < s->img->bitmaps.n; i++)
		if (off >= bm[i].table_off &&
		    off - bm[i].table_off < bm[i].table_entries * 8ull)
			return true;
	return false;
}

static int by_value(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* True if the cluster at OFF reads as an L2 table. */
static bool reads_as_l2(struct qf_search *s, uint64_t off)
{
	struct qf_orphan o = { 0 };

	return !qf_io_read_pad(s->img->io, s->other, s->img->geo.cluster_bytes,
			       off, NULL) &&
	       weigh_l2(s, s->other, &o, false);
}

static void name(struct qf_search *s, uint64_t cluster)
{
	if (cluster / 8 < s->explained_bytes)
		s->named[cluster / 64] |= 1ull << (cluster % 64);
}

static uint64_t word_at(const struct qf_search *s, uint64_t i)
{
	struct qf_be64 w;

	memcpy(&w, s->buf + i, sizeof(w));
	return qf_be_get64(w);
}

/*
 * An L1 table without an owner: of a snapshot that was being taken or deleted
 * when the program was killed, or the table before it grew. All that it names
 * are L2 tables.
 */
static bool is_l1(struct qf_search *s)
{
	const struct qf_geometry *g = &s->img->geo;
	uint64_t i, e, off, found = 0, reads = 0;

	for (i = 0; i < g->cluster_bytes; i += 8) {
		e = word_at(s, i);
		if (!e)
			continue;
		found++;
		off = e & QF_ENTRY_OFFSET_MASK;
		if (!off || qf_entry_l1_odd(g, s->img->io->size, e))
			return false;
		if (!bsearch(&off, s->known, s->w->n_tables, sizeof(off),
			     by_value) &&
		    reads++ < MAX_TARGETS && !reads_as_l2(s, off))
			return false;
	}
	s->old_tables += found > 0;
	for (i = 0; found && i < g->cluster_bytes; i += 8)
		if (word_at(s, i))
			name(s, (word_at(s, i) & QF_ENTRY_OFFSET_MASK) >>
					g->cluster_bits);
	return found;
}

static bool is_named(const struct qf_search *s, uint64_t off)
{
	uint64_t cluster = off >> s->img->geo.cluster_bits;

	return s->named[cluster / 64] >> (cluster % 64) & 1;
}

/* True if the tables in s->buf and s->other name one host cluster at one
 * index. */
static bool are_versions(const struct qf_search *s)
{
	const struct qf_geometry *g = &s->img->geo;
	struct qf_be64 x, y;
	uint64_t i, a, b;

	for (i = 0; i < g->cluster_bytes; i += g->l2_entry_bytes) {
		memcpy(&x, s->buf + i, sizeof(x));
		memcpy(&y, s->other + i, sizeof(y));
		a = qf_be_get64(x) & ~QF_ENTRY_COPIED;
		b = qf_be_get64(y) & ~QF_ENTRY_COPIED;
		if (a == b && a & QF_ENTRY_OFFSET_MASK)
			return true;
	}
	return false;
}

/* Finds the L1 index at which another version of the orphan stands. */
static void place(struct qf_search *s, struct qf_orphan *o)
{
	const struct qf_l2_table *t;
	uint32_t i, v;

	for (i = 0; i < s->w->n_groups && o->shared && !o->placed; i++) {
		for (v = 0; v < s->w->group[i].n; v++) {
			t = &s->w->table[s->w->group[i].first + v];
			if (!t->off || t->odd || t->unread || !t->filled)
				continue;
			if (s->placed++ >= MAX_PLACED)
				return;
			if (qf_io_read_pad(s->img->io, s->other,
					   s->img->geo.cluster_bytes, t->off,
					   NULL) ||
			    !are_versions(s))
				continue;
			o->placed = true;
			o->l1_index = s->w->group[i].l1_index;
			break;
		}
	}
}

/*
 * A bitmap's table points to clusters too, and never has a flag. An L2 table
 * without any is a snapshot's.
 */
static bool may_be_other(const struct qf_search *s, const struct qf_orphan *o)
{
	return !o->flagged && !o->placed &&
	       (s->img->ext.has_bitmaps || !s->img->hdr.snapshot_count);
}

/* True if a version of the orphan has more owners than it is counted for: an
 * L1 entry that named the orphan may lead there. */
static bool is_displaced(const struct qf_search *s, const struct qf_orphan *o)
{
	const struct qf_group *g = o->placed ? qf_walk_group(s->w, o->l1_index)
					     : NULL;
	const struct qf_trouble *tr;
	uint32_t v;

	for (v = 0; g && v < g->n; v++) {
		tr = qf_recount_at(s->t, s->w->table[g->first + v].off >>
						 s->img->geo.cluster_bits);
		if (tr && tr->counted > tr->stated)
			return true;
	}
	return false;
}

/* An L2 table if at least half of its entries point to leaks, or a version of
 * it has an owner too many. */
static bool try_l2(struct qf_search *s, uint64_t off)
{
	struct qf_lost *l = s->l;
	struct qf_orphan o = { .off = off };
	uint64_t index;

	if (is_stale_bitmap(s, off) ||
	    (!qf_entry_table_place(&s->img->geo, (struct qf_be64 *)s->buf,
				   &index) &&
	     is_l1(s)) ||
	    !weigh_l2(s, s->buf, &o, false))
		return true;
	if (o.leaked * 2 >= o.entries || s->t->too_low)
		place(s, &o);
	if (o.leaked * 2 < o.entries && !is_displaced(s, &o))
		return true;
	if (may_be_other(s, &o))
		return true;
	weigh_l2(s, s->buf, &o, true);
	mark(s, off >> s->img->geo.cluster_bits);
	if (!qf_mem_grow((void **)&l->orphan, l->n_orphans, &l->orphan_room,
			 sizeof(o)))
		return false;
	l->orphan[l->n_orphans++] = o;
	return true;
}

/* Leaves out what an L1 table without an owner names: it is what remains of
 * a snapshot or will be one. Not so if the active disk has none itself. */
static void drop_named(struct qf_search *s)
{
	struct qf_lost *l = s->l;
	size_t i, n = 0;

	if (!s->w->l1_entries_used || s->img->l1_state != QF_PART_OK)
		return;
	for (i = 0; i < l->n_orphans; i++)
		if (!is_named(s, l->orphan[i].off))
			l->orphan[n++] = l->orphan[i];
	l->n_orphans = n;
}

/* True if the sector may be the begin of an L1, L2 or snapshot table. */
static bool begins_table(const struct qf_search *s, const unsigned char *sector)
{
	const struct qf_geometry *g = &s->img->geo;
	struct qf_be64 w[2] = { 0 };
	uint64_t first;
	uint32_t i;

	memcpy(w, sector, sizeof(w[0]));
	first = qf_be_get64(w[0]);
	/* a snapshot's entry begins with the offset of its L1 table */
	if (first && !(first & (g->cluster_bytes - 1)) &&
	    first < s->img->io->size)
		return true;
	for (i = 0; i < SECTOR_BYTES; i += g->l2_entry_bytes) {
		memcpy(w, sector + i, g->l2_entry_bytes);
		if (qf_entry_l2_odd(g, s->img->hdr.version, s->img->io->size,
				    qf_be_get64(w[0]), qf_be_get64(w[1])))
			return false;
	}
	return true;
}

/* Looks at a cluster without an owner. False: no memory. */
static bool look_at(struct qf_search *s, uint64_t cluster)
{
	uint64_t off = cluster << s->img->geo.cluster_bits;

	if (qf_lost_is_explained(s, cluster) || s->sectors++ >= MAX_SECTORS ||
	    s->reads >= MAX_READS ||
	    qf_io_read_pad(s->img->io, s->buf, SECTOR_BYTES, off, NULL) ||
	    !begins_table(s, s->buf))
		return true;
	s->reads++;
	if (qf_io_read_pad(s->img->io, s->buf, s->img->geo.cluster_bytes, off,
			   NULL))
		return true;
	return qf_lost_try_snapshots(s, off) && try_l2(s, off);
}

/* Looks at the leaks: at the first ones of each stretch, where tables are
 * found, and then at the others, as many as there is patience for. */
static bool read_leaks(struct qf_search *s)
{
	const struct qf_trouble *tr;
	uint64_t from, to, k;
	unsigned int round;
	size_t i;

	for (round = 0; round < 2; round++) {
		tr = s->t->trouble;
		for (i = 0; i < s->t->n_troubles; i++, tr++) {
			if (tr->why &
				    (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED) ||
			    tr->stated <= tr->counted || tr->counted)
				continue;
			from = round ? FIRST_ONES : 0;
			to = round || tr->n < FIRST_ONES ? tr->n : FIRST_ONES;
			for (k = from; k < to && s->sectors < MAX_SECTORS &&
				       s->reads < MAX_READS;
			     k++)
				if (!look_at(s, tr->first + k))
					return false;
		}
	}
	return true;
}

bool qf_lost_find_orphans(struct qf_search *s)
{
	if (!read_leaks(s))
		return false;
	if (s->l->n_orphans)
		qsort(s->l->orphan, s->l->n_orphans, sizeof(*s->l->orphan),
		      by_value); /* an orphan begins with its offset */
	drop_named(s);
	return true;
}
