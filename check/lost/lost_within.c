// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sectors of filled L2 tables that hold nothing, while clusters lack an owner:
 * were they erased, or has a killed writer not come to fill them? The guest
 * tells. A file that has its bytes there, where nothing is mapped, has lost
 * them, if that is about as much as there are leaks. A file of zeros has
 * nothing mapped either, but it hardly begins and ends just where sectors of a
 * table do. A block of metadata that reads as zeros, while its own tree says
 * what must stand there, is gone for certain.
 */
#include "check/lost/lost_gaps.h"
#include "check/judge/witness.h"
#include "check/lost/lost_guest.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/walk/walk_l2.h"

#include <stdlib.h>

#define MAX_STATES 4u
#define MAX_STRETCHES 4096u
/* So many tables are read for sectors that hold nothing. */
#define MAX_TABLES 8192u

/* Entries that hold nothing, in a row, with whole sectors among them. */
struct stretch {
	uint64_t table;	     /* number in walk->table */
	uint32_t index, n;   /* entries of the whole sectors */
	uint64_t start, end; /* guest range of these */
	/* clusters of it that should hold something: of files, and of what else
	 * the file system has */
	struct tally {
		uint64_t all, bare; /* of them, no backing file has any */
	} files, others;
};

struct within {
	struct qf_search *s;
	uint32_t holder;
	uint64_t leaks;
	struct stretch *at;	      /* owned */
	struct qf_guest_range *asked; /* owned; of AT, with all that is empty */
	size_t n;
	uint64_t blocks; /* of metadata that must stand there, and do not */
	bool cut;	 /* there is more than was looked at */
	bool failed;	 /* no memory */
	struct qf_disk *bare; /* the state, with nothing lost */
};

/* --- the stretches --- */

/* Entries FROM to TO of a table hold nothing; entry 0 is the disk's AT. */
static void add_stretch(struct within *w, uint64_t table, uint64_t at,
			uint32_t from, uint32_t to, uint64_t disk)
{
	const struct qf_geometry *g = &w->s->img->geo;
	const uint32_t step = qf_gap_sector(g);
	const uint32_t first = (uint32_t)qf_mem_round_up(from, step);
	const uint32_t last = to / step * step;
	uint64_t start = (at + from) << g->cluster_bits;
	uint64_t end = (at + to) << g->cluster_bits;

	if (first >= last || start >= disk)
		return;
	if (w->n == MAX_STRETCHES) {
		w->cut = true;
		return;
	}
	end = end < disk ? end : disk;
	w->at[w->n] = (struct stretch){ table,
					first,
					last - first,
					(at + first) << g->cluster_bits,
					(at + last) << g->cluster_bits,
					{ 0 },
					{ 0 } };
	w->asked[w->n++] = (struct qf_guest_range){ start, end - start };
}

static void look_at_table(struct within *w, uint64_t table, uint64_t disk)
{
	const struct qf_geometry *g = &w->s->img->geo;
	const struct qf_l2_table *t = &w->s->w->table[table];
	uint64_t at = (uint64_t)qf_walk_group_of(w->s->w, table)->l1_index
		      << g->l2_bits;
	uint32_t i, from = 0;

	if (qf_io_read_pad(w->s->img->io, w->s->buf, g->cluster_bytes, t->off,
			   NULL))
		return;
	for (i = 0; i < g->l2_entries; i++)
		if (!qf_l2_is_zero(w->s->buf + (size_t)i * g->l2_entry_bytes,
				   g->l2_entry_bytes)) {
			if (i > from)
				add_stretch(w, table, at, from, i, disk);
			from = i + 1;
		}
	add_stretch(w, table, at, from, i, disk);
}

static bool collect(struct within *w, uint64_t disk)
{
	const struct qf_l2_table *t = w->s->w->table;
	uint64_t i, read = 0;

	w->at = qf_mem_zalloc(MAX_STRETCHES, sizeof(*w->at));
	w->asked = qf_mem_zalloc(MAX_STRETCHES, sizeof(*w->asked));
	if (!w->at || !w->asked)
		return false;
	for (i = 0; i < w->s->w->n_tables && !w->cut; i++, t++) {
		if (t->holder != w->holder || !t->filled || t->odd ||
		    t->unread || t->unfollowed || !t->off)
			continue;
		w->cut = read++ == MAX_TABLES;
		if (!w->cut)
			look_at_table(w, i, disk);
	}
	return true;
}

static bool lose(const struct within *w, struct qf_disk *disk)
{
	struct qf_ranges lost = { 0 };
	size_t i;

	for (i = 0; i < w->n; i++)
		if (!qf_ranges_add(&lost, w->asked[i].start,
				   w->asked[i].bytes)) {
			qf_ranges_free(&lost);
			return false;
		}
	qf_disk_lose(disk, 0, &lost);
	return true;
}

/* --- what should be there --- */

/* The stretch that ends behind AT, or w->n. */
static size_t stretch_from(const struct within *w, uint64_t at)
{
	size_t lo = 0, hi = w->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->asked[mid].start + w->asked[mid].bytes <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void add(struct tally *to, const struct tally *t)
{
	to->all += t->all;
	to->bare += t->bare;
}

/* Clusters in use one after another, in one stretch. */
struct run {
	size_t i;
	uint64_t end; /* guest offset behind the last that was counted */
	bool beyond;  /* some of them lie where no sector was erased */
	struct tally files, others;
};

static void end_run(struct within *w, struct run *r)
{
	if (r->end && !r->beyond) {
		add(&w->at[r->i].files, &r->files);
		add(&w->at[r->i].others, &r->others);
	}
	*r = (struct run){ 0 };
}

/* Counts the clusters of a piece in stretch I, but for those that were. */
static void count(struct within *w, size_t i, const struct qf_guest_piece *p,
		  bool of_file, struct run *run)
{
	const struct qf_guest_range *r = &w->asked[i];
	const uint64_t bytes = w->s->img->geo.cluster_bytes;
	struct tally *t = of_file ? &run->files : &run->others;
	uint64_t at = p->start / bytes * bytes;
	uint64_t to = qf_mem_round_up(p->start + p->bytes, bytes);

	at = at > r->start ? at : r->start;
	to = to < r->start + r->bytes ? to : r->start + r->bytes;
	if (run->i != i || at > run->end)
		end_run(w, run);
	run->i = i;
	run->beyond |= at < w->at[i].start || to > w->at[i].end;
	for (at = at > run->end ? at : run->end; at < to; at += bytes) {
		t->all++;
		t->bare += qf_lost_bare(w->bare, at, at + bytes) == bytes;
	}
	run->end = to > run->end ? to : run->end;
}

static void count_names(struct within *w, const struct qf_guest_names *names)
{
	const struct qf_guest_piece *p = names->piece;
	struct run run = { 0 };
	size_t k, i;

	w->cut |= names->cut;
	for (k = 0; k < names->pieces; k++, p++)
		for (i = stretch_from(w, p->start);
		     i < w->n && w->asked[i].start < p->start + p->bytes; i++)
			count(w, i, p,
			      names->file[p->file].kind != QF_GUEST_METADATA,
			      &run);
	end_run(w, &run);
}

static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct within *w = ctx;
	size_t i = stretch_from(w, b->start);

	if (volume != QF_GUEST_NO_VOLUME && b->state == QF_GUEST_FAILS &&
	    i < w->n && b->start >= w->at[i].start &&
	    b->start + b->bytes <= w->at[i].end &&
	    qf_lost_bare(w->bare, b->start, b->start + b->bytes) == b->bytes) {
		w->blocks++;
		w->at[i].files.bare++;
	}
	return true;
}

static enum qf_err ask_names(struct within *w, struct qf_disk *disk,
			     struct qf_why *why)
{
	struct qf_guest_names names = { 0 };
	struct qf_guest *guest = NULL;
	enum qf_err err = qf_guest_open(disk, false, &guest, why);

	if (!err && guest->n)
		err = qf_guest_names(guest, w->asked, w->n, &names, why);
	if (!err)
		count_names(w, &names);
	qf_guest_names_free(&names);
	qf_guest_close(guest);
	return err;
}

static enum qf_err ask_blocks(struct within *w, struct qf_why *why)
{
	struct qf_guest *guest = NULL;
	enum qf_err err = qf_guest_open(w->bare, false, &guest, why);

	if (!err && guest->n) {
		guest->metadata_only = guest->faults_only = true;
		err = qf_guest_blocks(guest, w->asked, w->n, see_block, w, why);
	}
	qf_guest_close(guest);
	return err;
}

static bool is_known(const struct within *w, enum qf_err *err,
		     struct qf_why *why)
{
	struct qf_guest *guest = NULL;
	bool known;

	*err = qf_guest_open(w->bare, false, &guest, why);
	known = !*err && guest->n;
	qf_guest_close(guest);
	return known;
}

static enum qf_err look(struct within *w, struct qf_chain *chain,
			struct qf_disk **disk)
{
	struct qf_why why = { 0 };
	enum qf_err err = qf_chain_open(w->s->img, true, chain, &why);

	if (!err)
		err = qf_disk_open(chain, w->holder, disk, &why);
	if (!err)
		err = qf_disk_open(chain, w->holder, &w->bare, &why);
	/* a guest that nothing is known of tells nothing: no table is read */
	if (err || !is_known(w, &err, &why))
		return err;
	if (!collect(w, qf_disk_bytes(*disk)) || !lose(w, *disk))
		err = QF_ERR_NOMEM;
	if (!err && w->n)
		err = ask_names(w, *disk, &why);
	if (!err && w->n)
		err = ask_blocks(w, &why);
	return err;
}

/* --- what follows --- */

/* True if they are about as many as the leaks. */
static bool fits(const struct within *w, const struct tally *t)
{
	return t->bare &&
	       t->bare * QF_WITNESS_LEAKS_NEARLY <=
		       w->leaks * (QF_WITNESS_LEAKS_NEARLY + 1) &&
	       w->leaks * QF_WITNESS_LEAKS_NEARLY <=
		       t->all * (QF_WITNESS_LEAKS_NEARLY + 1);
}

static bool take(struct within *w)
{
	struct tally sum = { 0 };
	struct qf_lost *l = w->s->l;
	bool others;
	size_t i;

	for (i = 0; i < w->n; i++)
		add(&sum, &w->at[i].files);
	others = !w->blocks && !fits(w, &sum);
	for (i = 0; others && i < w->n; i++)
		add(&sum, &w->at[i].others);
	if (w->cut || (others && !fits(w, &sum)))
		return true;
	for (i = 0; i < w->n; i++) {
		if (!w->at[i].files.bare && !(others && w->at[i].others.bare))
			continue;
		if (!qf_mem_grow((void **)&l->part, l->n_parts, &l->part_room,
				 sizeof(*l->part)))
			return false;
		l->part[l->n_parts++] = (struct qf_lost_part){ w->at[i].table,
							       w->at[i].index,
							       w->at[i].n };
	}
	return true;
}

static void one_state(void *ctx)
{
	struct within *w = ctx;
	struct qf_chain chain = { 0 };
	struct qf_disk *disk = NULL;
	enum qf_err err = look(w, &chain, &disk);

	w->failed = err == QF_ERR_NOMEM || (!err && !take(w));
	qf_disk_close(w->bare);
	qf_disk_close(disk);
	qf_chain_close(&chain);
	free(w->at);
	free(w->asked);
}

bool qf_lost_find_within(struct qf_search *s)
{
	struct qf_gap_leaks leaks;
	struct within w;
	uint32_t h;

	if (s->no_guest || s->img->hdr.crypt_method || s->old_tables ||
	    s->old_snapshots || s->l->n_parts || s->l->n_erased)
		return true;
	leaks = qf_gap_leaks(s);
	/* the others have the active disk's tables, or older ones */
	for (h = 0; leaks.n && !s->l->n_parts && h <= s->img->snapshots.n &&
		    h < MAX_STATES;
	     h++) {
		w = (struct within){ .s = s, .holder = h, .leaks = leaks.n };
		/* there are children, and libraries are loaded */
		qf_pool_alone(one_state, &w);
		if (w.failed)
			return false;
	}
	return true;
}
