// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stories that damage tells. Each is a rule over the findings and the facts
 * behind them; a rule asks for signs that no other cause leaves.
 */
#include "check/judge/diagnose.h"
#include "check/judge/doubles.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"

/* So many clusters in use that count as free are no tool's doing. */
#define MANY_ZERO 3u

/* The unit in which file systems keep holes. */
#define PAGE_BYTES 4096u

/*
 * Of a hundred images for which a cause was named, this many had it: then it
 * is likely, and possible. No act follows from a cause; the words do.
 */
#define LIKELY_OF_100 98u
#define POSSIBLE_OF_100 80u

static const struct {
	const char *name;
	unsigned int named, right;
	const char *story, *advice;
} causes[QF_CAUSES] = {
#define QF_CAUSE(NAME, name, named, right, story, advice) \
	[QF_CAUSE_##NAME] = { name, named, right, story, advice },
#include "check/judge/causes.def"
#undef QF_CAUSE
};

const char *qf_diagnose_name(enum qf_cause c)
{
	return causes[c].name;
}

/* One is taken off what was right: what was never measured is not sure. */
enum qf_grade qf_diagnose_grade(enum qf_cause c)
{
	unsigned int n = causes[c].named + 2, right = causes[c].right + 1;

	return 100u * right >= LIKELY_OF_100 * n     ? QF_GRADE_LIKELY
	       : 100u * right >= POSSIBLE_OF_100 * n ? QF_GRADE_POSSIBLE
						     : QF_GRADE_OPEN;
}

const char *qf_diagnose_heading(enum qf_cause c)
{
	static const char *const text[] = {
		[QF_GRADE_OPEN] = "What could have happened",
		[QF_GRADE_POSSIBLE] = "What may have happened",
		[QF_GRADE_LIKELY] = "What has likely happened",
		[QF_GRADE_PROVEN] = "What has happened",
	};

	return text[qf_diagnose_grade(c)];
}

const char *qf_diagnose_story(enum qf_cause c)
{
	return causes[c].story;
}

const char *qf_diagnose_advice(enum qf_cause c)
{
	return causes[c].advice;
}

/* The clusters or entries of all findings of a problem. */
static uint64_t count(const struct qf_pass_ctx *c, enum qf_problem p)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->out->n; i++)
		if (c->out->at[i].problem == p)
			n += c->out->at[i].count;
	return n;
}

static void add(const struct qf_pass_ctx *c, struct qf_diagnosis *d,
		enum qf_problem p)
{
	if (d->n < 8 && count(c, p))
		d->evidence[d->n++] = p;
}

/* Clusters that the active disk may write in place, though shared. */
static uint64_t copied_though_shared(const struct qf_pass_ctx *c)
{
	uint64_t n = 0, i;
	size_t k;

	for (k = 0; k < c->detail.n_damages; k++)
		if (c->detail.damage[k].copied_set &&
		    c->detail.damage[k].copied_stated > 1 &&
		    !qf_detail_is_garbage(&c->detail.damage[k]))
			n += c->detail.damage[k].copied;
	for (i = 0; i < c->walk.n_tables; i++)
		if (c->walk.table[i].active && c->walk.table[i].copied &&
		    c->walk.table[i].weight > 1)
			n++;
	return n;
}

/* Clusters that the active disk and a snapshot share, but are counted as
 * if one had them alone. */
static uint64_t low_though_shared(const struct qf_pass_ctx *c)
{
	const struct qf_trouble *tr = c->recount.trouble;
	const struct qf_detail_owner *o;
	uint64_t n = 0;
	size_t i, owners;

	for (i = 0; i < c->recount.n_troubles; i++, tr++) {
		if (!tr->stated || tr->stated >= tr->counted ||
		    tr->why & QF_TROUBLE_DOUBLE)
			continue;
		o = qf_detail_owners(&c->detail, tr->first, &owners);
		if (owners && o->active && o->holders > 1)
			n += tr->hits;
	}
	return n;
}

/* Orphaned tables that name clusters which others have: the one writer gave
 * them out, and the other did so again. */
static uint64_t given_twice(const struct qf_pass_ctx *c)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < c->lost.n_orphans; i++)
		n += c->lost.orphan[i].entries - c->lost.orphan[i].leaked;
	return n;
}

/* Tables of the active disk that were overwritten. */
static bool has_active_garbage(const struct qf_pass_ctx *c)
{
	const struct qf_damage *d = c->detail.damage;
	size_t i;

	for (i = 0; i < c->detail.n_damages; i++)
		if (c->walk.table[d[i].table].active &&
		    qf_detail_is_garbage(&d[i]))
			return true;
	return false;
}

static bool two_writers(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	struct qf_doubles n;

	qf_doubles_count(c, &n);
	/* two programs make two owners, not dozens */
	if (n.crowd || qf_doubles_took_snapshots(c))
		return false;
	/* a table that was overwritten with another one looks alike */
	if (count(c, QF_P_L2_COPY) && !n.overwritten)
		return false;
	/* one pointer that is damaged leads to one cluster, and leaves its
	 * own table behind */
	if (n.active < 2 && (!n.overwritten || c->lost.n_orphans) &&
	    (!given_twice(c) || !has_active_garbage(c)))
		return false;
	add(c, d, QF_P_DOUBLE_DATA);
	add(c, d, QF_P_DOUBLE_META);
	add(c, d, QF_P_DOUBLE_TABLES);
	add(c, d, QF_P_DOUBLE_L2);
	add(c, d, QF_P_REFBLOCK_SHARED);
	add(c, d, QF_P_L2_GARBAGE);
	add(c, d, QF_P_L2_ORPHAN);
	add(c, d, QF_P_REFCOUNT_LOW);
	return d->n;
}

/* True if counts are none, and tell nothing. Narrow ones are right by chance
 * here and there, so that their block is not known to be overwritten. */
static bool holds_no_counts(const struct qf_pass_ctx *c)
{
	size_t i;

	for (i = 0; i < c->blocks.n; i++)
		if (c->blocks.bad[i].garbage)
			return true;
	return c->img->hdr.refcount_order < 3 &&
	       (count(c, QF_P_REFBLOCK_WRONG) ||
		count(c, QF_P_REFCOUNT_ZERO) >= MANY_ZERO);
}

/*
 * A snapshot tool counts every cluster once more (or less) and clears (or
 * sets) the flags; a writer that does not know of it writes its own counts
 * back. What remains are flags and counts of two different times.
 */
static bool snapshot_under_writer(const struct qf_pass_ctx *c,
				  struct qf_diagnosis *d)
{
	struct qf_doubles n;
	uint64_t set, unset, low;
	bool has = c->img->snapshots.n || c->img->snapshots.stated;

	if (holds_no_counts(c))
		return false;
	/* no program lets two L1 entries name one table, or one name another's:
	 * one was bent, and all that the table maps has too many owners then */
	if (count(c, QF_P_DOUBLE_L2) || count(c, QF_P_L1_BENT) ||
	    count(c, QF_P_L2_OTHER_STATE))
		return false;
	set = copied_though_shared(c);
	unset = count(c, QF_P_COPIED_L1) + count(c, QF_P_COPIED_L2);
	unset -= set < unset ? set : unset;
	low = low_though_shared(c);
	/* deleted: set by the tool, counted as before by the writer */
	if (!has && (set < 4 || count(c, QF_P_REFCOUNT_ZERO) ||
		     count(c, QF_P_L2_GARBAGE)))
		return false;
	/* taken: cleared by the tool, counted as before by the writer, who
	 * gave the snapshot's own clusters to the guest */
	qf_doubles_count(c, &n);
	if (has && !qf_doubles_took_snapshots(c) &&
	    (n.active > 1 || set + low < 2) &&
	    (unset < 4 || (!n.snapshot && !count(c, QF_P_SNAP_ENTRY_GARBLED))))
		return false;
	add(c, d, QF_P_COPIED_L1);
	add(c, d, QF_P_COPIED_L2);
	add(c, d, QF_P_SNAP_ENTRY_GARBLED);
	add(c, d, QF_P_SNAP_TABLE_CUT);
	add(c, d, QF_P_SNAP_EXTRA_SHORT);
	add(c, d, QF_P_DOUBLE_TABLES);
	add(c, d, QF_P_DOUBLE_META);
	add(c, d, QF_P_REFCOUNT_LOW);
	return d->n;
}

/*
 * Entries that point past the end where the refcount blocks know clusters:
 * the file was longer once. A damaged pointer hits such a place by chance
 * only.
 */
static bool truncated(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	add(c, d, QF_P_L2_OUTSIDE);
	add(c, d, QF_P_L2_CUT);
	add(c, d, QF_P_L1_OUTSIDE);
	add(c, d, QF_P_HEADER_L1_OUTSIDE);
	add(c, d, QF_P_REFTABLE_OUTSIDE);
	add(c, d, QF_P_HEADER_REFTABLE_OUTSIDE);
	add(c, d, QF_P_SNAP_L1_OUTSIDE);
	add(c, d, QF_P_OUTSIDE);
	if (!d->n || count(c, QF_P_L2_GARBAGE))
		return false;
	return c->cut->uncounted ? qf_cut_is_sure(c) : c->cut->gone.n > 0;
}

/* How the hole around erased entries lies: 0 none, 1 exact, 2 larger. */
static int hole_at(const struct qf_pass_ctx *c, uint64_t off, uint64_t bytes)
{
	uint64_t end;
	struct qf_io *io = c->img->io;

	if (qf_io_extent(io, off, io->size, &end) != QF_IO_HOLE ||
	    end < off + bytes)
		return 0;
	if (end == off + bytes && off >= bytes &&
	    (qf_io_extent(io, off - bytes, off, &end) == QF_IO_DATA ||
	     end < off))
		return 1;
	return 2;
}

/* The same for a part of a table; only whole pages of it can be a hole. */
static int part_hole_at(const struct qf_pass_ctx *c,
			const struct qf_lost_part *p)
{
	const struct qf_geometry *g = &c->img->geo;
	uint64_t table = c->walk.table[p->table].off, end;
	uint64_t at = table + (uint64_t)p->index * g->l2_entry_bytes;
	uint64_t stop = at + (uint64_t)p->n * g->l2_entry_bytes;

	for (at = qf_mem_round_up(at, PAGE_BYTES); at + PAGE_BYTES <= stop;
	     at = qf_mem_round_up(end, PAGE_BYTES)) {
		if (qf_io_extent(c->img->io, at, c->img->io->size, &end) !=
			    QF_IO_HOLE ||
		    end < at + PAGE_BYTES)
			continue;
		return end <= table + g->cluster_bytes ? 1 : 2;
	}
	return 0;
}

/* Erased tables, and parts of them, whose hole is as HOW says. */
static uint64_t erased_in_holes(const struct qf_pass_ctx *c, int how)
{
	uint64_t n = 0;
	size_t i;

	if (!qf_lost_holes_tell(c->img))
		return 0;
	for (i = 0; i < c->lost.n_erased; i++)
		n += hole_at(c, c->walk.table[c->lost.erased[i]].off,
			     c->img->geo.cluster_bytes) == how;
	for (i = 0; i < c->lost.n_parts; i++)
		n += part_hole_at(c, &c->lost.part[i]) == how;
	return n;
}

static bool punch_hole(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	if (!erased_in_holes(c, 1))
		return false;
	add(c, d, QF_P_L2_ERASED);
	add(c, d, QF_P_L2_ERASED_PART);
	return true;
}

static bool host_crash(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	if (!erased_in_holes(c, 2))
		return false;
	add(c, d, QF_P_L2_ERASED);
	add(c, d, QF_P_L2_ERASED_PART);
	add(c, d, QF_P_HEADER_DIRTY);
	return true;
}

/* True if nothing is wrong but refcounts and what follows from them. */
static bool refcounts_only(const struct qf_pass_ctx *c)
{
	size_t i;

	for (i = 0; i < c->out->n; i++) {
		switch (c->out->at[i].problem) {
		case QF_P_REFCOUNT_ZERO:
		case QF_P_REFCOUNT_LOW:
		case QF_P_REFCOUNT_HIGH:
		case QF_P_REFCOUNT_LEAK:
		case QF_P_REFBLOCK_WRONG:
		case QF_P_COPIED_L1:
		case QF_P_COPIED_L2:
		case QF_P_HEADER_DIRTY:
			continue;
		default:
			if (qf_problem_get(c->out->at[i].problem)->severity >=
			    QF_SEV_UNREAD)
				return false;
		}
	}
	return true;
}

static bool lazy_refcounts(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	if (!(c->img->hdr.incompatible & QF_INCOMPAT_DIRTY) ||
	    !refcounts_only(c))
		return false;
	add(c, d, QF_P_HEADER_DIRTY);
	add(c, d, QF_P_REFCOUNT_ZERO);
	add(c, d, QF_P_REFCOUNT_LOW);
	add(c, d, QF_P_REFCOUNT_LEAK);
	return true;
}

/*
 * Many clusters count as free, and they are the file's last ones, from
 * somewhere inside a refcount block on: a lost block begins at its start.
 */
static bool no_refcounts(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	const struct qf_recount *t = &c->recount;
	uint64_t zero = count(c, QF_P_REFCOUNT_ZERO);
	uint64_t block = 1ull << c->img->geo.refblock_bits, i;

	if (c->img->hdr.incompatible & QF_INCOMPAT_DIRTY || zero < 16 ||
	    !refcounts_only(c) || count(c, QF_P_REFCOUNT_LOW) ||
	    count(c, QF_P_REFTABLE_EMPTY))
		return false;
	for (i = 0; i < t->n_troubles; i++)
		if (!t->trouble[i].stated && t->trouble[i].counted)
			break;
	if (i == t->n_troubles || !(t->trouble[i].first & (block - 1)) ||
	    t->trouble[i].first + 64 < t->used - zero)
		return false;
	add(c, d, QF_P_REFCOUNT_ZERO);
	return true;
}

unsigned int qf_diagnose(const struct qf_pass_ctx *c, struct qf_diagnosis *d)
{
	/* a story told by an earlier rule explains the signs of the next */
	static const struct {
		enum qf_cause cause;
		bool (*holds)(const struct qf_pass_ctx *c,
			      struct qf_diagnosis *d);
	} rules[] = {
		{ QF_CAUSE_SNAPSHOT_UNDER_WRITER, snapshot_under_writer },
		{ QF_CAUSE_TWO_WRITERS, two_writers },
		{ QF_CAUSE_TRUNCATED, truncated },
		{ QF_CAUSE_PUNCH_HOLE, punch_hole },
		{ QF_CAUSE_HOST_CRASH, host_crash },
		{ QF_CAUSE_LAZY_REFCOUNTS, lazy_refcounts },
		{ QF_CAUSE_NO_REFCOUNTS, no_refcounts },
	};
	unsigned int i, n = 0;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		d[n].cause = rules[i].cause;
		d[n].n = 0;
		if (rules[i].holds(c, &d[n]))
			n++;
		else
			d[n].n = 0;
	}
	return n;
}
