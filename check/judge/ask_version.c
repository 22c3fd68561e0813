// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L2 entries with nothing in them, while another version of the table names a
 * cluster there that counts for more owners than it has: had this one been the
 * same? Each version with nothing there may have had it; and each whose entry
 * there was bent to a cluster that has an owner too many; and each disk whose
 * L1 entry is empty, or leads elsewhere. The counts say the same for all of
 * them; what tells them apart is which table is damaged just there.
 */
#include "check/judge/questions.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Of a table with more versions than this, none is asked about. */
#define MAX_VERSIONS 16u
#define MAX_HOLDERS 256u
#define SECTOR 512u
/* Clusters without an owner that are looked at, and so often for a group. */
#define MAX_ORPHANS 16384u
#define MAX_LOOKS 4u

struct word {
	uint64_t entry, bitmap;
};

/* How much the table that has nothing there speaks for damage. */
enum state {
	STATE_SOUND,   /* something stands there, or it cannot be asked */
	STATE_BENT,    /* that leads to what others own */
	STATE_NOTHING, /* entries in the same sector are sound */
	STATE_BLANK,   /* nothing stands in the whole sector */
	STATE_DAMAGED, /* what stands there is no L2 table */
};

struct work {
	const struct qf_facts *f;
	struct qf_questions *l;
	const struct qf_group **group; /* that have such entries */
	size_t n, room;
	/* of the group that is looked at */
	const struct qf_group *g;
	unsigned char *buf; /* its tables, one after another */
	bool readable[MAX_VERSIONS];
	uint64_t vacant; /* disks that have no sound table at its L1 index */
	size_t first;	 /* question of the entries at this L2 index */
	unsigned int looks;
	bool stray;	  /* a version of its tables has no owner */
	uint64_t *orphan; /* clusters without an owner, once they are asked */
	size_t n_orphans;
	bool failed;
};

static const struct qf_l2_table *table(const struct work *w, uint32_t v)
{
	return &w->f->walk->table[w->g->first + v];
}

static struct word word_at(const struct work *w, uint32_t v, uint32_t i)
{
	const struct qf_geometry *g = &w->f->img->geo;
	struct qf_be64 b[2] = { 0 };

	memcpy(b, w->buf + v * g->cluster_bytes + (size_t)i * g->l2_entry_bytes,
	       g->l2_entry_bytes);
	return (struct word){ qf_be_get64(b[0]),
			      g->extl2 ? qf_be_get64(b[1]) : 0 };
}

static bool is_odd(const struct work *w, struct word e)
{
	const struct qf_image *img = w->f->img;

	return qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
			       e.entry, e.bitmap);
}

/* -- which groups -- */

static bool is_high(const struct qf_facts *f, const struct qf_run *r)
{
	uint64_t off, first, end, bytes = qf_recount_run_bytes(f->img, r, &off);
	const struct qf_trouble *tr;

	end = bytes ? qf_recount_touched(f->img, off, bytes, &first) : 0;
	if (!end)
		return false;
	for (end += first; first < end; first = tr->first + tr->n) {
		tr = qf_recount_from(f->recount, first);
		if (!tr || tr->first >= end)
			return false;
		if (tr->stated > tr->counted)
			return true;
	}
	return false;
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct work *w = ctx;

	(void)me;
	for (; n; n--, r++) {
		if (!r->members || r->odd || !is_high(w->f, r))
			continue;
		if (w->n && w->group[w->n - 1] == grp)
			return true;
		if (!qf_mem_grow((void **)&w->group, w->n, &w->room,
				 sizeof(grp)))
			return false;
		w->group[w->n++] = grp;
		return true;
	}
	return true;
}

static bool wants(void *ctx, const struct qf_group *g)
{
	(void)ctx;
	return g->n > 1 && g->n <= MAX_VERSIONS;
}

/* True if some clusters have owners, but not as many as they count. */
static bool any_high(const struct qf_recount *t)
{
	size_t i;

	for (i = 0; i < t->n_troubles; i++)
		if (t->trouble[i].counted &&
		    t->trouble[i].stated > t->trouble[i].counted)
			return true;
	return false;
}

/* -- one group -- */

/* True if the cluster at OFF has an owner too many, or counts as free. */
static bool is_low(const struct qf_facts *f, uint64_t off)
{
	const struct qf_trouble *tr =
		qf_recount_at(f->recount, off >> f->img->geo.cluster_bits);

	return tr && (tr->why & QF_TROUBLE_DOUBLE || tr->counted > tr->stated);
}

/* Disks that could have a table at the group's L1 index and have none that is
 * theirs beyond doubt. */
static uint64_t count_vacant(const struct work *w)
{
	const struct qf_image *img = w->f->img;
	uint32_t h, entries, v;
	uint64_t off, n = 0;

	for (h = 0; h < qf_image_holders(img) && h < MAX_HOLDERS; h++)
		n += qf_image_l1(img, h, &off, &entries) &&
		     w->g->l1_index < entries &&
		     (h || w->g->l1_index < img->geo.l1_needed);
	for (v = 0; v < w->g->n; v++)
		if (w->readable[v])
			n -= table(w, v)->weight < n ? table(w, v)->weight : n;
	return n;
}

static void read_tables(struct work *w)
{
	uint64_t bytes = w->f->img->geo.cluster_bytes;
	const struct qf_l2_table *t;
	uint32_t v;

	for (v = 0; v < w->g->n; v++) {
		t = table(w, v);
		w->readable[v] = t->off && !t->odd && !t->unread &&
				 !t->unfollowed && !is_low(w->f, t->off) &&
				 !qf_io_read_pad(w->f->img->io,
						 w->buf + v * bytes, bytes,
						 t->off, NULL);
	}
	w->vacant = count_vacant(w);
	w->looks = 0;
	w->stray = false;
}

/* True if the table at OFF has E at index I. */
static bool stands_in(const struct work *w, uint64_t off, struct word e,
		      uint32_t i)
{
	const struct qf_image *img = w->f->img;
	struct qf_be64 b;

	return !qf_io_read_pad(img->io, &b, sizeof(b),
			       off + (uint64_t)i * img->geo.l2_entry_bytes,
			       NULL) &&
	       !((qf_be_get64(b) ^ e.entry) & ~QF_ENTRY_COPIED);
}

/*
 * True if a cluster without an owner has E at index I, too: that is the table,
 * and an L1 entry was bent to what seems to be one with nothing there.
 */
static bool has_stray(struct work *w, struct word e, uint32_t i)
{
	size_t k;

	if (w->stray || w->looks++ >= MAX_LOOKS)
		return w->stray;
	if (!w->orphan) {
		w->orphan = qf_mem_zalloc(MAX_ORPHANS, sizeof(*w->orphan));
		w->failed |= !w->orphan;
		if (w->failed)
			return true;
		w->n_orphans = qf_facts_orphans(w->f, w->orphan, MAX_ORPHANS);
	}
	w->stray = w->n_orphans == MAX_ORPHANS;
	for (k = 0; k < w->n_orphans && !w->stray; k++)
		w->stray = stands_in(w, w->orphan[k], e, i);
	for (k = 0; k < w->f->n_nameless && !w->stray; k++)
		w->stray = stands_in(w, w->f->nameless[k], e, i);
	return w->stray;
}

/* What stands in version V around entry I, where it has nothing. */
static enum state state_of(const struct work *w, uint32_t v, uint32_t i)
{
	const struct qf_geometry *g = &w->f->img->geo;
	uint32_t per = SECTOR / g->l2_entry_bytes, k = i / per * per, end;
	struct word e = word_at(w, v, i);
	bool odd = false, sound = false;

	if (!w->readable[v])
		return STATE_SOUND;
	if ((e.entry || e.bitmap) && !is_odd(w, e))
		return is_low(w->f, qf_question_version(g, e.entry))
			       ? STATE_BENT
			       : STATE_SOUND;
	if (qf_facts_is_garbage(w->f, table(w, v)->off) ||
	    qf_facts_is_erased(w->f, table(w, v)->off))
		return STATE_DAMAGED;
	for (end = k + per; k < end && k < g->l2_entries; k++) {
		e = word_at(w, v, k);
		if (!e.entry && !e.bitmap)
			continue;
		odd |= is_odd(w, e);
		sound |= !is_odd(w, e);
	}
	return sound ? STATE_NOTHING : odd ? STATE_DAMAGED : STATE_BLANK;
}

/*
 * How many references the clusters of E, which WEIGHT holders name, count more
 * than they have; 0: they have all, or do not agree. In a packed cluster each
 * of its owners' references counts.
 */
static uint64_t missing(const struct work *w, struct word e, uint64_t weight)
{
	const struct qf_image *img = w->f->img;
	struct qf_run r = { .entry = e.entry, .bitmap = e.bitmap, .n = 1 };
	uint64_t off, bytes, first, n, k, lacks, times = 1, found = 0;

	r.kind = (uint8_t)qf_entry_kind(&img->geo, e.entry);
	bytes = qf_recount_run_bytes(img, &r, &off);
	n = bytes ? qf_recount_touched(img, off, bytes, &first) : 0;
	for (k = 0; k < n; k++) {
		lacks = qf_facts_lacking(w->f,
					 (first + k) << img->geo.cluster_bits);
		if (lacks && r.kind == QF_ENTRY_KIND_COMPRESSED) {
			times = qf_recount_counted(w->f->recount, first + k);
			if (times % weight || lacks % (times / weight))
				return 0;
			lacks /= times / weight;
		}
		if (!lacks || (k && lacks != found))
			return 0;
		found = lacks;
	}
	return found;
}

struct claim {
	struct word e;
	uint64_t missing;
	unsigned int rivals; /* versions that may have had it */
	bool vacant;	     /* or others */
};

/* The question about PLACE, which two versions may have raised. */
static struct qf_question *question_at(struct work *w, uint64_t place)
{
	size_t k;

	for (k = w->first; k < w->l->n; k++)
		if (w->l->at[k].place_off == place)
			return &w->l->at[k];
	return qf_question_add(w->l, QF_QUESTION_VERSION, place);
}

static void ask(struct work *w, const struct claim *c, uint32_t v, uint32_t i,
		enum state s)
{
	const struct qf_geometry *g = &w->f->img->geo;
	const struct qf_l2_table *t = table(w, v);
	struct qf_hypothesis *h;
	struct qf_question *q =
		question_at(w, t->off + (uint64_t)i * g->l2_entry_bytes);

	if (!q)
		return;
	q->problem = QF_P_L2_ERASED_PART;
	q->holder = t->holder;
	q->guest_off = (((uint64_t)w->g->l1_index << g->l2_bits) + i)
		       << g->cluster_bits;
	q->bytes = g->cluster_bytes;
	q->weight = t->weight;
	q->opposed = true; /* it reads nothing, and something is missing */
	h = qf_question_value(q, q->place_off,
			      qf_question_version(g, c->e.entry));
	qf_question_for(h, QF_WITNESS_VERSION_COUNTS);
	if (s == STATE_DAMAGED)
		qf_question_for(h, QF_WITNESS_VERSION_DAMAGED);
	else if (s == STATE_BLANK)
		qf_question_for(h, QF_WITNESS_VERSION_BLANK);
	if (c->rivals == 1 && !c->vacant)
		qf_question_for(h, QF_WITNESS_VERSION_ONLY);
}

/* The versions that have E at index I: how many holders, in how many tables. A
 * table that is counted too often itself had a holder that has vanished: then
 * what it maps has too, and says nothing. */
static uint64_t holders_of(const struct work *w, struct word e, uint32_t i,
			   bool *vanished)
{
	uint64_t weight = 0;
	struct word o;
	uint32_t v;

	*vanished = false;
	for (v = 0; v < w->g->n; v++) {
		o = word_at(w, v, i);
		if (!w->readable[v] || o.bitmap != e.bitmap ||
		    (o.entry ^ e.entry) & ~QF_ENTRY_COPIED)
			continue;
		weight += table(w, v)->weight;
		*vanished |= qf_facts_lacking(w->f, table(w, v)->off) > 0;
	}
	return weight;
}

/* True if the entry of version V is asked by itself, what it said: it is odd,
 * in a table that is one. */
static bool is_dead(const struct work *w, uint32_t v, uint32_t i)
{
	struct word e = word_at(w, v, i);

	return w->readable[v] && (e.entry || e.bitmap) && is_odd(w, e) &&
	       !qf_facts_is_garbage(w->f, table(w, v)->off);
}

/* What else than the group's versions may have had what C tells of: the
 * disks without a table there, a table without an owner; and of a cluster that
 * is packed, all that lack a table anywhere. */
static bool may_be_anothers(struct work *w, const struct claim *c, uint32_t i)
{
	return w->vacant >= c->missing ||
	       (c->e.entry & QF_ENTRY_COMPRESSED &&
		(w->f->refs_low || w->f->n_nameless)) ||
	       (c->rivals && has_stray(w, c->e, i));
}

/* Asks all versions with nothing at index I about what version FROM has. One
 * that is damaged just there goes before those in whose sector all is well. */
static void ask_entry(struct work *w, uint32_t from, uint32_t i)
{
	struct claim c = { .e = word_at(w, from, i) };
	enum state s[MAX_VERSIONS];
	bool vanished, dead = false;
	uint64_t weight;
	uint32_t v;

	if (!w->readable[from] || !c.e.entry || is_odd(w, c.e))
		return;
	weight = holders_of(w, c.e, i, &vanished);
	if (vanished || !weight)
		return;
	c.missing = missing(w, c.e, weight);
	if (!c.missing)
		return;
	for (v = 0; v < w->g->n; v++) {
		s[v] = state_of(w, v, i);
		if (s[v] != STATE_SOUND && table(w, v)->weight == c.missing)
			c.rivals++;
		else
			s[v] = STATE_SOUND;
		dead |= s[v] && is_dead(w, v, i);
	}
	c.vacant = may_be_anothers(w, &c, i);
	for (v = 0; v < w->g->n; v++)
		if (s[v] > (dead ? STATE_NOTHING : STATE_BENT) &&
		    !is_dead(w, v, i))
			ask(w, &c, v, i, s[v]);
}

static void ask_group(struct work *w)
{
	uint32_t v, i;

	read_tables(w);
	for (i = 0; i < w->f->img->geo.l2_entries; i++, w->first = w->l->n)
		for (v = 0; v < w->g->n; v++)
			ask_entry(w, v, i);
}

enum qf_err qf_ask_versions(const struct qf_facts *f, struct qf_questions *l)
{
	struct work w = { .f = f, .l = l };
	struct qf_visitor v = { .ctx = &w, .runs = see_runs, .want = wants };
	size_t i;

	if (!any_high(f->recount) || f->img->geo.data_file)
		return QF_OK;
	/* one worker: the order of the questions is always the same */
	w.failed = qf_walk_run(f->walk, 1, &v, NULL);
	if (!w.failed && w.n) {
		w.buf = qf_mem_zalloc(MAX_VERSIONS, f->img->geo.cluster_bytes);
		w.failed = !w.buf;
	}
	for (i = 0; !w.failed && i < w.n && l->n < QF_QUESTIONS_MAX; i++) {
		w.g = w.group[i];
		w.first = l->n;
		ask_group(&w);
	}
	free(w.group);
	free(w.orphan);
	free(w.buf);
	return w.failed ? QF_ERR_NOMEM : QF_OK;
}
