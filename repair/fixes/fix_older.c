// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that were erased or overwritten, restored from another version of
 * the table at the same L1 index: a snapshot's, or the active disk's. An
 * entry is taken over only where the judge says that the lost table had it too
 * (check/judge/ask_version.c). A table in which a sound entry is left is touched
 * only where a part of it was erased.
 */
#include "lib/base/mem.h"
#include "repair/plan/decide.h"
#include "repair/search/older.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many versions of a table are looked at. */
#define MAX_VERSIONS 16u

struct older {
	struct qf_fix_ctx *c;
	const struct qf_group *g;
	const struct qf_l2_table *lost;
	enum qf_problem problem;
	unsigned char *table; /* as it will be */
	unsigned char *buf;   /* the version that is looked at */
	bool *doubt;	      /* versions differ: what was there is unknown */
	uint64_t proven;      /* entries with evidence */
	uint64_t from;	      /* the version that gave the first of them */
};

struct entry {
	uint64_t entry, bitmap;
};

static struct entry entry_at(const struct qf_fix_ctx *c,
			     const unsigned char *table, uint32_t i)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_be64 w[2] = { 0 };
	struct entry e;

	memcpy(w, table + (size_t)i * g->l2_entry_bytes, g->l2_entry_bytes);
	e.entry = qf_be_get64(w[0]);
	e.bitmap = g->extl2 ? qf_be_get64(w[1]) : 0;
	return e;
}

static void put_entry(struct older *o, uint32_t i, struct entry e)
{
	const struct qf_geometry *g = &o->c->img->geo;
	struct qf_be64 w[2] = { qf_be_put64(e.entry), qf_be_put64(e.bitmap) };

	memcpy(o->table + (size_t)i * g->l2_entry_bytes, w, g->l2_entry_bytes);
}

static unsigned int odd(const struct qf_fix_ctx *c, struct entry e)
{
	const struct qf_image *img = c->img;

	return qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
			       e.entry, e.bitmap);
}

/* True if the judge says that the lost table had entry I of the version, E. */
static bool is_proven(const struct older *o, uint32_t i, struct entry e)
{
	const struct qf_geometry *g = &o->c->img->geo;
	uint64_t value;

	return qf_decide(o->c->plan, o->c->rep, QF_QUESTION_VERSION,
			 o->lost->off + (uint64_t)i * g->l2_entry_bytes, &value,
			 NULL) == QF_DECIDE_VALUE &&
	       value == qf_question_version(g, e.entry);
}

/* Takes over what version T, in o->buf, is proven to share. */
static void take_version(struct older *o, const struct qf_l2_table *t)
{
	struct entry e, had;
	uint32_t i;

	for (i = 0; i < o->c->img->geo.l2_entries; i++) {
		e = entry_at(o->c, o->buf, i);
		had = entry_at(o->c, o->table, i);
		if ((!e.entry && !e.bitmap) || o->doubt[i])
			continue;
		e.entry &= ~QF_ENTRY_COPIED;
		if (!odd(o->c, e) && is_proven(o, i, e)) {
			if (had.entry == e.entry && had.bitmap == e.bitmap)
				continue;
			o->doubt[i] = had.entry || had.bitmap;
			if (o->doubt[i]) {
				put_entry(o, i, (struct entry){ 0, 0 });
				o->proven--;
				continue;
			}
			put_entry(o, i, e);
			if (!o->proven++)
				o->from = t->off;
		}
	}
}

/* Makes o->table what it is now; only the parts that were erased may change. */
static void keep_rest(struct older *o)
{
	const struct qf_geometry *g = &o->c->img->geo;
	const struct qf_finding *f = o->c->rep->findings.at;
	uint64_t first, end;
	size_t i;

	memcpy(o->table, o->buf, g->cluster_bytes);
	memset(o->doubt, true, g->l2_entries);
	for (i = 0; i < o->c->rep->findings.n; i++, f++) {
		if (f->problem != QF_P_L2_ERASED_PART ||
		    f->host_off < o->lost->off ||
		    f->host_off - o->lost->off >= g->cluster_bytes)
			continue;
		first = (f->host_off - o->lost->off) / g->l2_entry_bytes;
		end = first + f->length / g->l2_entry_bytes;
		for (; first < end && first < g->l2_entries; first++)
			o->doubt[first] = false;
	}
}

bool qf_older_nothing_sound(const struct qf_fix_ctx *c, const void *table)
{
	struct entry e;
	uint32_t i;

	for (i = 0; i < c->img->geo.l2_entries; i++) {
		e = entry_at(c, table, i);
		if ((e.entry || e.bitmap) && !odd(c, e))
			return false;
	}
	return true;
}

static bool read_table(const struct older *o, uint64_t off)
{
	return !qf_io_read_pad(o->c->img->io, o->buf,
			       o->c->img->geo.cluster_bytes, off, NULL);
}

/*
 * Records as lost what a version has and the restored table has not. Without
 * ORPHANS, the lost table had nothing there, unless in packed clusters.
 */
static bool lose_rest(struct older *o, bool orphans)
{
	const struct qf_geometry *g = &o->c->img->geo;
	uint32_t holder = QF_HOLDER_ACTIVE, i;
	struct entry e, now;
	uint64_t guest;

	qf_walk_holders(&o->c->walk, o->g->l1_index, o->lost->off, &holder, 1);
	for (i = 0; i < g->l2_entries; i++) {
		e = entry_at(o->c, o->buf, i);
		now = entry_at(o->c, o->table, i);
		if ((!e.entry && !e.bitmap) || now.entry || now.bitmap)
			continue;
		if (!orphans && !(e.entry & QF_ENTRY_COMPRESSED))
			continue;
		guest = ((uint64_t)o->g->l1_index << g->l2_bits) + i;
		if (!qf_plan_lose(o->c->plan, holder, guest << g->cluster_bits,
				  g->cluster_bytes))
			return false;
	}
	return true;
}

uint64_t qf_older_orphans(const struct qf_fix_ctx *c)
{
	const struct qf_trouble *tr = c->recount.trouble;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < c->recount.n_troubles; i++, tr++)
		if (!tr->counted && tr->stated)
			sum += tr->hits;
	return sum;
}

static enum qf_err plan_table(struct older *o, struct qf_why *why)
{
	struct qf_plan *p = o->c->plan;
	uint64_t rest = qf_older_orphans(o->c);

	if (read_table(o, o->from) && !lose_rest(o, rest > 0))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	/* what is left over may be what cannot be placed any more */
	p->withhold_leaks |= rest > 0;
	return qf_plan_put(
		p, o->problem, o->lost->off, o->table,
		o->c->img->geo.cluster_bytes, why,
		"restore the L2 table of L1 entry %" PRIu32
		" from the older version at 0x%" PRIx64 ": %" PRIu64
		" of its entries point to clusters whose refcount is too high "
		"by what this table had; %" PRIu64
		" clusters stay without an owner",
		o->g->l1_index, o->from, o->proven, rest);
}

static enum qf_err restore(struct older *o, struct qf_why *why)
{
	const struct qf_l2_table *t = &o->c->walk.table[o->g->first];
	size_t bytes = o->c->img->geo.cluster_bytes;
	uint32_t v;

	if (!read_table(o, o->lost->off))
		return QF_OK;
	if (o->problem == QF_P_L2_ERASED_PART) {
		keep_rest(o);
	} else if (qf_older_nothing_sound(o->c, o->buf)) {
		memset(o->table, 0, bytes);
		memset(o->doubt, 0, o->c->img->geo.l2_entries);
	} else {
		return QF_OK;
	}
	o->proven = 0;
	for (v = 0; v < o->g->n && v < MAX_VERSIONS; v++, t++)
		if (t != o->lost && t->off && !t->odd && t->weight &&
		    !qf_fix_garbage(o->c, t->off) && read_table(o, t->off))
			take_version(o, t);
	return o->proven ? plan_table(o, why) : QF_OK;
}

int qf_older_fault(const struct qf_fix_ctx *c, const struct qf_l2_table *t)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	if (!t->off || t->odd || !t->weight || qf_fix_shared(c, t->off))
		return -1;
	for (i = 0; i < c->rep->findings.n; i++, f++)
		if ((f->problem == QF_P_L2_ERASED ||
		     f->problem == QF_P_L2_GARBAGE) &&
		    t->off >= f->host_off && t->off - f->host_off < f->length)
			return qf_plan_allows(c->plan, f->problem)
				       ? (int)f->problem
				       : -1;
	return -1;
}

/* True if only a part of the table was erased, and may be restored. */
static bool is_partly_lost(const struct qf_fix_ctx *c,
			   const struct qf_l2_table *t)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	if (!t->off || t->odd || !t->weight || qf_fix_shared(c, t->off) ||
	    c->plan->no_parts || !qf_plan_allows(c->plan, QF_P_L2_ERASED_PART))
		return false;
	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (f->problem == QF_P_L2_ERASED_PART &&
		    f->host_off >= t->off &&
		    f->host_off - t->off < c->img->geo.cluster_bytes)
			return true;
	return false;
}

static bool is_lost(struct older *o)
{
	int problem = qf_older_fault(o->c, o->lost);

	if (problem < 0 && is_partly_lost(o->c, o->lost))
		problem = QF_P_L2_ERASED_PART;
	o->problem = (enum qf_problem)problem;
	return problem >= 0;
}

enum qf_err qf_fix_older(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct older o = { .c = c };
	enum qf_err err = QF_OK;
	size_t had = c->plan->n;
	uint32_t i, v;

	if (!qf_fix_found(c, QF_P_L2_ERASED) &&
	    !qf_fix_found(c, QF_P_L2_ERASED_PART) &&
	    !qf_fix_found(c, QF_P_L2_GARBAGE))
		return QF_OK;
	o.table = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	o.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	o.doubt = qf_mem_zalloc(c->img->geo.l2_entries, sizeof(*o.doubt));
	if (!o.table || !o.buf || !o.doubt)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory to look at older tables");
	/* one table a round: what it owns then counts for the next */
	for (i = 0; !err && i < c->walk.n_groups && c->plan->n == had; i++) {
		o.g = &c->walk.group[i];
		for (v = 0; o.g->n > 1 && !err && v < o.g->n; v++) {
			o.lost = &c->walk.table[o.g->first + v];
			if (c->plan->n == had && is_lost(&o))
				err = restore(&o, why);
		}
	}
	free(o.table);
	free(o.buf);
	free(o.doubt);
	return err;
}
