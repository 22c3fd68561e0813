// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables of which a part was erased. One walk looks at the stretches
 * without entries: each by itself (see lost_gaps.h), and against the other
 * versions of the table, whose clusters are counted too often where the
 * erased entries shared them.
 */
#include "check/lost/lost_gaps.h"
#include "lib/base/mem.h"
#include "lib/walk/walk_l2.h"

#include <stdlib.h>

/* Of a table with more versions than this, none is looked at. */
#define MAX_VERSIONS 1024u
/* Version 2: so many entries of another version must be missing, as a killed
 * discard leaves the same. */
#define MANY_SHARED_V2 16u
#define FEW_SHARED 2u
/* So many leaks, in so many places, tell of a table filled at random. */
#define MANY_LEAKS 8u
#define MANY_RUNS 4u
/* So many that they fill a stretch by chance hardly ever. */
#define MANY_TO_FIT 32u
#define SECTORS_PER_PAGE 8u
#define MAX_LOOKS 64u

/* What is known of one version of the group's table. */
struct version {
	uint32_t next;	   /* index behind its last entry */
	uint32_t used;	   /* entries */
	uint32_t suspect;  /* slots in stretches with a whole sector */
	uint32_t adjacent; /* runs that lie next to a leak */
	uint64_t behind;   /* the cluster behind its last entry's, or 0 */
	uint64_t leaks;	   /* that erased stretches account for */
};

/* A stretch of one version, kept until the group's end. */
struct stretch {
	uint32_t version, from, to;
	bool erased;
};

/* Entries of some versions whose clusters are counted too often. */
struct high {
	uint32_t from, n;
};

struct part {
	const struct qf_group *grp;
	struct version *ver;
	size_t ver_room;
	struct stretch *stretch;
	size_t n_stretches, stretch_room;
	struct high *high;
	size_t n_highs, high_room;
	struct qf_lost_part *found;
	size_t n_found, found_room;
	bool failed;
};

struct parts {
	struct qf_search *s;
	struct part *part;
	struct qf_gap_leaks leaks; /* n is 0: whole tables account for them */
	uint64_t low;		   /* clusters that are counted too seldom */
};

static void start_group(struct parts *ps, struct part *p,
			const struct qf_group *g)
{
	uint32_t bits = ps->s->img->geo.cluster_bits, v;

	if (p->grp == g)
		return;
	p->grp = g;
	p->n_stretches = p->n_highs = 0;
	if (g->n > p->ver_room) {
		free(p->ver);
		p->ver = qf_mem_zalloc(g->n, sizeof(*p->ver));
		p->ver_room = p->ver ? g->n : 0;
		p->failed |= !p->ver;
	}
	for (v = 0; !p->failed && v < g->n; v++)
		p->ver[v] = (struct version){
			.behind =
				(ps->s->w->table[g->first + v].off >> bits) + 1
		};
}

/* The slots of version V's table that its disk can use. */
static uint32_t slots(const struct parts *ps, const struct part *p, uint32_t v)
{
	const struct qf_image *img = ps->s->img;
	uint64_t first = (uint64_t)p->grp->l1_index << img->geo.l2_bits;
	uint64_t disk =
		qf_mem_div_up(img->hdr.disk_bytes, img->geo.cluster_bytes);

	if (ps->s->w->table[p->grp->first + v].active && disk > first &&
	    disk - first < img->geo.l2_entries)
		return (uint32_t)(disk - first);
	return img->geo.l2_entries;
}

static void end_stretch(struct parts *ps, struct part *p, uint32_t v,
			uint32_t to, uint64_t after)
{
	const struct qf_geometry *g = &ps->s->img->geo;
	struct version *ver = &p->ver[v];
	struct stretch st = { v, ver->next, to, false };
	struct qf_gap gap = { &ps->s->w->table[p->grp->first + v],
			      p->grp->l1_index,
			      st.from,
			      st.to,
			      ver->behind,
			      after };
	uint64_t leaks;

	if (gap.table->unread || gap.table->odd || gap.table->unfollowed)
		return;
	leaks = ps->leaks.n ? qf_gap_was_erased(ps->s, &gap) : 0;
	ver->leaks += leaks;
	st.erased = leaks > 0;
	if (qf_gap_has_sector(g, st.from, to))
		ver->suspect += to - st.from;
	else if (!st.erased)
		return;
	if (!qf_mem_grow((void **)&p->stretch, p->n_stretches, &p->stretch_room,
			 sizeof(st))) {
		p->failed = true;
		return;
	}
	p->stretch[p->n_stretches++] = st;
}

/* Version V has the run R, whose clusters begin at HOST (0: none). */
static void see_version(struct parts *ps, struct part *p, uint32_t v,
			const struct qf_run *r, uint64_t host)
{
	struct version *ver = &p->ver[v];

	if (r->index > ver->next)
		end_stretch(ps, p, v, r->index, host);
	ver->next = r->index + r->n;
	ver->behind = host ? host + r->n : 0;
	ver->used += r->n;
	if (host)
		ver->adjacent += qf_gap_is_leak(ps->s, host + r->n) ||
				 (host > 1 && qf_gap_is_leak(ps->s, host - 1));
}

/* True if a version that has R is itself counted too often: then a holder of
 * the whole table has vanished, not a part of another version. */
static bool of_vanished(const struct parts *ps, const struct part *p,
			const struct qf_run *r)
{
	const struct qf_walk *w = ps->s->w;
	uint32_t v;

	for (v = 0; v < p->grp->n; v++)
		if (r->members[v / 64] >> (v % 64) & 1 &&
		    qf_lost_leaked(ps->s->t,
				   w->table[p->grp->first + v].off >>
					   ps->s->img->geo.cluster_bits))
			return true;
	return false;
}

static void see_high(struct parts *ps, struct part *p, const struct qf_run *r,
		     uint64_t host)
{
	const struct qf_trouble *tr = qf_recount_from(ps->s->t, host);
	uint64_t c, end = host + r->n;
	struct high h;

	if (!tr || tr->first >= end || of_vanished(ps, p, r))
		return;
	for (c = host; c < end; c++) {
		if (!qf_lost_leaked(ps->s->t, c) ||
		    qf_lost_is_explained(ps->s, c))
			continue;
		h = (struct high){ r->index + (uint32_t)(c - host), 1 };
		if (p->n_highs &&
		    p->high[p->n_highs - 1].from + p->high[p->n_highs - 1].n ==
			    h.from) {
			p->high[p->n_highs - 1].n++;
			continue;
		}
		if (!qf_mem_grow((void **)&p->high, p->n_highs, &p->high_room,
				 sizeof(h))) {
			p->failed = true;
			return;
		}
		p->high[p->n_highs++] = h;
	}
}

/* Which of the 64 versions from V on have the run R. */
static uint64_t members_at(const struct qf_group *grp, const struct qf_run *r,
			   uint32_t v)
{
	if (r->members)
		return r->members[v / 64];
	return grp->n - v < 64 ? (1ull << (grp->n - v)) - 1 : UINT64_MAX;
}

static bool see_runs(void *ctx, unsigned int worker, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct parts *ps = ctx;
	struct part *p = &ps->part[worker];
	uint64_t host, word;
	uint32_t v;
	size_t i;

	start_group(ps, p, grp);
	for (i = 0; i < n && !p->failed; i++, r++) {
		host = r->kind == QF_ENTRY_KIND_DATA && !r->odd
			       ? (r->entry & QF_ENTRY_OFFSET_MASK) >>
					 ps->s->img->geo.cluster_bits
			       : 0;
		for (v = 0; v < grp->n; v += 64)
			for (word = members_at(grp, r, v); word;
			     word &= word - 1)
				see_version(ps, p,
					    v + (uint32_t)__builtin_ctzll(word),
					    r, host);
		if (host && r->members)
			see_high(ps, p, r, host);
	}
	return !p->failed;
}

/* How many of the entries that other versions have too much lie in ST. */
static uint32_t highs_in(const struct part *p, const struct stretch *st)
{
	const struct high *h = p->high;
	uint32_t sum = 0, from, to;
	size_t i;

	for (i = 0; i < p->n_highs; i++, h++) {
		from = h->from > st->from ? h->from : st->from;
		to = h->from + h->n < st->to ? h->from + h->n : st->to;
		sum += to > from ? to - from : 0;
	}
	return sum;
}

static bool add_part(struct part *p, uint32_t v, uint32_t from, uint32_t n)
{
	if (!qf_mem_grow((void **)&p->found, p->n_found, &p->found_room,
			 sizeof(*p->found)))
		return false;
	p->found[p->n_found++] =
		(struct qf_lost_part){ p->grp->first + v, from, n };
	return true;
}

/* What was lost of the stretch: where only shared clusters are too many, it
 * is known entry by entry. */
static bool add_stretch(const struct parts *ps, struct part *p,
			const struct stretch *st)
{
	const struct high *h = p->high;
	uint32_t from, to;
	size_t i;

	if (st->erased || ps->leaks.n)
		return add_part(p, st->version, st->from, st->to - st->from);
	for (i = 0; i < p->n_highs; i++, h++) {
		from = h->from > st->from ? h->from : st->from;
		to = h->from + h->n < st->to ? h->from + h->n : st->to;
		if (to > from && !add_part(p, st->version, from, to - from))
			return false;
	}
	return true;
}

/*
 * True if N slots of a version, filled like the rest of its table, would have
 * about as many entries as there are leaks.
 */
static bool is_as_dense(const struct parts *ps, const struct version *ver,
			uint32_t all, uint64_t n)
{
	uint64_t expected;

	if (ver->suspect >= all || ps->leaks.n > n)
		return false;
	expected = ver->used * n / (all - ver->suspect);
	return ps->leaks.n * 3 >= expected * 2 &&
	       ps->leaks.n <= expected * 3 / 2 + MANY_LEAKS;
}

/* True if all leaks may have been in stretch ST. Where it begins or ends with
 * a page, that alone may have been erased; where the table begins or ends, the
 * stretch has no end of its own. */
static bool has_room_for_all(const struct parts *ps, const struct part *p,
			     const struct stretch *st)
{
	const struct version *ver = &p->ver[st->version];
	uint32_t page = qf_gap_sector(&ps->s->img->geo) * SECTORS_PER_PAGE;
	uint32_t all = slots(ps, p, st->version);

	return is_as_dense(ps, ver, all, st->to - st->from) ||
	       (st->to - st->from > page &&
		((st->from && st->from % page == 0) ||
		 (st->to < all && st->to % page == 0)) &&
		is_as_dense(ps, ver, all, page));
}

/*
 * True if the leaks fill the stretch ST to the last slot, and that is hardly
 * by chance: it lies just where sectors do, or it is half of the table.
 */
static bool is_filled_by_all(const struct parts *ps, const struct stretch *st)
{
	const struct qf_geometry *g = &ps->s->img->geo;
	uint32_t sector = qf_gap_sector(g), n = st->to - st->from;

	if (ps->leaks.n != n || n < MANY_TO_FIT)
		return false;
	if (st->from % sector == 0 && st->to % sector == 0)
		return true;
	/* version 2 has no zero flag: so does a discard that was killed */
	return ps->s->img->hdr.version >= 3 && n * 2 >= g->l2_entries;
}

/* Says of version V's stretches that those are erased which FITS. */
static bool choose(struct parts *ps, struct part *p, uint32_t v, bool exact)
{
	bool any = false, fits;
	struct stretch *st;
	unsigned int pass;
	size_t i;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < p->n_stretches; i++) {
			st = &p->stretch[i];
			if (st->version != v)
				continue;
			fits = exact ? is_filled_by_all(ps, st)
				     : has_room_for_all(ps, p, st);
			if (!pass)
				any |= fits;
			else if (any)
				st->erased = fits;
		}
	return any;
}

/*
 * A table that was filled at random, and of which a part was erased: the
 * leaks lie all over the file, in the midst of its clusters. Its stretches
 * with room for them all are the ones; or, if the leaks had as many owners
 * as the table has, all stretches may be.
 */
static void find_riddled(struct parts *ps, struct part *p, uint32_t v)
{
	const struct qf_l2_table *t = &ps->s->w->table[p->grp->first + v];
	const struct version *ver = &p->ver[v];
	bool shared = ps->leaks.stated > 1 && ps->leaks.stated == t->weight;
	bool beside = ver->adjacent * 2 >= ps->leaks.runs;
	size_t i;

	if (!ps->leaks.n || !t->filled || ver->leaks * 4 >= ps->leaks.n * 3 ||
	    !ver->suspect)
		return;
	if ((shared || !ps->leaks.tail) && choose(ps, p, v, true))
		return;
	if (!beside)
		return;
	if ((shared ||
	     (ps->s->img->hdr.version >= 3 && ps->leaks.inside >= MANY_LEAKS &&
	      ps->leaks.runs >= MANY_RUNS && ps->leaks.scattered)) &&
	    choose(ps, p, v, false))
		return;
	for (i = 0; shared && i < p->n_stretches; i++)
		p->stretch[i].erased |= p->stretch[i].version == v;
}

/* Which version of the table the active disk has; GRP->n: none. */
static uint32_t active_version(const struct parts *ps,
			       const struct qf_group *grp)
{
	uint32_t v = 0;

	while (v < grp->n && !ps->s->w->table[grp->first + v].active)
		v++;
	return v;
}

/* True if the entry E is there, and not one of those that count too often. */
static bool has_other(const struct qf_search *s, uint64_t e)
{
	uint64_t off = e & QF_ENTRY_OFFSET_MASK;

	return e & QF_ENTRY_ZERO ||
	       (off && !qf_lost_leaked(s->t, off >> s->img->geo.cluster_bits));
}

/*
 * True if the active disk has something else where ST lacks what the others
 * have too much of: then it is the active disk that had it, and the program
 * that wrote or discarded there was killed.
 */
static bool is_rewritten(const struct parts *ps, const struct part *p,
			 const struct stretch *st)
{
	uint32_t v = active_version(ps, p->grp), i, end, other = 0, looks = 0;
	const struct qf_search *s = ps->s;
	struct qf_be64 w;
	uint64_t at;
	size_t k;

	if (v == p->grp->n || v == st->version)
		return false;
	for (k = 0; k < p->n_highs; k++) {
		i = p->high[k].from > st->from ? p->high[k].from : st->from;
		end = p->high[k].from + p->high[k].n;
		for (; i < end && i < st->to && looks < MAX_LOOKS; i++) {
			at = s->w->table[p->grp->first + v].off +
			     (uint64_t)i * s->img->geo.l2_entry_bytes;
			looks++;
			if (!qf_io_read_pad(s->img->io, &w, sizeof(w), at,
					    NULL))
				other += has_other(s, qf_be_get64(w));
		}
	}
	return other * 2 > looks;
}

/*
 * True if what other versions have too much of tells of ST. An erased part
 * makes no count too low: where counts are wrong in both directions, they
 * prove nothing until they are far more.
 */
static bool is_missed(const struct parts *ps, const struct part *p,
		      const struct stretch *st)
{
	uint32_t few = ps->s->img->hdr.version < 3 ? MANY_SHARED_V2
						   : FEW_SHARED;

	return highs_in(p, st) >= few + 2 * ps->low && !is_rewritten(ps, p, st);
}

static bool see_end(void *ctx, unsigned int worker, struct qf_group *grp)
{
	struct parts *ps = ctx;
	struct part *p = &ps->part[worker];
	uint32_t v;
	bool any_empty; /* and so what others have too much may be its */
	struct stretch *st;
	size_t i;

	start_group(ps, p, grp);
	/* a disk whose L1 entry is gone has an empty one */
	any_empty = active_version(ps, grp) == grp->n &&
		    grp->l1_index < ps->s->img->geo.l1_needed;
	for (v = 0; v < grp->n; v++)
		any_empty |= !ps->s->w->table[grp->first + v].filled;
	for (v = 0; v < grp->n && !p->failed; v++)
		if (ps->s->w->table[grp->first + v].filled &&
		    p->ver[v].next < slots(ps, p, v))
			end_stretch(ps, p, v, slots(ps, p, v), 0);
	for (v = 0; v < grp->n && p->n_stretches; v++)
		find_riddled(ps, p, v);
	for (i = 0; i < p->n_stretches && !p->failed; i++) {
		st = &p->stretch[i];
		if (!ps->s->w->table[grp->first + st->version].filled)
			continue;
		if (st->erased || (!any_empty && is_missed(ps, p, st)))
			p->failed |= !add_stretch(ps, p, st);
	}
	return !p->failed;
}

static bool wants(void *ctx, const struct qf_group *grp)
{
	(void)ctx;
	return grp->n <= MAX_VERSIONS;
}

/* Extended L2 entries may have a bitmap where they name no cluster. */
static bool is_empty(struct qf_search *s, const struct qf_lost_part *part)
{
	uint32_t entry = s->img->geo.l2_entry_bytes;
	uint64_t at =
		s->w->table[part->table].off + (uint64_t)part->index * entry;

	return !qf_io_read_pad(s->img->io, s->buf, (size_t)part->n * entry, at,
			       NULL) &&
	       qf_l2_is_zero(s->buf, (uint64_t)part->n * entry);
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_lost_part *a = pa, *b = pb;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static bool take_found(struct parts *ps, unsigned int jobs)
{
	struct qf_lost *l = ps->s->l;
	unsigned int i;
	size_t k;

	for (i = 0; i < jobs; i++)
		for (k = 0; k < ps->part[i].n_found; k++) {
			if (!is_empty(ps->s, &ps->part[i].found[k]))
				continue;
			if (!qf_mem_grow((void **)&l->part, l->n_parts,
					 &l->part_room, sizeof(*l->part)))
				return false;
			l->part[l->n_parts++] = ps->part[i].found[k];
		}
	if (l->n_parts)
		qsort(l->part, l->n_parts, sizeof(*l->part), by_place);
	return true;
}

static uint64_t count_low(const struct qf_recount *t)
{
	const struct qf_trouble *tr = t->trouble;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < t->n_troubles; i++, tr++)
		if (tr->stated < tr->counted &&
		    !(tr->why & (QF_TROUBLE_DOUBLE | QF_TROUBLE_UNKNOWN |
				 QF_TROUBLE_DOUBTED)))
			n += tr->hits;
	return n;
}

bool qf_lost_find_parts(struct qf_search *s)
{
	unsigned int jobs = s->t->jobs, i;
	struct parts ps = { .s = s, .low = count_low(s->t) };
	struct qf_visitor v = {
		.ctx = &ps, .runs = see_runs, .end = see_end, .want = wants
	};
	bool ok;

	if (s->old_tables || s->old_snapshots)
		return true;
	ps.leaks = qf_gap_leaks(s);
	if (ps.leaks.n <= s->l->n_erased * (uint64_t)s->img->geo.l2_entries)
		ps.leaks.n = 0;
	ps.part = qf_mem_zalloc(jobs, sizeof(*ps.part));
	ok = ps.part && !qf_walk_run(s->w, jobs, &v, NULL) &&
	     take_found(&ps, jobs);
	for (i = 0; ps.part && i < jobs; i++) {
		free(ps.part[i].ver);
		free(ps.part[i].stretch);
		free(ps.part[i].high);
		free(ps.part[i].found);
	}
	free(ps.part);
	return ok;
}
