// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rounds of planning. Each round opens the image on the plan's overlay,
 * checks it, and lets the first fix that finds something to do plan its
 * edits; then image and facts are read anew. It ends when no fix has anything
 * left to do. The last check is the proof: if it is not strictly better than
 * the first, the plan is refused.
 */
#include "repair/plan/planner.h"
#include "repair/plan/mark.h"
#include "repair/fixes/fix.h"
#include "repair/write/stop.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* More rounds than there are fixes that can follow from one another. */
#define MAX_ROUNDS 40

/* In this order: what others build upon first. */
static qf_fix_fn *const fixes[] = {
	qf_fix_start,	  /* that it is an image */
	qf_fix_mixup,	  /* that its parts stand where they belong */
	qf_fix_geometry,  /* in which units it is read */
	qf_fix_header,	  /* what the image says of itself */
	qf_fix_fields,	  /* and what others say of it */
	qf_fix_l1_size,	  /* how long its table is */
	qf_fix_cut,	  /* what went with the end of the file */
	qf_fix_bitmaps,	  /* who else there is */
	qf_fix_snapshots, /* who there is at all */
	qf_fix_l1_place,  /* where their tables are */
	qf_fix_placed,	  /* which tables the user says there are */
	qf_fix_l1,	  /* which tables there are */
	qf_fix_unnamed,	  /* and which have no entry any more */
	qf_fix_older,	  /* what stood in those that are gone */
	qf_fix_stale,	  /* or in older copies of them */
	qf_fix_entries,	  /* where they lead */
	qf_fix_doubles,	  /* whose each cluster is */
	qf_fix_packed,	  /* and each compressed one */
	qf_fix_reftable,  /* where it is counted */
	qf_fix_refcounts, /* how many make use of each cluster */
	qf_fix_copied,	  /* what follows from that */
	qf_fix_leaks,	  /* what then is left over */
	qf_fix_swapped,	  /* which of two the guest has where */
	qf_fix_bits,	  /* whether all is well */
};

/* Problems that leave no doubt about who uses which cluster. */
static bool is_counting(enum qf_problem p)
{
	switch (p) {
	case QF_P_REFCOUNT_LEAK:
	case QF_P_REFCOUNT_HIGH:
	case QF_P_REFCOUNT_LOW:
	case QF_P_REFCOUNT_ZERO:
	case QF_P_REFTABLE_RESERVED:
	case QF_P_REFTABLE_UNALIGNED:
	case QF_P_REFTABLE_OUTSIDE:
	case QF_P_REFBLOCK_SHARED:
	case QF_P_REFBLOCK_WRONG:
	case QF_P_HEADER_REFTABLE_OFFSET:
	case QF_P_HEADER_REFTABLE_OUTSIDE:
	case QF_P_COPIED_L1:
	case QF_P_COPIED_L2:
		return true;
	default:
		return false;
	}
}

/*
 * While anything else is wrong, an allocated cluster without an owner may be
 * what a lost pointer led to: it is not freed.
 */
static bool must_withhold(const struct qf_report *rep)
{
	const struct qf_finding *f = rep->findings.at;
	size_t i;

	for (i = 0; i < rep->findings.n; i++, f++)
		if (qf_problem_get(f->problem)->severity >= QF_SEV_UNREAD &&
		    !is_counting(f->problem))
			return true;
	return false;
}

static void free_facts(struct qf_fix_ctx *c)
{
	qf_ledger_free(c->beyond);
	c->beyond = NULL;
	qf_recount_free(&c->recount);
	qf_walk_free(&c->walk);
	qf_image_close(c->img);
	c->img = NULL;
}

/* True if the plan has put all right: no fix has anything to do, and none needs
 * the facts. */
static bool is_done(const struct qf_fix_ctx *c, const struct qf_report *rep)
{
	return c->plan->n && !rep->findings.n && !rep->questions.n;
}

/* Opens the image as planned so far and gathers the facts. */
static enum qf_err look(struct qf_fix_ctx *c, const struct qf_check_opts *o,
			struct qf_report *rep, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_overlay_view(c->plan->over, &io, why);

	if (err)
		return err;
	err = qf_image_open(io, &c->img, why);
	if (err)
		return err;
	c->near->held = false;
	qf_check_free(rep);
	err = qf_check_run(c->img, o, rep, why);
	if (!err && !o->cut) {
		qf_cut_free(&c->plan->cut);
		c->plan->cut = rep->cut;
		rep->cut = (struct qf_cut){ 0 };
	}
	c->rep = rep;
	if (err || is_done(c, rep))
		return err;
	err = qf_walk_gather(c->img, &c->walk, why);
	if (!err)
		err = qf_recount_make(&c->walk, o->jobs, 0, QF_RECOUNT_SOUND,
				      &c->recount, why);
	return err;
}

/* True if a writer with lazy refcounts was killed and nothing else is wrong:
 * refcounts are behind, which QEMU makes up for when it opens the image. */
static bool is_lazy(const struct qf_fix_ctx *c)
{
	const struct qf_finding *f = c->rep->findings.at;
	size_t i;

	if (c->img->hdr.version < 3 || c->rep->withhold ||
	    !(c->img->hdr.incompatible & QF_INCOMPAT_DIRTY))
		return false;
	for (i = 0; i < c->rep->findings.n; i++, f++)
		if (qf_problem_get(f->problem)->severity >= QF_SEV_LEAK &&
		    f->problem != QF_P_REFCOUNT_LOW &&
		    f->problem != QF_P_REFCOUNT_ZERO &&
		    f->problem != QF_P_COPIED_L1 &&
		    f->problem != QF_P_COPIED_L2)
			return false;
	return true;
}

/*
 * True if it is the size of clusters that is wrong, or both the L1 table and the
 * refcount table are elsewhere: nothing can be made of such an image but worse.
 */
static bool is_misread(const struct qf_fix_ctx *c)
{
	uint64_t stated = 0;

	if (c->img->l1_state == QF_PART_OK &&
	    qf_fix_found(c, QF_P_HEADER_L1_OFFSET))
		return qf_fix_refcount(c, 0, &stated) || !stated;
	return c->img->reftable_state == QF_PART_UNALIGNED &&
	       c->img->l1_state == QF_PART_UNALIGNED;
}

/* True if all that was cut off may be given up. */
static bool may_give_up(const struct qf_plan *p)
{
	return !p->withhold_leaks && qf_plan_allows(p, QF_P_L1_OUTSIDE) &&
	       qf_plan_allows(p, QF_P_L2_OUTSIDE) &&
	       qf_plan_allows(p, QF_P_L2_CUT) &&
	       qf_plan_allows(p, QF_P_SNAP_L1_OUTSIDE) &&
	       qf_plan_allows(p, QF_P_SNAP_TABLE_OFFSET);
}

/*
 * True if an L1 entry was bent and may not be put right: with the refcounts of
 * the table that it names raised, nothing would tell any more that the clusters
 * of its own are no leaks.
 */
static bool is_bent_for_good(const struct qf_fix_ctx *c)
{
	return qf_fix_found(c, QF_P_L1_BENT) &&
	       !qf_plan_allows(c->plan, QF_P_L1_BENT);
}

/* Lets the first fix that has something to do plan it. */
static enum qf_err one_round(struct qf_fix_ctx *c, bool *changed,
			     struct qf_why *why)
{
	size_t had = c->plan->n, i;
	enum qf_err err = QF_OK;

	if (!had)
		c->plan->lazy = is_lazy(c);
	/* what was wrong in the header itself explains no cut, nor hides it */
	if (qf_plan_is_within(c->plan, c->img->ext_area_end))
		c->plan->cut_told = c->rep->cut_explains &&
				    may_give_up(c->plan);
	if (qf_plan_is_within(c->plan, c->img->ext_area_end))
		c->plan->cut_frees = c->plan->cut_told && c->rep->cut_snapshots;
	if (!had)
		c->plan->no_parts = c->plan->withhold_leaks ||
				    (c->recount.too_low &&
				     !qf_fix_found(c, QF_P_L2_ERASED_PART));
	if (qf_fix_found(c, QF_P_L2_COPY) ||
	    qf_fix_found(c, QF_P_L2_OTHER_STATE))
		c->plan->table_copied = true;
	else if (c->plan->table_copied && c->recount.leaked)
		c->plan->withhold_leaks = true;
	c->plan->withhold_all = !c->plan->cut_frees &&
				(c->rep->withhold || must_withhold(c->rep) ||
				 qf_plan_gives_up(c->plan));
	for (i = 0; !err && !is_done(c, c->rep) &&
		    i < sizeof(fixes) / sizeof(fixes[0]);
	     i++) {
		if (fixes[i] == qf_fix_reftable && is_bent_for_good(c))
			break;
		err = fixes[i](c, why);
		if (c->plan->n != had ||
		    (fixes[i] == qf_fix_geometry && is_misread(c)) ||
		    (fixes[i] == qf_fix_mixup && qf_fix_mixup_is_open(c)))
			break;
	}
	*changed = c->plan->n != had;
	return err;
}

/*
 * All that is wrong and not merely wasted. Data behind the disk's end are
 * neither made nor moved by a repair: they only come to light where a VM state
 * has lost its snapshot.
 */
static uint64_t gravity(const struct qf_report *rep)
{
	const struct qf_finding *f = rep->findings.at;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < rep->findings.n; i++, f++)
		if (qf_problem_get(f->problem)->severity >= QF_SEV_UNREAD &&
		    f->problem != QF_P_BEYOND_DISK)
			sum += f->count ? f->count : 1;
	return sum;
}

/* The proof: why the plan must not be carried out, or nothing. */
static void compare(struct qf_planner *m)
{
	const struct qf_report *a = &m->before, *b = &m->after;
	uint64_t ga = gravity(a), gb = gravity(b);

	m->refused = true;
	if (b->errors > a->errors) {
		snprintf(m->reason, sizeof(m->reason),
			 "more of the image could not be read afterwards");
	} else if (gb > ga || b->corruptions > a->corruptions) {
		snprintf(m->reason, sizeof(m->reason),
			 "the image would have %" PRIu64
			 " corruptions afterwards, and has %" PRIu64 " now",
			 gb, ga);
	} else if (gb == ga && b->leaks > a->leaks) {
		snprintf(m->reason, sizeof(m->reason),
			 "the image would have %" PRIu64
			 " leaks afterwards, and has %" PRIu64 " now",
			 b->leaks, a->leaks);
	} else if (gb == ga && b->leaks == a->leaks &&
		   b->warnings >= a->warnings && !m->plan->forgets) {
		snprintf(m->reason, sizeof(m->reason),
			 "the recheck finds as much wrong as before");
	} else if (m->plan->limit < QF_RISK_DATA && !m->plan->leaks_only &&
		   a->tables == b->tables && a->tables != QF_VERDICT_CLEAN) {
		snprintf(m->reason, sizeof(m->reason),
			 "what may be done at this risk leaves the image %s",
			 qf_check_verdict(b->tables));
	} else {
		m->refused = false;
	}
}

static void take_opts(struct qf_plan *p, const struct qf_planner_opts *opts)
{
	p->limit = opts->limit;
	p->leaks_only = opts->leaks_only;
	p->withhold_leaks = opts->withhold_leaks;
	p->guess = opts->guess;
	p->choice = opts->choice;
	p->n_choices = opts->n_choices;
	p->placed = opts->placed;
	p->n_places = opts->n_places;
	p->drop_in_use = opts->drop_in_use;
	p->spared = opts->spared;
	p->n_spared = opts->n_spared;
	if (opts->refused)
		memcpy(p->refused, opts->refused, sizeof(p->refused));
}

/* What is given up is marked in the same round, so that the next check sees
 * the mark, too. What was only kept may still find its owner. */
static enum qf_err remember(struct qf_plan *p, struct qf_why *why)
{
	bool kept = p->kept_unowned, gives_up;

	p->kept_unowned = false;
	gives_up = qf_plan_gives_up(p);
	p->kept_unowned = kept;
	return gives_up ? qf_mark_plan(p, why) : QF_OK;
}

/* How the rounds went: what was wrong when each began. */
struct course {
	struct {
		uint64_t gravity, leaks;
	} at[MAX_ROUNDS + 1];
	unsigned int n;
	unsigned int most; /* rounds that may plan something */
};

static bool less(const struct course *co, unsigned int a, unsigned int b)
{
	if (co->at[a].gravity != co->at[b].gravity)
		return co->at[a].gravity < co->at[b].gravity;
	return co->at[a].leaks < co->at[b].leaks;
}

/* The round after which the image was best; 0: it never was better. */
static unsigned int best_round(const struct course *co)
{
	unsigned int i, best = 0;

	for (i = 1; i < co->n; i++)
		if (less(co, i, best))
			best = i;
	return best;
}

/* What was kept and has found no owner is marked, too. */
static enum qf_err last_word(struct qf_planner *m, struct qf_fix_ctx *c,
			     const struct qf_check_opts *check,
			     struct qf_why *why)
{
	size_t had = m->plan->n;
	enum qf_err err = QF_OK;

	if (m->after.tables == QF_VERDICT_CLEAN)
		m->plan->kept_unowned = false;
	if (had && qf_plan_gives_up(m->plan))
		err = qf_mark_plan(m->plan, why);
	if (!err && m->plan->n != had)
		err = look(c, check, &m->after, why);
	return err;
}

/* What is lost may read otherwise afterwards: that is what a repair is for. */
static enum qf_err take_licences(struct qf_plan *p, const struct qf_report *rep,
				 struct qf_why *why)
{
	const struct qf_lost_range *l = rep->lost.at;
	size_t i;

	for (i = 0; i < rep->lost.n; i++, l++)
		if (!l->id[0] &&
		    !qf_plan_licence(p, l->holder, l->guest_off, l->bytes))
			return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					  "no memory for the plan");
	return QF_OK;
}

static enum qf_err rounds(struct qf_planner *m,
			  const struct qf_planner_opts *opts, struct course *co,
			  struct qf_why *why)
{
	/* what is lost may read otherwise: a guess must not allow that */
	struct qf_check_opts check = { .jobs = opts->jobs,
				       .guest = opts->guest,
				       .whole_mixups = true,
				       .released = &m->plan->released };
	struct qf_refcount_piece near = { 0 };
	struct qf_fix_ctx c = { .plan = m->plan, .near = &near };
	enum qf_err err = QF_OK;
	uint64_t header_end = 0;
	bool changed = true;

	for (co->n = 0; !err && changed && co->n <= co->most; co->n++) {
		struct qf_report *rep = co->n ? &m->after : &m->before;

		if (qf_stop_asked())
			return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
					  "stopped; nothing was written");
		/* what is written then hides that the file was cut */
		if (m->plan->fresh.n || m->plan->cut_done)
			check.cut = &m->plan->cut;
		check.cut_told = m->plan->cut_frees;
		err = look(&c, &check, rep, why);
		if (!err) {
			m->cluster_bytes = c.img->geo.cluster_bytes;
			header_end = c.img->ext_area_end;
			/* no bit of version 3 is set in what may be 2 */
			m->version = c.img->hdr.version_open
					     ? 2
					     : c.img->hdr.version;
			co->at[co->n].gravity = gravity(rep);
			co->at[co->n].leaks = rep->leaks;
		}
		if (!err && !qf_plan_touches_data(m->plan))
			err = take_licences(m->plan, rep, why);
		changed = false;
		if (!err && co->n < co->most)
			err = one_round(&c, &changed, why);
		if (!err && changed)
			err = remember(m->plan, why);
		/* what the plan itself has written is no evidence of it */
		check.no_mixup = !rep->questions.mixups ||
				 !qf_plan_is_within(m->plan, header_end);
		m->withheld = m->plan->withhold_all;
		free_facts(&c);
	}
	if (!err && co->n == 1) /* nothing planned: after is before */
		err = look(&c, &check, &m->after, why);
	free_facts(&c);
	if (!err)
		err = last_word(m, &c, &check, why);
	free_facts(&c);
	return err;
}

/* Lets go of an attempt, before the next one. */
static void drop(struct qf_planner *m)
{
	qf_plan_free(m->plan);
	m->plan = NULL;
	qf_check_free(&m->before);
	qf_check_free(&m->after);
	m->refused = false;
}

static enum qf_err attempt(struct qf_io *io, const struct qf_planner_opts *opts,
			   struct qf_planner *m, struct course *co,
			   struct qf_why *why)
{
	enum qf_err err = qf_plan_new(io, &m->plan, why);

	if (err)
		return err;
	take_opts(m->plan, opts);
	if (opts->forget)
		err = qf_mark_drop(m->plan, why);
	if (!err)
		err = rounds(m, opts, co, why);
	if (!err && m->plan->n)
		compare(m);
	return err;
}

/*
 * If all that can be planned does not make the image better, what was planned
 * first may: the fixes that others build upon come first.
 */
static enum qf_err best_attempt(struct qf_io *io,
				const struct qf_planner_opts *opts,
				struct qf_planner *m, struct qf_why *why)
{
	struct course co = { .most = MAX_ROUNDS };
	enum qf_err err = attempt(io, opts, m, &co, why);

	if (err || !m->plan->n)
		return err;
	co.most = best_round(&co);
	if (!co.most || (!m->refused && co.n <= co.most + 2))
		return QF_OK;
	if (!m->refused && !less(&co, co.most, co.n - 1))
		return QF_OK;
	drop(m);
	return attempt(io, opts, m, &co, why);
}

/* The gate stops one kind of repair after another, and in the end all. */
static enum qf_err gated(struct qf_io *io, const struct qf_planner_opts *opts,
			 struct qf_planner *m, struct qf_why *why)
{
	struct qf_planner_opts less_of = *opts;
	bool refused[QF_PROBLEMS] = { false }, found = true;
	struct qf_gate_breach *b;
	enum qf_err err = QF_OK;

	memset(m, 0, sizeof(*m));
	if (opts->refused)
		memcpy(refused, opts->refused, sizeof(refused));
	less_of.refused = refused;
	while (!err && found) {
		drop(m);
		err = best_attempt(io, &less_of, m, why);
		found = false;
		if (err || !m->plan->n || m->refused)
			break;
		b = &m->breach[m->n_breaches];
		err = qf_gate_compare(m->plan, b, &found, why);
		if (err || !found)
			break;
		/* without what is wrong in the header, the rest is misread */
		if (++m->n_breaches == QF_PLANNER_BREACHES ||
		    refused[b->problem] || b->header) {
			m->refused = true;
			snprintf(m->reason, sizeof(m->reason),
				 "the guest would read something else");
			break;
		}
		refused[b->problem] = true;
	}
	return err;
}

/* What is wrong in REP, and is not in what MORE makes of it. */
static void note_mended(const struct qf_report *rep,
			const struct qf_planner *more, bool *mended)
{
	size_t i;

	for (i = 0; i < rep->findings.n; i++)
		mended[rep->findings.at[i].problem] = true;
	for (i = 0; i < more->after.findings.n; i++)
		mended[more->after.findings.at[i].problem] = false;
}

/* What more would be done if more might be at stake. */
static enum qf_err look_beyond(struct qf_io *io,
			       const struct qf_planner_opts *opts,
			       struct qf_planner *m, struct qf_why *why)
{
	struct qf_planner_opts all = *opts;
	struct qf_planner more;
	enum qf_err err;
	size_t i;

	all.limit = QF_RISK_DATA;
	err = gated(io, &all, &more, why);
	for (i = 0; !err && !more.refused && i < more.plan->n; i++) {
		if (more.plan->edit[i].risk <= opts->limit)
			continue;
		m->beyond++;
		if (more.plan->edit[i].risk > m->beyond_risk)
			m->beyond_risk = more.plan->edit[i].risk;
	}
	if (!err && m->beyond)
		note_mended(m->refused ? &m->before : &m->after, &more,
			    m->beyond_mends);
	qf_planner_free(&more);
	return err;
}

enum qf_err qf_planner_plan(struct qf_io *io,
			    const struct qf_planner_opts *opts,
			    struct qf_planner *m, struct qf_why *why)
{
	enum qf_err err = gated(io, opts, m, why);

	if (err || opts->limit == QF_RISK_DATA || opts->leaks_only ||
	    (m->refused ? &m->before : &m->after)->tables == QF_VERDICT_CLEAN)
		return err;
	return look_beyond(io, opts, m, why);
}

void qf_planner_free(struct qf_planner *m)
{
	drop(m);
	qf_trim_free(&m->trim);
	memset(m, 0, sizeof(*m));
}
