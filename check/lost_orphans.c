// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that no L1 entry names, and snapshot tables that the header does
 * not name, found among the clusters without an owner.
 */
#include "check/lost_search.h"
#include "lib/mem.h"
#include "lib/text.h"

#include <stdlib.h>

/* How many clusters without an owner are read in search of tables. */
#define MAX_READS 1024u

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

/*
 * Counts what the cluster in s->buf would be as an L2 table. False if it
 * cannot be one: nothing in it, or entries that break the rules.
 */
static bool weigh_l2(struct qf_search *s, struct qf_orphan *o, bool marking)
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
		if (n && qf_lost_leaked(s->t, first)) {
			o->leaked++;
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

/* An L2 table if at least half of its entries point to leaks. */
static bool try_l2(struct qf_search *s, uint64_t off)
{
	struct qf_lost *l = s->l;
	struct qf_orphan o = { .off = off };

	if (is_stale_bitmap(s, off))
		return true;

	if (!weigh_l2(s, &o, false) || o.leaked * 2 < o.entries)
		return true;
	weigh_l2(s, &o, true);
	mark(s, off >> s->img->geo.cluster_bits);
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
static uint64_t snapshot_entry(const struct qf_search *s,
			       const unsigned char *p, uint64_t left,
			       struct qf_orphan_snapshot *o)
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
	    !qf_lost_leaked(s->t, l1_off >> g->cluster_bits))
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
static bool try_snapshots(struct qf_search *s, uint64_t off)
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
bool qf_lost_find_orphans(struct qf_search *s)
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
			if (qf_lost_is_explained(s, c))
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
