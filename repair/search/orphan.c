// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/search/orphan.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRIES 65536u
/* So many entries tell an L1 table from an L2 table. */
#define HEAD_ENTRIES 512u

typedef bool fits_fn(const struct qf_fix_ctx *c, uint64_t off);

/* The candidates that fit, as long as there is but one. */
struct search {
	const struct qf_fix_ctx *c;
	fits_fn *fits;
	uint64_t found;
	unsigned int n;
};

bool qf_orphan_is(const struct qf_fix_ctx *c, uint64_t off)
{
	uint64_t cl = off >> c->img->geo.cluster_bits, stated;

	return off && cl < c->recount.clusters &&
	       !(off & (c->img->geo.cluster_bytes - 1)) &&
	       !qf_ledger_count(c->recount.ledger, cl, NULL) &&
	       !qf_fix_refcount(c, cl, &stated) && stated &&
	       !qf_ranges_has(&c->plan->released, off);
}

/* What the entries of an L2 table tell about it. */
struct weight {
	uint64_t used;	    /* entries that are not zero */
	uint64_t allocated; /* of them, whose clusters count as allocated */
	uint64_t missing;   /* of them, whose clusters lack an owner */
};

/* Counts the entry R, which is not zero. */
static void count_entry(const struct qf_fix_ctx *c, const struct qf_run *r,
			struct weight *w)
{
	uint64_t off = 0, bytes, first, n, stated, k;
	bool allocated, missing;

	bytes = qf_recount_run_bytes(c->img, r, &off);
	n = bytes ? qf_recount_touched(c->img, off, bytes, &first) : 0;
	allocated = !bytes || n;
	missing = n;
	for (k = 0; k < n; k++) {
		if (qf_fix_refcount(c, first + k, &stated))
			stated = 0;
		allocated &= stated > 0;
		missing &= stated >
			   qf_ledger_count(c->recount.ledger, first + k, NULL);
	}
	w->used++;
	w->allocated += allocated;
	w->missing += missing;
}

bool qf_orphan_lacks(const struct qf_fix_ctx *c, const struct qf_run *r)
{
	struct weight w = { 0 };

	count_entry(c, r, &w);
	return w.missing;
}

/* False if what is at OFF is no L2 table. */
static bool weigh(const struct qf_fix_ctx *c, uint64_t off, struct weight *w)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_run r = { .n = 1 };
	struct qf_be64 *buf;
	bool sound = true;
	uint64_t i, at;

	memset(w, 0, sizeof(*w));
	buf = qf_mem_zalloc(1, g->cluster_bytes);
	if (!buf ||
	    qf_io_read_pad(c->img->io, buf, g->cluster_bytes, off, NULL)) {
		free(buf);
		return false;
	}
	if (g->data_file)
		w->used = w->allocated = w->missing =
			qf_entry_table_place(g, buf, &at);
	for (i = 0; !g->data_file && sound && i < g->l2_entries; i++) {
		at = i * (g->l2_entry_bytes / 8);
		r.entry = qf_be_get64(buf[at]);
		r.bitmap = g->extl2 ? qf_be_get64(buf[at + 1]) : 0;
		r.kind = (uint8_t)qf_entry_kind(g, r.entry);
		if (!r.entry && !r.bitmap)
			continue;
		sound = !qf_entry_l2_odd(g, c->img->hdr.version,
					 c->img->io->size, r.entry, r.bitmap);
		if (sound)
			count_entry(c, &r, w);
	}
	free(buf);
	return sound && w->used;
}

bool qf_orphan_is_l2(const struct qf_fix_ctx *c, uint64_t off)
{
	struct weight w;

	return weigh(c, off, &w) && w.allocated == w.used;
}

static bool lacks_owners(const struct qf_fix_ctx *c, uint64_t off)
{
	struct weight w;

	return weigh(c, off, &w) && w.missing * 2 >= w.used;
}

/* True if what the first entries of the table at OFF point to are such tables
 * themselves: then it is an L1 table. */
static bool is_l1(const struct qf_fix_ctx *c, uint64_t off)
{
	uint64_t words = c->img->geo.cluster_bytes / 8, i, to;
	struct qf_be64 e[HEAD_ENTRIES];
	unsigned int looked = 0;

	if (words > HEAD_ENTRIES)
		words = HEAD_ENTRIES;
	if (qf_io_read_pad(c->img->io, e, words * 8, off, NULL))
		return false;
	for (i = 0; i < words && looked < 2; i++) {
		to = qf_be_get64(e[i]) & QF_ENTRY_OFFSET_MASK;
		if (qf_be_get64(e[i]) & QF_ENTRY_COMPRESSED ||
		    !qf_orphan_is(c, to))
			continue;
		looked++;
		if (lacks_owners(c, to))
			return true;
	}
	return false;
}

bool qf_orphan_is_table(const struct qf_fix_ctx *c, uint64_t off)
{
	/* with a data file, each of its entries says what it is */
	return lacks_owners(c, off) &&
	       (c->img->geo.data_file || !is_l1(c, off));
}

/* True if the active disk, or else a snapshot, may have had the entry R. *OWN
 * counts those that tell which of the two. */
static bool suits(const struct qf_fix_ctx *c, const struct qf_run *r,
		  bool active, uint64_t *own)
{
	uint64_t off = 0, bytes, first, stated;
	struct weight w = { 0 };

	bytes = qf_recount_run_bytes(c->img, r, &off);
	if (!bytes)
		return true;
	count_entry(c, r, &w);
	if (!w.missing)
		return false;
	if (r->kind == QF_ENTRY_KIND_COMPRESSED) {
		/* it tells nothing of whose it is, if there were snapshots */
		*own += !c->img->hdr.snapshots_off;
		return true;
	}
	if (!qf_recount_touched(c->img, off, bytes, &first) ||
	    qf_fix_refcount(c, first, &stated))
		return false;
	*own += stated == 1 || !active;
	/* taking a snapshot clears the flag, and nothing sets it there */
	return (active && stated == 1) == !!(r->entry & QF_ENTRY_COPIED);
}

uint64_t qf_orphan_suits(const struct qf_fix_ctx *c, uint64_t off,
			 uint64_t index, bool active)
{
	const struct qf_geometry *g = &c->img->geo;
	struct qf_be64 *buf = qf_mem_zalloc(1, g->cluster_bytes);
	uint64_t guest, used = 0, own = 0, i, at;
	struct qf_run r = { .n = 1 };
	bool sound;

	sound = buf &&
		!qf_io_read_pad(c->img->io, buf, g->cluster_bytes, off, NULL);
	if (sound && g->data_file) {
		own = qf_entry_table_place(g, buf, &at);
		sound = own && at == index;
	}
	for (i = 0; sound && i < g->l2_entries; i++) {
		at = i * (g->l2_entry_bytes / 8);
		r.entry = qf_be_get64(buf[at]);
		r.bitmap = g->extl2 ? qf_be_get64(buf[at + 1]) : 0;
		r.kind = (uint8_t)qf_entry_kind(g, r.entry);
		if (!r.entry && !r.bitmap)
			continue;
		guest = ((index << g->l2_bits) + i) << g->cluster_bits;
		/* a VM state lies behind the disk of its snapshot */
		sound = (!active || guest < c->img->hdr.disk_bytes) &&
			!qf_entry_l2_odd(g, c->img->hdr.version,
					 c->img->io->size, r.entry, r.bitmap) &&
			suits(c, &r, active, &own);
		used++;
	}
	free(buf);
	return sound && own ? used : 0;
}

static void try(struct search *s, uint64_t off)
{
	if ((s->n && s->found == off) || !qf_orphan_is(s->c, off) ||
	    !s->fits(s->c, off))
		return;
	s->found = off;
	s->n++;
}

/* True if a sound L1 entry names the table at OFF. */
static bool is_table_named(const struct qf_fix_ctx *c, uint64_t off)
{
	uint64_t k;

	for (k = 0; k < c->walk.n_tables; k++)
		if (c->walk.table[k].off == off && !c->walk.table[k].odd)
			return true;
	return false;
}

bool qf_orphan_under(const struct qf_fix_ctx *c, uint64_t off, uint64_t *found)
{
	uint64_t cl = off >> c->img->geo.cluster_bits, stated;
	unsigned int flags = 0;

	*found = off & ~(c->img->geo.cluster_bytes - 1);
	return *found && *found != off && cl < c->recount.clusters &&
	       qf_ledger_count(c->recount.ledger, cl, &flags) == 1 &&
	       !(flags & QF_LEDGER_DOUBLE) &&
	       !qf_fix_refcount(c, cl, &stated) && stated == 1 &&
	       !is_table_named(c, *found) && qf_orphan_is_table(c, *found);
}

bool qf_orphan_only_table(const struct qf_fix_ctx *c, uint64_t *found)
{
	struct search s = { .c = c, .fits = qf_orphan_is_table };
	const struct qf_trouble *tr = c->recount.trouble;
	uint64_t cl, seen = 0;
	size_t i;

	for (i = 0; s.n < 2 && i < c->recount.n_troubles; i++, tr++)
		for (cl = tr->first; tr->stated > tr->counted &&
				     cl < tr->first + tr->n && s.n < 2;
		     cl++) {
			if (seen++ >= MAX_TRIES)
				return false;
			try(&s, cl << c->img->geo.cluster_bits);
		}
	*found = s.found;
	return s.n == 1;
}
