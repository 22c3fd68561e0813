// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost.h"
#include "lib/mem.h"
#include "lib/text.h"

#include <stdlib.h>

/* How many clusters without an owner are read in search of tables. */
#define MAX_READS 1024u
/* No writer has more clusters on their way than this. */
#define MAX_TAIL 65536u
#define MANY_TABLES 8u
#define MAX_LOOKED 256u

struct search {
	struct qf_walk *w;
	struct qf_image *img;
	const struct qf_tally *t;
	struct qf_lost *l;
	uint64_t *explained; /* a bit a cluster: an orphan table names it */
	uint64_t explained_bytes;
	unsigned char *buf;
	unsigned int reads;
	/* the file's last clusters: what lies from each to the end */
	struct tail {
		uint32_t used, leaked;
	} * tail;
	uint64_t *refblock; /* ascending */
	size_t n_refblocks;
};

static bool is_leaked(const struct qf_tally *t, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_tally_at(t, cluster);

	return tr && !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED)) &&
	       tr->stated > tr->counted;
}

static int by_offset(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* The refcount blocks' offsets, ascending. */
static bool list_refblocks(struct search *s)
{
	uint64_t i, off;

	s->refblock =
		qf_mem_zalloc(s->img->reftable_entries, sizeof(*s->refblock));
	if (!s->refblock)
		return false;
	for (i = 0; i < s->img->reftable_entries; i++) {
		off = qf_image_refblock(s->img, i);
		if (off)
			s->refblock[s->n_refblocks++] = off;
	}
	qsort(s->refblock, s->n_refblocks, sizeof(*s->refblock), by_offset);
	return true;
}

/* The first cluster behind a table, but for a refcount block that QEMU may
 * have needed just then. */
static uint64_t first_behind(const struct search *s, uint64_t table_cluster)
{
	uint64_t c = table_cluster + 1, off = c << s->img->geo.cluster_bits;

	if (bsearch(&off, s->refblock, s->n_refblocks, sizeof(off), by_offset))
		c++;
	return c;
}

/* True if a version of the table beside T has clusters counted too often:
 * T shared them until it was emptied. */
static bool sibling_is_high(const struct search *s, const struct qf_group *g,
			    const struct qf_l2_table *empty)
{
	const struct qf_geometry *geo = &s->img->geo;
	const struct qf_l2_table *t;
	struct qf_be64 w;
	uint64_t e, k;
	uint32_t v, i;

	for (v = 0; v < g->n; v++) {
		t = &s->w->table[g->first + v];
		if (t == empty || !t->filled ||
		    qf_io_read_pad(s->img->io, s->buf, geo->cluster_bytes,
				   t->off, NULL))
			continue;
		for (i = 0; i < geo->l2_entries; i++) {
			k = (uint64_t)i * geo->l2_entry_bytes;
			memcpy(&w, s->buf + k, sizeof(w));
			e = qf_be_get64(w);
			if (qf_entry_kind(geo, e) == QF_ENTRY_KIND_DATA &&
			    is_leaked(s->t, (e & QF_ENTRY_OFFSET_MASK) >>
						    geo->cluster_bits))
				return true;
		}
	}
	return false;
}

struct table_count {
	uint64_t behind; /* the cluster */
	uint64_t empty;	 /* of them, without an entry */
	uint64_t filled; /* of the image, with entries */
};

static struct table_count count_tables(const struct search *s, uint64_t cluster)
{
	struct table_count n = { 0 };
	const struct qf_l2_table *t;
	uint64_t i;

	for (i = 0; i < s->w->n_tables; i++) {
		t = &s->w->table[i];
		n.filled += t->filled;
		if (t->off >> s->img->geo.cluster_bits <= cluster)
			continue;
		n.behind++;
		n.empty += !t->filled;
	}
	return n;
}

/* Counts the last MAX_TAIL clusters from the end: tail[n] is the last n. */
static bool count_tail(struct search *s)
{
	uint64_t n = s->t->clusters < MAX_TAIL ? s->t->clusters : MAX_TAIL, i;

	s->tail = qf_mem_zalloc(n + 1, sizeof(*s->tail));
	if (!s->tail)
		return false;
	for (i = 1; i <= n; i++) {
		uint64_t c = s->t->clusters - i;

		s->tail[i].used =
			s->tail[i - 1].used + (qf_tally_counted(s->t, c) != 0);
		s->tail[i].leaked = s->tail[i - 1].leaked + is_leaked(s->t, c);
	}
	return true;
}

/*
 * True if something was ever written to the cluster: one that lies in a hole
 * of the file was allocated, but its data never came. Above a backing file,
 * even such a cluster hides the base's data.
 */
static bool holds_data(const struct search *s, uint64_t cluster)
{
	uint64_t off = cluster << s->img->geo.cluster_bits, end;
	uint64_t bytes = s->img->geo.cluster_bytes;

	if (s->img->backing_name)
		return true;
	return qf_io_extent(s->img->io, off, off + bytes, &end) == QF_IO_DATA ||
	       end < off + bytes;
}

/* Data that were on their way: allocated, but behind the file's end or in a
 * hole of it. Looks at the file's last clusters. */
static bool on_their_way(const struct search *s)
{
	uint64_t c = s->t->clusters, stated, looked = 0;

	if (!qf_image_refcount(s->img, c, &stated, NULL) && stated)
		return true;
	while (c && looked < MAX_LOOKED && s->t->clusters - c < MAX_TAIL)
		if (is_leaked(s->t, --c)) {
			if (!holds_data(s, c))
				return true;
			looked++;
		}
	return false;
}

/*
 * A writer that is killed leaves this: its newest L2 tables are still empty,
 * and next to nothing behind them has an owner, for it is data on its way.
 * More of that stands before the table, or the file reaches past the last
 * cluster that any refcount knows; or more empty tables follow; or there are
 * so many other tables that the one which is empty is hardly by chance the
 * newest; or some of the data never came. A table that was emptied later shows none of these signs.
 */
static bool killed_tail(const struct search *s, uint64_t table_cluster)
{
	const struct qf_tally *t = s->t;
	const struct qf_trouble *last = &t->trouble[t->n_troubles - 1];
	struct table_count n = count_tables(s, table_cluster);
	uint64_t used, leaked;

	if (t->clusters - table_cluster > MAX_TAIL)
		return false;
	used = s->tail[t->clusters - table_cluster - 1].used;
	leaked = s->tail[t->clusters - table_cluster - 1].leaked;
	used -= used < n.behind ? used : n.behind;
	if (used * 8 > leaked + 8)
		return false;
	return t->trouble[0].first < table_cluster ||
	       last->first + last->n < t->clusters || n.empty ||
	       n.filled >= MANY_TABLES || on_their_way(s);
}

static bool is_erased(struct search *s, const struct qf_group *g,
		      const struct qf_l2_table *t)
{
	uint64_t table = t->off >> s->img->geo.cluster_bits, first;

	if (t->filled || t->unread || t->odd || !t->off)
		return false;
	if (!s->tail && !count_tail(s))
		return false;
	if (g->n > 1 && sibling_is_high(s, g, t))
		return true;
	first = first_behind(s, table);
	return is_leaked(s->t, first) && holds_data(s, first) &&
	       !killed_tail(s, table);
}

static bool find_erased(struct search *s)
{
	struct qf_lost *l = s->l;
	const struct qf_group *g;
	uint32_t i, v;

	for (i = 0; i < s->w->n_groups; i++) {
		g = &s->w->group[i];
		for (v = 0; v < g->n; v++) {
			if (!is_erased(s, g, &s->w->table[g->first + v]))
				continue;
			if (!qf_mem_grow((void **)&l->erased, l->n_erased,
					 &l->erased_room, sizeof(uint64_t)))
				return false;
			l->erased[l->n_erased++] = g->first + v;
		}
	}
	return true;
}

static void mark(struct search *s, uint64_t cluster)
{
	if (cluster / 8 < s->explained_bytes)
		s->explained[cluster / 64] |= 1ull << (cluster % 64);
}

static bool is_marked(const struct search *s, uint64_t cluster)
{
	return s->explained[cluster / 64] >> (cluster % 64) & 1;
}

/*
 * Counts what the cluster in s->buf would be as an L2 table. False if it
 * cannot be one: nothing in it, or entries that break the rules.
 */
static bool weigh_l2(struct search *s, struct qf_orphan *o, bool marking)
{
	const struct qf_geometry *g = &s->img->geo;
	uint64_t e, bitmap, off, bytes, first, n;
	struct qf_run r = { 0 };
	struct qf_be64 w;
	uint32_t i;

	o->entries = o->leaked = 0;
	for (i = 0; i < g->l2_entries; i++) {
		memcpy(&w, s->buf + (uint64_t)i * g->l2_entry_bytes, 8);
		e = qf_be_get64(w);
		bitmap = 0;
		if (g->extl2) {
			memcpy(&w, s->buf + i * 16ull + 8, 8);
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
		bytes = qf_tally_run_bytes(s->img, &r, &off);
		if (!bytes)
			continue;
		o->entries++;
		n = qf_tally_touched(s->img, off, bytes, &first);
		if (n && is_leaked(s->t, first)) {
			o->leaked++;
			if (marking)
				mark(s, first);
		}
	}
	return o->entries > 0;
}

/* True if OFF is in a table of bitmaps that are not valid any more. */
static bool is_stale_bitmap(const struct search *s, uint64_t off)
{
	const struct qf_bitmap *bm = s->img->bitmaps.bm;
	uint32_t i;

	for (i = 0; i < s->img->bitmaps.n; i++)
		if (off >= bm[i].table_off &&
		    off - bm[i].table_off < bm[i].table_entries * 8ull)
			return true;
	return false;
}

/* An L2 table if at least half of its entries point to leaks. */
static bool try_l2(struct search *s, uint64_t off)
{
	struct qf_lost *l = s->l;
	struct qf_orphan o = { .off = off };

	if (is_stale_bitmap(s, off))
		return true;

	if (!weigh_l2(s, &o, false) || o.leaked * 2 < o.entries)
		return true;
	weigh_l2(s, &o, true);
	if (!qf_mem_grow((void **)&l->orphan, l->n_orphans, &l->orphan_room,
			 sizeof(o)))
		return false;
	l->orphan[l->n_orphans++] = o;
	return true;
}

static void take_name(const unsigned char *p, size_t n, char *out, size_t room)
{
	char raw[64];

	n = n < sizeof(raw) - 1 ? n : sizeof(raw) - 1;
	memcpy(raw, p, n);
	raw[n] = '\0';
	qf_text_safe(raw, out, room);
}

/* One snapshot table entry at P; its length, or 0 if it cannot be one. */
static uint64_t snapshot_entry(const struct search *s, const unsigned char *p,
			       uint64_t left, struct qf_orphan_snapshot *o)
{
	const struct qf_geometry *g = &s->img->geo;
	struct qf_wire_snapshot w;
	struct qf_wire_snapshot_extra x = { 0 };
	uint64_t l1_off, used;
	size_t i;

	if (left < sizeof(w))
		return 0;
	memcpy(&w, p, sizeof(w));
	l1_off = qf_be_get64(w.l1_table_offset);
	used = sizeof(w) + (uint64_t)qf_be_get32(w.extra_len) +
	       qf_be_get16(w.id_len) + qf_be_get16(w.name_len);
	if (!l1_off || l1_off & (g->cluster_bytes - 1) ||
	    l1_off >= s->img->io->size || !qf_be_get32(w.l1_size) ||
	    qf_be_get32(w.l1_size) > QF_MAX_L1_BYTES / 8 ||
	    qf_be_get32(w.extra_len) > QF_MAX_SNAPSHOT_EXTRA ||
	    !qf_be_get16(w.id_len) || used > left ||
	    !is_leaked(s->t, l1_off >> g->cluster_bits))
		return 0;
	o->disk_bytes = s->img->hdr.disk_bytes;
	if (qf_be_get32(w.extra_len) >= 16) {
		memcpy(&x, p + sizeof(w), 16);
		o->disk_bytes = qf_be_get64(x.disk_size);
	}
	p += sizeof(w) + qf_be_get32(w.extra_len);
	for (i = 0; i < qf_be_get16(w.id_len); i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return 0;
	take_name(p, qf_be_get16(w.id_len), o->id, sizeof(o->id));
	take_name(p + qf_be_get16(w.id_len), qf_be_get16(w.name_len), o->name,
		  sizeof(o->name));
	return used;
}

/* A table of snapshots whose L1 tables have no owner. */
static bool try_snapshots(struct search *s, uint64_t off)
{
	struct qf_orphan_snapshots *o = &s->l->snapshots;
	uint64_t at = 0, used, bytes = s->img->geo.cluster_bytes;

	if (o->n)
		return true; /* one is enough to know */
	while (at < bytes) {
		if (!qf_mem_grow((void **)&o->at, o->n, &o->room,
				 sizeof(*o->at)))
			return false;
		used = snapshot_entry(s, s->buf + at, bytes - at, &o->at[o->n]);
		if (!used)
			break;
		o->off = off;
		o->n++;
		at = qf_mem_round_up(at + used, 8);
	}
	return true;
}

/* Reads leaked clusters that no orphan explains yet, in order. */
static bool find_orphans(struct search *s)
{
	uint32_t bits = s->img->geo.cluster_bits;
	const struct qf_trouble *tr = s->t->trouble;
	uint64_t c;
	size_t i;

	for (i = 0; i < s->t->n_troubles; i++, tr++) {
		if (tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED) ||
		    tr->stated <= tr->counted || tr->counted)
			continue;
		for (c = tr->first; c < tr->first + tr->n; c++) {
			if (is_marked(s, c))
				continue;
			if (s->reads++ >= MAX_READS)
				return true;
			if (qf_io_read_pad(s->img->io, s->buf, 1ull << bits,
					   c << bits, NULL))
				continue;
			if (!try_snapshots(s, c << bits) ||
			    !try_l2(s, c << bits))
				return false;
		}
	}
	return true;
}

enum qf_err qf_lost_find(struct qf_walk *w, const struct qf_tally *t,
			 struct qf_lost *l, struct qf_why *why)
{
	struct search s = { .w = w, .img = w->img, .t = t, .l = l };
	bool ok = true;

	memset(l, 0, sizeof(*l));
	if (!t->leaked)
		return QF_OK;
	s.explained_bytes = ((t->clusters + 1) / 64 + 1) * 8;
	s.explained = qf_mem_map(s.explained_bytes);
	s.buf = qf_mem_zalloc(1, w->img->geo.cluster_bytes);
	ok = s.explained && s.buf && list_refblocks(&s) && find_erased(&s) &&
	     find_orphans(&s);
	qf_mem_unmap(s.explained, s.explained_bytes);
	free(s.buf);
	free(s.refblock);
	free(s.tail);
	if (ok)
		return QF_OK;
	qf_lost_free(l);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to look for lost tables");
}

void qf_lost_free(struct qf_lost *l)
{
	free(l->orphan);
	free(l->erased);
	free(l->snapshots.at);
	memset(l, 0, sizeof(*l));
}
