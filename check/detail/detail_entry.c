// SPDX-License-Identifier: GPL-2.0-or-later
/* The second walk, entry by entry: odd entries and COPIED flags. */
#include "check/detail/detail_entry.h"
#include "lib/base/mem.h"

#include <string.h>

uint32_t qf_detail_first_member(const struct qf_run *r)
{
	uint32_t w = 0;

	if (!r->members)
		return 0;
	while (!r->members[w])
		w++;
	return w * 64 + (uint32_t)__builtin_ctzll(r->members[w]);
}

bool qf_detail_is_member(const struct qf_run *r, uint32_t v)
{
	return !r->members || r->members[v / 64] >> (v % 64) & 1;
}

/* The damage record of table V of the group at hand, made if need be. */
static struct qf_damage *damage_of(struct qf_detail_part *p, uint32_t v)
{
	struct qf_damage *d;

	if (p->slot[v])
		return &p->damage[p->slot[v] - 1];
	if (!qf_mem_grow((void **)&p->damage, p->n_damages, &p->damage_room,
			 sizeof(*d)))
		return NULL;
	d = &p->damage[p->n_damages++];
	memset(d, 0, sizeof(*d));
	d->l1_index = p->grp->l1_index;
	d->in_group = v;
	d->table = p->grp->first + v;
	p->slot[v] = (uint32_t)p->n_damages;
	return d;
}

static struct qf_odd_entry *new_entry(struct qf_detail_part *p)
{
	if (!qf_mem_grow((void **)&p->odd, p->n_odd, &p->odd_room,
			 sizeof(*p->odd)))
		return NULL;
	memset(&p->odd[p->n_odd], 0, sizeof(*p->odd));
	return &p->odd[p->n_odd++];
}

/* Keeps an odd entry: by itself with --all, else as a part of a run. */
static bool keep_odd(struct qf_detail_search *s, struct qf_detail_part *p,
		     struct qf_damage *d, const struct qf_run *r)
{
	struct qf_odd_entry *e = p->n_odd ? &p->odd[p->n_odd - 1] : NULL;

	if (!s->all && e && e->table == d->table && e->odd == r->odd &&
	    e->index + e->n == r->index) {
		e->n++;
		return true;
	}
	if (!s->all && d->kept++ >= QF_DETAIL_KEPT) {
		d->more = true;
		return true;
	}
	e = new_entry(p);
	if (!e)
		return false;
	e->table = d->table;
	e->l1_index = d->l1_index;
	e->index = r->index;
	e->n = 1;
	e->entry = r->entry;
	e->weight = r->weight;
	e->odd = r->odd;
	return true;
}

/* Keeps a wrong COPIED flag; only with --all. */
static bool keep_flag(struct qf_detail_search *s, struct qf_detail_part *p,
		      const struct qf_damage *d, const struct qf_run *r,
		      uint32_t i, uint64_t stated)
{
	struct qf_odd_entry *e = new_entry(p);

	if (!e)
		return false;
	e->table = d->table;
	e->l1_index = d->l1_index;
	e->index = r->index + i;
	e->n = 1;
	e->entry = r->entry + ((uint64_t)i << s->img->geo.cluster_bits);
	e->weight = r->weight;
	e->stated = stated;
	return true;
}

/* The active disk's table in the group at hand. */
uint32_t qf_detail_active_table(const struct qf_detail_search *s,
				const struct qf_detail_part *p,
				const struct qf_run *r)
{
	uint32_t v;

	for (v = 0; v < p->grp->n; v++)
		if (s->t->walk->table[p->grp->first + v].active &&
		    qf_detail_is_member(r, v))
			return v;
	return qf_detail_first_member(r);
}

bool qf_detail_see_odd(struct qf_detail_search *s, struct qf_detail_part *p,
		       const struct qf_run *r)
{
	/* versions that differ in COPIED alone are shown as one run: the flag
	 * is the active table's */
	bool flag = r->odd == QF_ODD_COPIED_NOTHING && r->active;
	uint32_t v = flag ? qf_detail_active_table(s, p, r)
			  : qf_detail_first_member(r);
	uint32_t weight = flag ? s->t->walk->table[p->grp->first + v].weight
			       : r->weight;
	struct qf_damage *d = damage_of(p, v);
	unsigned int odd, bit;

	if (!d)
		return false;
	d->entries++;
	for (odd = r->odd; odd; odd &= odd - 1) {
		bit = (unsigned int)__builtin_ctz(odd);
		if (!d->odd[bit]) {
			d->first_entry[bit] = r->entry;
			d->first_index[bit] = r->index;
		}
		d->odd[bit] += weight;
	}
	d->cut_off += qf_cut_took_entry(s->cut, &s->img->geo, r->entry, r->odd);
	return keep_odd(s, p, d, r);
}

static bool wrong_flag(struct qf_detail_search *s, struct qf_detail_part *p,
		       const struct qf_run *r, uint32_t from, uint32_t n,
		       uint64_t stated)
{
	bool copied = r->entry & QF_ENTRY_COPIED;
	struct qf_damage *d;
	uint32_t v, i;

	if ((stated == 1) == copied)
		return true;
	v = qf_detail_active_table(s, p, r);
	d = damage_of(p, v);
	if (!d)
		return false;
	if (!d->copied) {
		d->copied_index = r->index + from;
		d->copied_entry =
			r->entry + ((uint64_t)from << s->img->geo.cluster_bits);
		d->copied_stated = stated;
	}
	d->copied += n;
	d->copied_set |= copied;
	for (i = 0; s->all && i < n; i++)
		if (!keep_flag(s, p, d, r, from + i, stated))
			return false;
	return true;
}

/* The part [FROM, FROM + N) of a run, all in the trouble TR. */
static bool flags_in_trouble(struct qf_detail_search *s,
			     struct qf_detail_part *p, const struct qf_run *r,
			     uint64_t cluster, uint32_t from, uint32_t n,
			     const struct qf_trouble *tr)
{
	uint64_t stated;
	uint32_t i;

	if (tr->why & QF_TROUBLE_UNKNOWN)
		return true;
	if (tr->hits == tr->n)
		return wrong_flag(s, p, r, from, n, tr->stated);
	for (i = 0; i < n; i++) /* a run of runs: ask the file */
		if (!qf_image_refcount(s->img, cluster + from + i, &stated,
				       NULL) &&
		    !wrong_flag(s, p, r, from + i, 1, stated))
			return false;
	return true;
}

/* COPIED must be set exactly where the stated refcount is 1. */
bool qf_detail_see_flags(struct qf_detail_search *s, struct qf_detail_part *p,
			 const struct qf_run *r)
{
	uint64_t off = r->entry & QF_ENTRY_OFFSET_MASK, stated;
	uint64_t first = off >> s->img->geo.cluster_bits;
	uint64_t end = first + r->n, at = first, stop;
	const struct qf_trouble *tr;

	if (r->odd & QF_ODD_PAST_END) /* outside the recount */
		return qf_image_refcount(s->img, first, &stated, NULL) ||
		       wrong_flag(s, p, r, 0, 1, stated);
	for (tr = qf_recount_from(s->t, first);
	     tr && tr < s->t->trouble + s->t->n_troubles && tr->first < end;
	     tr++) {
		at = tr->first > first ? tr->first : first;
		stop = tr->first + tr->n < end ? tr->first + tr->n : end;
		if (!flags_in_trouble(s, p, r, first, (uint32_t)(at - first),
				      (uint32_t)(stop - at), tr))
			return false;
	}
	return true;
}
