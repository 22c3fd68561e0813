// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose loss it is: who names a table, and who names an entry of it. */
#include "check/lost/lost.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/* The unit in which file systems keep holes. */
#define PAGE_BYTES 4096u
/* So many additions name every holder; behind that, the first one alone. */
#define MAX_ADDED (1ull << 26)
/* So many name a table's entries one by one. */
#define MAX_SINGLE (1ull << 22)
/* So many L1 entries are looked at, to name them; one that must be read
 * costs as much as many. */
#define MAX_LOOKS (1ull << 26)
#define LOOK_COSTS 16u

/* True if the second page at OFF, of a cluster, lies in a hole. */
static bool is_hole(const struct qf_image *img, uint64_t off)
{
	uint64_t end;

	return off < img->io->size &&
	       qf_io_extent(img->io, off + PAGE_BYTES, off + 2 * PAGE_BYTES,
			    &end) == QF_IO_HOLE;
}

bool qf_lost_holes_tell(const struct qf_image *img)
{
	return img->geo.cluster_bytes < 2 * PAGE_BYTES ||
	       (!is_hole(img, 0) && !is_hole(img, img->hdr.reftable_off));
}

/* A range that is being lost by all who name one of some tables. */
struct loss {
	struct qf_pass_ctx *c;
	const struct qf_group *g;
	const struct qf_l2_table *t; /* the table; NULL: those marked below */
	const bool *marked;	     /* one a table of the group */
	uint64_t guest, bytes;
};

static void lose(void *ctx, uint32_t holder, uint64_t off)
{
	const struct loss *l = ctx;
	const struct qf_l2_table *t = l->t;

	if (!t) {
		t = qf_walk_find(&l->c->walk, l->g->l1_index, off);
		if (!t || !l->marked[t - &l->c->walk.table[l->g->first]])
			return;
	} else if (off != t->off) {
		return;
	}
	qf_lost_add(l->c->img, l->c->lost_ranges, holder, l->guest, l->bytes);
}

/* False: there is too much; or no memory. */
static bool lose_for_all(struct loss *l)
{
	struct qf_pass_ctx *c = l->c;

	c->lost_looks += c->walk.n_places +
			 LOOK_COSTS * (uint64_t)qf_walk_leads_cost(
					      &c->walk, l->g->l1_index);
	if (c->lost_looks >= MAX_LOOKS || c->lost_ranges->added >= MAX_ADDED) {
		c->lost_ranges->cut = true;
		return false;
	}
	if (!qf_walk_leads(&c->walk, l->g->l1_index, lose, l))
		c->lost_ranges->failed = true;
	return true;
}

void qf_lost_for_table(struct qf_pass_ctx *c, uint32_t l1_index, uint64_t off,
		       uint64_t guest, uint64_t bytes)
{
	struct loss l = { .c = c, .guest = guest, .bytes = bytes };

	l.g = qf_walk_group(&c->walk, l1_index);
	l.t = qf_walk_find(&c->walk, l1_index, off);
	if (l.t && (l.t->weight == 1 || !lose_for_all(&l)))
		qf_lost_add(c->img, c->lost_ranges, l.t->holder, guest, bytes);
}

/* The host cluster or compressed range that an entry names. */
static uint64_t target_of(uint64_t entry)
{
	return entry & (entry & QF_ENTRY_COMPRESSED ? ~QF_ENTRY_COPIED
						    : QF_ENTRY_OFFSET_MASK);
}

static bool has_entry(const struct qf_pass_ctx *c, const struct qf_l2_table *t,
		      uint32_t l2_index, uint64_t entry)
{
	uint64_t at = t->off + (uint64_t)l2_index * c->img->geo.l2_entry_bytes;
	struct qf_be64 w;

	return t->off && !t->odd && !t->unread &&
	       !qf_io_read_pad(c->img->io, &w, sizeof(w), at, NULL) &&
	       target_of(qf_be_get64(w)) == target_of(entry);
}

/* Marks the versions that have ENTRY at L2_INDEX; returns how many do. */
static uint32_t mark_versions(struct qf_pass_ctx *c, const struct qf_group *g,
			      uint32_t l2_index, uint64_t entry, bool *marked)
{
	uint32_t v, n = 0;

	for (v = 0; v < g->n && c->lost_looks < MAX_LOOKS; v++) {
		c->lost_looks += LOOK_COSTS;
		marked[v] = has_entry(c, &c->walk.table[g->first + v], l2_index,
				      entry);
		n += marked[v];
	}
	c->lost_ranges->cut |= v < g->n;
	return n;
}

void qf_lost_entries(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
		     uint64_t n)
{
	const struct qf_group *g = qf_walk_group(&c->walk, o->l1_index);
	struct loss l = { .c = c, .g = g };
	bool *marked;

	if (!g)
		return;
	l.guest = qf_pass_guest(c->img, o->l1_index, o->l2_index);
	l.bytes = n << c->img->geo.cluster_bits;
	if (g->n == 1) {
		qf_lost_for_table(c, o->l1_index, c->walk.table[g->first].off,
				  l.guest, l.bytes);
		return;
	}
	marked = qf_mem_zalloc(g->n, sizeof(*marked));
	if (!marked)
		c->lost_ranges->failed = true;
	l.marked = marked;
	if (marked && mark_versions(c, g, o->l2_index, o->entry, marked) &&
	    !lose_for_all(&l))
		qf_lost_add(c->img, c->lost_ranges, o->holder, l.guest,
			    l.bytes);
	free(marked);
}

void qf_lost_l1_open(const struct qf_image *img, uint32_t holder,
		     struct qf_lost_l1 *l)
{
	l->n = 0;
	l->first = 0;
	if (!qf_image_l1(img, holder, &l->off, &l->entries))
		l->entries = 0;
}

bool qf_lost_l1_at(const struct qf_image *img, struct qf_lost_l1 *l,
		   uint32_t l1_index, uint64_t *entry)
{
	uint32_t room = sizeof(l->buf) / sizeof(l->buf[0]);

	if (l1_index >= l->entries)
		return false;
	if (l1_index < l->first || l1_index - l->first >= l->n) {
		l->first = l1_index;
		l->n = l->entries - l1_index < room ? l->entries - l1_index
						    : room;
		if (qf_io_read_pad(img->io, l->buf, l->n * sizeof(l->buf[0]),
				   l->off + l1_index * 8ull, NULL))
			l->n = 0;
	}
	*entry = l->n ? qf_be_get64(l->buf[l1_index - l->first]) : 0;
	return l->n;
}

bool qf_lost_l1_entry(const struct qf_image *img, uint32_t holder,
		      uint32_t l1_index, uint64_t *entry)
{
	struct qf_be64 w;
	uint32_t entries;
	uint64_t off;

	if (!qf_image_l1(img, holder, &off, &entries) || l1_index >= entries ||
	    qf_io_read_pad(img->io, &w, sizeof(w), off + l1_index * 8ull, NULL))
		return false;
	*entry = qf_be_get64(w);
	return true;
}

/* True if the entry E with its BITMAP maps something. */
static bool maps(const struct qf_geometry *g, uint64_t e, uint64_t bitmap)
{
	return qf_entry_kind(g, e) != QF_ENTRY_KIND_NONE || bitmap;
}

static bool add_run(struct qf_lost_runs *r, uint32_t index)
{
	if (r->n && r->at[r->n - 1].index + r->at[r->n - 1].n == index) {
		r->at[r->n - 1].n++;
		return true;
	}
	if (!qf_mem_grow((void **)&r->at, r->n, &r->room, sizeof(*r->at)))
		return false;
	r->at[r->n++] = (struct qf_lost_run){ index, 1 };
	return true;
}

/* Lists what the table at OFF maps; kept, as one holder after another loses
 * it. All of it if the table cannot be read, or if there is too much lost. */
static bool list_runs(struct qf_pass_ctx *c, uint64_t off)
{
	const struct qf_geometry *g = &c->img->geo;
	uint64_t words = g->l2_entry_bytes / 8, e, bitmap;
	struct qf_lost_runs *r = &c->lost_runs;
	struct qf_be64 *buf;
	bool ok = true;
	uint32_t i;

	if (r->known && r->off == off)
		return true;
	r->known = true;
	r->off = off;
	r->n = 0;
	buf = c->lost_ranges->added < MAX_SINGLE
		      ? qf_mem_zalloc(1, g->cluster_bytes)
		      : NULL;
	if (!buf ||
	    qf_io_read_pad(c->img->io, buf, g->cluster_bytes, off, NULL)) {
		free(buf);
		ok = add_run(r, 0);
		if (ok)
			r->at[0].n = g->l2_entries;
		return ok;
	}
	for (i = 0; ok && i < g->l2_entries; i++) {
		e = qf_be_get64(buf[i * words]);
		bitmap = g->extl2 ? qf_be_get64(buf[i * words + 1]) : 0;
		if (maps(g, e, bitmap))
			ok = add_run(r, i);
	}
	free(buf);
	return ok;
}

void qf_lost_table(struct qf_pass_ctx *c, uint32_t holder, uint32_t l1_index,
		   uint64_t off)
{
	const struct qf_lost_runs *r = &c->lost_runs;
	size_t i;

	if (!list_runs(c, off)) {
		c->lost_ranges->failed = true;
		return;
	}
	for (i = 0; i < r->n; i++)
		qf_lost_add(c->img, c->lost_ranges, holder,
			    qf_pass_guest(c->img, l1_index, r->at[i].index),
			    (uint64_t)r->at[i].n << c->img->geo.cluster_bits);
}
