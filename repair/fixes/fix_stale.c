// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that were erased or overwritten, restored from an older copy in a
 * cluster without an owner: QEMU copies a table that a snapshot shares when
 * it is written, and when the snapshot is deleted the old one is freed, but
 * often not overwritten. A copy is taken only if it explains: most of its
 * entries point to clusters that now lack an owner, none to clusters that
 * have all of theirs, and most of the clusters without an owner are among
 * them. There must be one lost table, and one copy that explains most; of
 * several that contradict each other, those fall out that the guest's file
 * systems contradict.
 *
 * What was written after the copy was made is not in it. As long as each such
 * cluster replaced one that is free now, nothing of what the copy names can
 * have been given to another place of the disk: the copy is restored. Else
 * it may show a place's bytes at another, and is only offered (--guess).
 */
#include "lib/base/mem.h"
#include "repair/search/guestcopy.h"
#include "repair/search/older.h"
#include "repair/search/orphan.h"
#include "repair/search/stale.h"
#include "repair/write/stop.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How well a copy explains what has no owner. */
struct worth {
	uint64_t entries; /* that point to clusters */
	uint64_t lacking; /* of them, to such as lack an owner */
	uint64_t orphans; /* clusters that have none at all, each once */
	uint64_t written; /* references since the copy was made */
	uint64_t freed;	  /* those of the copy that are given up since */
};

/* So many copies are held against each other. */
#define MAX_COPIES 8u

/* A copy, as it may be restored. */
struct copy {
	unsigned char *table; /* owned */
	struct worth worth;
	uint64_t from;
};

struct search {
	struct qf_fix_ctx *c;
	const struct qf_group *g;
	const struct qf_l2_table *lost;
	enum qf_problem problem;
	unsigned char *buf; /* the one that is looked at */
	struct copy copy[MAX_COPIES];
	size_t n;
	struct copy best; /* one of these */
	uint64_t orphans; /* of the image */
	bool more;	  /* copies than there is room for */
	uint64_t *touch;  /* the clusters that the copy's entries touch */
	size_t n_touch, touch_room;
	bool failed; /* no memory */
};

/* The one table whose content is lost; false if there are none or more. */
static bool only_lost(struct search *s)
{
	const struct qf_fix_ctx *c = s->c;
	unsigned int n = 0;
	uint32_t i, v;
	int p;

	for (i = 0; i < c->walk.n_groups; i++) {
		for (v = 0; v < c->walk.group[i].n; v++) {
			const struct qf_l2_table *t =
				&c->walk.table[c->walk.group[i].first + v];

			p = qf_older_fault(c, t);
			if (p < 0)
				continue;
			s->g = &c->walk.group[i];
			s->lost = t;
			s->problem = (enum qf_problem)p;
			n++;
		}
	}
	return n == 1;
}

static struct qf_run run_at(const struct search *s, const void *table,
			    uint32_t i)
{
	const struct qf_geometry *g = &s->c->img->geo;
	struct qf_run r = { .index = i, .n = 1 };
	struct qf_be64 w[2] = { 0 };

	memcpy(w, (const char *)table + (size_t)i * g->l2_entry_bytes,
	       g->l2_entry_bytes);
	r.entry = qf_be_get64(w[0]);
	r.bitmap = g->extl2 ? qf_be_get64(w[1]) : 0;
	r.kind = (uint8_t)qf_entry_kind(g, r.entry);
	return r;
}

static void put(const struct search *s, void *table, uint32_t i, uint64_t entry,
		uint64_t bitmap)
{
	struct qf_be64 w[2] = { qf_be_put64(entry), qf_be_put64(bitmap) };
	size_t bytes = s->c->img->geo.l2_entry_bytes;

	memcpy((char *)table + i * bytes, w, bytes);
}

static void note_touched(struct search *s, const struct qf_run *r)
{
	uint64_t off, bytes, first, n, k;

	bytes = qf_recount_run_bytes(s->c->img, r, &off);
	n = qf_recount_touched(s->c->img, off, bytes, &first);
	for (k = 0; k < n; k++) {
		if (!qf_mem_grow((void **)&s->touch, s->n_touch, &s->touch_room,
				 sizeof(*s->touch))) {
			s->failed = true;
			return;
		}
		s->touch[s->n_touch++] = first + k;
	}
}

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return (a > b) - (a < b);
}

/* How many references to CLUSTER its refcount has and the image has not. */
static uint64_t missing(const struct search *s, uint64_t cluster)
{
	uint64_t counted, stated;

	counted = qf_ledger_count(s->c->recount.ledger, cluster, NULL);
	if (qf_fix_refcount(s->c, cluster, &stated))
		return 0;
	return stated > counted ? stated - counted : 0;
}

/* Compares the references of the copy with those that are missing. */
static void weigh_touched(struct search *s, struct worth *w)
{
	uint32_t bits = s->c->img->geo.cluster_bits;
	uint64_t lost;
	size_t i, n;

	if (s->n_touch)
		qsort(s->touch, s->n_touch, sizeof(*s->touch), by_number);
	for (i = 0; i < s->n_touch; i += n) {
		for (n = 1;
		     i + n < s->n_touch && s->touch[i + n] == s->touch[i];)
			n++;
		lost = missing(s, s->touch[i]);
		w->orphans += qf_orphan_is(s->c, s->touch[i] << bits);
		w->written += lost > n ? lost - n : 0;
		w->freed += n > lost ? n - lost : 0;
	}
	w->written += s->orphans - w->orphans;
}

/* True if every cluster that the entry R touches is free. */
static bool is_free(const struct search *s, const struct qf_run *r)
{
	uint64_t off, bytes, first, n, k, stated;

	bytes = qf_recount_run_bytes(s->c->img, r, &off);
	n = qf_recount_touched(s->c->img, off, bytes, &first);
	for (k = 0; k < n; k++)
		if (qf_ledger_count(s->c->recount.ledger, first + k, NULL) ||
		    qf_fix_refcount(s->c, first + k, &stated) || stated)
			return false;
	return n;
}

/*
 * Judges entry I of s->buf. What lacks an owner is kept, without COPIED,
 * which follows from the refcounts; what was freed since is taken out. False
 * if the entry speaks against the table.
 */
static bool judge_entry(struct search *s, uint32_t i, struct worth *w)
{
	const struct qf_image *img = s->c->img;
	struct qf_run r = run_at(s, s->buf, i);
	uint64_t off, guest;

	if (!r.entry && !r.bitmap)
		return true;
	guest = (((uint64_t)s->g->l1_index << img->geo.l2_bits) + i)
		<< img->geo.cluster_bits;
	if (qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size, r.entry,
			    r.bitmap) ||
	    (s->lost->active && guest >= img->hdr.disk_bytes))
		return false;
	if (!qf_recount_run_bytes(img, &r, &off))
		return true;
	w->entries++;
	note_touched(s, &r);
	if (qf_orphan_lacks(s->c, &r)) {
		w->lacking++;
		put(s, s->buf, i, r.entry & ~QF_ENTRY_COPIED, r.bitmap);
		return true;
	}
	put(s, s->buf, i, 0, 0);
	return is_free(s, &r);
}

/* True if an entry of two copies is not the same, where both have one. */
static bool contradict(const struct search *s, const struct copy *x,
		       const struct copy *y)
{
	struct qf_run a, b;
	uint32_t i;

	for (i = 0; i < s->c->img->geo.l2_entries; i++) {
		a = run_at(s, x->table, i);
		b = run_at(s, y->table, i);
		if (a.entry && b.entry && a.entry != b.entry)
			return true;
	}
	return false;
}

/* True if any of the copies contradicts the one that explains most. */
static bool is_doubtful(const struct search *s)
{
	size_t i, k;

	for (i = 0; i < s->n; i++)
		for (k = i + 1; k < s->n; k++)
			if (contradict(s, &s->copy[i], &s->copy[k]))
				return true;
	return false;
}

static void keep(struct search *s, uint64_t off, const struct worth *w)
{
	const size_t bytes = s->c->img->geo.cluster_bytes;
	struct copy *new = &s->copy[s->n];
	size_t i;

	for (i = 0; i < s->n; i++)
		if (!memcmp(s->copy[i].table, s->buf, bytes))
			return;
	s->more = s->n == MAX_COPIES;
	if (s->more)
		return;
	new->table = qf_mem_zalloc(1, bytes);
	if (!new->table) {
		s->failed = true;
		return;
	}
	memcpy(new->table, s->buf, bytes);
	new->worth = *w;
	new->from = off;
	s->n++;
}

static bool see_copy(void *ctx, uint64_t off, const struct qf_be64 *buf)
{
	struct search *s = ctx;
	struct worth w = { 0 };
	bool fits = true;
	uint32_t i;

	memcpy(s->buf, buf, s->c->img->geo.cluster_bytes);
	s->n_touch = 0;
	for (i = 0; fits && i < s->c->img->geo.l2_entries; i++)
		fits = judge_entry(s, i, &w);
	if (s->failed || qf_stop_asked())
		return false;
	if (fits)
		weigh_touched(s, &w);
	/* the copy itself may be among those that have no owner */
	w.written -= w.written && qf_orphan_is(s->c, off);
	if (!fits || w.lacking * 2 <= w.entries || w.orphans * 2 < s->orphans)
		return true;
	keep(s, off, &w);
	return !s->failed && !s->more;
}

/* Drops the copies that the guest contradicts, if it bears out another. */
static enum qf_err ask_guest(struct search *s, struct qf_why *why)
{
	struct qf_guestcopy g[MAX_COPIES] = { 0 };
	enum qf_err err;
	size_t i, n = 0;
	bool any = false;

	for (i = 0; i < s->n; i++)
		g[i].table = s->copy[i].table;
	err = qf_guestcopy_weigh(s->c, s->g->l1_index, s->lost->off, g, s->n,
				 why);
	for (i = 0; i < s->n; i++)
		any |= g[i].holds && !g[i].fails;
	for (i = 0; !err && any && i < s->n; i++) {
		if (g[i].fails)
			free(s->copy[i].table);
		else
			s->copy[n++] = s->copy[i];
	}
	if (!err && any)
		s->n = n;
	return err;
}

/* The copy that explains most, if none contradicts another. */
static enum qf_err choose(struct search *s, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	size_t i;

	if (is_doubtful(s))
		err = ask_guest(s, why);
	if (err || is_doubtful(s))
		return err;
	for (i = 0; i < s->n; i++)
		if (s->copy[i].worth.lacking > s->best.worth.lacking)
			s->best = s->copy[i];
	return QF_OK;
}

static enum qf_err offer_table(struct search *s, struct qf_why *why)
{
	struct qf_plan *p = s->c->plan;

	free(p->offer);
	if (asprintf(&p->offer,
		     "restore the L2 table of L1 entry %" PRIu32
		     " from an older copy in the unused cluster at 0x%" PRIx64
		     ": %" PRIu64 " of its %" PRIu64
		     " entries point to clusters that lack an owner. %" PRIu64
		     " clusters were written since it was made, and %" PRIu64
		     " of those that it names are free: where a cluster was "
		     "used again, it would show one place's data at another.",
		     s->g->l1_index, s->best.from, s->best.worth.lacking,
		     s->best.worth.entries, s->best.worth.written,
		     s->best.worth.freed) < 0) {
		p->offer = NULL;
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	}
	return QF_OK;
}

static enum qf_err plan_table(struct search *s, struct qf_why *why)
{
	struct qf_plan *p = s->c->plan;

	if (s->best.worth.written != s->best.worth.freed && !p->guess)
		return offer_table(s, why);
	p->withhold_leaks |= s->best.worth.written > 0;
	return qf_plan_put(
		p, s->problem, s->lost->off, s->best.table,
		s->c->img->geo.cluster_bytes, why,
		"restore the L2 table of L1 entry %" PRIu32
		" from an older copy in the unused cluster at 0x%" PRIx64
		": %" PRIu64 " of its %" PRIu64
		" entries point to clusters that lack an owner; %" PRIu64
		" clusters were written since it was made and stay without "
		"one%s",
		s->g->l1_index, s->best.from, s->best.worth.lacking,
		s->best.worth.entries, s->best.worth.written,
		s->best.worth.written == s->best.worth.freed
			? ""
			: "; a guess: it may show one place's data at another");
}

static enum qf_err look(struct search *s, struct qf_why *why)
{
	size_t bytes = s->c->img->geo.cluster_bytes;
	enum qf_err err;
	bool all = false;

	s->buf = qf_mem_zalloc(1, bytes);
	if (!s->buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look for older tables");
	if (qf_io_read_pad(s->c->img->io, s->buf, bytes, s->lost->off, NULL) ||
	    !qf_older_nothing_sound(s->c, s->buf))
		return QF_OK;
	/* tables among the leaks may be those of empty L1 entries */
	err = qf_stale_scan(s->c, !qf_fix_found(s->c, QF_P_L2_ORPHAN), see_copy,
			    s, &all, why);
	if (!err && s->failed)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory to look for older tables");
	if (err || !all || s->more)
		return err;
	err = choose(s, why);
	return err || !s->best.worth.lacking ? err : plan_table(s, why);
}

enum qf_err qf_fix_stale(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct search s = { .c = c };
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	if (!qf_fix_found(c, QF_P_L2_ERASED) &&
	    !qf_fix_found(c, QF_P_L2_GARBAGE))
		return QF_OK;
	s.orphans = qf_older_orphans(c);
	if (s.orphans && c->recount.leaked != c->plan->vain_stale &&
	    only_lost(&s)) {
		err = look(&s, why);
		if (c->plan->n == had)
			c->plan->vain_stale = c->recount.leaked;
	}
	for (i = 0; i < s.n; i++)
		free(s.copy[i].table);
	free(s.touch);
	free(s.buf);
	return err;
}
