// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/guest_swap.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many exchanges are tried, and so much is laid at each side of one. */
#define MAX_PAIRS 128u
#define MAX_LAID (16ull << 20)
/* So much of the disk is asked where it belongs, so much at once. */
#define MAX_ASKED (256ull << 20)
#define BATCH (8ull << 20)
/* So many blocks elsewhere must bear out what is taken for a disk's head. */
#define ELSEWHERE 3u

/* Two ranges of the disk, of BYTES each, that may have changed places. */
struct pair {
	uint64_t a, b, bytes;
	uint64_t entry[2]; /* host offsets of the entries */
	uint64_t leads[2]; /* where they lead */
	bool fits;	   /* with them exchanged all agrees */
};

struct swaps {
	const struct qf_guest_moved *m;
	uint64_t cluster, span, disk;
	struct pair pair[MAX_PAIRS];
	unsigned int n;
	bool cut; /* there are more */
	/* of the pair that is tried; owned */
	unsigned char *data;
	struct qf_guest_patch *patch;
	struct qf_guest_range *asked;
	size_t n_patches;
	uint64_t holds, differs, elsewhere;
	const struct pair *now;
	bool headless; /* no file system is known: its head has moved */
	/* places of the disk that are asked where they belong */
	uint64_t *place;
	struct qf_guest_loose *piece;
	enum qf_err err;
};

/* --- the entries --- */

static bool read_entry(const struct swaps *s, uint64_t at, uint64_t *leads)
{
	struct qf_be64 w;

	if (qf_io_read_pad(s->m->img->io, &w, sizeof(w), at, NULL))
		return false;
	*leads = qf_be_get64(w) & QF_ENTRY_OFFSET_MASK;
	return *leads;
}

/* The L1 entry of the span at AT. */
static bool find_l1(const struct swaps *s, uint64_t at, uint64_t *entry,
		    uint64_t *leads)
{
	uint32_t entries;
	uint64_t l1;

	if (!qf_image_l1(s->m->img, s->m->holder, &l1, &entries) ||
	    at / s->span >= entries)
		return false;
	*entry = l1 + at / s->span * 8;
	return read_entry(s, *entry, leads);
}

/* True if no other state has the table at OFF. */
static bool is_own(const struct swaps *s, uint64_t off)
{
	const struct qf_l2_table *t = s->m->walk->table;
	uint64_t i;

	for (i = 0; i < s->m->walk->n_tables; i++, t++)
		if (t->off == off)
			return t->weight == 1;
	return false;
}

/* The L2 entry of the cluster at AT. */
static bool find_l2(const struct swaps *s, uint64_t at, uint64_t *entry,
		    uint64_t *leads)
{
	struct qf_disk_extent e;

	if (qf_disk_at(s->m->disk, at, 1, &e, NULL) || e.depth ||
	    e.kind != QF_DISK_DATA || e.lost || e.pointer_off == QF_NOWHERE ||
	    !is_own(s, e.pointer_off & ~(s->cluster - 1)))
		return false;
	*entry = e.pointer_off;
	return read_entry(s, *entry, leads);
}

/* --- which may have changed places --- */

static void add_pair(struct swaps *s, uint64_t x, uint64_t y, uint64_t bytes)
{
	struct pair p = { .a = x < y ? x : y,
			  .b = x < y ? y : x,
			  .bytes = bytes };
	bool of_l1 = bytes == s->span;
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->pair[i].a == p.a && s->pair[i].b == p.b &&
		    s->pair[i].bytes == bytes)
			return;
	if (p.b >= s->disk ||
	    !(of_l1 ? find_l1 : find_l2)(s, p.a, &p.entry[0], &p.leads[0]) ||
	    !(of_l1 ? find_l1 : find_l2)(s, p.b, &p.entry[1], &p.leads[1]) ||
	    p.leads[0] == p.leads[1])
		return;
	if (s->n == MAX_PAIRS)
		s->cut = true;
	else
		s->pair[s->n++] = p;
}

/* What stands at AT says that it belongs at SAYS. */
static void add_move(struct swaps *s, uint64_t at, uint64_t says)
{
	if (at == says || at % s->cluster != says % s->cluster)
		return;
	if (at % s->span == says % s->span)
		add_pair(s, at / s->span * s->span, says / s->span * s->span,
			 s->span);
	add_pair(s, at / s->cluster * s->cluster,
		 says / s->cluster * s->cluster, s->cluster);
}

/* True if what stands at AT is not what belongs there. */
static bool is_faulty(const struct swaps *s, uint64_t at)
{
	const struct qf_guest_fault *f = s->m->faults->at;
	size_t i;

	for (i = 0; i < s->m->faults->n; i++, f++)
		if (!f->free && f->start <= at && at < f->start + f->bytes)
			return true;
	return false;
}

static bool see_place(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct swaps *s = ctx;
	uint64_t at = s->place[b->start >> 32] + (b->start & UINT32_MAX);

	(void)volume;
	if (b->says != QF_NOWHERE && is_faulty(s, b->says))
		add_move(s, at, b->says);
	return true;
}

static void ask_batch(struct swaps *s, size_t n)
{
	struct qf_why why = { 0 };

	if (n)
		qf_guest_places(s->m->guest, s->piece, n, see_place, s, &why);
}

/* Looks for what belongs where the faults are: it lies somewhere on the disk,
 * where nothing need contradict it. */
static void look_around(struct swaps *s)
{
	uint64_t at = 0, left = MAX_ASKED, step;
	struct qf_disk_extent e;
	unsigned char *to;
	size_t n = 0;

	for (; at < s->disk && left; at += step) {
		if (qf_disk_at(s->m->disk, at, s->disk - at, &e, NULL) ||
		    !e.bytes)
			break;
		step = e.bytes;
		if (e.depth || e.kind != QF_DISK_DATA || e.lost)
			continue;
		step = s->cluster - at % s->cluster;
		step = step < e.bytes ? step : e.bytes;
		to = s->data + n * s->cluster;
		if (step % 512 ||
		    qf_disk_read(s->m->disk, to, step, at, NULL, NULL, NULL))
			continue;
		s->place[n] = at;
		s->piece[n++] = (struct qf_guest_loose){ to, (uint32_t)step };
		left -= left < step ? left : step;
		if (n == BATCH / s->cluster) {
			ask_batch(s, n);
			n = 0;
		}
	}
	ask_batch(s, n);
}

/* Where no block says where it belongs, each two tables may have changed
 * places; without a head, it is that of the head. */
static void try_each(struct swaps *s)
{
	uint64_t a, b, entry, leads;

	for (a = 0; a < s->disk && !s->cut; a += s->span) {
		if (!find_l1(s, a, &entry, &leads))
			continue;
		for (b = a + s->span; b < s->disk && !s->cut; b += s->span)
			add_pair(s, a, b, s->span);
		if (s->headless)
			break;
	}
	/* one of many is none that can be told from the others */
	if (s->cut)
		s->n = 0;
}

static void look_at_faults(struct swaps *s)
{
	const struct qf_guest_fault *f = s->m->faults->at;
	size_t i;

	for (i = 0; i < s->m->faults->n; i++, f++)
		if (!f->free && f->belongs != QF_NOWHERE)
			add_move(s, f->start, f->belongs);
}

/* --- whether all agrees then --- */

/* Lays what stands at FROM at TO. */
static void lay(struct swaps *s, uint64_t from, uint64_t to)
{
	unsigned char *data = s->data + s->n_patches * s->cluster;
	uint64_t bytes = s->cluster;

	if (to >= s->disk)
		return;
	if (s->disk - to < bytes)
		bytes = (s->disk - to) & ~511ull;
	memset(data, 0, s->cluster);
	if (from < s->disk &&
	    qf_disk_read(s->m->disk, data,
			 s->disk - from < bytes ? s->disk - from : bytes, from,
			 NULL, NULL, NULL))
		return;
	s->patch[s->n_patches] = (struct qf_guest_patch){ to, bytes, data };
	s->asked[s->n_patches++] = (struct qf_guest_range){ to, bytes };
}

static bool is_mapped(const struct swaps *s, uint64_t at)
{
	struct qf_disk_extent e;

	return at < s->disk && !qf_disk_at(s->m->disk, at, 1, &e, NULL) &&
	       !e.zero;
}

/* Lays one side, or as much of it as there is room for. */
static void lay_side(struct swaps *s, uint64_t from, uint64_t to,
		     uint64_t bytes)
{
	uint64_t at, left = MAX_LAID;

	for (at = 0; at < bytes; at += s->cluster) {
		if (!is_mapped(s, from + at) && !is_mapped(s, to + at))
			continue;
		if (left < s->cluster)
			return;
		left -= s->cluster;
		lay(s, from + at, to + at);
	}
}

static bool is_in(const struct pair *p, uint64_t at)
{
	return at - p->a < p->bytes || at - p->b < p->bytes;
}

static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct swaps *s = ctx;

	(void)volume;
	s->holds += b->state == QF_GUEST_HOLDS;
	s->differs += b->state == QF_GUEST_FAILS;
	s->elsewhere += b->state == QF_GUEST_HOLDS && !is_in(s->now, b->start);
	return true;
}

static bool is_of_maps(const struct qf_guest_faults *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (!f->at[i].free)
			return false;
	return true;
}

/* True if the whole disk has fewer faults then, and none where the two are;
 * and that not because nothing is left that could contradict: a block there is
 * what belongs there, or all was a map's fault that calls free what is not. */
static bool has_fewer(const struct swaps *s, struct qf_guest *guest,
		      const struct pair *p)
{
	struct qf_guest_faults left = { 0 };
	struct qf_why why = { 0 };
	bool fewer;
	size_t i;

	if (qf_guest_is_headless(guest))
		return false;
	guest->faults_only = true;
	fewer = !qf_guest_faults_find(guest, s->disk, &left, &why) &&
		(s->headless ? !left.n : left.n < s->m->faults->n) && !left.cut;
	for (i = 0; fewer && i < left.n; i++)
		fewer = !is_in(p, left.at[i].start);
	fewer = fewer && (s->holds || (!left.n && is_of_maps(s->m->faults)));
	qf_guest_faults_free(&left);
	return fewer;
}

static void try_pair(struct swaps *s, struct pair *p)
{
	const struct qf_guest_range whole = { 0, s->disk };
	struct qf_guest *guest = NULL;
	struct qf_why why = { 0 };
	enum qf_err err;

	s->now = p;
	s->n_patches = s->holds = s->differs = s->elsewhere = 0;
	lay_side(s, p->b, p->a, p->bytes);
	lay_side(s, p->a, p->b, p->bytes);
	err = qf_guest_open_laid(s->m->disk, s->patch, s->n_patches, &guest,
				 &why);
	if (!err) {
		guest->metadata_only = !s->m->data;
		err = s->headless
			      ? qf_guest_blocks(guest, &whole, 1, see_block, s,
						&why)
			      : qf_guest_blocks(guest, s->asked, s->n_patches,
						see_block, s, &why);
	}
	p->fits = !err && !s->differs &&
		  (!s->headless || s->elsewhere >= ELSEWHERE) &&
		  has_fewer(s, guest, p);
	qf_guest_close(guest);
	if (err == QF_ERR_NOMEM)
		s->err = err;
}

static bool touch(const struct pair *x, const struct pair *y)
{
	const uint64_t at[2][2] = { { x->a, x->b }, { y->a, y->b } };
	unsigned int i, k;

	for (i = 0; i < 2; i++)
		for (k = 0; k < 2; k++)
			if (at[0][i] < at[1][k] + y->bytes &&
			    at[1][k] < at[0][i] + x->bytes)
				return true;
	return false;
}

/* True if no other exchange that makes all agree is about one of the two. */
static bool is_only(const struct swaps *s, const struct pair *p)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (&s->pair[i] != p && s->pair[i].fits &&
		    touch(&s->pair[i], p))
			return false;
	return !s->cut;
}

static void ask(struct swaps *s, const struct pair *p)
{
	struct qf_question *q;
	struct qf_hypothesis *h;

	q = qf_question_add(s->m->questions,
			    p->bytes == s->span ? QF_QUESTION_L1_SWAP
						: QF_QUESTION_L2_SWAP,
			    p->entry[0]);
	if (!q)
		return;
	q->problem = QF_P_GUEST_METADATA;
	q->holder = s->m->holder;
	q->guest_off = p->a;
	q->other_off = p->b;
	q->bytes = p->bytes;
	h = qf_question_value(q, p->entry[1], p->leads[1]);
	qf_question_for(h, QF_WITNESS_SWAP_HOLDS);
	qf_question_for(h, QF_WITNESS_SWAP_ONLY);
}

static bool prepare(struct swaps *s)
{
	const size_t n = 2 * MAX_LAID / s->cluster;

	s->data = qf_mem_zalloc(n, s->cluster);
	s->patch = qf_mem_zalloc(n, sizeof(*s->patch));
	s->asked = qf_mem_zalloc(n, sizeof(*s->asked));
	s->place = qf_mem_zalloc(n, sizeof(*s->place));
	s->piece = qf_mem_zalloc(n, sizeof(*s->piece));
	return s->data && s->patch && s->asked && s->place && s->piece;
}

/* True if two tables that fit explain what P would. */
static bool is_told(const struct swaps *s, const struct pair *p)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->pair[i].fits && s->pair[i].bytes == s->span &&
		    p->bytes != s->span && touch(&s->pair[i], p))
			return true;
	return false;
}

/* Tries what LOOK finds, tables first; true if one of them fits. */
static bool try_those(struct swaps *s, void (*look)(struct swaps *s))
{
	unsigned int i, pass;
	bool fits = false;

	s->n = 0;
	s->cut = false;
	look(s);
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < s->n && !s->err; i++)
			if ((s->pair[i].bytes == s->span) == !pass &&
			    !is_told(s, &s->pair[i])) {
				try_pair(s, &s->pair[i]);
				fits |= s->pair[i].fits;
			}
	return fits;
}

bool qf_guest_is_headless(const struct qf_guest *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (*g->volume[i].fs.kind && !g->volume[i].fs.opaque &&
		    !*g->volume[i].trouble)
			return false;
	return true;
}

enum qf_err qf_guest_swaps_ask(const struct qf_guest_moved *m)
{
	const struct qf_geometry *g = &m->img->geo;
	struct swaps s = { .m = m,
			   .cluster = g->cluster_bytes,
			   .span = g->cluster_bytes << g->l2_bits,
			   .disk = qf_disk_bytes(m->disk),
			   .headless = qf_guest_is_headless(m->guest) };

	unsigned int i;

	if (!prepare(&s)) {
		s.err = QF_ERR_NOMEM;
	} else {
		if (s.headless || (!try_those(&s, look_at_faults) &&
				   !try_those(&s, look_around)))
			try_those(&s, try_each);
		for (i = 0; i < s.n && !s.err; i++)
			if (s.pair[i].fits && is_only(&s, &s.pair[i]))
				ask(&s, &s.pair[i]);
	}
	free(s.data);
	free(s.patch);
	free(s.asked);
	free(s.place);
	free(s.piece);
	return s.err;
}

const struct qf_question *qf_guest_swap_of(const struct qf_questions *l,
					   uint32_t holder, uint64_t start,
					   uint64_t end)
{
	const struct qf_question *q = l->at;
	size_t i;

	for (i = 0; i < l->n; i++, q++)
		if ((q->kind == QF_QUESTION_L1_SWAP ||
		     q->kind == QF_QUESTION_L2_SWAP) &&
		    q->holder == holder &&
		    ((q->guest_off < end && start < q->guest_off + q->bytes) ||
		     (q->other_off < end && start < q->other_off + q->bytes)))
			return q;
	return NULL;
}
