// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that hold another structure, of which few words or none look odd:
 * a snapshot table has some, a copy of the refcount table has none, but its
 * words point to metadata.
 */
#include "check/detail/detail_entry.h"
#include "check/detail/whatis.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many tables are looked at. */
#define MAX_LOOKS 256u

static bool is_data(const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_DATA || o->kind == QF_REF_COMPRESSED;
}

static struct qf_damage *find(struct qf_detail *d, uint64_t table)
{
	size_t lo = 0, hi = d->n_damages, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (d->damage[mid].table < table)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < d->n_damages && d->damage[lo].table == table
		       ? &d->damage[lo]
		       : NULL;
}

static bool insert(struct qf_detail *d, const struct qf_detail_owner *o)
{
	struct qf_damage *more = qf_mem_zalloc(d->n_damages + 1, sizeof(*more));
	size_t i;

	if (!more)
		return false;
	for (i = 0; i < d->n_damages && d->damage[i].table < o->table; i++)
		more[i] = d->damage[i];
	more[i].l1_index = o->l1_index;
	more[i].table = o->table;
	more[i].foreign = true;
	memcpy(&more[i + 1], &d->damage[i], (d->n_damages - i) * sizeof(*more));
	free(d->damage);
	d->damage = more;
	d->n_damages++;
	return true;
}

/* The owner O of a cluster has metadata there beside him. */
static bool look_at_owner(struct qf_detail_search *s,
			  const struct qf_detail_owner *o, uint64_t *last,
			  unsigned int *looks)
{
	struct qf_damage *d = find(s->d, o->table);
	bool foreign;

	if (o->table == *last || (d && d->foreign) || *looks >= MAX_LOOKS)
		return true;
	*last = o->table;
	++*looks;
	foreign = qf_whatis_foreign(s->img, o->table_off);
	if (foreign && d)
		d->foreign = true;
	return !foreign || d || insert(s->d, o);
}

bool qf_detail_find_foreign(struct qf_detail_search *s)
{
	const struct qf_detail_owner *o = s->d->owner;
	uint64_t last = UINT64_MAX;
	unsigned int looks = 0;
	size_t i, k, end;
	bool meta;

	for (i = 0; i < s->d->n_damages && looks < MAX_LOOKS; i++) {
		struct qf_damage *d = &s->d->damage[i];

		if (!d->entries || qf_detail_is_garbage(d))
			continue;
		looks++;
		d->foreign = qf_whatis_foreign(s->img,
					       s->t->walk->table[d->table].off);
	}
	for (i = 0; i < s->d->n_owners; i = end) {
		meta = false;
		for (end = i;
		     end < s->d->n_owners && o[end].cluster == o[i].cluster;
		     end++)
			meta |= !is_data(&o[end]);
		for (k = i; meta && k < end; k++)
			if (is_data(&o[k]) &&
			    !look_at_owner(s, &o[k], &last, &looks))
				return false;
	}
	return true;
}
