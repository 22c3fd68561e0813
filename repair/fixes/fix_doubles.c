// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host clusters with several owners. Where none of the entries is to be pointed
 * back (see fix_bent.c), one keeps the place and each other one gets a copy of
 * its own: all read what they read before. A higher refcount, which would bless
 * the sharing, is no answer.
 */
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "repair/plan/decide.h"
#include "repair/search/orphan.h"
#include "repair/search/place.h"
#include "repair/plan/space.h"
#include "repair/write/stop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many are looked up in one walk: the memory of that is their owners'. */
#define MAX_CLUSTERS (1u << 16)
#define MAX_OWNERS 4096u	/* of one cluster that are looked at */
#define MAX_TOGETHER (1u << 20) /* owners of all clusters of a walk */
/* A plan's copies of tables take as much memory as the file has bytes, within
 * these bounds. */
#define MIN_COPIED (64ull << 20)
#define MAX_COPIED (1ull << 30)
/* So many clusters of data are copied at the most: each is an edit. */
#define MAX_COPIES (1ull << 18)

struct work {
	struct qf_fix_ctx *c;
	uint64_t *cluster;
	struct qf_owner_list *list;
	size_t n;
	/* where the next walk begins: a piece of trouble, and a cluster */
	size_t trouble;
	uint64_t from;
	bool tables_only;      /* shared tables come first */
	struct qf_place place; /* tables that nobody names */
	bool looked;	       /* for those tables */
};

/* What the refcount's fix moves to another place. */
static bool is_rebuilt(enum qf_ref_kind k)
{
	return k == QF_REF_REFBLOCK || k == QF_REF_REFTABLE;
}

/* The table without a name that the L1 entry of G had, by evidence; or 0. */
static uint64_t own_table(const struct work *w, const struct qf_claimant *g)
{
	const struct qf_geometry *geo = &w->c->img->geo;
	const struct qf_place_table *t;
	uint64_t index, found = 0;
	size_t i;

	if (g->at->kind != QF_REF_L2 || g->n != 1)
		return 0;
	index = g->at->guest_off >> (geo->l2_bits + geo->cluster_bits);
	for (i = 0; i < w->place.n; i++) {
		t = &w->place.t[i];
		if (!t->how || t->doubt || t->index != index ||
		    !qf_orphan_suits(w->c, t->off, index,
				     g->at->holder == QF_HOLDER_ACTIVE))
			continue;
		if (found)
			return 0;
		found = t->off;
	}
	return found;
}

/* How well the place suits the owner, by what it is: metadata are built anew
 * elsewhere, and a compressed cluster cannot be moved. */
static unsigned int suits(const struct work *w, const struct qf_claimant *g)
{
	if (is_rebuilt(g->at->kind))
		return 0;
	if (!qf_claimants_is_data(g->at->kind))
		return own_table(w, g) ? 99 : 100;
	if (g->at->kind == QF_REF_COMPRESSED)
		return 50;
	return 1 + (g->at->holder == QF_HOLDER_ACTIVE);
}

/* True if the entry of O reads as zeros, whatever stands in its cluster. */
static bool is_zero(const struct qf_fix_ctx *c, const struct qf_owner *o)
{
	return o->kind == QF_REF_DATA && o->pointer & QF_ENTRY_ZERO &&
	       !c->img->geo.extl2;
}

/* Sets all pointers of a claimant to VALUE, but for entries that read as zeros:
 * they need no cluster. The states of a disk may differ in that. */
static enum qf_err point_to(struct qf_fix_ctx *c, const struct qf_claimant *g,
			    enum qf_problem p, uint64_t value, const char *what,
			    struct qf_why *why)
{
	enum qf_err err = QF_OK;
	size_t i;

	for (i = 0; !err && i < g->n; i++) {
		/* COPIED follows from the refcounts, once they are set */
		if (is_zero(c, &g->at[i]))
			err = qf_plan_put64(c->plan, p, g->at[i].pointer_off,
					    QF_ENTRY_ZERO, why,
					    "let go of the shared cluster");
		else
			err = qf_plan_put64(c->plan, p, g->at[i].pointer_off,
					    value, why, what);
	}
	return err;
}

/* True if the pointer of O breaks the format's rules: then it is the damage,
 * and what it says is nothing to go by. */
static bool is_broken(const struct qf_fix_ctx *c, const struct qf_owner *o)
{
	const struct qf_image *img = c->img;

	if (o->kind == QF_REF_L2)
		return qf_entry_l1_odd(&img->geo, img->io->size, o->pointer);
	return o->kind == QF_REF_DATA &&
	       qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
			       o->pointer, 0);
}

/* True if the pointers stand where they can be changed. */
static bool is_free(const struct qf_fix_ctx *c, const struct qf_claimant *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->at[i].pointer_off == QF_NOWHERE ||
		    qf_fix_shared(c, g->at[i].pointer_off) ||
		    qf_fix_garbage(c, g->at[i].pointer_off))
			return false;
	return true;
}

/* True if the plan may copy BYTES more of tables; many owners of one large
 * table would take memory out of all proportion. */
static bool may_copy(struct qf_plan *p, uint64_t bytes)
{
	uint64_t most = p->base->size;

	most = most < MIN_COPIED ? MIN_COPIED : most;
	most = most > MAX_COPIED ? MAX_COPIED : most;
	if (p->copied_bytes > most || bytes > most - p->copied_bytes) {
		p->copies_cut = true;
		return false;
	}
	p->copied_bytes += bytes;
	return true;
}

/* So much may the image grow by copies of data, with TAKEN of it gone. */
static bool may_grow(const struct work *w, uint64_t taken, uint64_t bytes)
{
	uint64_t most = w->c->plan->base->size;
	uint64_t many = w->c->img->geo.cluster_bytes * MAX_COPIES;

	most = most < MIN_COPIED ? MIN_COPIED : most;
	most = most > many ? many : most;
	return taken <= most && bytes <= most - taken;
}

/* The bytes of data that the L2 table at OFF maps, one owner's. */
static uint64_t mapped_by(const struct qf_fix_ctx *c, uint64_t off)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_be64 *buf = qf_mem_zalloc(1, g->cluster_bytes);
	uint64_t n = 0, i;

	if (buf &&
	    !qf_io_read_pad(c->img->io, buf, g->cluster_bytes, off, NULL))
		for (i = 0; i < g->l2_entries; i++)
			n += (qf_be_get64(buf[i * (g->l2_entry_bytes / 8)]) &
			      QF_ENTRY_OFFSET_MASK) != 0;
	free(buf);
	return n << g->cluster_bits;
}

/* In a disk with LUKS a cluster is encrypted for its place in the file, and a
 * copy of it reads as garbage: its owners go on sharing it. */
static bool is_bound(const struct qf_fix_ctx *c)
{
	return c->img->hdr.crypt_method == QF_CRYPT_LUKS;
}

/*
 * True if there is room for all of the cluster's N owners who shall get a copy;
 * else none gets one, as sharing among fewer is no better. L1 entries that
 * share a table share all that it maps as well: *BYTES of data.
 */
static bool is_affordable(const struct work *w, const struct qf_claimant *g,
			  size_t n, size_t keeper, uint64_t *bytes)
{
	const struct qf_plan *p = w->c->plan;
	uint64_t data = 0, tables = 0;
	size_t i;

	*bytes = 0;
	for (i = 0; i < n; i++) {
		data += i != keeper && g[i].at->kind == QF_REF_DATA;
		tables += i != keeper && g[i].at->kind == QF_REF_L2;
	}
	if (!w->tables_only && data && !is_bound(w->c) &&
	    !may_grow(w, p->grown_bytes, data * w->c->img->geo.cluster_bytes))
		return false;
	if (!tables || g[keeper].at->kind != QF_REF_L2)
		return true;
	return !__builtin_mul_overflow(mapped_by(w->c, g->at->host_off), tables,
				       bytes) &&
	       may_grow(w, p->promised_bytes, *bytes);
}

/* A copy of a table, as it is planned so far. */
static enum qf_err copy_table(struct qf_fix_ctx *c, const struct qf_claimant *g,
			      enum qf_problem p, struct qf_why *why)
{
	uint64_t bytes =
		qf_mem_round_up(g->at->bytes, c->img->geo.cluster_bytes);
	unsigned char *buf;
	enum qf_err err;
	uint64_t off;

	if ((is_bound(c) && g->at->kind == QF_REF_L2 &&
	     mapped_by(c, g->at->host_off)) ||
	    !may_copy(c->plan, bytes))
		return QF_OK;
	buf = qf_mem_zalloc(1, bytes);
	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for a table");
	err = qf_io_read_pad(c->img->io, buf, g->at->bytes, g->at->host_off,
			     NULL);
	if (err) { /* a finding, and left alone */
		free(buf);
		return QF_OK;
	}
	err = qf_space_take(c, bytes >> c->img->geo.cluster_bits, &off, why);
	if (!err)
		err = qf_plan_put(c->plan, p, off, buf, bytes, why,
				  "copy the table at 0x%" PRIx64
				  " for its second owner",
				  g->at->host_off);
	free(buf);
	c->plan->cloned_beside_leaks |= c->recount.leaked > 0;
	return err ? err : point_to(c, g, p, off, "point to the copy", why);
}

static enum qf_err copy_data(struct qf_fix_ctx *c, const struct qf_claimant *g,
			     enum qf_problem p, struct qf_why *why)
{
	uint64_t size = c->img->geo.cluster_bytes, off;
	unsigned char *buf = qf_mem_zalloc(1, size);
	enum qf_err err;

	if (!buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for a cluster");
	err = qf_io_read_pad(c->img->io, buf, size, g->at->host_off, NULL);
	free(buf);
	if (err) /* what cannot be read cannot be given to both */
		return QF_OK;
	c->plan->grown_bytes += size;
	err = qf_space_take(c, 1, &off, why);
	if (!err)
		err = qf_plan_copy(c->plan, p, off, g->at->host_off, size, why,
				   "copy the cluster at 0x%" PRIx64
				   " for guest offset 0x%" PRIx64,
				   g->at->host_off, g->at->guest_off);
	/* what is allocated without an owner may be what stood here before */
	if (c->recount.leaked)
		c->plan->cloned_beside_leaks = true;
	return err ? err : point_to(c, g, p, off, "point to the copy", why);
}

static enum qf_err part_data(struct qf_fix_ctx *c, const struct qf_claimant *g,
			     enum qf_problem p, struct qf_why *why)
{
	size_t i;

	for (i = 0; i < g->n && is_zero(c, &g->at[i]);)
		i++;
	if (i == g->n)
		return point_to(c, g, p, QF_ENTRY_ZERO, NULL, why);
	return is_bound(c) ? QF_OK : copy_data(c, g, p, why);
}

static enum qf_problem problem_of(const struct qf_claimant *keeper,
				  const struct qf_claimant *g)
{
	if (qf_claimants_is_data(keeper->at->kind) &&
	    qf_claimants_is_data(g->at->kind))
		return QF_P_DOUBLE_DATA;
	if (qf_claimants_is_data(keeper->at->kind) ||
	    qf_claimants_is_data(g->at->kind))
		return QF_P_DOUBLE_META;
	return g->at->kind == QF_REF_L2 ? QF_P_DOUBLE_L2 : QF_P_DOUBLE_TABLES;
}

/* An owner of an L2 table gets its own back, or else a copy. */
static enum qf_err part_table(struct work *w, const struct qf_claimant *g,
			      enum qf_problem p, struct qf_why *why)
{
	uint64_t own = own_table(w, g);

	if (own)
		return point_to(w->c, g, p, own,
				"point back to the table without an owner for "
				"whose place there is evidence",
				why);
	return copy_table(w->c, g, p, why);
}

/* One owner that does not keep the place. */
static enum qf_err part(struct work *w, const struct qf_claimant *keeper,
			const struct qf_claimant *g, struct qf_why *why)
{
	enum qf_problem p = problem_of(keeper, g);

	if (!qf_plan_allows(w->c->plan, p) || !is_free(w->c, g))
		return QF_OK;
	switch (g->at->kind) {
	case QF_REF_DATA:
		/* the other one moves by itself */
		if (w->tables_only || is_rebuilt(keeper->at->kind))
			return QF_OK;
		return part_data(w->c, g, p, why);
	case QF_REF_L2:
		return keeper->at->kind == QF_REF_L2 ? part_table(w, g, p, why)
						     : QF_OK;
	case QF_REF_L1:
		/* without an owner may be what the one pointed to before */
		return keeper->at->kind == QF_REF_L1 && !w->c->recount.leaked &&
				       g->at->holder != QF_HOLDER_ACTIVE
			       ? copy_table(w->c, g, p, why)
			       : QF_OK;
	default:
		return QF_OK;
	}
}

/* True if an entry that points into a cluster is among the claimants: it seems
 * to claim two, and is a question of its own. */
static bool is_astray(const struct work *w, const struct qf_owner_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].kind == QF_REF_DATA &&
		    l->at[i].pointer & QF_ENTRY_OFFSET_MASK &
			    (w->c->img->geo.cluster_bytes - 1))
			return true;
	return false;
}

/* True if cluster number K is the first of the table that O names: of a table
 * with many clusters, each one is shared, and the table is copied once. */
static bool begins(const struct work *w, const struct qf_owner *o, size_t k)
{
	return o->host_off >> w->c->img->geo.cluster_bits == w->cluster[k];
}

static size_t keeper_of(const struct work *w, const struct qf_claimant *g,
			size_t n)
{
	size_t i, best = 0;

	for (i = 1; i < n; i++)
		if (suits(w, &g[i]) > suits(w, &g[best]))
			best = i;
	return best;
}

/* Leaves out of the N claimants those whose pointer is broken: what it leads
 * to is nobody's claim, and fix_entries has to find where it led. */
static size_t without_broken(const struct work *w, struct qf_claimant *g,
			     size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		if (!is_broken(w->c, g[i].at))
			g[kept++] = g[i];
	return kept;
}

static enum qf_err one_cluster(struct work *w, size_t k, struct qf_why *why)
{
	const struct qf_owner_list *l = &w->list[k];
	struct qf_claimant *g = qf_mem_zalloc(l->n + 1, sizeof(*g));
	size_t n, i, best, had;
	enum qf_err err = QF_OK;
	uint64_t bytes = 0;

	if (!g)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	n = is_astray(w, l) ? 0 : qf_claimants_split(l, g, l->n);
	n = without_broken(w, g, n);
	had = w->c->plan->n;
	best = keeper_of(w, g, n);
	if (n && !is_affordable(w, g, n, best, &bytes)) {
		w->c->plan->copies_cut = true;
		n = 0;
	}
	for (i = 0; !err && i < n; i++)
		if (i != best && l->total == l->n &&
		    (qf_claimants_is_data(g[i].at->kind) ||
		     begins(w, g[i].at, k)))
			err = part(w, &g[best], &g[i], why);
	if (w->c->plan->n > had)
		w->c->plan->promised_bytes += bytes;
	free(g);
	return err;
}

/* The next clusters in trouble that are looked up together; none are left if
 * there are none of them. */
static bool collect(struct work *w)
{
	const struct qf_trouble *tr;
	uint64_t owners = 0, cl;
	unsigned int flags;
	size_t room = 0;

	for (; w->trouble < w->c->recount.n_troubles; w->trouble++) {
		tr = &w->c->recount.trouble[w->trouble];
		if (!(tr->why & QF_TROUBLE_DOUBLE))
			continue;
		cl = w->from > tr->first ? w->from : tr->first;
		for (; cl < tr->first + tr->n; cl++) {
			qf_ledger_count(w->c->recount.ledger, cl, &flags);
			if (!(flags & QF_LEDGER_DOUBLE))
				continue;
			w->from = cl;
			if (w->n == MAX_CLUSTERS || owners >= MAX_TOGETHER)
				return true;
			if (!qf_mem_grow((void **)&w->cluster, w->n, &room,
					 sizeof(*w->cluster)))
				return false;
			w->cluster[w->n++] = cl;
			owners += tr->counted < MAX_OWNERS ? tr->counted
							   : MAX_OWNERS;
		}
	}
	return true;
}

static void look_for_tables(struct work *w)
{
	size_t k, i, tables;

	for (k = 0; k < w->n; k++) {
		struct qf_owner_list *l = &w->list[k];

		for (tables = i = 0; i < l->n; i++)
			if ((l->at[i].kind == QF_REF_L2 ||
			     l->at[i].kind == QF_REF_L1) &&
			    (!i ||
			     !qf_claimants_same(&l->at[i - 1], &l->at[i])))
				tables++;
		w->tables_only |= tables > 1;
	}
}

/* Lets go of the clusters of a walk. */
static void forget(struct work *w)
{
	size_t k;

	for (k = 0; w->list && k < w->n; k++)
		qf_owners_list_free(&w->list[k]);
	free(w->list);
	free(w->cluster);
	w->list = NULL;
	w->cluster = NULL;
	w->n = 0;
}

/* Looks up the owners of the clusters that were collected, and parts them. */
static enum qf_err one_walk(struct work *w, struct qf_why *why)
{
	enum qf_err err;
	size_t k;

	w->list = qf_mem_zalloc(w->n, sizeof(*w->list));
	if (!w->list)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	err = qf_owners_find_all(&w->c->walk, 1, w->cluster, w->n, MAX_OWNERS,
				 w->list, why);
	if (!err)
		look_for_tables(w);
	for (k = 0; !err && k < w->n; k++)
		err = one_cluster(w, k, why);
	return err;
}

/*
 * All clusters that are shared, some at a time. Where tables share one, they
 * are all that is parted, and the next round sees what that leaves.
 */
static enum qf_err part_all(struct work *w, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	bool ok;

	do {
		forget(w);
		ok = collect(w);
		if (ok && w->n && !w->looked && w->c->recount.leaked)
			err = qf_place_find(w->c, &w->place, why);
		w->looked = true;
		if (ok && w->n && !err)
			err = one_walk(w, why);
	} while (ok && w->n && !err && !w->tables_only && !qf_stop_asked());
	if (!ok)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the plan");
	forget(w);
	qf_place_free(&w->place);
	return err;
}

enum qf_err qf_fix_doubles(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct work w = { .c = c };
	size_t had = c->plan->n;
	enum qf_err err;

	/* L1 tables across each other make owners of everyone, and one that
	 * is none names anything */
	if (!qf_plan_allows(c->plan, QF_P_DOUBLE_DATA) ||
	    qf_fix_found(c, QF_P_L1_CROSSING) ||
	    qf_fix_found(c, QF_P_L1_GARBAGE) || !qf_fix_can_take(c))
		return QF_OK;
	/* what that leaves is seen anew, with its own verdicts */
	err = qf_fix_bent(c, why);
	return err || c->plan->n != had ? err : part_all(&w, why);
}
