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
#define MAX_EMPTY 8192u
/* So many bytes of what a table maps are read. */
#define MAX_BYTES (32ull << 20)
/* With more empty entries than this, a table is tried only where blocks in it
 * say that they belong; and it is tried so often. */
#define FEW_EMPTY 8u
#define MAX_TRIES 16u

/* What a table maps, as patches; their places are in the table. */
struct mapped {
	unsigned char *data;	      /* owned */
	struct qf_guest_patch *patch; /* owned */
	size_t n;
};

/* What was seen of a table at an entry. */
struct slot_try {
	uint64_t holds, differs;
};

struct slots {
	const struct qf_facts *f;
	struct qf_questions *l;
	uint64_t *empty; /* owned; L1 indices */
	uint32_t n_empty;
	struct slot_try *tried; /* owned; a row of n_empty for each table */
	struct qf_chain chain;
	struct qf_disk *disk;
	unsigned char *table; /* owned */
	/* owned: of the table that has the disk's head, if it was lost and is
	 * found; and of the one that is looked at */
	struct qf_guest_patch *laid; /* room for both */
	struct mapped head, one;
	struct slot_try *now;
	/* entries where the one is tried */
	uint32_t at[MAX_TRIES];
	uint32_t n_at;
	bool cut;    /* not all were tried */
	bool failed; /* no memory */
};

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

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

/* Reads what the table at OFF maps; of many clusters, the first ones, where
 * the heads of file systems lie, and some all over the others. */
static bool read_table(struct slots *s, uint64_t off, struct mapped *m)
{
	const struct qf_geometry *g = &s->f->img->geo;
	const size_t room = MAX_BYTES / g->cluster_bytes;
	uint32_t i, n = 0, seen = 0;
	unsigned char *to;
	uint64_t e;

	m->n = 0;
	if (qf_io_read_pad(s->f->img->io, s->table, g->cluster_bytes, off,
			   NULL))
		return false;
	for (i = 0; i < g->l2_entries; i++)
		n += qf_entry_kind(g, entry_at(s, i)) == QF_ENTRY_KIND_DATA;
	for (i = 0; i < g->l2_entries && m->n < room; i++) {
		e = entry_at(s, i);
		if (qf_entry_kind(g, e) != QF_ENTRY_KIND_DATA ||
		    (n > room && seen++ > room / 2 &&
		     seen % (n / (room / 2) + 1)))
			continue;
		to = m->data + m->n * g->cluster_bytes;
		if (qf_io_read_pad(s->f->img->io, to, g->cluster_bytes,
				   e & QF_ENTRY_OFFSET_MASK, NULL))
			continue;
		m->patch[m->n++] =
			(struct qf_guest_patch){ (uint64_t)i << g->cluster_bits,
						 g->cluster_bytes, to };
	}
	return m->n;
}

/* Lays the patches of M in the span AT, behind N others; how many there are
 * then. Those behind the disk's end are left out. */
static size_t lay(struct slots *s, const struct mapped *m, uint64_t at,
		  size_t n)
{
	const uint64_t disk = qf_disk_bytes(s->disk);
	struct qf_guest_patch p;
	size_t i;

	for (i = 0; i < m->n; i++) {
		p = m->patch[i];
		p.start += at;
		if (p.start >= disk)
			break;
		if (disk - p.start < p.bytes)
			p.bytes = (disk - p.start) & ~511ull;
		s->laid[n++] = p;
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

/* The guest's disk with its head, if that was found, and N patches. */
static bool open_laid(struct slots *s, size_t n, struct qf_guest **guest)
{
	struct qf_why why = { 0 };
	enum qf_err err = qf_guest_open_laid(s->disk, s->laid, n, guest, &why);

	s->failed |= err == QF_ERR_NOMEM;
	return !err;
}

static void try_at(struct slots *s, uint64_t slot, struct slot_try *t)
{
	const uint64_t disk = qf_disk_bytes(s->disk), at = slot * span_of(s);
	struct qf_guest_range r = { at, span_of(s) };
	struct qf_guest *guest = NULL;
	struct qf_why why = { 0 };
	size_t n = slot ? lay(s, &s->head, 0, 0) : 0;

	if (at >= disk)
		return;
	r.bytes = r.bytes < disk - at ? r.bytes : disk - at;
	s->now = t;
	if (open_laid(s, lay(s, &s->one, at, n), &guest)) {
		guest->metadata_only = true;
		qf_guest_blocks(guest, &r, 1, see_block, s, &why);
	}
	qf_guest_close(guest);
}

/* Notes the entry at which the block would be where it says. */
static bool see_place(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct slots *s = ctx;
	uint64_t in =
		s->one.patch[b->start >> 32].start + (b->start & UINT32_MAX);
	uint64_t slot = (b->says - in) / span_of(s);
	const uint64_t *found;
	uint32_t i;

	(void)volume;
	if (b->says == QF_NOWHERE || b->says < in ||
	    (b->says - in) % span_of(s))
		return true;
	found = bsearch(&slot, s->empty, s->n_empty, sizeof(slot), by_number);
	for (i = 0; found && i < s->n_at; i++)
		if (s->at[i] == found - s->empty)
			return true;
	if (found && s->n_at == MAX_TRIES)
		s->cut = true;
	else if (found)
		s->at[s->n_at++] = (uint32_t)(found - s->empty);
	return !s->cut;
}

/* Where the table is to be tried. */
static void find_places(struct slots *s)
{
	struct qf_guest_loose *piece;
	struct qf_guest *guest = NULL;
	struct qf_why why = { 0 };
	size_t i;

	s->n_at = 0;
	if (s->n_empty <= FEW_EMPTY) {
		for (; s->n_at < s->n_empty; s->n_at++)
			s->at[s->n_at] = s->n_at;
		return;
	}
	piece = qf_mem_zalloc(s->one.n, sizeof(*piece));
	s->failed |= !piece;
	for (i = 0; piece && i < s->one.n; i++)
		piece[i] = (struct qf_guest_loose){
			s->one.patch[i].data, (uint32_t)s->one.patch[i].bytes
		};
	if (piece && open_laid(s, lay(s, &s->head, 0, 0), &guest))
		qf_guest_places(guest, piece, s->one.n, see_place, s, &why);
	qf_guest_close(guest);
	free(piece);
}

static bool passes(const struct slot_try *t)
{
	return t->holds && !t->differs;
}

/* Of the tables that pass as the disk's head, the first; all are tried. */
static void find_head(struct slots *s)
{
	struct mapped found;
	size_t k;

	for (k = 0; k < s->f->n_nameless && !s->failed; k++) {
		if (!read_table(s, s->f->nameless[k], &s->one))
			continue;
		try_at(s, 0, &s->tried[k * s->n_empty]);
		if (s->head.n || !passes(&s->tried[k * s->n_empty]))
			continue;
		found = s->one;
		s->one = s->head;
		s->head = found;
	}
}

static void try_all(void *ctx)
{
	struct slots *s = ctx;
	uint32_t i;
	size_t k;

	if (open_view(s))
		return;
	if (!s->empty[0])
		find_head(s);
	for (k = 0; k < s->f->n_nameless && !s->failed; k++) {
		/* the head is where it belongs */
		if ((!s->empty[0] && passes(&s->tried[k * s->n_empty])) ||
		    !read_table(s, s->f->nameless[k], &s->one))
			continue;
		find_places(s);
		for (i = 0; i < s->n_at && !s->failed; i++)
			if (s->empty[s->at[i]])
				try_at(s, s->empty[s->at[i]],
				       &s->tried[k * s->n_empty + s->at[i]]);
	}
}

/* -- what follows -- */

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

static bool prepare_mapped(struct mapped *m, uint64_t cluster)
{
	m->data = qf_mem_zalloc(1, MAX_BYTES);
	m->patch = qf_mem_zalloc(MAX_BYTES / cluster, sizeof(*m->patch));
	return m->data && m->patch;
}

static bool prepare(struct slots *s)
{
	const uint64_t cluster = s->f->img->geo.cluster_bytes;

	s->tried =
		qf_mem_zalloc(s->f->n_nameless * s->n_empty, sizeof(*s->tried));
	s->table = qf_mem_zalloc(1, cluster);
	s->laid = qf_mem_zalloc(2 * MAX_BYTES / cluster, sizeof(*s->laid));
	return s->tried && s->table && s->laid &&
	       prepare_mapped(&s->one, cluster) &&
	       prepare_mapped(&s->head, cluster);
}

static void free_all(struct slots *s)
{
	qf_disk_close(s->disk);
	qf_chain_close(&s->chain);
	free(s->empty);
	free(s->tried);
	free(s->table);
	free(s->laid);
	free(s->one.data);
	free(s->one.patch);
	free(s->head.data);
	free(s->head.patch);
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

	if (!wanted(f))
		return QF_OK;
	s.empty = qf_mem_zalloc(MAX_EMPTY, sizeof(*s.empty));
	s.failed = !s.empty;
	if (!s.failed && find_empty(&s)) {
		if (!prepare(&s))
			s.failed = true;
		else /* there are children, and libraries are loaded */
			qf_pool_alone(try_all, &s);
		for (k = 0; !s.failed && k < f->n_nameless; k++)
			for (i = 0; i < s.n_empty; i++)
				if (passes(&s.tried[k * s.n_empty + i]))
					speak(&s, k, i);
	}
	free_all(&s);
	return s.failed ? QF_ERR_NOMEM : QF_OK;
}
