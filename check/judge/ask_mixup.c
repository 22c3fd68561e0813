// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two clusters that stand in each other's place, or two fields of the header.
 * Such a hypothesis is tried as a whole: with the two put back, every table of
 * the image must be sound, and every refcount agree with its uses. What closes
 * a part only is no evidence, and is not listed.
 */
#include "check/judge/mixup.h"
#include "check/judge/questions.h"
#include "check/judge/suits.h"
#include "lib/base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* So many of the image's own clusters are held against what they should be,
 * and so many bytes are read in search of what belongs there. */
#define MAX_PLACES 4096u
#define MAX_READ_BYTES (128ull << 20)
/* So many bytes are held against what belongs to other places than the first,
 * over and over. */
#define MAX_HELD_BYTES (256ull << 20)
/* So many hypotheses are tried, of images whose tables are small; and so many
 * bytes of tables are read for them in all. */
#define MAX_TRIES 256u
#define MAX_TRIED_BYTES (256ull << 20)
/* The header's fields that can change places end here. */
#define HEADER_BYTES 104u
/* So many that are as good as each other are told. */
#define MAX_BEST (QF_HYPOS_MAX - 1)

struct search {
	const struct qf_facts *f;
	struct qf_questions *l;
	struct qf_place_of *place;
	size_t n, room;
	unsigned char *buf;
	uint64_t cluster;
	uint64_t read, held; /* bytes */
	struct qf_mixup tried[2 * MAX_TRIES], best[MAX_BEST];
	/* the header's bytes as they would be, of those that change them */
	unsigned char header[MAX_TRIES][HEADER_BYTES];
	unsigned int tries, most, n_best, n_headers;
	uint64_t parts, wrong; /* of the image as it is */
	uint64_t least;	       /* of what was tried */
	bool more;	       /* not all was tried */
	bool failed;
};

/* -- the image's own clusters -- */

static bool add_place(struct search *s, enum qf_ref_kind kind, uint64_t off,
		      uint64_t index, uint64_t entries)
{
	/* the header's cluster is no other's */
	if (!off || off & (s->cluster - 1) || off >= s->f->img->io->size ||
	    !qf_suits_knows(kind))
		return true;
	if (s->n >= MAX_PLACES) {
		s->more = true;
		return true;
	}
	if (!qf_mem_grow((void **)&s->place, s->n, &s->room,
			 sizeof(*s->place))) {
		s->failed = true;
		return false;
	}
	s->place[s->n++] = (struct qf_place_of){ off, kind, index, entries };
	return true;
}

/* A table's clusters, one by one. */
static bool add_claim(void *ctx, const struct qf_claim *c)
{
	struct search *s = ctx;
	uint64_t per = s->cluster / 8, i, n = c->bytes / 8;

	if (c->kind != QF_REF_L1 && c->kind != QF_REF_REFTABLE)
		return add_place(s, c->kind, c->off, c->index, 0);
	for (i = 0; i * per < n && i < MAX_PLACES; i++)
		if (!add_place(s, c->kind, c->off + i * s->cluster, i * per,
			       n - i * per < per ? n - i * per : per))
			return false;
	return true;
}

static bool find_places(struct search *s)
{
	const struct qf_claim_fns fns = { .ctx = s, .claim = add_claim };
	const struct qf_walk *w = s->f->walk;
	uint64_t i;

	qf_walk_metadata(s->f->img, &fns);
	for (i = 0; !s->failed && i < w->n_tables; i++)
		add_place(s, QF_REF_L2, w->table[i].off, 0, 0);
	return !s->failed;
}

static bool read_cluster(struct search *s, uint64_t off)
{
	s->read += s->cluster;
	return !qf_io_read_pad(s->f->img->io, s->buf, s->cluster, off, NULL);
}

static bool is_filled(const struct search *s)
{
	return s->buf[0] || memcmp(s->buf, s->buf + 1, s->cluster - 1);
}

/* Keeps the places whose bytes can hardly be what belongs there. */
static void keep_suspects(struct search *s)
{
	struct qf_place_of *p = s->place;
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->read > MAX_READ_BYTES) {
			s->more = true;
			break;
		}
		if (qf_suits_may_be_suspect(s->f, &p[i]) &&
		    read_cluster(s, p[i].off) &&
		    qf_suits_is_suspect(s->f, &p[i], s->buf))
			p[n++] = p[i];
	}
	s->n = n;
}

/* -- the hypotheses -- */

static bool was_tried(const struct search *s, const struct qf_mixup *m)
{
	const struct qf_mixup *t;
	unsigned int i;

	for (i = 0; i < s->tries; i++) {
		t = &s->tried[i];
		if (t->kind == m->kind && t->a == m->a && t->b == m->b)
			return true;
	}
	return false;
}

/* True if with M, a hypothesis about the header, it would have bytes that were
 * tried, or that differ in one field at most: then nothing has moved, and the
 * word that is put there is made up. */
static bool is_same_header(struct search *s, const struct qf_mixup *m)
{
	unsigned char now[HEADER_BYTES] = { 0 }, was[HEADER_BYTES];
	struct qf_mixup_pieces p;
	unsigned int i, moved = 0;
	bool same;

	if (qf_io_read_pad(s->f->img->io, now, sizeof(now), 0, NULL) ||
	    qf_mixup_undo(s->f->img, m, &p))
		return true;
	memcpy(was, now, sizeof(was));
	for (i = 0; i < p.n; i++) {
		memcpy(now + p.at[i].off, p.at[i].bytes, p.at[i].length);
		moved += memcmp(now + p.at[i].off, was + p.at[i].off,
				p.at[i].length) != 0;
	}
	qf_mixup_free(&p);
	same = moved < 2;
	for (i = 0; i < s->n_headers && !same; i++)
		same = !memcmp(s->header[i], now, sizeof(now));
	if (!same && s->n_headers < MAX_TRIES)
		memcpy(s->header[s->n_headers++], now, sizeof(now));
	return same;
}

/* Keeps those with which least is wrong. */
static void keep_best(struct search *s, const struct qf_mixup *m,
		      uint64_t wrong)
{
	if (wrong > s->least)
		return;
	if (wrong < s->least)
		s->n_best = 0;
	s->least = wrong;
	if (s->n_best < MAX_BEST)
		s->best[s->n_best++] = *m;
	else
		s->more = true;
}

static bool is_used(const struct search *s, uint64_t off)
{
	return qf_ledger_count(s->f->recount->ledger,
			       off >> s->f->img->geo.cluster_bits, NULL);
}

/*
 * True if M may be a part of what is wrong, if W is what is left. What reads
 * less has less that could be wrong: that is no sign. And where nobody has one
 * of the two, a pointer that was bent tells the same.
 */
static bool may_be_part(const struct search *s, const struct qf_mixup *m,
			const struct qf_mended *w)
{
	return m->a >= HEADER_BYTES && is_used(s, m->a) && is_used(s, m->b) &&
	       w->recount.used >= s->f->recount->used;
}

/* True if with M somebody has each of the two clusters. What nobody has is no
 * other's content: an older copy that lies about, or a table that was erased. */
static bool are_owned(const struct search *s, const struct qf_mixup *m,
		      const struct qf_mended *w)
{
	uint32_t bits = s->f->img->geo.cluster_bits;

	return m->a < HEADER_BYTES ||
	       (qf_ledger_count(w->recount.ledger, m->a >> bits, NULL) &&
		qf_ledger_count(w->recount.ledger, m->b >> bits, NULL));
}

/* True if M, a hypothesis about the header, mends what is wrong in the header
 * itself. Where each field is as it may be, an exchange that closes something
 * elsewhere does so by chance. */
static bool shows(const struct search *s, const struct qf_mixup *m,
		  const struct qf_mended *w)
{
	return m->a >= HEADER_BYTES ||
	       qf_mended_header(w->img) < qf_mended_header(s->f->img);
}

static void try(struct search *s, enum qf_hypo_kind kind, uint64_t a,
		uint64_t b)
{
	struct qf_mixup m = { kind, a, b };
	struct qf_mended w;

	if (s->failed || was_tried(s, &m) ||
	    (a < HEADER_BYTES && is_same_header(s, &m)))
		return;
	if (s->tries >= s->most) {
		s->more = true;
		return;
	}
	if (qf_mended_open(s->f->img, &m, s->f->jobs, s->parts, &w) ==
	    QF_ERR_NOMEM)
		s->failed = true;
	if (w.wrong != UINT64_MAX) {
		s->tried[s->tries++] = m;
		if (are_owned(s, &m, &w) && shows(s, &m, &w) &&
		    (!w.wrong || may_be_part(s, &m, &w)))
			keep_best(s, &m, w.wrong);
	}
	qf_mended_close(&w);
}

static uint64_t field_at(const struct search *s, uint64_t off, uint64_t width)
{
	struct qf_be64 w = { 0 };
	struct qf_be32 n = { 0 };

	if (width == 4) {
		qf_io_read_pad(s->f->img->io, &n, sizeof(n), off, NULL);
		return qf_be_get32(n);
	}
	qf_io_read_pad(s->f->img->io, &w, sizeof(w), off, NULL);
	return qf_be_get64(w);
}

/* True if the clusters that two of the header's pointers lead to were tried the
 * other way round: that is the same. */
static bool is_of_clusters(const struct search *s, uint64_t a, uint64_t b)
{
	uint64_t x = field_at(s, a, 8), y = field_at(s, b, 8);
	struct qf_mixup m = { QF_HYPO_VALUE, x < y ? x : y, x < y ? y : x };

	return x >= s->cluster && y >= s->cluster && was_tried(s, &m);
}

/* True if with the best of them nothing is wrong, or next to nothing of what
 * is wrong now. */
static bool is_evidence(const struct search *s)
{
	return s->n_best &&
	       (!s->least ||
		(!s->f->whole_mixups && s->wrong >= QF_WITNESS_MIXUP_LEAST &&
		 s->least <= s->wrong / QF_WITNESS_MIXUP_SHARE));
}

/* True if there are others that would do as well. A size that fell out of the
 * header is one of many; and of what came to the file's last cluster, which is
 * cut short, the rest is gone. */
static bool has_others(const struct search *s)
{
	uint64_t size = s->f->img->io->size;
	unsigned int i;

	for (i = 0; i < s->n_best; i++)
		if ((s->best[i].kind == QF_HYPO_DOWN &&
		     s->best[i].a == offsetof(struct qf_wire_header, size)) ||
		    (s->best[i].kind == QF_HYPO_VALUE &&
		     s->best[i].a >= HEADER_BYTES &&
		     size - s->best[i].b < s->cluster))
			return true;
	return s->more || s->n_best > 1;
}

static void tell(struct search *s)
{
	struct qf_hypothesis *h;
	struct qf_question *q;
	unsigned int i;

	if (!is_evidence(s))
		return;
	q = qf_question_add(s->l, QF_QUESTION_MIXUP, s->best[0].a);
	if (!q)
		return;
	q->problem = QF_P_MIXUP;
	q->holder = QF_HOLDER_IMAGE;
	q->opposed = true; /* what stands there contradicts itself */
	q->more = has_others(s);
	for (i = 0; i < s->n_best; i++) {
		h = qf_question_moved(q, s->best[i].kind, s->best[i].a,
				      s->best[i].b);
		if (s->least) {
			qf_question_for(h, QF_WITNESS_MIXUP_MOST);
			continue;
		}
		qf_question_for(h, QF_WITNESS_MIXUP_WHOLE);
		if (!q->more)
			qf_question_for(h, QF_WITNESS_MIXUP_ONLY);
	}
}

/* -- the header -- */

/* What the header's field at OFF leads to, and what stands there. */
static bool is_pointer(const struct search *s, uint64_t off,
		       struct qf_place_of *p)
{
	*p = (struct qf_place_of){ .entries = s->f->img->hdr.l1_entries };
	if (p->entries > s->cluster / 8)
		p->entries = s->cluster / 8;
	switch (off) {
	case offsetof(struct qf_wire_header, l1_table_offset):
		p->kind = QF_REF_L1;
		return true;
	case offsetof(struct qf_wire_header, refcount_table_offset):
		p->kind = QF_REF_REFTABLE;
		return true;
	case offsetof(struct qf_wire_header, snapshots_offset):
		p->kind = QF_REF_SNAPSHOT_TABLE;
		return true;
	default:
		return false;
	}
}

/* Every cluster that the header's field at OFF, which fell out, may have led
 * to. */
static void try_pointers(struct search *s, uint64_t off,
			 const struct qf_place_of *p)
{
	uint64_t n = qf_image_clusters(s->f->img), i;

	for (i = 1; i < n && !s->failed; i++) {
		if (s->read > MAX_READ_BYTES) {
			s->more = true;
			return;
		}
		if (read_cluster(s, i * s->cluster) && is_filled(s) &&
		    qf_suits(s->f, p, s->buf))
			try(s, QF_HYPO_DOWN, off, i * s->cluster);
	}
}

/* The sizes that the disk may have had: a snapshot's, or the most that its L1
 * table can map. */
static void try_sizes(struct search *s, uint64_t off)
{
	const struct qf_image *img = s->f->img;
	uint64_t most = (uint64_t)img->hdr.l1_entries
			<< (img->geo.l2_bits + img->geo.cluster_bits);
	uint32_t i;

	for (i = 0; i < img->snapshots.n && i < MAX_BEST; i++)
		try(s, QF_HYPO_DOWN, off, img->snapshots.snap[i].disk_bytes);
	try(s, QF_HYPO_DOWN, off, most);
}

/* What may have fallen out of the header's field at OFF. */
static void try_down(struct search *s, uint64_t off)
{
	struct qf_place_of p;
	uint64_t word;

	for (word = 0; word <= 32; word = word ? 2 * word : 1)
		try(s, QF_HYPO_DOWN, off, word);
	if (off == offsetof(struct qf_wire_header, size))
		try_sizes(s, off);
	else if (is_pointer(s, off, &p))
		try_pointers(s, off, &p);
}

static void try_fields(struct search *s, uint64_t width)
{
	uint64_t off[QF_MIXUP_PIECES];
	unsigned int n = qf_mixup_fields(s->f->img, width, off), i, k;

	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n; k++)
			if (width == 4 || !is_of_clusters(s, off[i], off[k]))
				try(s, QF_HYPO_VALUE, off[i], off[k]);
		if (i + 1 < n && !field_at(s, off[i], width))
			try(s, QF_HYPO_UP, off[i], 0);
		if (i + 1 < n && !field_at(s, off[n - 1], width))
			try_down(s, off[i]);
	}
}

/* True if what the header says can be what is wrong: a table that it leads to
 * is none, or most of the L2 tables and refcount blocks are. */
static bool is_header_suspect(const struct search *s)
{
	const struct qf_facts *f = s->f;
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->place[i].kind != QF_REF_L2 &&
		    s->place[i].kind != QF_REF_REFBLOCK)
			return true;
		n++;
	}
	return s->parts || f->recount->beyond_disk ||
	       2 * n >= f->walk->n_tables + f->img->reftable_used ||
	       f->img->hdr.compatible & ~QF_COMPAT_KNOWN;
}

/* -- clusters -- */

static void try_pair(struct search *s, uint64_t a, uint64_t b)
{
	try(s, QF_HYPO_VALUE, a < b ? a : b, a < b ? b : a);
}

/* The first cluster from number I on that does not lie in a hole. */
static uint64_t past_holes(const struct search *s, uint64_t i)
{
	struct qf_io *io = s->f->img->io;
	uint64_t off = i * s->cluster, end;

	if (off >= io->size ||
	    qf_io_extent(io, off, io->size, &end) != QF_IO_HOLE)
		return i;
	return end >= off + s->cluster ? end / s->cluster : i;
}

/* True if a place is among the suspects that are L2 tables, or one that is
 * not. */
static bool has(const struct search *s, bool l2)
{
	size_t k;

	for (k = 0; k < s->n; k++)
		if ((s->place[k].kind == QF_REF_L2) == l2)
			return true;
	return false;
}

/* Tries what s->buf has, the cluster at OFF, in each of the places that it
 * suits. What suits one L2 table suits all. */
static void try_places(struct search *s, uint64_t off, bool l2)
{
	bool suits = false, known = false;
	size_t k;

	for (k = 0; k < s->n && !s->failed; k++) {
		if ((s->place[k].kind == QF_REF_L2) != l2 ||
		    s->place[k].off == off)
			continue;
		if (!known || !l2) {
			s->held += known ? s->cluster : 0;
			suits = qf_suits(s->f, &s->place[k], s->buf);
			known = true;
		}
		if (suits)
			try_pair(s, s->place[k].off, off);
		else if (l2)
			return;
		if (s->held > MAX_HELD_BYTES || s->tries >= s->most) {
			s->more = true;
			return;
		}
	}
}

/* Every cluster of the file that suits one of the places, until there is one
 * that closes all. Where counts are lost, every L2 table is suspect: they come
 * last. */
static void try_clusters(struct search *s, bool l2)
{
	uint64_t n = qf_image_clusters(s->f->img), i;

	if (!has(s, l2) || !s->least)
		return;
	s->read = s->held = 0;
	for (i = past_holes(s, 1); i < n && !s->failed;
	     i = past_holes(s, i + 1)) {
		if (s->read > MAX_READ_BYTES || s->held > MAX_HELD_BYTES) {
			s->more = true;
			return;
		}
		if (read_cluster(s, i * s->cluster) && is_filled(s))
			try_places(s, i * s->cluster, l2);
	}
}

/* The image as it is costs so much to look at. */
static unsigned int most_tries(const struct search *s)
{
	uint64_t bytes = (s->f->walk->n_tables + s->f->img->reftable_used + 4) *
			 s->cluster;
	uint64_t n = MAX_TRIED_BYTES / bytes;

	return n > MAX_TRIES ? MAX_TRIES : (unsigned int)n;
}

enum qf_err qf_ask_mixups(const struct qf_facts *f, struct qf_questions *l)
{
	struct search s = { .f = f, .l = l };

	s.wrong = qf_mended_wrong(f->img, f->walk, f->recount);
	/* so little may as well be damaged where it stands */
	if (f->no_mixup || s.wrong < QF_WITNESS_MIXUP_FEWEST)
		return QF_OK;
	s.parts = qf_mended_parts(f->img);
	s.least = s.wrong - 1;
	s.cluster = f->img->geo.cluster_bytes;
	s.most = most_tries(&s);
	s.buf = qf_mem_zalloc(1, s.cluster);
	s.failed = !s.buf;
	if (!s.failed && find_places(&s)) {
		keep_suspects(&s);
		try_clusters(&s, false);
		s.most *= 2;
		if (s.least && is_header_suspect(&s)) {
			try_fields(&s, 8);
			try_fields(&s, 4);
		}
		/* where the header was wrong in itself, they mend it not */
		try_clusters(&s, true);
	}
	l->mixups = s.tries > 0;
	if (!s.failed)
		tell(&s);
	free(s.place);
	free(s.buf);
	return s.failed ? QF_ERR_NOMEM : QF_OK;
}
