// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/table_versions.h"
#include "check/passes/table_copies.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many tables of a place are compared with each other, and in all. */
#define MAX_VERSIONS 32u
#define MAX_COMPARED 4096u

/* Two tables that are alike. */
struct pair {
	struct qf_pass_ctx *c;
	const struct qf_group *g;
	const struct qf_l2_table *t[2];
	unsigned char *buf; /* what both hold */
	uint64_t low;	    /* entries whose clusters count one owner less */
	bool flagged;	    /* some of them as the active disk's own */
};

static uint64_t entry_at(const struct pair *p, uint32_t i)
{
	struct qf_be64 e;

	memcpy(&e, p->buf + (uint64_t)i * p->c->img->geo.l2_entry_bytes,
	       sizeof(e));
	return qf_be_get64(e);
}

/* True if the data cluster of entry I is counted for one of two owners. */
static bool is_low(const struct pair *p, uint32_t i)
{
	const struct qf_geometry *g = &p->c->img->geo;
	uint64_t e = entry_at(p, i);
	const struct qf_trouble *tr;

	if (qf_entry_kind(g, e) != QF_ENTRY_KIND_DATA)
		return false;
	tr = qf_recount_at(&p->c->recount,
			   (e & QF_ENTRY_OFFSET_MASK) >> g->cluster_bits);
	return tr && tr->hits == tr->n && tr->counted == tr->stated + 1 &&
	       tr->why & QF_TROUBLE_REFCOUNT &&
	       !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED));
}

static bool weigh(struct pair *p)
{
	const struct qf_geometry *g = &p->c->img->geo;
	uint32_t i;

	p->low = 0;
	p->flagged = false;
	if (qf_io_read_pad(p->c->img->io, p->buf, g->cluster_bytes,
			   p->t[0]->off, NULL))
		return false;
	for (i = 0; i < g->l2_entries; i++) {
		if (!is_low(p, i))
			continue;
		p->low++;
		p->flagged |= (entry_at(p, i) & QF_ENTRY_COPIED) != 0;
	}
	return p->low;
}

/* What the table T had at those entries; and with more clusters without an
 * owner than these, it may have had others where nothing is now. */
static void lose(struct pair *p, const struct qf_l2_table *t)
{
	const struct qf_geometry *g = &p->c->img->geo;
	bool more = p->c->recount.leaked > p->low;
	uint32_t i;

	for (i = 0; i < g->l2_entries; i++)
		if (is_low(p, i) || (more && !entry_at(p, i)))
			qf_lost_for_table(p->c, p->g->l1_index, t->off,
					  qf_pass_guest(p->c->img,
							p->g->l1_index, i),
					  g->cluster_bytes);
}

/* Flags are the active disk's alone: where there are some, its table was not
 * overwritten. */
static bool is_overwritten(const struct pair *p, unsigned int k)
{
	return p->t[k]->active != p->flagged ||
	       p->t[0]->active == p->t[1]->active;
}

static void report(struct pair *p)
{
	const struct qf_geometry *g = &p->c->img->geo;
	unsigned int last = is_overwritten(p, 1), k;
	struct qf_finding *f;

	f = qf_pass_at(p->c, QF_P_L2_OTHER_STATE, p->t[last]->off,
		       g->cluster_bytes);
	f->guest_off = qf_pass_guest(p->c->img, p->g->l1_index, 0);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "the L2 tables at 0x%" PRIx64 " and 0x%" PRIx64
		       " hold the same entries, and %" PRIu64
		       " of their clusters are counted for one of them",
		       p->t[0]->off, p->t[1]->off, p->low);
	qf_pass_own_table(p->c, f, p->g->l1_index, p->t[last]);
	for (k = 0; k < 2; k++)
		if (is_overwritten(p, k))
			lose(p, p->t[k]);
}

static bool is_whole(const struct pair *p, const struct qf_l2_table *t)
{
	return t->off && !t->odd && !t->unread && t->filled &&
	       !qf_detail_holds_garbage(&p->c->detail, t->off);
}

static void look_at_group(struct pair *p, unsigned int *compared)
{
	const struct qf_l2_table *t = &p->c->walk.table[p->g->first];
	uint32_t n = p->g->n < MAX_VERSIONS ? p->g->n : MAX_VERSIONS, a, b;

	for (a = 0; a + 1 < n; a++)
		for (b = a + 1; b < n; b++) {
			if (!is_whole(p, &t[a]) || !is_whole(p, &t[b]) ||
			    ++*compared > MAX_COMPARED ||
			    !qf_table_copies_alike(p->c->img, t[a].off,
						   t[b].off))
				continue;
			p->t[0] = &t[a];
			p->t[1] = &t[b];
			if (weigh(p))
				report(p);
		}
}

bool qf_table_versions(struct qf_pass_ctx *c)
{
	struct pair p = { .c = c, .g = c->walk.group };
	unsigned int compared = 0;
	bool all = true;
	uint32_t i;

	if (!c->recount.leaked || !c->recount.too_low)
		return true;
	p.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	if (!p.buf) {
		c->lost_ranges->failed = true;
		return false;
	}
	for (i = 0; i < c->walk.n_groups && compared <= MAX_COMPARED;
	     i++, p.g++) {
		all &= p.g->n <= MAX_VERSIONS;
		if (p.g->n > 1)
			look_at_group(&p, &compared);
	}
	free(p.buf);
	return all && compared <= MAX_COMPARED;
}
