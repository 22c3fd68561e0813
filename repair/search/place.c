// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Four kinds of evidence for the L1 index of a table that nobody names:
 *
 * seams    A writer that goes through the disk in order allocates the last
 *	    cluster of one table, then the next table, then its first cluster.
 *	    A row of tables that follow one another so is placed if it fills
 *	    exactly the gap between those at its ends.
 * sharing  A cluster that a snapshot or the active disk has as well stands at
 *	    the same guest offset there.
 * old L1   QEMU frees an L1 table when it grows or when its snapshot is
 *	    deleted. In a copy that is left, the table stands at its index.
 * data file  Each cluster in an external data file lies at its guest offset.
 */
#include "repair/search/place.h"
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "repair/search/orphan.h"
#include "repair/search/stale.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TABLES 4096u
#define MAX_READS 8192u
/* A refcount block may come in between what is allocated in a row. */
#define NEAR 4u
#define MAX_OWNERS 64u
#define MAX_COMPARED (1ull << 26)

struct work {
	struct qf_place *p;
	struct qf_fix_ctx *c;
	uint8_t *mapped; /* a bit a cluster: one of the tables has it */
	uint64_t mapped_bytes;
	struct qf_be64 *buf;
	unsigned int reads;
	/* clusters whose owners are asked for */
	uint64_t *cluster;
	size_t n_clusters, cluster_room;
	struct qf_owner_list *owners;
	uint64_t compared; /* entries of old L1 tables */
};

static uint64_t cluster_of(const struct work *w, uint64_t off)
{
	return off >> w->c->img->geo.cluster_bits;
}

static const struct qf_group *group_at(const struct qf_walk *w, uint64_t index)
{
	uint32_t lo = 0, hi = w->n_groups, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (w->group[mid].l1_index <= index)
			lo = mid;
		else
			hi = mid;
	}
	return lo < hi && w->group[lo].l1_index == index ? &w->group[lo] : NULL;
}

uint64_t qf_place_active(const struct qf_fix_ctx *c, uint64_t index)
{
	const struct qf_group *g = group_at(&c->walk, index);
	uint32_t v;

	for (v = 0; g && v < g->n; v++)
		if (c->walk.table[g->first + v].active)
			return c->walk.table[g->first + v].off;
	return 0;
}

uint64_t qf_place_lacking(const struct qf_fix_ctx *c, const struct qf_group *g,
			  uint64_t n)
{
	uint32_t bits = c->img->geo.cluster_bits, v;
	uint64_t found = 0, counted, stated;
	unsigned int flags;

	for (v = 0; v < g->n; v++) {
		const struct qf_l2_table *t = &c->walk.table[g->first + v];

		if (t->odd || !t->off)
			continue;
		flags = 0;
		counted = qf_ledger_count(c->recount.ledger, t->off >> bits,
					  &flags);
		if (flags & QF_LEDGER_DOUBLE ||
		    qf_fix_refcount(c, t->off >> bits, &stated) ||
		    stated != counted + n || !qf_orphan_is_table(c, t->off))
			continue;
		if (found)
			return 0;
		found = t->off;
	}
	return found;
}

static void vote(struct qf_place_table *t, uint64_t index, const char *how)
{
	if (t->how && t->index != index)
		t->doubt = true;
	t->how = how;
	t->index = (uint32_t)index;
}

/* -- gathering -- */

/* Notes what is needed of the table in w->buf. */
static void take_entries(struct work *w, struct qf_place_table *t)
{
	const struct qf_geometry *g = &w->c->img->geo;
	uint64_t e, off, i, words = g->l2_entry_bytes / 8;

	for (i = 0; i < g->l2_entries; i++) {
		e = qf_be_get64(w->buf[i * words]);
		off = e & QF_ENTRY_OFFSET_MASK;
		if (e & QF_ENTRY_COMPRESSED || !off)
			continue;
		if (!i)
			t->head = off;
		if (i == g->l2_entries - 1)
			t->tail = off;
		if (qf_orphan_is(w->c, off)) {
			if (cluster_of(w, off) / 8 < w->mapped_bytes)
				w->mapped[cluster_of(w, off) / 8] |=
					(uint8_t)(1u << cluster_of(w, off) % 8);
		} else if (t->n_shared < QF_PLACE_SHARED) {
			t->shared[t->n_shared] = off;
			t->shared_at[t->n_shared++] = (uint32_t)i;
		}
	}
}

/* False: no memory. */
static bool try_cluster(struct work *w, uint64_t cl)
{
	struct qf_place *p = w->p;
	struct qf_place_table *t;
	uint64_t off = cl << w->c->img->geo.cluster_bits, end, index;

	if (w->mapped[cl / 8] >> cl % 8 & 1 ||
	    (qf_io_extent(w->c->img->io, off,
			  off + w->c->img->geo.cluster_bytes,
			  &end) == QF_IO_HOLE &&
	     end >= off + w->c->img->geo.cluster_bytes))
		return true;
	if (w->reads++ >= MAX_READS || p->n >= MAX_TABLES) {
		p->all = false;
		return true;
	}
	if (!qf_orphan_is(w->c, off))
		return true;
	if (qf_io_read_pad(w->c->img->io, w->buf, w->c->img->geo.cluster_bytes,
			   off, NULL)) {
		p->all = false; /* who knows what stands there */
		return true;
	}
	if (!qf_orphan_is_table(w->c, off))
		return true;
	if (!qf_mem_grow((void **)&p->t, p->n, &p->room, sizeof(*t)))
		return false;
	t = &p->t[p->n++];
	memset(t, 0, sizeof(*t));
	t->off = off;
	if (qf_entry_table_place(&w->c->img->geo, w->buf, &index))
		vote(t, index,
		     "the places in the data file that it names are the "
		     "guest's there");
	else
		take_entries(w, t);
	return true;
}

static bool gather(struct work *w)
{
	const struct qf_trouble *tr = w->c->recount.trouble;
	uint64_t cl;
	size_t i;

	w->p->all = true;
	for (i = 0; i < w->c->recount.n_troubles && w->p->all; i++, tr++) {
		if (tr->stated <= tr->counted || tr->counted)
			continue;
		for (cl = tr->first; cl < tr->first + tr->n && w->p->all; cl++)
			if (!try_cluster(w, cl))
				return false;
	}
	return true;
}

/* -- who owns what lies beside the tables -- */

static int by_number(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static bool ask_for(struct work *w, uint64_t cluster)
{
	if (cluster >= w->c->recount.clusters)
		return true;
	if (!qf_mem_grow((void **)&w->cluster, w->n_clusters, &w->cluster_room,
			 sizeof(*w->cluster)))
		return false;
	w->cluster[w->n_clusters++] = cluster;
	return true;
}

static bool ask_for_all(struct work *w)
{
	const struct qf_place_table *t = w->p->t, *end = t + w->p->n;
	bool ok = true;
	unsigned int k;

	for (; ok && t < end; t++) {
		for (k = 1; ok && k < NEAR; k++) {
			if (cluster_of(w, t->off) >= k)
				ok = ask_for(w, cluster_of(w, t->off) - k);
			if (ok && t->tail)
				ok = ask_for(w, cluster_of(w, t->tail) + k);
		}
		for (k = 0; ok && k < t->n_shared; k++)
			ok = ask_for(w, cluster_of(w, t->shared[k]));
	}
	return ok;
}

static enum qf_err find_owners(struct work *w, struct qf_why *why)
{
	size_t i, n = 0;

	if (!ask_for_all(w))
		return QF_ERR_NOMEM;
	qsort(w->cluster, w->n_clusters, sizeof(*w->cluster), by_number);
	for (i = 0; i < w->n_clusters; i++)
		if (!n || w->cluster[n - 1] != w->cluster[i])
			w->cluster[n++] = w->cluster[i];
	w->n_clusters = n;
	w->owners = qf_mem_zalloc(n + 1, sizeof(*w->owners));
	if (!w->owners)
		return QF_ERR_NOMEM;
	return qf_owners_find_all(&w->c->walk, 1, w->cluster, n, MAX_OWNERS,
				  w->owners, why);
}

static const struct qf_owner_list *owners_at(const struct work *w,
					     uint64_t cluster)
{
	const uint64_t *at = bsearch(&cluster, w->cluster, w->n_clusters,
				     sizeof(*at), by_number);

	return at ? &w->owners[at - w->cluster] : NULL;
}

/* -- seams -- */

static bool is_near(const struct work *w, uint64_t a, uint64_t b)
{
	return b > a && b - a < NEAR * w->c->img->geo.cluster_bytes;
}

/* The active disk's table whose last cluster lies just before OFF: *INDEX. */
static bool comes_before(const struct work *w, uint64_t off, uint64_t *index)
{
	const struct qf_geometry *g = &w->c->img->geo;
	const struct qf_owner_list *l;
	uint64_t guest;
	unsigned int k;
	size_t i;

	for (k = 1; k < NEAR && k <= cluster_of(w, off); k++) {
		l = owners_at(w, cluster_of(w, off) - k);
		for (i = 0; l && i < l->n; i++) {
			if (l->at[i].kind != QF_REF_DATA ||
			    l->at[i].holder != QF_HOLDER_ACTIVE)
				continue;
			guest = (l->at[i].guest_off >> g->cluster_bits) + 1;
			*index = (guest >> g->l2_bits) - 1;
			return !(guest & ((1ull << g->l2_bits) - 1));
		}
	}
	return false;
}

/* The active disk's table just behind OFF whose first cluster follows it. */
static bool comes_behind(const struct work *w, uint64_t off, uint64_t *index)
{
	const struct qf_geometry *g = &w->c->img->geo;
	const struct qf_owner_list *l;
	struct qf_be64 e;
	uint64_t to;
	unsigned int k;
	size_t i;

	for (k = 1; k < NEAR; k++) {
		l = owners_at(w, cluster_of(w, off) + k);
		for (i = 0; l && i < l->n; i++) {
			if (l->at[i].kind != QF_REF_L2 ||
			    l->at[i].holder != QF_HOLDER_ACTIVE ||
			    qf_io_read_pad(w->c->img->io, &e, sizeof(e),
					   l->at[i].host_off, NULL))
				continue;
			to = qf_be_get64(e) & QF_ENTRY_OFFSET_MASK;
			*index = l->at[i].guest_off >>
				 (g->l2_bits + g->cluster_bits);
			return !(qf_be_get64(e) & QF_ENTRY_COMPRESSED) &&
			       is_near(w, l->at[i].host_off, to);
		}
	}
	return false;
}

/* Links the tables that follow one another; they are sorted by place. */
static void link_tables(struct work *w)
{
	struct qf_place_table *t = w->p->t, *n;
	size_t i, k;

	for (i = 0; i < w->p->n; i++) {
		/* the table behind T's last cluster: a few further at most */
		for (k = i + 1; t[i].tail && k < w->p->n; k++) {
			n = &t[k];
			if (n->off >
			    t[i].tail + NEAR * w->c->img->geo.cluster_bytes)
				break;
			if (!is_near(w, t[i].tail, n->off) || !n->head ||
			    !is_near(w, n->off, n->head) || n->followed)
				continue;
			t[i].next = k + 1;
			n->followed = true;
			break;
		}
	}
}

/* The row that begins with table FIRST. */
static void place_row(struct work *w, size_t first)
{
	uint64_t needed = w->c->img->geo.l1_needed, from = 0, to = needed, n;
	struct qf_place_table *t = &w->p->t[first], *last = t;
	bool left, right;

	for (n = 1; last->next; n++)
		last = &w->p->t[last->next - 1];
	left = t->head && is_near(w, t->off, t->head) &&
	       comes_before(w, t->off, &from);
	if (left)
		from++;
	right = last->tail && comes_behind(w, last->tail, &to);
	if ((!left && !right && n < needed) || from > to || to - from != n)
		return;
	for (;; t = &w->p->t[t->next - 1]) {
		vote(t, from++,
		     "tables and data follow one another in the file there");
		if (!t->next)
			return;
	}
}

static void place_by_seams(struct work *w)
{
	size_t i;

	link_tables(w);
	for (i = 0; i < w->p->n; i++)
		if (!w->p->t[i].followed)
			place_row(w, i);
}

/* -- sharing -- */

static void place_by_sharing(struct work *w)
{
	const struct qf_geometry *g = &w->c->img->geo;
	const struct qf_owner_list *l;
	struct qf_place_table *t;
	uint64_t guest;
	unsigned int k;
	size_t i;

	for (t = w->p->t; t < w->p->t + w->p->n; t++) {
		for (k = 0; k < t->n_shared; k++) {
			l = owners_at(w, cluster_of(w, t->shared[k]));
			for (i = 0; l && i < l->n; i++) {
				if (l->at[i].kind != QF_REF_DATA)
					continue;
				guest = l->at[i].guest_off >> g->cluster_bits;
				if ((guest & ((1ull << g->l2_bits) - 1)) !=
				    t->shared_at[k])
					t->doubt = true;
				vote(t, guest >> g->l2_bits,
				     "other versions of the table there "
				     "share clusters with it");
			}
		}
	}
}

/* -- old L1 tables -- */

static struct qf_place_table *table_at(const struct work *w, uint64_t off)
{
	size_t lo = 0, hi = w->p->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->p->t[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->p->n && w->p->t[lo].off == off ? &w->p->t[lo] : NULL;
}

/* How BUF goes with the active L1 table, if it is its part from index BASE
 * on: entries alike and not; and the lost tables that it names. */
struct match {
	uint64_t alike, other, lost;
};

static struct match compare(const struct work *w, const struct qf_be64 *buf,
			    uint64_t base)
{
	uint64_t n = w->c->img->geo.cluster_bytes / 8, i, e, now;
	struct match m = { 0 };

	for (i = 0; i < n; i++) {
		e = qf_be_get64(buf[i]) & QF_ENTRY_OFFSET_MASK;
		if (!e)
			continue;
		now = qf_place_active(w->c, base + i);
		m.alike += now == e;
		m.other += now && now != e;
		m.lost += !now && table_at(w, e);
	}
	return m;
}

static bool is_l1_like(const struct work *w, const struct qf_be64 *buf)
{
	const struct qf_image *img = w->c->img;
	uint64_t n = img->geo.cluster_bytes / 8, i, e, names = 0;

	for (i = 0; i < n; i++) {
		e = qf_be_get64(buf[i]);
		if (!e)
			continue;
		if (qf_entry_l1_odd(&img->geo, img->io->size, e) ||
		    !(e & QF_ENTRY_OFFSET_MASK))
			return false;
		names += table_at(w, e & QF_ENTRY_OFFSET_MASK) != NULL;
	}
	return names;
}

/* Looks at one cluster that may be a part of an old L1 table. */
static bool see_old_l1(void *ctx, uint64_t off, const struct qf_be64 *buf)
{
	struct work *w = ctx;
	uint64_t n = w->c->img->geo.cluster_bytes / 8, base, best = 0, i, e;
	struct match m, most = { 0 };
	struct qf_place_table *t;
	unsigned int same = 0;

	if (!is_l1_like(w, buf))
		return true;
	for (i = 0; i < n && qf_orphan_is(w->c, off); i++) {
		t = table_at(w, qf_be_get64(buf[i]) & QF_ENTRY_OFFSET_MASK);
		if (t)
			t->deleted = true;
	}
	for (base = 0; base < w->c->img->geo.l1_needed; base += n) {
		w->compared += n;
		if (w->compared > MAX_COMPARED)
			return false;
		m = compare(w, buf, base);
		if (!m.lost || m.other >= m.alike || m.alike < most.alike)
			continue;
		same = m.alike == most.alike ? same + 1 : 1;
		most = m;
		best = base;
	}
	if (!most.alike || same != 1)
		return true;
	for (i = 0; i < n; i++) {
		e = qf_be_get64(buf[i]) & QF_ENTRY_OFFSET_MASK;
		t = e ? table_at(w, e) : NULL;
		if (t)
			vote(t, best + i,
			     "an old copy of the L1 table names it "
			     "there");
	}
	return true;
}

enum qf_err qf_place_find(struct qf_fix_ctx *c, struct qf_place *p,
			  struct qf_why *why)
{
	struct work w = { .p = p, .c = c };
	enum qf_err err = QF_ERR_NOMEM;
	size_t i;
	bool all;

	memset(p, 0, sizeof(*p));
	p->c = c;
	w.mapped_bytes = c->recount.clusters / 8 + 1;
	w.mapped = qf_mem_map(w.mapped_bytes);
	w.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	if (w.mapped && w.buf && gather(&w))
		err = QF_OK;
	if (!err && p->n)
		err = find_owners(&w, why);
	if (!err && p->n) {
		place_by_seams(&w);
		place_by_sharing(&w);
		err = qf_stale_scan(c, true, see_old_l1, &w, &all, why);
	}
	for (i = 0; w.owners && i < w.n_clusters; i++)
		qf_owners_list_free(&w.owners[i]);
	free(w.owners);
	free(w.cluster);
	free(w.buf);
	qf_mem_unmap(w.mapped, w.mapped_bytes);
	return err ? qf_err_set(why, err, 0, QF_NOWHERE,
				"no memory to look for lost tables")
		   : QF_OK;
}

void qf_place_free(struct qf_place *p)
{
	free(p->t);
	memset(p, 0, sizeof(*p));
}
