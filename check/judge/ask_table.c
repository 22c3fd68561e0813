// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 tables that are counted for one owner less than they have, while another
 * version of them lacks its only one: an L1 entry was bent from the one to the
 * other. Both are sound tables; the counts alone tell that one was misled.
 */
#include "check/judge/questions.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many tables without a name are read, and holders of one table asked. */
#define MAX_NAMELESS 64u
#define MAX_HOLDERS 64u
#define MAX_LOW 4096u

/* A table without a name. */
struct stray {
	uint64_t off;
	unsigned char *buf;
	/* entries with the flag of the active disk's own clusters, and such
	 * without it, whose clusters nobody else has */
	uint64_t flagged, plain;
};

struct work {
	const struct qf_facts *f;
	struct qf_questions *l;
	struct stray *stray;
	size_t n;
	unsigned char *buf; /* a table that has a name */
	unsigned int low;   /* tables looked at */
	bool more;	    /* tables that were not: nothing is decided */
};

static uint64_t entry_at(const struct work *w, const unsigned char *table,
			 uint32_t i)
{
	struct qf_be64 e;

	memcpy(&e, table + (uint64_t)i * w->f->img->geo.l2_entry_bytes,
	       sizeof(e));
	return qf_be_get64(e);
}

static void count_flags(const struct work *w, struct stray *s)
{
	const struct qf_geometry *g = &w->f->img->geo;
	uint64_t e, stated;
	uint32_t i;

	for (i = 0; i < g->l2_entries; i++) {
		e = entry_at(w, s->buf, i);
		if (qf_entry_kind(g, e) != QF_ENTRY_KIND_DATA ||
		    !qf_facts_is_orphan(w->f, e & QF_ENTRY_OFFSET_MASK,
					&stated) ||
		    stated != 1)
			continue;
		if (e & QF_ENTRY_COPIED)
			s->flagged++;
		else
			s->plain++;
	}
}

/* Reads the tables without a name that lack one owner. */
static bool read_strays(struct work *w)
{
	const struct qf_facts *f = w->f;
	struct stray *s;
	size_t i;

	w->stray = qf_mem_zalloc(f->n_nameless, sizeof(*w->stray));
	w->buf = qf_mem_zalloc(1, f->img->geo.cluster_bytes);
	if (!w->stray || !w->buf)
		return false;
	for (i = 0; i < f->n_nameless; i++) {
		if (qf_facts_lacking(f, f->nameless[i]) != 1)
			continue;
		if (w->n == MAX_NAMELESS) {
			w->more = true;
			break;
		}
		s = &w->stray[w->n];
		s->off = f->nameless[i];
		s->buf = qf_mem_zalloc(1, f->img->geo.cluster_bytes);
		if (!s->buf)
			return false;
		if (qf_io_read_pad(f->img->io, s->buf,
				   f->img->geo.cluster_bytes, s->off, NULL)) {
			free(s->buf);
			s->buf = NULL;
			w->more = true;
			continue;
		}
		count_flags(w, s);
		w->n++;
	}
	return true;
}

/* True if the table in w->buf and S name one host cluster at one index. */
static bool are_versions(const struct work *w, const struct stray *s)
{
	const struct qf_geometry *g = &w->f->img->geo;
	uint64_t a, b;
	uint32_t i;

	for (i = 0; i < g->l2_entries; i++) {
		a = entry_at(w, w->buf, i) & ~QF_ENTRY_COPIED;
		b = entry_at(w, s->buf, i) & ~QF_ENTRY_COPIED;
		if (a == b && a & QF_ENTRY_OFFSET_MASK)
			return true;
	}
	return false;
}

/* True if S is another version of the tables of G. */
static bool is_of_group(struct work *w, const struct qf_group *g,
			const struct stray *s)
{
	const struct qf_l2_table *t;
	uint32_t v;

	for (v = 0; v < g->n && v < MAX_HOLDERS; v++) {
		t = &w->f->walk->table[g->first + v];
		if (t->off && !t->odd && !t->unread && t->filled &&
		    !qf_io_read_pad(w->f->img->io, w->buf,
				    w->f->img->geo.cluster_bytes, t->off,
				    NULL) &&
		    are_versions(w, s))
			return true;
	}
	return false;
}

/* True if T is counted for one owner less than it has. */
static bool is_low(const struct work *w, const struct qf_l2_table *t)
{
	const struct qf_trouble *tr;

	if (!t->off || t->odd || t->unread ||
	    qf_facts_is_garbage(w->f, t->off) ||
	    qf_facts_is_double(w->f, t->off))
		return false;
	tr = qf_recount_at(w->f->recount,
			   t->off >> w->f->img->geo.cluster_bits);
	return tr && tr->why & QF_TROUBLE_REFCOUNT &&
	       !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED)) &&
	       tr->hits == tr->n && tr->counted == tr->stated + 1;
}

/* True if an L1 entry of the group leads nowhere: the table can be its, too. */
static bool has_dead(const struct work *w, const struct qf_group *g)
{
	const struct qf_l2_table *t = &w->f->walk->table[g->first];
	uint32_t v;

	for (v = 0; v < g->n; v++)
		if (t[v].odd || !t[v].off ||
		    qf_facts_is_garbage(w->f, t[v].off))
			return true;
	return false;
}

/* The L1 entry of HOLDER named S, and not the table that it names now. */
static void speak(struct work *w, const struct qf_group *g, uint32_t holder,
		  const struct stray *s)
{
	const struct qf_geometry *geo = &w->f->img->geo;
	bool active = holder == QF_HOLDER_ACTIVE;
	struct qf_question *q;
	struct qf_hypothesis *h;
	uint32_t entries;
	uint64_t l1;

	if (!qf_image_l1(w->f->img, holder, &l1, &entries))
		return;
	l1 += g->l1_index * 8ull;
	q = qf_question_find(w->l, QF_QUESTION_TABLE, l1);
	if (!q)
		return;
	q->problem = QF_P_L1_BENT;
	q->holder = holder;
	q->guest_off = (uint64_t)g->l1_index
		       << (geo->l2_bits + geo->cluster_bits);
	q->bytes = geo->cluster_bytes << geo->l2_bits;
	q->opposed = true;
	q->more |= w->more || g->n > MAX_HOLDERS;
	h = qf_question_value(q, l1, s->off);
	qf_question_for(h, QF_WITNESS_TABLE_LOW);
	qf_question_for(h, QF_WITNESS_TABLE_VERSION);
	if (active ? s->flagged && !s->plain : s->plain && !s->flagged)
		qf_question_for(h, QF_WITNESS_TABLE_FLAGS);
	if (active ? s->plain > 0 : s->flagged > 0)
		qf_question_against(h, QF_WITNESS_TABLE_FLAGS);
}

static void ask(struct work *w, const struct qf_group *g,
		const struct qf_l2_table *t)
{
	uint32_t holder[MAX_HOLDERS], n, k;
	size_t i;

	if (has_dead(w, g))
		return;
	n = qf_walk_holders(w->f->walk, g->l1_index, t->off, holder,
			    MAX_HOLDERS);
	for (i = 0; n <= MAX_HOLDERS && i < w->n; i++) {
		if (!is_of_group(w, g, &w->stray[i]))
			continue;
		for (k = 0; k < n; k++)
			speak(w, g, holder[k], &w->stray[i]);
	}
}

enum qf_err qf_ask_tables(const struct qf_facts *f, struct qf_questions *l)
{
	struct work w = { .f = f, .l = l };
	const struct qf_group *g = f->walk->group;
	enum qf_err err = QF_OK;
	uint32_t i, v;

	if (!f->n_nameless || !f->refs_low)
		return QF_OK;
	if (!read_strays(&w))
		err = QF_ERR_NOMEM;
	for (i = 0; !err && w.n && i < f->walk->n_groups; i++, g++)
		for (v = 0; v < g->n && w.low < MAX_LOW; v++)
			if (is_low(&w, &f->walk->table[g->first + v])) {
				w.low++;
				ask(&w, g, &f->walk->table[g->first + v]);
			}
	for (i = 0; w.stray && i < w.n; i++)
		free(w.stray[i].buf);
	free(w.stray);
	free(w.buf);
	return err;
}
