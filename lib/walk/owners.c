// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/walk/owners.h"
#include "lib/base/mem.h"
#include "lib/walk/owners_tables.h"
#include "lib/base/pool.h"
#include "lib/format/refblock.h"
#include "lib/walk/recount.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BITS 9
#define PAGE (1u << PAGE_BITS)
/* Sets of holders may take this much, and a share of the file's size. */
#define SETS_BYTES (64ull << 20)

struct page {
	uint32_t cls;	/* of all its clusters, unless ... */
	uint32_t *cell; /* ... they differ */
};

#define MEMO 256u

/* What combine() said last for this class and claim. */
struct memo {
	uint32_t old, set;
	uint32_t how; /* kind, packed, again; 0: nothing is kept here */
	uint32_t result;
};

struct qf_owners {
	struct memo memo[MEMO];
	struct qf_walk *walk; /* the caller's */
	uint64_t clusters;
	struct page *page;
	uint64_t n_pages;
	struct qf_owners_class *cls;
	size_t n_cls, cls_room;
	uint32_t *slot; /* open addressing: class + 1, 0 is empty */
	size_t slots;
	struct qf_spanset *sets;
	uint32_t *table_set; /* by the walk's number of the table */
};

/* What is added to a cluster. */
struct claim {
	uint32_t set;
	uint16_t kind; /* 1 << enum qf_ref_kind */
	bool packed;   /* may share a cluster with others like it */
	bool again;    /* no second owner: see struct qf_run */
	bool twice;    /* is itself made by two who exclude each other */
};

static uint64_t class_hash(const struct qf_owners_class *c)
{
	uint64_t h = (uint64_t)c->set << 32 | (uint64_t)c->flags << 16 |
		     c->kinds;

	h *= 0xff51afd7ed558ccdull;
	return h ^ h >> 32;
}

static bool rehash(struct qf_owners *o)
{
	size_t slots = o->slots ? o->slots * 2 : 256, i, k;
	uint32_t *slot = qf_mem_zalloc(slots, sizeof(*slot));

	if (!slot)
		return false;
	for (i = 0; i < o->n_cls; i++) {
		for (k = class_hash(&o->cls[i]) & (slots - 1); slot[k];)
			k = (k + 1) & (slots - 1);
		slot[k] = (uint32_t)i + 1;
	}
	free(o->slot);
	o->slot = slot;
	o->slots = slots;
	return true;
}

/* The number of the class like C; UINT32_MAX without memory. */
static uint32_t intern(struct qf_owners *o, const struct qf_owners_class *c)
{
	size_t k;

	if (o->n_cls * 2 >= o->slots && !rehash(o))
		return UINT32_MAX;
	for (k = class_hash(c) & (o->slots - 1); o->slot[k];
	     k = (k + 1) & (o->slots - 1))
		if (!memcmp(&o->cls[o->slot[k] - 1], c, sizeof(*c)))
			return o->slot[k] - 1;
	if (!qf_mem_grow((void **)&o->cls, o->n_cls, &o->cls_room,
			 sizeof(*o->cls)))
		return UINT32_MAX;
	o->cls[o->n_cls++] = *c;
	o->slot[k] = (uint32_t)o->n_cls;
	return (uint32_t)o->n_cls - 1;
}

/* The class of a cluster of class OLD after one more claim. */
static uint32_t combine(struct qf_owners *o, uint32_t old,
			const struct claim *add)
{
	uint32_t how = add->kind | (uint32_t)add->packed << 16 |
		       (uint32_t)add->again << 17 | (uint32_t)add->twice << 18;
	struct memo *m = &o->memo[(old * 31 + add->set * 7 + how) % MEMO];
	struct qf_owners_class c = o->cls[old];
	uint32_t pair[2] = { c.set, add->set };
	bool mixes = add->packed && c.kinds == 1u << QF_REF_COMPRESSED;

	if (m->how == how && m->old == old && m->set == add->set)
		return m->result;
	if ((c.kinds && !mixes && !add->again) || add->twice)
		c.flags |= QF_OWNERS_TWICE;
	c.kinds |= add->kind;
	c.set = qf_spanset_union(o->sets, pair, 2);
	*m = (struct memo){ old, add->set, how,
			    c.set == QF_SPANSET_FAILED ? UINT32_MAX
						       : intern(o, &c) };
	return m->result;
}

static bool split(struct page *p)
{
	uint32_t i;

	if (p->cell)
		return true;
	p->cell = qf_mem_zalloc(PAGE, sizeof(*p->cell));
	for (i = 0; p->cell && i < PAGE; i++)
		p->cell[i] = p->cls;
	return p->cell;
}

/* If all of a page's clusters are alike again, one number will do. */
static void join(struct page *p)
{
	uint32_t i;

	for (i = 1; i < PAGE; i++)
		if (p->cell[i] != p->cell[0])
			return;
	p->cls = p->cell[0];
	free(p->cell);
	p->cell = NULL;
}

static bool add_to_page(struct qf_owners *o, struct page *p, uint32_t from,
			uint32_t n, const struct claim *add)
{
	uint32_t i, old = UINT32_MAX, now = 0;

	if (n == PAGE && !p->cell) {
		p->cls = combine(o, p->cls, add);
		return p->cls != UINT32_MAX;
	}
	if (!split(p))
		return false;
	for (i = from; i < from + n; i++) {
		if (p->cell[i] != old) {
			old = p->cell[i];
			now = combine(o, old, add);
			if (now == UINT32_MAX)
				return false;
		}
		p->cell[i] = now;
	}
	if (from + n == PAGE)
		join(p);
	return true;
}

/* Adds a claim to the N clusters from FIRST on; what lies past the file is
 * left out. */
static bool add(struct qf_owners *o, uint64_t first, uint64_t n,
		const struct claim *c)
{
	uint64_t at = first, end = first + n;
	uint32_t from, k;

	if (end > o->clusters)
		end = o->clusters;
	for (; at < end; at += k) {
		from = (uint32_t)(at & (PAGE - 1));
		k = PAGE - from;
		if (k > end - at)
			k = (uint32_t)(end - at);
		if (!add_to_page(o, &o->page[at >> PAGE_BITS], from, k, c))
			return false;
	}
	return true;
}

/* The walk over the L2 tables. */
struct filling {
	struct qf_owners *o;
	/* the answer for the last members seen, which come again and again */
	const struct qf_group *grp;
	uint64_t *members; /* of it; room for the largest group */
	uint32_t members_set;
	bool members_known;
	uint32_t all_set; /* of the group's tables together */
	uint32_t *ids;	  /* scratch, one a table */
};

static uint32_t set_of_members(struct filling *f, const struct qf_group *g,
			       const uint64_t *members)
{
	const uint32_t *set = f->o->table_set + g->first;
	uint32_t v, n = 0;

	if (!members)
		return qf_spanset_union(f->o->sets, set, g->n);
	for (v = 0; v < g->n; v++)
		if (members[v / 64] >> (v % 64) & 1)
			f->ids[n++] = set[v];
	return qf_spanset_union(f->o->sets, f->ids, n);
}

static uint32_t set_of_run(struct filling *f, const struct qf_group *g,
			   const struct qf_run *r)
{
	size_t bytes = (g->n + 63) / 64 * sizeof(*r->members);

	if (f->grp != g) {
		f->grp = g;
		f->members_known = false;
		f->all_set = set_of_members(f, g, NULL);
	}
	if (!r->members)
		return f->all_set;
	if (!f->members_known || memcmp(f->members, r->members, bytes)) {
		memcpy(f->members, r->members, bytes);
		f->members_known = true;
		f->members_set = set_of_members(f, g, r->members);
	}
	return f->members_set;
}

static bool fill_run(struct filling *f, const struct qf_group *g,
		     const struct qf_run *r)
{
	struct qf_image *img = f->o->walk->img;
	struct claim c = { .again = r->again };
	uint64_t off, bytes, first, n;

	bytes = qf_recount_run_bytes(img, r, &off);
	if (!bytes)
		return true;
	n = qf_recount_touched(img, off, bytes, &first);
	if (!n)
		return true;
	c.packed = r->kind == QF_ENTRY_KIND_COMPRESSED;
	c.kind = (uint16_t)(1u << (c.packed ? QF_REF_COMPRESSED : QF_REF_DATA));
	c.set = set_of_run(f, g, r);
	return c.set != QF_SPANSET_FAILED && add(f->o, first, n, &c);
}

static bool fill_runs(void *ctx, unsigned int worker, const struct qf_group *g,
		      const struct qf_run *run, size_t n)
{
	struct filling *f = ctx;
	size_t i;

	(void)worker;
	for (i = 0; i < n; i++)
		if (!fill_run(f, g, &run[i]))
			return false;
	return true;
}

/*
 * By one worker: the time goes into the pages, and two that take turns at
 * them are slower than one (4 million scattered clusters: 2.4 s and 1.2 s).
 */
static enum qf_err fill(struct qf_owners *o)
{
	struct filling f = { .o = o };
	struct qf_visitor v = { .ctx = &f, .runs = fill_runs };
	enum qf_err err = QF_ERR_NOMEM;
	uint32_t i, most = 1;

	for (i = 0; i < o->walk->n_groups; i++)
		if (o->walk->group[i].n > most)
			most = o->walk->group[i].n;
	f.members = qf_mem_zalloc((most + 63) / 64, sizeof(*f.members));
	f.ids = qf_mem_zalloc(most, sizeof(*f.ids));
	if (f.members && f.ids)
		err = qf_walk_run(o->walk, 1, &v, NULL);
	free(f.members);
	free(f.ids);
	return err;
}

static bool add_claim(void *ctx, const struct qf_claim *cl)
{
	struct qf_owners *o = ctx;
	struct claim c = { .kind = (uint16_t)(1u << cl->kind) };
	uint64_t first, n;

	if (cl->kind == QF_REF_L1)
		return true; /* by add_l1, with their holders */
	n = qf_recount_touched(o->walk->img, cl->off, cl->bytes, &first);
	return add(o, first, n, &c);
}

static bool add_l1(void *ctx, uint64_t off, uint64_t bytes, uint32_t set,
		   uint32_t holders)
{
	struct qf_owners *o = ctx;
	struct claim c = { .set = set,
			   .kind = 1u << QF_REF_L1,
			   .twice = holders > 1 };
	uint64_t first, n;

	n = qf_recount_touched(o->walk->img, off, bytes, &first);
	return add(o, first, n, &c);
}

static bool add_tables(struct qf_owners *o)
{
	struct qf_walk *w = o->walk;
	struct claim c = { .kind = 1u << QF_REF_L2 };
	uint64_t i, first, n;

	for (i = 0; i < w->n_tables; i++) {
		n = qf_recount_touched(w->img, w->table[i].off,
				       w->img->geo.cluster_bytes, &first);
		c.set = o->table_set[i];
		if (n && !add(o, first, n, &c))
			return false;
	}
	return true;
}

/* Marks what nobody has in refcount block number I, clusters [at, end). */
static bool mark_leaks(struct qf_owners *o, const unsigned char *block,
		       uint64_t at, uint64_t end)
{
	uint64_t base = at & ~((1ull << o->walk->img->geo.refblock_bits) - 1);
	const struct qf_owners_class leaked = { .flags = QF_OWNERS_LEAKED };
	uint32_t order = o->walk->img->hdr.refcount_order;
	uint32_t cls = intern(o, &leaked);
	uint64_t next;
	struct page *p;

	for (; at < end && cls != UINT32_MAX; at = next) {
		if (qf_owners_at(o, at, end, &next) != QF_OWNERS_FREE)
			continue;
		for (; at < next; at++) {
			if (!qf_refblock_get(block, order, at - base))
				continue;
			p = &o->page[at >> PAGE_BITS];
			if (!split(p))
				return false;
			p->cell[at & (PAGE - 1)] = cls;
		}
	}
	return cls != UINT32_MAX;
}

static bool any_free(const struct qf_owners *o, uint64_t at, uint64_t end)
{
	for (; at < end;)
		if (qf_owners_at(o, at, end, &at) == QF_OWNERS_FREE)
			return true;
	return false;
}

/* Tells the leaked from the free. A block that cannot be read frees. */
static bool find_leaks(struct qf_owners *o)
{
	struct qf_image *img = o->walk->img;
	uint64_t per_block = 1ull << img->geo.refblock_bits, at, end, off;
	unsigned char *block = qf_mem_zalloc(1, img->geo.cluster_bytes);
	bool good = block != NULL;

	/* halted, the walk left nearly all of them free */
	for (at = 0; good && !qf_pool_halted() && at < o->clusters; at = end) {
		end = o->clusters - at < per_block ? o->clusters
						   : at + per_block;
		off = qf_image_refblock(img, at >> img->geo.refblock_bits);
		if (!off || off & (img->geo.cluster_bytes - 1) ||
		    !any_free(o, at, end) ||
		    qf_io_read_pad(img->io, block, img->geo.cluster_bytes, off,
				   NULL))
			continue;
		good = mark_leaks(o, block, at, end);
	}
	free(block);
	return good;
}

static enum qf_err make(struct qf_owners *o, struct qf_why *why)
{
	struct qf_walk *w = o->walk;
	struct qf_claim_fns fns = { .ctx = o, .claim = add_claim };
	const struct qf_owners_class nobody = { 0 };
	enum qf_err err;

	err = qf_spanset_new(qf_image_holders(w->img),
			     SETS_BYTES + w->img->io->size / 16, &o->sets, why);
	o->page = qf_mem_zalloc(o->n_pages, sizeof(*o->page));
	if (err || !o->page || !rehash(o) ||
	    intern(o, &nobody) != QF_OWNERS_FREE)
		return QF_ERR_NOMEM;
	err = qf_owners_tables(w, o->sets, &o->table_set);
	if (!err)
		err = qf_owners_l1(w->img, o->sets, add_l1, o);
	if (!err)
		err = qf_walk_metadata(w->img, &fns);
	if (!err && !add_tables(o))
		err = QF_ERR_NOMEM;
	if (!err)
		err = fill(o);
	if (!err && !find_leaks(o))
		err = QF_ERR_NOMEM;
	return err;
}

enum qf_err qf_owners_make(struct qf_walk *w, struct qf_owners **out,
			   struct qf_why *why)
{
	struct qf_owners *o = qf_mem_zalloc(1, sizeof(*o));
	enum qf_err err = QF_ERR_NOMEM;

	if (o) {
		o->walk = w;
		o->clusters = qf_image_clusters(w->img);
		o->n_pages = qf_mem_div_up(o->clusters, PAGE);
		err = make(o, why);
	}
	if (err) {
		qf_owners_free(o);
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the clusters' owners");
	}
	*out = o;
	return QF_OK;
}

void qf_owners_free(struct qf_owners *o)
{
	uint64_t i;

	if (!o)
		return;
	for (i = 0; o->page && i < o->n_pages; i++)
		free(o->page[i].cell);
	free(o->page);
	free(o->cls);
	free(o->slot);
	free(o->table_set);
	qf_spanset_free(o->sets);
	free(o);
}

uint64_t qf_owners_clusters(const struct qf_owners *o)
{
	return o->clusters;
}

uint32_t qf_owners_classes(const struct qf_owners *o)
{
	return (uint32_t)o->n_cls;
}

const struct qf_owners_class *qf_owners_class(const struct qf_owners *o,
					      uint32_t cls)
{
	return &o->cls[cls];
}

/* The class of the page's cluster FROM; *N more like it are to be had. */
static uint32_t in_page(const struct page *p, uint32_t from, uint32_t *n)
{
	uint32_t i = from;

	if (!p->cell) {
		*n = PAGE - from;
		return p->cls;
	}
	while (i < PAGE && p->cell[i] == p->cell[from])
		i++;
	*n = i - from;
	return p->cell[from];
}

uint32_t qf_owners_at(const struct qf_owners *o, uint64_t cluster,
		      uint64_t limit, uint64_t *end)
{
	uint64_t at = cluster;
	uint32_t cls, n;

	if (end)
		*end = limit;
	if (cluster >= o->clusters)
		return QF_OWNERS_FREE;
	if (limit > o->clusters)
		limit = o->clusters;
	cls = in_page(&o->page[at >> PAGE_BITS], (uint32_t)(at & (PAGE - 1)),
		      &n);
	if (!end)
		return cls;
	for (at += n; at < limit; at += n)
		if (at & (PAGE - 1) ||
		    in_page(&o->page[at >> PAGE_BITS], 0, &n) != cls)
			break;
	*end = at < limit ? at : limit;
	return cls;
}

struct qf_spanset *qf_owners_sets(const struct qf_owners *o)
{
	return o->sets;
}

uint32_t qf_owners_table_set(const struct qf_owners *o, uint64_t table)
{
	return o->table_set[table];
}

enum qf_ref_kind qf_owners_kind(const struct qf_owners_class *c)
{
	const unsigned int data = 1u << QF_REF_DATA | 1u << QF_REF_COMPRESSED;
	unsigned int kinds = c->kinds & ~data ? c->kinds & ~data : c->kinds;

	return kinds ? (enum qf_ref_kind)__builtin_ctz(kinds) : QF_REF_KINDS;
}
