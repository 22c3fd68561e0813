// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/facts.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many dead entries are looked at one by one. */
#define MAX_DEAD 16384u

static const unsigned int dead_odds =
	QF_ODD_UNALIGNED | QF_ODD_PAST_END | QF_ODD_COMPRESSED_DATA_FILE |
	QF_ODD_SUB_NO_CLUSTER | QF_ODD_COPIED_NOTHING;

static bool is_told(const struct qf_trouble *tr)
{
	return !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED));
}

static int by_value(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static bool is_among(const uint64_t *list, size_t n, uint64_t off)
{
	return n && bsearch(&off, list, n, sizeof(off), by_value);
}

/* -- entries that lead nowhere, and the references that they are owed -- */

static bool note_phantoms(struct qf_facts *f, const struct qf_run *r)
{
	uint64_t off, bytes = qf_recount_run_bytes(f->img, r, &off), first, n;

	n = bytes ? qf_recount_touched(f->img, off, bytes, &first) : 0;
	for (; n; n--, first++) {
		if (!qf_mem_grow((void **)&f->phantom, f->n_phantoms,
				 &f->phantom_room, sizeof(*f->phantom)))
			return false;
		f->phantom[f->n_phantoms++] =
			(struct qf_phantom){ first, r->weight };
	}
	return true;
}

static bool note_dead(struct qf_facts *f, const struct qf_group *grp,
		      const struct qf_run *r)
{
	const struct qf_l2_table *t;
	uint32_t v;

	f->dead_refs += (uint64_t)r->weight * r->n;
	for (v = 0; v < grp->n; v++) {
		t = &f->walk->table[grp->first + v];
		if ((r->members && !(r->members[v / 64] >> (v % 64) & 1)) ||
		    t->odd || qf_facts_is_garbage(f, t->off))
			continue;
		if (f->n_dead >= MAX_DEAD) {
			f->unknown = true;
			return true;
		}
		if (!qf_mem_grow((void **)&f->dead, f->n_dead, &f->dead_room,
				 sizeof(*f->dead)))
			return false;
		f->dead[f->n_dead++] = (struct qf_dead_entry){ grp, t, r->index,
							       r->odd,
							       r->entry };
	}
	return note_phantoms(f, r);
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	(void)me;
	for (; n; n--, r++)
		if (r->odd & dead_odds && !note_dead(ctx, grp, r))
			return false;
	return true;
}

static void sort_phantoms(struct qf_facts *f)
{
	size_t i, n = 0;

	if (!f->n_phantoms)
		return;
	/* a phantom begins with its cluster */
	qsort(f->phantom, f->n_phantoms, sizeof(*f->phantom), by_value);
	for (i = 1; i < f->n_phantoms; i++) {
		if (f->phantom[n].cluster == f->phantom[i].cluster)
			f->phantom[n].refs += f->phantom[i].refs;
		else
			f->phantom[++n] = f->phantom[i];
	}
	f->n_phantoms = n + 1;
}

static enum qf_err find_dead(struct qf_facts *f)
{
	struct qf_visitor v = { .ctx = f, .runs = see_runs };
	uint64_t n = 0;
	unsigned int k;
	enum qf_err err;

	for (k = 0; k < QF_ODD_KINDS; k++)
		if (dead_odds >> k & 1)
			n += f->recount->odd[k];
	if (!n)
		return QF_OK;
	/* one worker: the order of what is found is always the same */
	err = qf_walk_run(f->walk, 1, &v, NULL);
	sort_phantoms(f);
	return err;
}

/* -- what is stated and counted, phantoms left out -- */

struct count {
	uint64_t stated, counted;
	bool told;
};

static uint64_t phantoms_at(const struct qf_facts *f, uint64_t cluster)
{
	const struct qf_phantom *p =
		f->n_phantoms ? bsearch(&cluster, f->phantom, f->n_phantoms,
					sizeof(*p), by_value)
			      : NULL;

	return p ? p->refs : 0;
}

static struct count count_at(const struct qf_facts *f, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_at(f->recount, cluster);
	uint64_t ghosts = phantoms_at(f, cluster);
	struct count c = { 0 };

	if (tr) {
		c.told = is_told(tr);
		c.stated = tr->stated;
		c.counted = tr->counted;
	} else if (ghosts) {
		c.told = !qf_image_refcount(f->img, cluster, &c.stated, NULL);
		c.counted = qf_recount_counted(f->recount, cluster);
	}
	c.counted -= ghosts < c.counted ? ghosts : c.counted;
	return c;
}

static void sum(struct qf_facts *f, const struct count *c, uint64_t n)
{
	if (!c->told) {
		f->unknown = true;
		return;
	}
	if (c->stated > c->counted)
		f->refs_high += (c->stated - c->counted) * n;
	else
		f->refs_low += (c->counted - c->stated) * n;
	if (c->stated && !c->counted)
		f->orphans += n;
}

static void sum_up(struct qf_facts *f)
{
	const struct qf_trouble *tr = f->recount->trouble;
	struct count c;
	uint64_t ghosts;
	size_t i, k = 0;

	f->unknown |= f->recount->unknown || f->recount->past_end ||
		      f->n_garbage;
	for (i = 0; i < f->n_phantoms; i++) {
		c = count_at(f, f->phantom[i].cluster);
		sum(f, &c, 1);
	}
	for (i = 0; i < f->recount->n_troubles; i++, tr++) {
		ghosts = 0;
		while (k < f->n_phantoms && f->phantom[k].cluster < tr->first)
			k++;
		for (; k < f->n_phantoms &&
		       f->phantom[k].cluster - tr->first < tr->n;
		     k++)
			ghosts++;
		c = (struct count){ tr->stated, tr->counted, is_told(tr) };
		if (tr->hits > ghosts)
			sum(f, &c, tr->hits - ghosts);
	}
}

enum qf_err qf_facts_gather(struct qf_facts *f, struct qf_why *why)
{
	enum qf_err err = find_dead(f);

	if (err)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look at damaged entries");
	sum_up(f);
	return QF_OK;
}

void qf_facts_free(struct qf_facts *f)
{
	free(f->dead);
	free(f->phantom);
	memset(f, 0, sizeof(*f));
}

/* -- what is asked of single clusters -- */

bool qf_facts_is_orphan(const struct qf_facts *f, uint64_t off,
			uint64_t *stated)
{
	struct count c;

	if (!off || off & (f->img->geo.cluster_bytes - 1) ||
	    off >= f->img->io->size)
		return false;
	c = count_at(f, off >> f->img->geo.cluster_bits);
	if (!c.told || !c.stated || c.counted ||
	    is_among(f->nameless, f->n_nameless, off) ||
	    (f->released && qf_ranges_has(f->released, off)))
		return false;
	if (stated)
		*stated = c.stated;
	return true;
}

uint64_t qf_facts_lacking(const struct qf_facts *f, uint64_t off)
{
	struct count c = count_at(f, off >> f->img->geo.cluster_bits);

	return c.told && c.stated > c.counted && !qf_facts_is_double(f, off)
		       ? c.stated - c.counted
		       : 0;
}

bool qf_facts_is_double(const struct qf_facts *f, uint64_t off)
{
	uint64_t cluster = off >> f->img->geo.cluster_bits;
	const struct qf_trouble *tr = qf_recount_at(f->recount, cluster);
	struct count c;

	if (!tr || !(tr->why & QF_TROUBLE_DOUBLE))
		return false;
	c = count_at(f, cluster);
	return !phantoms_at(f, cluster) || c.counted > c.stated;
}

bool qf_facts_is_garbage(const struct qf_facts *f, uint64_t off)
{
	return is_among(f->garbage, f->n_garbage, off);
}

bool qf_facts_is_erased(const struct qf_facts *f, uint64_t off)
{
	return is_among(f->erased, f->n_erased, off);
}

size_t qf_facts_orphans(const struct qf_facts *f, uint64_t *off, size_t n)
{
	const struct qf_trouble *tr = f->recount->trouble;
	uint32_t bits = f->img->geo.cluster_bits;
	size_t i, found = 0;
	uint64_t cl;

	for (i = 0; i < f->recount->n_troubles; i++, tr++)
		for (cl = tr->first;
		     tr->stated && !tr->counted && found < n &&
		     cl - tr->first < tr->n && cl << bits < f->img->io->size;
		     cl++)
			if (qf_facts_is_orphan(f, cl << bits, NULL))
				off[found++] = cl << bits;
	/* those that a pointer into their midst seems to have */
	for (i = 0; i < f->n_phantoms && found < n; i++)
		if (qf_facts_is_orphan(f, f->phantom[i].cluster << bits, NULL))
			off[found++] = f->phantom[i].cluster << bits;
	return found;
}

bool qf_facts_only_orphan(const struct qf_facts *f, uint64_t *off)
{
	uint32_t bits = f->img->geo.cluster_bits;
	size_t i;

	if (f->orphans != 1)
		return false;
	for (i = 0; i < f->recount->n_troubles; i++) {
		*off = f->recount->trouble[i].first << bits;
		if (qf_facts_is_orphan(f, *off, NULL))
			return true;
	}
	for (i = 0; i < f->n_phantoms; i++) {
		*off = f->phantom[i].cluster << bits;
		if (qf_facts_is_orphan(f, *off, NULL))
			return true;
	}
	return false;
}
