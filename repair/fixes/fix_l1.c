// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1 entries that break the format's rules. A damaged word has no good bits:
 * what takes its place is a table's offset, and the flag that the refcount
 * demands. A pointer to a lost table is restored if the table is found. Else
 * the entry stays: it is the evidence that something is missing.
 */
#include "repair/plan/decide.h"
#include "repair/search/orphan.h"
#include "repair/search/place.h"

#include <inttypes.h>

#define MAX_HOLDERS 64u
/* With more damaged entries, evidence is not looked for. */
#define MAX_PLACED 4096u

struct l1_fix {
	struct qf_fix_ctx *c;
	const struct qf_group *g;
	const struct qf_l2_table *t;
	enum qf_problem problem;
	uint64_t off; /* that the entries shall have */
	const char *what;
	/* for all entries */
	unsigned int damaged;	/* entries that lead nowhere */
	struct qf_ranges taken; /* tables that were given to one */
	struct qf_place place;
	bool placed;
};

/* The entry of HOLDER for the table at f->off, and nothing else. */
static uint64_t word_for(const struct l1_fix *f, uint32_t holder)
{
	uint64_t stated = 0;

	if (!f->off || holder != QF_HOLDER_ACTIVE ||
	    qf_fix_refcount(f->c, f->off >> f->c->img->geo.cluster_bits,
			    &stated))
		stated = 0;
	return f->off | (stated == 1 ? QF_ENTRY_COPIED : 0);
}

/* Sets the entry of one holder. */
static enum qf_err one_holder(struct l1_fix *f, uint32_t holder,
			      struct qf_why *why)
{
	const struct qf_image *img = f->c->img;
	uint64_t l1_off, at;
	uint32_t entries;

	if (!qf_image_l1(img, holder, &l1_off, &entries) ||
	    f->g->l1_index >= entries)
		return QF_OK;
	at = l1_off + f->g->l1_index * 8ull;
	/* an entry that makes the header a table claims all it points to; and
	 * where an L1 table is said to be longer than its disk needs, what
	 * stands there may be no entry at all */
	if ((f->t->off && qf_fix_shared(f->c, at)) ||
	    (holder == QF_HOLDER_ACTIVE &&
	     f->g->l1_index >= img->geo.l1_needed))
		return QF_OK;
	return qf_plan_put64(f->c->plan, f->problem, at, word_for(f, holder),
			     why, f->what);
}

static enum qf_err all_holders(struct l1_fix *f, struct qf_why *why)
{
	uint32_t holder[MAX_HOLDERS], n, i;
	enum qf_err err = QF_OK;

	n = qf_walk_holders(&f->c->walk, f->g->l1_index, f->t->off, holder,
			    MAX_HOLDERS);
	/* more of them: the next round takes them */
	for (i = 0; !err && i < n && i < MAX_HOLDERS; i++)
		err = one_holder(f, holder[i], why);
	return err;
}

static bool leads_nowhere(const struct qf_l2_table *t)
{
	return !t->off ||
	       t->odd & (QF_ODD_PAST_END | QF_ODD_UNALIGNED | QF_ODD_OWN_L1);
}

/* True if the counts bear out the table that the entry names: it is allocated,
 * and no one else's. */
static bool is_borne_out(const struct l1_fix *f)
{
	uint64_t stated;

	return !qf_fix_shared(f->c, f->t->off) &&
	       !qf_fix_refcount(f->c, f->t->off >> f->c->img->geo.cluster_bits,
				&stated) &&
	       stated;
}

/* True if the table at OFF can be the one of the entry. */
static bool suits(const struct l1_fix *f, uint64_t off)
{
	const struct qf_l2_table *t = f->t;
	uint64_t stated;

	return !qf_fix_refcount(f->c, off >> f->c->img->geo.cluster_bits,
				&stated) &&
	       stated == t->weight &&
	       qf_orphan_suits(f->c, off, f->g->l1_index,
			       t->active && t->weight == 1);
}

/* A table that nobody names, with evidence for the entry's index. */
static bool find_placed(struct l1_fix *f)
{
	const struct qf_place_table *t;
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < f->place.n; i++) {
		t = &f->place.t[i];
		if (!t->how || t->doubt || t->index != f->g->l1_index ||
		    !suits(f, t->off))
			continue;
		f->off = t->off;
		n++;
	}
	f->what = "point the L1 entry to the one table without an owner for "
		  "whose place there is evidence";
	return n == 1;
}

/* True if no other damaged entry leads into the cluster that this one does:
 * each could be the one that the table there was for. */
static bool is_alone(const struct l1_fix *f)
{
	const struct qf_walk *w = &f->c->walk;
	uint32_t bits = f->c->img->geo.cluster_bits;
	uint64_t k, n = 0;

	if (f->damaged > MAX_PLACED)
		return false;
	for (k = 0; k < w->n_tables && f->damaged > 1; k++)
		n += leads_nowhere(&w->table[k]) &&
		     w->table[k].off >> bits == f->t->off >> bits;
	return n <= 1;
}

/* The table that the entry named: f->off. *FOUND is false if it is not
 * known. */
static enum qf_err find_table(struct l1_fix *f, bool *found, struct qf_why *why)
{
	enum qf_err err = QF_OK;

	*found = qf_orphan_under(f->c, f->t->off, &f->off) && is_alone(f);
	f->what = "point the L1 entry to the begin of the table in whose midst "
		  "it led: all that this maps lacks an owner";
	if (*found)
		return QF_OK;
	f->off = qf_place_lacking(f->c, f->g, f->t->weight);
	f->what = "point the L1 entry to the table that others have there, "
		  "which counts one owner more";
	*found = f->off;
	if (*found || !f->c->recount.leaked || f->damaged > MAX_PLACED)
		return QF_OK;
	if (!f->placed)
		err = qf_place_find(f->c, &f->place, why);
	f->placed = true;
	if (err)
		return err;
	*found = find_placed(f);
	/* where a table has an owner too many, that one may have had it */
	if (*found || f->damaged != 1 || qf_fix_found(f->c, QF_P_DOUBLE_L2))
		return QF_OK;
	f->what = "point the only damaged L1 entry to the only table without "
		  "an owner";
	*found = qf_orphan_only_table(f->c, &f->off) && suits(f, f->off);
	return QF_OK;
}

static enum qf_err restore(struct l1_fix *f, struct qf_why *why)
{
	enum qf_err err;
	bool found;

	err = find_table(f, &found, why);
	if (err || !found || qf_ranges_has(&f->taken, f->off))
		return err;
	if (!qf_ranges_add(&f->taken, f->off, 1))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	return all_holders(f, why);
}

static enum qf_err one_table(struct l1_fix *f, struct qf_why *why)
{
	const struct qf_l2_table *t = f->t;

	f->off = t->off;
	f->problem = t->odd & QF_ODD_PAST_END	 ? QF_P_L1_OUTSIDE
		     : t->odd & QF_ODD_UNALIGNED ? QF_P_L1_UNALIGNED
		     : t->odd & QF_ODD_OWN_L1	 ? QF_P_L1_OWN
						 : QF_P_L1_RESERVED;
	if (!t->off)
		f->problem = QF_P_L1_NOTHING;
	if (!qf_plan_allows(f->c->plan, f->problem))
		return QF_OK;
	f->what = "clear the reserved bits of the L1 entry";
	if (!leads_nowhere(t) && (is_borne_out(f) || !f->c->recount.leaked))
		return all_holders(f, why);
	return restore(f, why);
}

/* Points the entries back that were bent to a sound table, as the verdicts have
 * it. */
static enum qf_err straighten(struct qf_fix_ctx *c, struct qf_why *why)
{
	const struct qf_questions *l = &c->rep->questions;
	struct l1_fix f = { .c = c };
	enum qf_decision d;
	enum qf_err err = QF_OK;
	uint64_t at;
	size_t i;

	for (i = 0; !err && i < l->n; i++) {
		at = l->at[i].place_off;
		if (l->at[i].kind != QF_QUESTION_TABLE ||
		    !qf_plan_allows(c->plan, l->at[i].problem) ||
		    qf_fix_shared(c, at))
			continue;
		d = qf_decide(c->plan, c->rep, QF_QUESTION_TABLE, at, &f.off,
			      NULL);
		/* once the counts are put right, nothing tells of it */
		c->plan->kept_unowned |= d == QF_DECIDE_OPEN &&
					 qf_question_best_value(&l->at[i]);
		if (d != QF_DECIDE_VALUE)
			continue;
		err = qf_plan_put64(c->plan, l->at[i].problem, at,
				    word_for(&f, l->at[i].holder), why,
				    "point the L1 entry that was bent back to "
				    "its own table");
	}
	return err;
}

enum qf_err qf_fix_l1(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct l1_fix f = { .c = c };
	size_t had = c->plan->n;
	enum qf_err err;
	uint32_t i, v;
	uint64_t k;

	/* what that leaves is seen anew */
	err = straighten(c, why);
	if (err || c->plan->n != had)
		return err;
	for (k = 0; k < c->walk.n_tables; k++)
		f.damaged += leads_nowhere(&c->walk.table[k]);
	for (i = 0; !err && i < c->walk.n_groups; i++) {
		f.g = &c->walk.group[i];
		for (v = 0; !err && v < f.g->n; v++) {
			f.t = &c->walk.table[f.g->first + v];
			if (f.t->odd || !f.t->off)
				err = one_table(&f, why);
		}
	}
	qf_place_free(&f.place);
	qf_ranges_free(&f.taken);
	return err;
}
