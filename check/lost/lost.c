// SPDX-License-Identifier: GPL-2.0-or-later
/* The search for lost mappings, from its parts. */
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"

#include <stdlib.h>

bool qf_lost_leaked(const struct qf_recount *t, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_at(t, cluster);

	return tr && !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED)) &&
	       tr->stated > tr->counted;
}

static int by_offset(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

/* The refcount blocks' offsets, ascending. */
static bool list_refblocks(struct qf_search *s)
{
	uint64_t i, off;

	s->refblock =
		qf_mem_zalloc(s->img->reftable_entries, sizeof(*s->refblock));
	if (!s->refblock)
		return false;
	for (i = 0; i < s->img->reftable_entries; i++) {
		off = qf_image_refblock(s->img, i);
		if (off)
			s->refblock[s->n_refblocks++] = off;
	}
	qsort(s->refblock, s->n_refblocks, sizeof(*s->refblock), by_offset);
	return true;
}

/* The L2 tables' offsets, ascending; and those of the empty ones. */
static bool list_tables(struct qf_search *s)
{
	uint64_t i;

	s->known = qf_mem_zalloc(s->w->n_tables, sizeof(*s->known));
	s->empty = qf_mem_zalloc(s->w->n_tables, sizeof(*s->empty));
	if (!s->known || !s->empty)
		return false;
	for (i = 0; i < s->w->n_tables; i++) {
		s->known[i] = s->w->table[i].off;
		if (!s->w->table[i].filled)
			s->empty[s->n_empty++] = s->known[i];
	}
	qsort(s->known, s->w->n_tables, sizeof(*s->known), by_offset);
	qsort(s->empty, s->n_empty, sizeof(*s->empty), by_offset);
	return true;
}

bool qf_lost_is_refblock(const struct qf_search *s, uint64_t cluster)
{
	uint64_t off = cluster << s->img->geo.cluster_bits;

	return bsearch(&off, s->refblock, s->n_refblocks, sizeof(off),
		       by_offset);
}

enum qf_err qf_lost_find(struct qf_walk *w, const struct qf_recount *t,
			 bool no_guest, struct qf_lost *l, struct qf_why *why)
{
	struct qf_search s = {
		.w = w, .img = w->img, .t = t, .l = l, .no_guest = no_guest
	};
	bool ok = true;

	memset(l, 0, sizeof(*l));
	if (!t->leaked)
		return QF_OK;
	s.explained_bytes = ((t->clusters + 1) / 64 + 1) * 8;
	s.explained = qf_mem_map(s.explained_bytes);
	s.named = qf_mem_map(s.explained_bytes);
	s.buf = qf_mem_zalloc(2, w->img->geo.cluster_bytes);
	s.other = s.buf ? s.buf + w->img->geo.cluster_bytes : NULL;
	ok = s.explained && s.named && s.buf && list_refblocks(&s) &&
	     list_tables(&s) && qf_lost_count_tail(&s) &&
	     qf_lost_find_orphans(&s) && qf_lost_find_snapshots(&s) &&
	     qf_lost_find_erased(&s) && qf_lost_find_parts(&s) &&
	     qf_lost_find_within(&s) && qf_lost_find_l1(&s);
	qf_mem_unmap(s.explained, s.explained_bytes);
	qf_mem_unmap(s.named, s.explained_bytes);
	free(s.known);
	free(s.empty);
	free(s.buf);
	free(s.refblock);
	free(s.tail);
	if (ok)
		return QF_OK;
	qf_lost_free(l);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to look for lost tables");
}

void qf_lost_free(struct qf_lost *l)
{
	free(l->orphan);
	free(l->erased);
	free(l->part);
	free(l->snapshots.at);
	memset(l, 0, sizeof(*l));
}
