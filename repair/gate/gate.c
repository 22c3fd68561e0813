// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/gate/gate.h"
#include "lib/base/mem.h"
#include "lib/walk/recount.h"
#include "repair/gate/gate_view.h"

#include <stdlib.h>
#include <string.h>

/* So many stretches are noted one by one; with more, all is compared. */
#define MAX_SPANS (1u << 18)
/* Holders of one edited table that are looked at. */
#define MAX_HOLDERS 16u
#define CHUNK 512u

/* A guest range of a state that may read otherwise. */
struct span {
	uint32_t holder;
	uint64_t guest_off, bytes;
};

struct gate {
	const struct qf_plan *p;
	struct qf_overlay *none; /* over the base, empty: to open it anew */
	struct qf_image *a, *b;	 /* before and after */
	struct qf_walk walk;	 /* of a */
	struct span *span;
	size_t n, room;
	bool all;    /* too many, or read in other units: compare all */
	bool failed; /* no memory */
	struct qf_gate_breach *breach;
	bool found;
};

static bool is_edited(const struct gate *g, uint64_t off, uint64_t bytes)
{
	return qf_overlay_covers(g->p->over, off, bytes);
}

static void note(struct gate *g, uint32_t holder, uint64_t guest,
		 uint64_t bytes)
{
	if (g->all || g->n >= MAX_SPANS) {
		g->all = true;
		return;
	}
	if (!qf_mem_grow((void **)&g->span, g->n, &g->room, sizeof(*g->span))) {
		g->failed = true;
		return;
	}
	g->span[g->n++] = (struct span){ holder, guest, bytes };
}

static uint64_t span_bytes(const struct gate *g)
{
	return g->a->geo.cluster_bytes << g->a->geo.l2_bits;
}

/* -- where the plan may have changed something -- */

/* The state of B that is H of A; UINT32_MAX: there is none. */
static uint32_t match(const struct gate *g, uint32_t h)
{
	const struct qf_snapshot_table *s = &g->a->snapshots;
	const struct qf_snapshot_table *t = &g->b->snapshots;
	const struct qf_snapshot *was;
	uint32_t i;

	if (h == QF_HOLDER_ACTIVE)
		return h;
	was = &s->snap[h - 1];
	/* an id that two have is put right; the place in the table stays */
	if (h <= t->n && t->snap[h - 1].l1_off == was->l1_off)
		return h;
	for (i = 0; i < t->n; i++)
		if (t->snap[i].l1_off == was->l1_off ||
		    (was->id[0] && !strcmp(t->snap[i].id, was->id)))
			return QF_HOLDER_SNAPSHOT(i);
	return UINT32_MAX;
}

static uint64_t target(struct qf_be64 entry)
{
	return qf_be_get64(entry) & QF_ENTRY_OFFSET_MASK;
}

/* Compares the L1 tables of one state, entry by entry. */
static void compare_l1(struct gate *g, uint32_t h, uint64_t off_a, uint32_t n_a,
		       uint64_t off_b, uint32_t n_b)
{
	struct qf_be64 a[CHUNK], b[CHUNK];
	uint32_t most = n_a > n_b ? n_a : n_b, first, i, k;

	for (first = 0; first < most && !g->all; first += CHUNK) {
		k = most - first < CHUNK ? most - first : CHUNK;
		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		if (first < n_a &&
		    qf_io_read_pad(g->a->io, a,
				   (n_a - first < k ? n_a - first : k) * 8ull,
				   off_a + first * 8ull, NULL))
			continue; /* it read nothing */
		if (first < n_b &&
		    qf_io_read_pad(g->b->io, b,
				   (n_b - first < k ? n_b - first : k) * 8ull,
				   off_b + first * 8ull, NULL))
			memset(b, 0xff, sizeof(b));
		for (i = 0; i < k; i++)
			if (target(a[i]) != target(b[i]))
				note(g, h, (first + i) * span_bytes(g),
				     span_bytes(g));
	}
}

static void look_at_l1(struct gate *g, uint32_t h, uint32_t k)
{
	uint64_t off_a, off_b;
	uint32_t n_a, n_b;

	if (!qf_image_l1(g->a, h, &off_a, &n_a))
		return; /* it read nothing */
	if (!qf_image_l1(g->b, k, &off_b, &n_b))
		n_b = 0;
	if (n_b && off_a == off_b && n_a == n_b &&
	    !is_edited(g, off_a, n_a * 8ull))
		return;
	compare_l1(g, h, off_a, n_a, off_b, n_b);
}

/* What the holders of the L2 table at OFF have from GUEST on. */
static void note_holders(struct gate *g, uint32_t l1_index, uint64_t off,
			 uint64_t guest, uint64_t bytes)
{
	uint32_t h[MAX_HOLDERS], n, i;

	n = qf_walk_holders(&g->walk, l1_index, off, h, MAX_HOLDERS);
	for (i = 0; i < n && i < MAX_HOLDERS; i++)
		note(g, h[i], guest, bytes);
}

static void look_at_tables(struct gate *g)
{
	const struct qf_l2_table *t;
	uint32_t i, v;

	for (i = 0; i < g->walk.n_groups && !g->all; i++)
		for (v = 0; v < g->walk.group[i].n; v++) {
			t = &g->walk.table[g->walk.group[i].first + v];
			if (is_edited(g, t->off, g->a->geo.cluster_bytes))
				note_holders(g, g->walk.group[i].l1_index,
					     t->off,
					     g->walk.group[i].l1_index *
						     span_bytes(g),
					     span_bytes(g));
		}
}

/* Guest data whose place in the file the plan writes to. */
static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct gate *g = ctx;
	const struct qf_geometry *geo = &g->a->geo;
	uint64_t off, bytes, guest;
	uint32_t v;

	(void)me;
	for (; n; n--, r++) {
		bytes = qf_recount_run_bytes(g->a, r, &off);
		if (!bytes || !is_edited(g, off, bytes))
			continue;
		guest = (((uint64_t)grp->l1_index << geo->l2_bits) + r->index)
			<< geo->cluster_bits;
		for (v = 0; v < grp->n; v++)
			if (!r->members || r->members[v / 64] >> (v % 64) & 1)
				note_holders(g, grp->l1_index,
					     g->walk.table[grp->first + v].off,
					     guest,
					     (uint64_t)r->n
						     << geo->cluster_bits);
	}
	return !g->failed;
}

static enum qf_err find_spans(struct gate *g, struct qf_why *why)
{
	struct qf_visitor v = { .ctx = g, .runs = see_runs };
	uint32_t h, k;
	enum qf_err err;

	if (memcmp(&g->a->geo, &g->b->geo, sizeof(g->a->geo)) ||
	    g->a->hdr.crypt_method != g->b->hdr.crypt_method ||
	    g->a->hdr.compression != g->b->hdr.compression ||
	    g->a->hdr.version != g->b->hdr.version) {
		g->all = true;
		return QF_OK;
	}
	for (h = 0; h < qf_image_holders(g->a); h++) {
		k = match(g, h);
		if (k != UINT32_MAX)
			look_at_l1(g, h, k);
	}
	err = qf_walk_gather(g->a, &g->walk, why);
	if (err)
		return err;
	look_at_tables(g);
	err = qf_walk_run(&g->walk, 1, &v, NULL);
	return err || g->failed ? qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					     "no memory to compare the disk")
				: QF_OK;
}

/* -- what reads otherwise, and who allows it -- */

/* What is known as lost of holder H, which is K afterwards. */
static bool licences(const struct gate *g, uint32_t h, uint32_t k,
		     struct qf_ranges *r)
{
	const struct qf_lost *l = g->p->licence;
	bool ok = true;
	size_t i;

	for (i = 0; ok && i < g->p->n_licences; i++, l++)
		if (l->holder == h)
			ok = qf_ranges_add(r, l->guest_off, l->length);
	for (i = 0; ok && i < g->p->n_lost; i++)
		if (g->p->lost[i].holder == k)
			ok = qf_ranges_add(r, g->p->lost[i].guest_off,
					   g->p->lost[i].length);
	return ok;
}

/* Where the licensed range at AT ends; AT if there is none. */
static uint64_t licensed_until(const struct qf_ranges *r, uint64_t at)
{
	const struct qf_range *l = qf_ranges_from(r, at);

	return l && l->off <= at ? l->off + l->len : at;
}

/* The last edit that touches the place, or NULL. */
static const struct qf_edit *edit_at(const struct gate *g, uint64_t off)
{
	const struct qf_edit *e;
	size_t i;

	for (i = g->p->n; i && off != QF_NOWHERE; i--) {
		e = &g->p->edit[i - 1];
		if (off >= e->host_off && off - e->host_off < e->length)
			return e;
	}
	return NULL;
}

/* The last edit of the header's cluster, or NULL. */
static const struct qf_edit *edit_of_header(const struct gate *g)
{
	size_t i;

	for (i = g->p->n; i; i--)
		if (g->p->edit[i - 1].host_off < g->a->geo.cluster_bytes)
			return &g->p->edit[i - 1];
	return NULL;
}

/* Which edit makes the guest offset AT of a state read otherwise. */
static const struct qf_edit *blame(const struct gate *g, struct qf_gate_view *v,
				   uint32_t k, uint64_t at)
{
	uint64_t place[4] = { QF_NOWHERE, QF_NOWHERE, QF_NOWHERE, QF_NOWHERE },
		 off;
	const struct qf_edit *found = NULL;
	struct qf_disk_extent e;
	uint32_t entries;
	unsigned int i;

	if (v->after.disk &&
	    !qf_disk_layer_at(v->after.disk, 0, at, 512, &e, NULL))
		place[0] = e.pointer_off;
	if (v->before.disk &&
	    !qf_disk_layer_at(v->before.disk, 0, at, 512, &e, NULL)) {
		place[1] = e.pointer_off;
		place[2] = e.host_off;
	}
	if (k != UINT32_MAX && qf_image_l1(g->b, k, &off, &entries))
		place[3] = off + at / span_bytes(g) * 8;
	for (i = 0; i < 4 && !found && !g->all; i++)
		found = edit_at(g, place[i]);
	if (!found)
		found = edit_of_header(g);
	return found ? found : &g->p->edit[g->p->n - 1];
}

static void accuse(struct gate *g, struct qf_gate_view *v, uint32_t h,
		   uint32_t k, uint64_t at, uint64_t bytes, const char *how)
{
	const struct qf_edit *e = blame(g, v, k, at);

	*g->breach = (struct qf_gate_breach){
		e->problem, h,	 at,
		bytes,	    how, e->host_off < g->a->geo.cluster_bytes
	};
	g->found = true;
}

/* Compares the guest range [AT, END) of a state. */
static enum qf_err compare_range(struct gate *g, struct qf_gate_view *v,
				 uint32_t h, uint32_t k, uint64_t at,
				 uint64_t end, const struct qf_ranges *allowed,
				 struct qf_why *why)
{
	uint64_t bytes = 0, until;
	const char *how = NULL;
	enum qf_err err = QF_OK;

	while (!err && !g->found) {
		err = qf_gate_view_next(v, &at, end, &bytes, &how, why);
		if (err || !how)
			break;
		until = v->garbled ? at : licensed_until(allowed, at);
		if (until == at)
			accuse(g, v, h, k, at, bytes, how);
		at = until;
	}
	return err;
}

/* The disk must not end before what it maps. */
static enum qf_err compare_end(struct gate *g, struct qf_gate_view *v,
			       uint32_t h, uint32_t k,
			       const struct qf_ranges *allowed,
			       struct qf_why *why)
{
	struct qf_disk_extent e;
	enum qf_err err = QF_OK;
	uint64_t at, end;

	if (!v->before.disk || !v->after.disk)
		return QF_OK;
	end = qf_disk_bytes(v->before.disk);
	for (at = qf_disk_bytes(v->after.disk); !err && at < end && !g->found;
	     at += e.bytes) {
		err = qf_disk_layer_at(v->before.disk, 0, at, end - at, &e,
				       why);
		if (!err && e.present && licensed_until(allowed, at) == at)
			accuse(g, v, h, k, at, e.bytes,
			       "the disk would end before it");
	}
	return err;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* The spans [I, END) of one state. */
static enum qf_err compare_state(struct gate *g, uint32_t h, size_t i,
				 size_t end, struct qf_why *why)
{
	struct qf_gate_view v = { 0 };
	struct qf_ranges allowed = { 0 };
	uint32_t k = match(g, h);
	enum qf_err err;

	if (k == UINT32_MAX) {
		/* without an L1 table it is no state; or it is given up as a
		 * whole, and told so */
		if (g->a->snapshots.snap[h - 1].l1_off &&
		    !g->p->snapshots_cut && !g->p->snapshots_relisted)
			accuse(g, &v, h, k, 0, 0, "the snapshot would be gone");
		return QF_OK;
	}
	err = qf_gate_view_open(&v, g->a, h, g->b, k, g->p->over, why);
	if (!err && !licences(g, h, k, &allowed))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory to compare the disk");
	if (!err && g->all)
		err = compare_range(g, &v, h, k, 0, UINT64_MAX, &allowed, why);
	for (; !err && !g->all && i < end && !g->found; i++)
		err = compare_range(g, &v, h, k, g->span[i].guest_off,
				    g->span[i].guest_off + g->span[i].bytes,
				    &allowed, why);
	if (!err && !g->found)
		err = compare_end(g, &v, h, k, &allowed, why);
	if (!err && !g->found && h == QF_HOLDER_ACTIVE && v.before.disk &&
	    !g->a->backing_name_bad &&
	    licensed_until(&allowed, 0) < qf_disk_bytes(v.before.disk) &&
	    !same_text(g->a->backing_name, g->b->backing_name))
		accuse(g, &v, h, k, 0, qf_disk_bytes(v.before.disk),
		       "another backing file would show");
	qf_gate_view_close(&v);
	qf_ranges_free(&allowed);
	return err;
}

static int by_holder(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;

	if (a->holder != b->holder)
		return a->holder < b->holder ? -1 : 1;
	return a->guest_off < b->guest_off ? -1 : a->guest_off > b->guest_off;
}

static enum qf_err compare_all(struct gate *g, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	size_t i = 0, end;
	uint32_t h;

	if (g->n)
		qsort(g->span, g->n, sizeof(*g->span), by_holder);
	for (h = 0; !err && !g->found && h < qf_image_holders(g->a); h++) {
		for (end = i; end < g->n && g->span[end].holder == h;)
			end++;
		/* one without spans may have lost its end, or be gone */
		if (g->all || end > i || h == QF_HOLDER_ACTIVE ||
		    match(g, h) != h)
			err = compare_state(g, h, i, end, why);
		i = end;
	}
	return err;
}

static enum qf_err open_both(struct gate *g, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_overlay_new(g->p->base, &g->none, why);

	if (!err)
		err = qf_overlay_view(g->none, &io, why);
	if (err)
		return err;
	/* what could not be opened read nothing */
	if (qf_image_open(io, &g->a, why))
		return why && why->err == QF_ERR_NOMEM ? why->err : QF_OK;
	err = qf_overlay_view(g->p->over, &io, why);
	if (!err && qf_image_open(io, &g->b, why)) {
		g->b = NULL;
		err = why && why->err == QF_ERR_NOMEM ? why->err : QF_OK;
	}
	return err;
}

enum qf_err qf_gate_compare(const struct qf_plan *p, struct qf_gate_breach *b,
			    bool *found, struct qf_why *why)
{
	struct gate g = { .p = p, .breach = b };
	enum qf_err err;

	*found = false;
	if (!p->n)
		return QF_OK;
	err = open_both(&g, why);
	if (!err && g.a && !g.b) {
		*b = (struct qf_gate_breach){
			p->edit[p->n - 1].problem,  0,	 0, g.a->hdr.disk_bytes,
			"the image would not open", true
		};
		g.found = true;
	} else if (!err && g.a) {
		err = find_spans(&g, why);
		if (!err)
			err = compare_all(&g, why);
	}
	*found = g.found;
	free(g.span);
	qf_walk_free(&g.walk);
	qf_image_close(g.a);
	qf_image_close(g.b);
	qf_overlay_free(g.none);
	return err;
}
