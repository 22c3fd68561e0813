// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables without a name, and empty entries of the active L1 table: what a
 * table maps is laid where each of the entries stands, and the guest's file
 * systems say whether it belongs there. Also the head of a disk is found so:
 * without it nothing is known, and with it all agrees.
 */
#include "check/judge/questions.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/guest/guest.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TABLES 8u
#define MAX_EMPTY 64u
/* So many bytes of what a table maps are read, and tried so often. */
#define MAX_BYTES (32ull << 20)
#define MAX_TRIES 128u

/* What was seen of a table at an entry. */
struct slot_try {
	uint64_t holds, differs;
};

struct slots {
	const struct qf_facts *f;
	struct qf_questions *l;
	uint64_t empty[MAX_EMPTY]; /* L1 indices */
	uint32_t n_empty;
	struct slot_try *tried; /* owned; a row of n_empty for each table */
	struct qf_chain chain;
	struct qf_disk *disk;
	/* of the table that is looked at; owned: */
	unsigned char *table, *data;
	struct qf_guest_patch *patch;
	size_t n_patches;
	struct slot_try *now;
	bool cut;    /* not all were tried */
	bool failed; /* no memory */
};

static uint64_t span_of(const struct slots *s)
{
	const struct qf_geometry *g = &s->f->img->geo;

	return g->cluster_bytes << g->l2_bits;
}

/* False: there is none, or too many, or one that leads nowhere. */
static bool find_empty(struct slots *s)
{
	const struct qf_walk *w = s->f->walk;
	const struct qf_group *g = w->group;
	const struct qf_l2_table *t;
	uint64_t i, next = 0;
	bool active;
	uint32_t k, v;

	for (k = 0; k <= w->n_groups; k++, g++) {
		active = false;
		for (v = 0; k < w->n_groups && v < g->n; v++) {
			t = &w->table[g->first + v];
			if (t->active && (t->odd || !t->off))
				return false;
			active |= t->active;
		}
		if (k < w->n_groups && !active)
			continue;
		i = k < w->n_groups ? g->l1_index : s->f->img->geo.l1_needed;
		if (i > s->f->img->geo.l1_needed)
			i = s->f->img->geo.l1_needed;
		for (; next < i; next++) {
			if (s->n_empty == MAX_EMPTY)
				return false;
			s->empty[s->n_empty++] = next;
		}
		next = i + 1;
	}
	return s->n_empty;
}

static enum qf_err open_view(struct slots *s)
{
	struct qf_ranges lost = { 0 };
	struct qf_why why = { 0 };
	enum qf_err err;
	uint32_t i;

	for (i = 0; i < s->n_empty; i++)
		if (!qf_ranges_add(&lost, s->empty[i] * span_of(s),
				   span_of(s))) {
			qf_ranges_free(&lost);
			return QF_ERR_NOMEM;
		}
	err = qf_chain_open(s->f->img, true, &s->chain, &why);
	if (!err)
		err = qf_disk_open(&s->chain, QF_HOLDER_ACTIVE, &s->disk, &why);
	if (err)
		qf_ranges_free(&lost);
	else
		qf_disk_lose(s->disk, 0, &lost);
	return err;
}

/* -- a table's clusters, as patches -- */

static uint64_t entry_at(const struct slots *s, uint32_t i)
{
	struct qf_be64 e;

	memcpy(&e, s->table + (uint64_t)i * s->f->img->geo.l2_entry_bytes,
	       sizeof(e));
	return qf_be_get64(e);
}

/* Reads what the table at OFF maps; of many clusters, some all over it. START
 * of a patch is its place in the table. */
static bool read_table(struct slots *s, uint64_t off)
{
	const struct qf_geometry *g = &s->f->img->geo;
	const size_t room = MAX_BYTES / g->cluster_bytes;
	uint32_t i, n = 0, seen = 0;
	unsigned char *to;
	uint64_t e;

	s->n_patches = 0;
	if (qf_io_read_pad(s->f->img->io, s->table, g->cluster_bytes, off,
			   NULL))
		return false;
	for (i = 0; i < g->l2_entries; i++)
		n += qf_entry_kind(g, entry_at(s, i)) == QF_ENTRY_KIND_DATA;
	for (i = 0; i < g->l2_entries && s->n_patches < room; i++) {
		e = entry_at(s, i);
		if (qf_entry_kind(g, e) != QF_ENTRY_KIND_DATA)
			continue;
		/* the first ones, where the heads of file systems lie, and
		 * every so many of the others */
		if (n > room && seen++ > room / 2 &&
		    seen % (n / (room / 2) + 1))
			continue;
		to = s->data + s->n_patches * g->cluster_bytes;
		if (qf_io_read_pad(s->f->img->io, to, g->cluster_bytes,
				   e & QF_ENTRY_OFFSET_MASK, NULL))
			continue;
		s->patch[s->n_patches++] =
			(struct qf_guest_patch){ (uint64_t)i << g->cluster_bits,
						 g->cluster_bytes, to };
	}
	return s->n_patches;
}

/* Moves the patches from the span FROM to the span AT, and cuts them at END,
 * the disk's. How many are left. */
static size_t move_patches(struct slots *s, uint64_t from, uint64_t at,
			   uint64_t end)
{
	const uint64_t bytes = s->f->img->geo.cluster_bytes;
	struct qf_guest_patch *p = s->patch;
	size_t i, n = 0;

	for (i = 0; i < s->n_patches; i++, p++) {
		p->start = p->start - from + at;
		p->bytes = bytes;
		if (p->start >= end) /* they ascend */
			continue;
		if (end - p->start < bytes)
			p->bytes = (end - p->start) & ~511ull;
		n = i + 1;
	}
	return n;
}

/* -- what the guest says -- */

static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct slots *s = ctx;

	/* a partition table's copies are blocks as good as any */
	(void)volume;
	s->now->holds += b->state == QF_GUEST_HOLDS;
	s->now->differs += b->state == QF_GUEST_FAILS;
	return true;
}

static void try_at(struct slots *s, uint64_t slot, struct slot_try *t)
{
	const uint64_t disk = qf_disk_bytes(s->disk), at = slot * span_of(s);
	struct qf_guest_range r = { at, span_of(s) };
	struct qf_guest *guest = NULL;
	struct qf_why why = { 0 };
	enum qf_err err;
	size_t n;

	if (at >= disk)
		return;
	r.bytes = r.bytes < disk - at ? r.bytes : disk - at;
	n = move_patches(s, 0, at, disk);
	err = qf_guest_open_laid(s->disk, s->patch, n, &guest, &why);
	s->failed |= err == QF_ERR_NOMEM;
	s->now = t;
	if (!err) {
		guest->metadata_only = true;
		err = qf_guest_blocks(guest, &r, 1, see_block, s, &why);
	}
	qf_guest_close(guest);
	move_patches(s, at, 0, disk);
}

static void try_all(void *ctx)
{
	struct slots *s = ctx;
	const struct qf_facts *f = s->f;
	uint32_t i, tries = 0;
	size_t k;

	if (open_view(s))
		return;
	for (k = 0; k < f->n_nameless; k++) {
		if (!read_table(s, f->nameless[k]))
			continue;
		for (i = 0; i < s->n_empty && !s->failed; i++)
			if (tries++ < MAX_TRIES)
				try_at(s, s->empty[i],
				       &s->tried[k * s->n_empty + i]);
	}
	s->cut = tries > MAX_TRIES;
}

/* -- what follows -- */

static bool passes(const struct slot_try *t)
{
	return t->holds && !t->differs;
}

/* True if no other table passes at this entry, and this one at no other. */
static bool is_only(const struct slots *s, size_t k, uint32_t i)
{
	size_t a;

	if (s->cut)
		return false;
	for (a = 0; a < s->f->n_nameless; a++)
		if (a != k && passes(&s->tried[a * s->n_empty + i]))
			return false;
	for (a = 0; a < s->n_empty; a++)
		if (a != i && passes(&s->tried[k * s->n_empty + a]))
			return false;
	return true;
}

static void speak(struct slots *s, size_t k, uint32_t i)
{
	struct qf_hypothesis *h;
	struct qf_question *q;
	uint32_t entries;
	uint64_t l1;

	if (!qf_image_l1(s->f->img, QF_HOLDER_ACTIVE, &l1, &entries) ||
	    s->empty[i] >= entries)
		return;
	q = qf_question_find(s->l, QF_QUESTION_SLOT, l1 + s->empty[i] * 8);
	if (!q)
		return;
	q->problem = QF_P_L2_ORPHAN;
	q->holder = QF_HOLDER_ACTIVE;
	q->guest_off = s->empty[i] * span_of(s);
	q->bytes = span_of(s);
	q->opposed = true; /* it reads nothing today */
	h = qf_question_value(q, q->place_off, s->f->nameless[k]);
	qf_question_for(h, QF_WITNESS_SLOT_GUEST);
	if (is_only(s, k, i))
		qf_question_for(h, QF_WITNESS_SLOT_GUEST_ONLY);
}

static bool prepare(struct slots *s)
{
	const uint64_t cluster = s->f->img->geo.cluster_bytes;

	s->tried =
		qf_mem_zalloc(s->f->n_nameless * s->n_empty, sizeof(*s->tried));
	s->table = qf_mem_zalloc(1, cluster);
	s->data = qf_mem_zalloc(1, MAX_BYTES);
	s->patch = qf_mem_zalloc(MAX_BYTES / cluster, sizeof(*s->patch));
	return s->tried && s->table && s->data && s->patch;
}

static bool wanted(const struct qf_facts *f)
{
	uint32_t entries;
	uint64_t l1;

	/* with snapshots it may be one of theirs; and where something has an
	 * owner too many, that one may have had it */
	return !f->no_guest && !f->img->hdr.crypt_method && f->n_nameless &&
	       f->n_nameless <= MAX_TABLES && !f->refs_low && !f->unknown &&
	       !f->img->hdr.snapshot_count && f->img->l1_state == QF_PART_OK &&
	       !f->walk->n_gaps &&
	       qf_image_l1(f->img, QF_HOLDER_ACTIVE, &l1, &entries) &&
	       entries >= f->img->geo.l1_needed;
}

enum qf_err qf_ask_slots_guest(const struct qf_facts *f, struct qf_questions *l)
{
	struct slots s = { .f = f, .l = l };
	uint32_t i;
	size_t k;

	if (!wanted(f) || !find_empty(&s))
		return QF_OK;
	if (!prepare(&s))
		s.failed = true;
	else /* there are children, and libraries are loaded */
		qf_pool_alone(try_all, &s);
	for (k = 0; !s.failed && k < f->n_nameless; k++)
		for (i = 0; i < s.n_empty; i++)
			if (passes(&s.tried[k * s.n_empty + i]))
				speak(&s, k, i);
	qf_disk_close(s.disk);
	qf_chain_close(&s.chain);
	free(s.tried);
	free(s.table);
	free(s.data);
	free(s.patch);
	return s.failed ? QF_ERR_NOMEM : QF_OK;
}
