// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/walk/recount.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/walk/recount_compare.h"

#include <stdlib.h>

/* A larger file is all holes: its ledger takes memory only where it is
 * touched, and windows would be without number. */
#define MAX_WINDOWED (1ull << 36)

#define ONES 64

/* A worker's part of the figures. */
struct part {
	struct qf_recount_figures fig;
	uint64_t odd[QF_ODD_KINDS];
	const struct qf_group *grp; /* whose runs come in at present */
	uint64_t beyond;	    /* see qf_recount.beyond_disk */
	uint64_t next_off;	    /* where the active disk would go on */
	bool passed;		    /* over a pointer that is not sound */
	char apart[64];		    /* no two workers in one cache line */
};

struct counting {
	struct qf_recount *t;
	struct qf_image *img;
	struct part *part;
	bool first; /* the first window: figures and oddities count */
};

uint64_t qf_recount_touched(const struct qf_image *img, uint64_t off,
			    uint64_t bytes, uint64_t *first)
{
	const struct qf_geometry *g = &img->geo;
	uint64_t end;

	*first = 0;
	if (!bytes || __builtin_add_overflow(off, bytes, &end))
		return 0;
	if (qf_entry_past_end(g, img->io->size, off, bytes))
		return 0;
	*first = off >> g->cluster_bits;
	return ((end - 1) >> g->cluster_bits) - *first + 1;
}

uint64_t qf_recount_run_bytes(const struct qf_image *img,
			      const struct qf_run *r, uint64_t *off)
{
	const unsigned int skipped = QF_ODD_COMPRESSED_DATA_FILE |
				     QF_ODD_COMPRESSED_BITMAP;
	uint64_t bytes;

	if (r->odd & skipped || img->geo.data_file ||
	    r->kind == QF_ENTRY_KIND_ZERO || r->kind == QF_ENTRY_KIND_NONE)
		return 0;
	if (r->kind == QF_ENTRY_KIND_COMPRESSED) {
		qf_entry_compressed(&img->geo, r->entry, off, &bytes);
		return bytes;
	}
	*off = r->entry & QF_ENTRY_OFFSET_MASK;
	return (uint64_t)r->n << img->geo.cluster_bits;
}

static void count_figures(struct part *p, const struct qf_geometry *g,
			  const struct qf_run *r)
{
	uint64_t off = r->entry & QF_ENTRY_OFFSET_MASK;

	if (r->kind == QF_ENTRY_KIND_COMPRESSED) {
		if (r->odd &
		    (QF_ODD_COMPRESSED_DATA_FILE | QF_ODD_COMPRESSED_BITMAP))
			return;
		p->fig.allocated++;
		p->fig.compressed++;
		p->fig.fragmented++;
		return;
	}
	if (r->kind == QF_ENTRY_KIND_ZERO || r->kind == QF_ENTRY_KIND_NONE)
		return;
	p->fig.allocated += r->n;
	if (p->next_off && p->next_off != off)
		p->fig.fragmented++;
	p->next_off = off + ((uint64_t)r->n << g->cluster_bits);
}

static void count_beyond(struct part *p, const struct qf_image *img,
			 const struct qf_group *grp, const struct qf_run *r)
{
	uint64_t first = (uint64_t)grp->l1_index << img->geo.l2_bits;
	uint64_t end =
		qf_mem_div_up(img->hdr.disk_bytes, img->geo.cluster_bytes) -
		first;

	if (r->kind == QF_ENTRY_KIND_ZERO || r->kind == QF_ENTRY_KIND_NONE ||
	    r->index + r->n <= end)
		return;
	p->beyond += r->index >= end ? r->n : r->index + r->n - end;
}

static unsigned int run_flags(const struct qf_run *r)
{
	unsigned int flags = r->again ? QF_LEDGER_AGAIN : 0;

	if (r->kind == QF_ENTRY_KIND_COMPRESSED)
		return flags | QF_LEDGER_PACKED;
	if (r->active)
		flags |= r->entry & QF_ENTRY_COPIED ? QF_LEDGER_COPIED
						    : QF_LEDGER_PLAIN;
	return flags;
}

static void count_odd(struct part *p, const struct qf_run *r)
{
	unsigned int odd = r->odd, bit;

	for (; odd; odd &= odd - 1) {
		bit = (unsigned int)__builtin_ctz(odd);
		p->odd[bit] += r->weight;
	}
}

/* Single clusters that are counted alike, gathered up to be added at once. */
struct ones {
	uint64_t cluster[ONES];
	size_t n;
	uint32_t weight;
	unsigned int flags;
};

static bool add_ones(const struct counting *c, unsigned int me, struct ones *o)
{
	size_t n = o->n;

	o->n = 0;
	return !n || qf_ledger_add_ones(c->t->ledger, me, o->cluster, n,
					o->weight, o->flags);
}

static inline bool add_one(const struct counting *c, unsigned int me,
			   struct ones *o, const struct qf_run *r,
			   uint64_t cluster)
{
	unsigned int flags = run_flags(r);

	if (o->n == ONES || o->weight != r->weight || o->flags != flags) {
		if (!add_ones(c, me, o))
			return false;
		o->weight = r->weight;
		o->flags = flags;
	}
	o->cluster[o->n++] = cluster;
	return true;
}

/* Adds one run, in the order in which they come: see QF_LEDGER_AGAIN. */
static inline bool add_run(const struct counting *c, unsigned int me,
			   struct ones *o, const struct qf_run *r)
{
	uint64_t off = 0, bytes, first = 0, clusters;

	if (!r->odd && r->kind == QF_ENTRY_KIND_DATA &&
	    !c->img->geo.data_file) {
		first = (r->entry & QF_ENTRY_OFFSET_MASK) >>
			c->img->geo.cluster_bits;
		clusters = r->n;
	} else {
		bytes = qf_recount_run_bytes(c->img, r, &off);
		clusters =
			bytes ? qf_recount_touched(c->img, off, bytes, &first)
			      : 0;
	}
	if (clusters == 1)
		return add_one(c, me, o, r, first);
	return add_ones(c, me, o) &&
	       (!clusters || qf_ledger_add(c->t->ledger, me, first, clusters,
					   r->weight, run_flags(r)));
}

static bool is_passed_over(const struct counting *c, unsigned int odd)
{
	return c->t->how == QF_RECOUNT_SOUND && odd & QF_ODD_UNALIGNED;
}

/* Gives the BYTES at OFF, where nobody has them, to a pointer that was passed
 * over: they may be what it led to. */
static bool keep(const struct counting *c, uint64_t off, uint64_t bytes)
{
	struct qf_ledger *l = c->t->ledger;
	uint64_t n, first = 0, i;

	n = qf_recount_touched(c->img, off, bytes, &first);
	for (i = first; i < first + n; i++)
		if (!qf_ledger_count(l, i, NULL) &&
		    (!qf_ledger_add(l, 0, i, 1, 1, 0) ||
		     !qf_ledger_flush(l, 0)))
			return false;
	return true;
}

static bool keep_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		      const struct qf_run *r, size_t n)
{
	const struct counting *c = ctx;
	uint64_t off = 0, bytes;

	(void)me;
	(void)grp;
	for (; n; n--, r++) {
		if (!is_passed_over(c, r->odd))
			continue;
		bytes = qf_recount_run_bytes(c->img, r, &off);
		if (!keep(c, off, bytes))
			return false;
	}
	return true;
}

/* The pointers that were passed over; after all others have been counted. */
static enum qf_err count_passed(struct counting *c, struct qf_why *why)
{
	const struct qf_walk *w = c->t->walk;
	struct qf_visitor v = { .ctx = c, .runs = keep_runs };
	bool passed = false;
	uint64_t i;

	for (i = 0; i < w->n_tables; i++)
		if (is_passed_over(c, w->table[i].odd) &&
		    !keep(c, w->table[i].off, c->img->geo.cluster_bytes))
			return QF_ERR_NOMEM;
	for (i = 0; i < c->t->jobs; i++)
		passed |= c->part[i].passed;
	return passed ? qf_walk_run(c->t->walk, 1, &v, why) : QF_OK;
}

static bool count_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		       const struct qf_run *r, size_t n)
{
	struct counting *c = ctx;
	struct part *p = &c->part[me];
	bool last = grp->l1_index + 1 == c->img->geo.l1_needed;
	struct ones ones;
	size_t i;

	ones.n = 0;
	ones.weight = ones.flags = 0;
	if (p->grp != grp) {
		p->grp = grp;
		p->next_off = 0;
	}
	for (i = 0; i < n; i++, r++) {
		if (c->first && r->active) {
			count_figures(p, &c->img->geo, r);
			if (last)
				count_beyond(p, c->img, grp, r);
		}
		if (c->first && r->odd)
			count_odd(p, r);
		if (is_passed_over(c, r->odd))
			p->passed = true;
		else if (!add_run(c, me, &ones, r))
			return false;
	}
	return add_ones(c, me, &ones);
}

static bool count_claim(void *ctx, const struct qf_claim *cl)
{
	struct counting *c = ctx;
	uint64_t first, clusters;

	clusters = qf_recount_touched(c->img, cl->off, cl->bytes, &first);
	if (!clusters) {
		c->t->past_end += c->first;
		return true;
	}
	return qf_ledger_add(c->t->ledger, 0, first, clusters, 1, 0);
}

static bool count_l2_tables(struct counting *c)
{
	struct qf_walk *w = c->t->walk;
	uint64_t i, first, clusters;
	unsigned int flags;

	for (i = 0; i < w->n_tables; i++) {
		const struct qf_l2_table *t = &w->table[i];

		if (t->odd & QF_ODD_OWN_L1) /* counted as the table it is */
			continue;
		clusters = qf_recount_touched(
			c->img, t->off, c->img->geo.cluster_bytes, &first);
		flags = 0;
		if (t->active)
			flags = t->copied ? QF_LEDGER_COPIED : QF_LEDGER_PLAIN;
		if (clusters && !is_passed_over(c, t->odd) &&
		    !qf_ledger_add(c->t->ledger, 0, first, clusters, t->weight,
				   flags))
			return false;
	}
	return true;
}

/* Adds the workers' parts up. */
static void sum_parts(struct counting *c)
{
	struct qf_recount *t = c->t;
	unsigned int i, k;

	for (i = 0; i < t->jobs; i++) {
		struct part *p = &c->part[i];

		t->fig.allocated += p->fig.allocated;
		t->fig.fragmented += p->fig.fragmented;
		t->fig.compressed += p->fig.compressed;
		t->beyond_disk += p->beyond;
		for (k = 0; k < QF_ODD_KINDS; k++)
			t->odd[k] += p->odd[k];
	}
}

/* Walks all, and counts what lies in the ledger's window. */
static enum qf_err count(struct qf_recount *t, bool first, struct qf_why *why)
{
	struct counting c = { .t = t, .img = t->walk->img, .first = first };
	struct qf_visitor v = { .ctx = &c, .runs = count_runs };
	struct qf_claim_fns fns = { .ctx = &c, .claim = count_claim };
	enum qf_err err = QF_ERR_NOMEM;
	bool flushed = true;
	unsigned int i;

	c.part = qf_mem_zalloc(t->jobs, sizeof(*c.part));
	if (!c.part || !count_l2_tables(&c))
		goto out;
	err = qf_walk_metadata(c.img, &fns);
	if (!err)
		err = qf_walk_run(t->walk, t->jobs, &v, why);
	for (i = 0; i < t->jobs; i++)
		flushed &= qf_ledger_flush(t->ledger, i);
	if (!err && flushed)
		err = count_passed(&c, why);
	/* the visitors stop for one reason only */
	if (err == QF_ERR_STOPPED || (!err && !flushed))
		err = QF_ERR_NOMEM;
	sum_parts(&c);
out:
	free(c.part);
	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory to count the references");
	return err;
}

/* The clusters that a ledger of at most BYTES holds, in whole blocks. */
static uint64_t window_clusters(const struct qf_recount *t, uint64_t bytes)
{
	uint64_t all = t->clusters + 1, n;
	uint64_t block = 1ull << t->walk->img->geo.refblock_bits;

	if (!bytes || all > MAX_WINDOWED)
		return all;
	/* a cluster takes two bytes and a bit where counts differ */
	n = bytes / 9 * 4;
	if (block < QF_PAGE)
		block = QF_PAGE;
	n = n < block ? block : n & ~(block - 1);
	return n < all ? n : all;
}

static enum qf_err one_window(struct qf_recount *t, uint64_t first, uint64_t n,
			      struct qf_why *why)
{
	uint64_t end;
	enum qf_err err;

	qf_ledger_free(t->ledger);
	t->ledger = NULL;
	err = qf_ledger_new(first, n, t->jobs, &t->ledger, why);
	if (!err)
		err = count(t, !first, why);
	if (!err)
		err = qf_recount_compare(t, first, n, why);
	if (err)
		return err;
	t->used += qf_ledger_used(t->ledger);
	end = qf_ledger_end(t->ledger);
	if (end > t->counted_end)
		t->counted_end = end;
	return QF_OK;
}

enum qf_err qf_recount_make(struct qf_walk *w, unsigned int jobs,
			    uint64_t max_bytes, enum qf_recount_how how,
			    struct qf_recount *t, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint64_t first, n, all, tables;

	memset(t, 0, sizeof(*t));
	t->walk = w;
	t->how = how;
	t->clusters = qf_image_clusters(w->img);
	tables = w->n_tables + (t->clusters >> w->img->geo.refblock_bits);
	t->jobs = qf_pool_jobs_for(jobs, tables * w->img->geo.cluster_bytes);
	/* one more: a reference may begin in the file and end behind it */
	all = t->clusters + 1;
	n = window_clusters(t, max_bytes);
	for (first = 0; !err && first < all; first += n)
		err = one_window(t, first, all - first < n ? all - first : n,
				 why);
	if (err)
		qf_recount_free(t);
	return err;
}

uint64_t qf_recount_counted(const struct qf_recount *t, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_at(t, cluster);
	uint64_t stated;

	if (tr && tr->why & (QF_TROUBLE_REFCOUNT | QF_TROUBLE_UNKNOWN) &&
	    tr->hits == tr->n)
		return tr->counted;
	/* where there is no trouble, what is stated has been counted */
	if (qf_image_refcount(t->walk->img, cluster, &stated, NULL))
		return 0;
	return stated;
}

void qf_recount_free(struct qf_recount *t)
{
	qf_ledger_free(t->ledger);
	free(t->trouble);
	memset(t, 0, sizeof(*t));
}

const struct qf_trouble *qf_recount_from(const struct qf_recount *t,
					 uint64_t cluster)
{
	size_t lo = 0, hi = t->n_troubles, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (t->trouble[mid].first + t->trouble[mid].n <= cluster)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n_troubles ? &t->trouble[lo] : NULL;
}

const struct qf_trouble *qf_recount_at(const struct qf_recount *t,
				       uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_from(t, cluster);

	return tr && tr->first <= cluster ? tr : NULL;
}
