// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots that the header does not name any more: their count or the
 * table's place was erased. A snapshot tool that was killed leaves tables
 * without an owner too, but then the header names another one.
 */
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

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

/* Takes the entries from AT on whose L1 tables have no owner, out of BYTES of
 * the table in s->buf. */
static bool take_entries(struct qf_search *s, uint64_t off, uint64_t at,
			 uint64_t bytes)
{
	struct qf_orphan_snapshots *o = &s->l->snapshots;
	uint64_t used;

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

/* True if the header's own pointer leads to no snapshot table. */
static bool lost_pointer(const struct qf_image *img)
{
	const struct qf_snapshot_table *t = &img->snapshots;

	if (!img->hdr.snapshots_off)
		return true;
	return t->stated && !t->n && t->state != QF_SNAPSHOTS_OK;
}

bool qf_lost_try_snapshots(struct qf_search *s, uint64_t off)
{
	struct qf_orphan_snapshot o;

	if (!snapshot_entry(s, s->buf, s->img->geo.cluster_bytes, &o))
		return true;
	if (off != s->img->hdr.snapshots_off)
		s->old_snapshots++;
	if (s->l->snapshots.n || !lost_pointer(s->img))
		return true; /* one is enough to know */
	return take_entries(s, off, 0, s->img->geo.cluster_bytes);
}

/* Entries behind those that the header counts: the count was lowered. */
static bool find_uncounted(struct qf_search *s)
{
	const struct qf_image *img = s->img;
	const struct qf_snapshot_table *t = &img->snapshots;
	uint64_t off = img->hdr.snapshots_off, cluster = img->geo.cluster_bytes;
	uint64_t in, at;

	if (!off || off & (cluster - 1) || off >= img->io->size ||
	    t->state != QF_SNAPSHOTS_OK || t->n != t->stated)
		return true;
	if (!t->stated && !qf_lost_leaked(s->t, off >> img->geo.cluster_bits))
		return true;
	at = t->stated ? qf_mem_round_up(t->bytes, 8) : 0;
	in = at & (cluster - 1);
	if (at && !in)
		return true; /* the table ends with its cluster */
	if (qf_io_read_pad(img->io, s->buf, cluster, off + at - in, NULL))
		return true;
	return take_entries(s, off, in, cluster);
}

/* True if the only lost snapshot is the active disk, entry for entry: a tool
 * that took it was killed before it told the header. */
static bool is_unborn(struct qf_search *s)
{
	const struct qf_orphan_snapshots *o = &s->l->snapshots;
	const struct qf_image *img = s->img;
	struct qf_wire_snapshot w;
	struct qf_be64 a, b;
	uint64_t i, n, l1_off;
	uint32_t entries;
	uint64_t active;

	if (o->n != 1 || img->hdr.snapshot_count || img->hdr.snapshots_off ||
	    !qf_image_l1(img, QF_HOLDER_ACTIVE, &active, &entries) ||
	    qf_io_read_pad(img->io, &w, sizeof(w), o->off, NULL))
		return false;
	l1_off = qf_be_get64(w.l1_table_offset);
	n = qf_be_get32(w.l1_size);
	for (i = 0; i < n && i < entries; i++) {
		if (qf_io_read_pad(img->io, &a, 8, active + i * 8, NULL) ||
		    qf_io_read_pad(img->io, &b, 8, l1_off + i * 8, NULL) ||
		    (qf_be_get64(a) ^ qf_be_get64(b)) & QF_ENTRY_OFFSET_MASK)
			return false;
	}
	return true;
}

bool qf_lost_find_snapshots(struct qf_search *s)
{
	/* a table of before says that a tool was at work */
	if (!s->l->snapshots.n && !s->old_snapshots && !find_uncounted(s))
		return false;
	if (is_unborn(s))
		s->l->snapshots.n = 0;
	return true;
}
