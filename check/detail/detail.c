// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/detail/detail_entry.h"
#include "lib/base/mem.h"

#include <stdlib.h>

static bool start_group(struct qf_detail_part *p, const struct qf_group *grp)
{
	if (p->grp == grp)
		return true;
	p->grp = grp;
	p->first_damage = p->n_damages;
	p->sound_all = 0;
	if (grp->n > p->room) {
		free(p->slot);
		free(p->sound);
		p->slot = qf_mem_zalloc(grp->n, sizeof(*p->slot));
		p->sound = qf_mem_zalloc(grp->n, sizeof(*p->sound));
		p->room = p->slot && p->sound ? grp->n : 0;
		return p->room;
	}
	memset(p->slot, 0, grp->n * sizeof(*p->slot));
	memset(p->sound, 0, grp->n * sizeof(*p->sound));
	return true;
}

static size_t first_want(const struct qf_detail *d, uint64_t cluster)
{
	size_t lo = 0, hi = d->n_wants, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (d->want[mid] < cluster)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of one cluster no more owners than this are kept: nobody reads them. */
#define MAX_OWNERS 4
#define THIN_AT (1u << 16)

static int by_cluster(const void *pa, const void *pb)
{
	const struct qf_detail_owner *a = pa, *b = pb;

	if (a->cluster != b->cluster)
		return a->cluster < b->cluster ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->guest_off != b->guest_off)
		return a->guest_off < b->guest_off ? -1 : 1;
	if (a->active != b->active)
		return a->active ? -1 : 1;
	if (a->table_off != b->table_off)
		return a->table_off < b->table_off ? -1 : 1;
	return a->pointer_off < b->pointer_off
		       ? -1
		       : a->pointer_off > b->pointer_off;
}

/*
 * Keeps the first MAX_OWNERS owners of each cluster, and counts the others. As
 * the order is that of the owners alone, it does not depend on who found them.
 */
static size_t thin_out(struct qf_detail_owner *o, size_t n)
{
	size_t i, out = 0, same = 0;

	qsort(o, n, sizeof(*o), by_cluster);
	for (i = 0; i < n; i++) {
		same = out && o[out - 1].cluster == o[i].cluster ? same + 1 : 1;
		if (same > MAX_OWNERS) {
			o[out - 1].more += 1 + o[i].more;
			continue;
		}
		/* what an earlier round counted goes to the last one kept */
		if (same > 1) {
			o[i].more += o[out - 1].more;
			o[out - 1].more = 0;
		}
		o[out++] = o[i];
	}
	return out;
}

/* Notes of which wanted clusters there are enough owners: of those that come
 * behind them in the order, only the number is of interest. */
static void note_full(const struct qf_detail *d, struct qf_detail_part *p)
{
	size_t i, k = 0, same = 0;

	if (!p->full)
		p->full = qf_mem_zalloc(d->n_wants, sizeof(*p->full));
	if (!p->full)
		return; /* it only saves time */
	for (i = 0; i < p->n_owners; i++) {
		for (; d->want[k] != p->owner[i].cluster; k++)
			same = 0;
		p->full[k] = ++same == MAX_OWNERS ? i + 1 : 0;
	}
}

/* O is an owner of wanted cluster number K. */
static bool add_owner(struct qf_detail_search *s, struct qf_detail_part *p,
		      size_t k, const struct qf_detail_owner *o)
{
	struct qf_detail_owner *last =
		p->full && p->full[k] ? &p->owner[p->full[k] - 1] : NULL;

	if (last && by_cluster(last, o) < 0) {
		last->more++;
		return true;
	}
	if (!qf_mem_grow((void **)&p->owner, p->n_owners, &p->owner_room,
			 sizeof(*o)))
		return false;
	p->owner[p->n_owners++] = *o;
	if (p->n_owners >= THIN_AT && p->n_owners >= p->thin_at) {
		p->n_owners = thin_out(p->owner, p->n_owners);
		p->thin_at = p->n_owners * 2;
		note_full(s->d, p);
	}
	return true;
}

static bool see_owner(struct qf_detail_search *s, struct qf_detail_part *p,
		      const struct qf_run *r)
{
	const struct qf_geometry *g = &s->img->geo;
	uint64_t off = 0, bytes = qf_recount_run_bytes(s->img, r, &off);
	uint64_t first, n = qf_recount_touched(s->img, off, bytes, &first);
	struct qf_detail_owner o = { 0 };
	size_t k;

	if (!bytes || !n)
		return true;
	for (k = first_want(s->d, first);
	     k < s->d->n_wants && s->d->want[k] < first + n; k++) {
		uint32_t i = r->n > 1 ? (uint32_t)(s->d->want[k] - first) : 0;
		uint32_t v = r->active ? qf_detail_active_table(s, p, r)
				       : qf_detail_first_member(r);
		const struct qf_l2_table *t =
			&s->t->walk->table[p->grp->first + v];

		o.cluster = s->d->want[k];
		o.kind = r->kind == QF_ENTRY_KIND_COMPRESSED ? QF_REF_COMPRESSED
							     : QF_REF_DATA;
		o.holders = r->weight;
		o.active = r->active;
		o.l1_index = p->grp->l1_index;
		o.l2_index = r->index + i;
		o.guest_off =
			(((uint64_t)o.l1_index << g->l2_bits) + o.l2_index)
			<< g->cluster_bits;
		o.table_off = t->off;
		o.table = p->grp->first + v;
		o.pointer_off =
			t->off + (uint64_t)o.l2_index * g->l2_entry_bytes;
		o.entry = r->entry + ((uint64_t)i << g->cluster_bits);
		if (!add_owner(s, p, k, &o))
			return false;
	}
	return true;
}

static void count_sound(struct qf_detail_part *p, const struct qf_run *r)
{
	uint64_t word;
	uint32_t v;

	if (!r->members) {
		p->sound_all += r->n;
		return;
	}
	for (v = 0; v < p->grp->n; v += 64)
		for (word = r->members[v / 64]; word; word &= word - 1)
			p->sound[v + (uint32_t)__builtin_ctzll(word)] += r->n;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct qf_detail_search *s = ctx;
	struct qf_detail_part *p = &s->part[me];
	bool flags, ok = start_group(p, grp);

	for (; ok && n; n--, r++) {
		flags = r->active && !s->img->geo.data_file &&
			(r->kind == QF_ENTRY_KIND_DATA ||
			 r->kind == QF_ENTRY_KIND_ZERO_ALLOC);
		if (r->odd)
			ok = qf_detail_see_odd(s, p, r);
		else
			count_sound(p, r);
		ok = ok && (!flags || qf_detail_see_flags(s, p, r)) &&
		     see_owner(s, p, r);
	}
	return ok;
}

static bool end_group(void *ctx, unsigned int me, struct qf_group *grp)
{
	struct qf_detail_search *s = ctx;
	struct qf_detail_part *p = &s->part[me];
	size_t i;

	(void)grp;
	for (i = p->first_damage; p->grp == grp && i < p->n_damages; i++)
		p->damage[i].sound =
			p->sound_all + p->sound[p->damage[i].in_group];
	return true;
}

/* Metadata and L2 tables as owners. */
static bool see_claim(void *ctx, const struct qf_claim *c)
{
	struct qf_detail_search *s = ctx;
	struct qf_detail_owner o = { .kind = c->kind,
				     .holder = c->holder,
				     .holders = 1,
				     .guest_off = QF_NOWHERE,
				     .pointer_off = c->pointer_off,
				     .active = c->kind == QF_REF_L1 &&
					       c->holder == QF_HOLDER_ACTIVE };
	uint64_t first, n;
	size_t k;

	n = qf_recount_touched(s->img, c->off, c->bytes, &first);
	for (k = first_want(s->d, first);
	     n && k < s->d->n_wants && s->d->want[k] < first + n; k++) {
		o.cluster = s->d->want[k];
		o.l2_index = (uint32_t)c->index;
		if (!add_owner(s, &s->part[0], k, &o))
			return false;
	}
	return true;
}

static bool see_l2_tables(struct qf_detail_search *s)
{
	const struct qf_walk *w = s->t->walk;
	struct qf_detail_owner o = { .kind = QF_REF_L2 };
	uint64_t first, n, i;
	uint32_t g;
	size_t k;

	for (g = 0; s->d->n_wants && g < w->n_groups; g++) {
		for (i = 0; i < w->group[g].n; i++) {
			const struct qf_l2_table *t =
				&w->table[w->group[g].first + i];

			n = qf_recount_touched(s->img, t->off,
					       s->img->geo.cluster_bytes,
					       &first);
			for (k = first_want(s->d, first);
			     n && k < s->d->n_wants &&
			     s->d->want[k] < first + n;
			     k++) {
				o.cluster = s->d->want[k];
				o.l1_index = w->group[g].l1_index;
				o.holders = t->weight;
				o.active = t->active;
				o.table_off = t->off;
				o.guest_off = (uint64_t)o.l1_index
					      << (s->img->geo.l2_bits +
						  s->img->geo.cluster_bits);
				o.pointer_off = QF_NOWHERE;
				if (!add_owner(s, &s->part[0], k, &o))
					return false;
			}
		}
	}
	return true;
}

static int by_table(const void *pa, const void *pb)
{
	const struct qf_damage *a = pa, *b = pb;

	return a->table < b->table ? -1 : a->table > b->table;
}

static int by_entry(const void *pa, const void *pb)
{
	const struct qf_odd_entry *a = pa, *b = pb;

	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

/* One array of one worker. */
struct piece {
	const void *at;
	size_t n;
};

typedef struct piece piece_fn(const struct qf_detail_part *p);
typedef int cmp_fn(const void *, const void *);

static struct piece damage_piece(const struct qf_detail_part *p)
{
	return (struct piece){ p->damage, p->n_damages };
}

static struct piece owner_piece(const struct qf_detail_part *p)
{
	return (struct piece){ p->owner, p->n_owners };
}

static struct piece odd_piece(const struct qf_detail_part *p)
{
	return (struct piece){ p->odd, p->n_odd };
}

/* Joins the workers' arrays of one kind, sorted; NULL without memory. */
static void *join_kind(const struct qf_detail_search *s, piece_fn *piece,
		       size_t size, cmp_fn *cmp, size_t *n)
{
	struct piece pc;
	unsigned int i;
	char *all;

	*n = 0;
	for (i = 0; i < s->t->jobs; i++)
		*n += piece(&s->part[i]).n;
	all = qf_mem_zalloc(*n, size);
	if (!all)
		return NULL;
	*n = 0;
	for (i = 0; i < s->t->jobs; i++) {
		pc = piece(&s->part[i]);
		if (pc.n)
			memcpy(all + *n * size, pc.at, pc.n * size);
		*n += pc.n;
	}
	qsort(all, *n, size, cmp);
	return all;
}

static bool join(struct qf_detail_search *s)
{
	struct qf_detail *d = s->d;

	d->damage = join_kind(s, damage_piece, sizeof(*d->damage), by_table,
			      &d->n_damages);
	d->owner = join_kind(s, owner_piece, sizeof(*d->owner), by_cluster,
			     &d->n_owners);
	if (d->owner)
		d->n_owners = thin_out(d->owner, d->n_owners);
	d->odd = join_kind(s, odd_piece, sizeof(*d->odd), by_entry, &d->n_odd);
	return d->damage && d->owner && d->odd;
}

/*
 * The wanted clusters, from the recount's troubles: of clusters with two
 * owners each one, as the owners may change in the midst of a run.
 */
static bool take_wants(struct qf_detail_search *s, size_t limit)
{
	const struct qf_trouble *tr = s->t->trouble;
	struct qf_detail *d = s->d;
	size_t i, room = 0;
	uint64_t k, n;

	for (i = 0; i < s->t->n_troubles && d->n_wants < limit; i++, tr++) {
		if (tr->why & QF_TROUBLE_DOUBLE)
			n = tr->n;
		else
			n = tr->stated < tr->counted;
		for (k = 0; k < n && d->n_wants < limit; k++) {
			if (!qf_mem_grow((void **)&d->want, d->n_wants, &room,
					 sizeof(*d->want)))
				return false;
			d->want[d->n_wants++] = tr->first + k;
		}
	}
	return true;
}

/* Names one holder of each owner that an L1 entry leads to. */
static void name_holders(struct qf_detail_search *s)
{
	struct qf_detail_owner *o = s->d->owner;
	const struct qf_l2_table *t;
	size_t i;

	for (i = 0; i < s->d->n_owners; i++, o++) {
		if (o->kind != QF_REF_DATA && o->kind != QF_REF_COMPRESSED &&
		    o->kind != QF_REF_L2)
			continue;
		t = qf_walk_find(s->t->walk, o->l1_index, o->table_off);
		o->holder = o->active ? QF_HOLDER_ACTIVE
			    : t	      ? t->holder
				      : QF_HOLDER_IMAGE;
	}
}

static int by_offset(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

static bool list_garbage(struct qf_detail_search *s)
{
	struct qf_detail *d = s->d;
	size_t i;

	d->garbage = qf_mem_zalloc(d->n_damages, sizeof(*d->garbage));
	if (!d->garbage)
		return false;
	for (i = 0; i < d->n_damages; i++)
		if (qf_detail_is_garbage(&d->damage[i]))
			d->garbage[d->n_garbage++] =
				s->t->walk->table[d->damage[i].table].off;
	if (d->n_garbage)
		qsort(d->garbage, d->n_garbage, sizeof(*d->garbage), by_offset);
	return true;
}

bool qf_detail_holds_garbage(const struct qf_detail *d, uint64_t off)
{
	return d->n_garbage &&
	       bsearch(&off, d->garbage, d->n_garbage, sizeof(off), by_offset);
}

bool qf_detail_garbage_table(const struct qf_detail *d, uint64_t table)
{
	const struct qf_damage key = { .table = table };
	const struct qf_damage *at =
		d->n_damages ? bsearch(&key, d->damage, d->n_damages,
				       sizeof(key), by_table)
			     : NULL;

	return at && qf_detail_is_garbage(at);
}

static enum qf_err search(struct qf_detail_search *s, struct qf_why *why)
{
	struct qf_visitor v = { .ctx = s, .runs = see_runs, .end = end_group };
	struct qf_claim_fns fns = { .ctx = s, .claim = see_claim };
	enum qf_err err;

	err = qf_walk_run(s->t->walk, s->t->jobs, &v, why);
	if (!err && s->d->n_wants)
		err = qf_walk_metadata(s->img, &fns);
	if (!err && (!see_l2_tables(s) || !join(s)))
		err = QF_ERR_NOMEM;
	if (err == QF_ERR_STOPPED)
		err = QF_ERR_NOMEM;
	if (!err && (!qf_detail_find_foreign(s) || !list_garbage(s)))
		err = QF_ERR_NOMEM;
	if (!err)
		name_holders(s);
	return err;
}

enum qf_err qf_detail_make(const struct qf_recount *t, const struct qf_cut *cut,
			   size_t limit, bool all, struct qf_detail *d,
			   struct qf_why *why)
{
	struct qf_detail_search s = {
		.t = t, .img = t->walk->img, .cut = cut, .d = d, .all = all
	};
	enum qf_err err = QF_ERR_NOMEM;
	unsigned int i;

	memset(d, 0, sizeof(*d));
	s.part = qf_mem_zalloc(t->jobs, sizeof(*s.part));
	if (s.part && take_wants(&s, limit))
		err = search(&s, why);
	for (i = 0; s.part && i < t->jobs; i++) {
		free(s.part[i].damage);
		free(s.part[i].owner);
		free(s.part[i].odd);
		free(s.part[i].full);
		free(s.part[i].slot);
		free(s.part[i].sound);
	}
	free(s.part);
	if (err)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory to find the owners");
	return err;
}

void qf_detail_free(struct qf_detail *d)
{
	free(d->damage);
	free(d->owner);
	free(d->odd);
	free(d->want);
	free(d->garbage);
	memset(d, 0, sizeof(*d));
}

const struct qf_detail_owner *qf_detail_owners(const struct qf_detail *d,
					       uint64_t cluster, size_t *n)
{
	size_t lo = 0, hi = d->n_owners, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (d->owner[mid].cluster < cluster)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (*n = 0; lo + *n < d->n_owners; (*n)++)
		if (d->owner[lo + *n].cluster != cluster)
			break;
	return *n ? &d->owner[lo] : NULL;
}
