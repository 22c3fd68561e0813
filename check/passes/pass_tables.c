// SPDX-License-Identifier: GPL-2.0-or-later
/* L1 and L2 entries that break the format's rules; tables not readable. */
#include "check/lost/beyond.h"
#include "check/passes/pass.h"
#include "check/detail/whatis.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum qf_problem l2_problems[QF_ODD_KINDS] = {
	QF_P_L2_RESERVED,
	QF_P_L2_UNALIGNED,
	QF_P_L2_OUTSIDE,
	QF_P_L2_COMPRESSED_COPIED,
	QF_P_L2_COMPRESSED_DATA_FILE,
	QF_P_L2_COMPRESSED_BITMAP,
	QF_P_L2_SUB_BOTH,
	QF_P_L2_SUB_NO_CLUSTER,
	QF_P_L2_ZERO_V2,
	QF_P_L2_ZERO_EXTL2,
	QF_P_L2_NOT_GUEST_OFFSET,
	QF_P_COPIED_L2,
	QF_P_L2_COPIED_NOTHING,
	QF_P_L1_OWN, /* not of L2 entries */
};

/* What qemu-img check does not see. */
#define UNSEEN                                                       \
	(QF_ODD_ZERO_V2 | QF_ODD_ZERO_EXTL2 | QF_ODD_NOT_GUEST_OFF | \
	 QF_ODD_COPIED_NOTHING)

static void check_l1_gaps(struct qf_pass_ctx *c)
{
	const struct qf_walk_gap *g = c->walk.gap;
	struct qf_finding *f;
	char who[400];
	size_t i;

	for (i = 0; i < c->walk.n_gaps; i++, g++) {
		f = qf_pass_at(
			c, g->crossing ? QF_P_L1_CROSSING : QF_P_L1_UNREADABLE,
			g->off, g->bytes);
		qf_finding_say(f, "%" PRIu64 " bytes at 0x%" PRIx64 "%s%s",
			       g->bytes, g->off, g->sys ? ": " : "",
			       g->sys ? strerror(g->sys) : "");
		qf_finding_owner(f, "%s",
				 qf_describe_holder(c->img, g->holder, who,
						    sizeof(who)));
	}
}

/* What breaks a rule in an L1 entry, the gravest first: it gives the name. */
static const struct {
	enum qf_problem problem;
	unsigned int odd;
	const char *words;
} l1_kinds[] = {
	{ QF_P_L1_OUTSIDE, QF_ODD_PAST_END, "past the end of the file" },
	{ QF_P_L1_UNALIGNED, QF_ODD_UNALIGNED, "no cluster's start" },
	{ QF_P_L1_OWN, QF_ODD_OWN_L1, "a part of an L1 table" },
	{ QF_P_L1_RESERVED, QF_ODD_RESERVED, "reserved bits are set" },
};

#define L1_KINDS (sizeof(l1_kinds) / sizeof(l1_kinds[0]))

/* An entry that breaks several rules was damaged once: one finding. */
static void l1_entry(struct qf_pass_ctx *c, const struct qf_group *g,
		     const struct qf_l2_table *t)
{
	uint64_t span = c->img->geo.cluster_bytes << c->img->geo.l2_bits;
	char size[32], odd[128];
	struct qf_finding *f;
	unsigned int k, first;
	size_t used = 0;

	for (first = 0; first < L1_KINDS; first++)
		if (t->odd & l1_kinds[first].odd)
			break;
	if (first == L1_KINDS)
		return;
	odd[0] = 0;
	for (k = first + 1; k < L1_KINDS; k++)
		if (t->odd & l1_kinds[k].odd)
			used += (size_t)snprintf(
				odd + used, sizeof(odd) - used, "%s%s",
				used ? ", " : " (also: ", l1_kinds[k].words);
	if (used)
		snprintf(odd + used, sizeof(odd) - used, ")");
	f = qf_pass_at(c, l1_kinds[first].problem,
		       qf_pass_l1_place(c, g->l1_index, t->off), 8);
	f->count = t->weight;
	/* as qemu-img has it: each rule */
	f->corruptions = t->odd_count;
	f->guest_off = g->l1_index * span;
	qf_finding_say(f,
		       "it points to 0x%" PRIx64 "%s; it maps %s of the disk "
		       "from guest offset 0x%" PRIx64 " on",
		       t->off, odd, qf_text_bytes(span, size, sizeof(size)),
		       f->guest_off);
	if (!qf_finding_flood(c->out, l1_kinds[first].problem))
		qf_pass_own_table(c, f, g->l1_index, t);
}

/* Flags without an offset: what was there is not known any more. */
static void l1_nothing(struct qf_pass_ctx *c, const struct qf_group *g,
		       const struct qf_l2_table *t)
{
	struct qf_finding *f =
		qf_pass_at(c, QF_P_L1_NOTHING,
			   qf_pass_l1_place(c, g->l1_index, t->off), 8);

	f->count = t->weight;
	qf_finding_unseen(f);
	f->guest_off = qf_pass_guest(c->img, g->l1_index, 0);
	qf_finding_say(f, "L1 entry %" PRIu32 ", guest offset 0x%" PRIx64,
		       g->l1_index, f->guest_off);
	qf_pass_own_table(c, f, g->l1_index, t);
}

static void unreadable(struct qf_pass_ctx *c, const struct qf_group *g,
		       const struct qf_l2_table *t)
{
	struct qf_finding *f = qf_pass_at(c, QF_P_L2_UNREADABLE, t->off,
					  c->img->geo.cluster_bytes);

	f->guest_off = qf_pass_guest(c->img, g->l1_index, 0);
	qf_finding_say(f, "the table at 0x%" PRIx64 ": %s", t->off,
		       strerror(t->unread));
	qf_pass_own_table(c, f, g->l1_index, t);
}

/* An L1 table as a whole. */
struct l1_sum {
	uint64_t odd;	      /* entries */
	uint64_t corruptions; /* as qemu-img counts them */
	uint64_t used;
	bool garbage;
};

static bool count_used(void *ctx, uint64_t index, uint64_t entry)
{
	struct l1_sum *s = ctx;

	(void)index;
	(void)entry;
	s->used++;
	return true;
}

static bool pass_gap(void *ctx, uint64_t off, uint64_t bytes, int sys)
{
	(void)ctx;
	(void)off;
	(void)bytes;
	(void)sys;
	return true;
}

/* The odd entries of each holder's L1 table; the first holder answers. */
static void sum_l1(struct qf_pass_ctx *c, struct l1_sum *sum,
		   uint32_t *holder_of)
{
	const struct qf_group *g;
	uint32_t i, v, h;

	for (i = 0; i < c->walk.n_groups; i++) {
		g = &c->walk.group[i];
		for (v = 0; v < g->n; v++) {
			const struct qf_l2_table *t =
				&c->walk.table[g->first + v];

			h = t->odd && (t->odd != QF_ODD_PAST_END ||
				       !qf_cut_took(c->cut, t->off))
				    ? t->holder
				    : QF_HOLDER_IMAGE;
			holder_of[g->first + v] = h;
			if (h == QF_HOLDER_IMAGE)
				continue;
			sum[h].odd++;
			sum[h].corruptions += t->odd_count;
		}
	}
}

/* True if a table with as many odd entries holds something else; or with any,
 * if what it holds is known. */
static bool is_no_l1(struct qf_pass_ctx *c, struct l1_sum *s, uint64_t off,
		     uint32_t entries)
{
	struct qf_table_fns fns = { s, count_used, pass_gap };

	if (!s->odd || qf_walk_table(c->img->io, off, entries, &fns, NULL))
		return false;
	return (s->odd >= 8 && s->odd * 4 >= s->used) ||
	       qf_whatis_foreign(c->img, off);
}

static void judge_l1(struct qf_pass_ctx *c, struct l1_sum *sum, uint32_t h)
{
	bool flood = qf_finding_flood(c->out, QF_P_L1_GARBAGE);
	struct qf_finding *f;
	char who[400], what[256];
	uint32_t entries;
	uint64_t off;

	if (!qf_image_l1(c->img, h, &off, &entries) ||
	    !is_no_l1(c, &sum[h], off, entries))
		return;
	sum[h].garbage = true;
	qf_lost_add(c->img, c->lost_ranges, h, 0, UINT64_MAX);
	f = qf_pass_at(c, QF_P_L1_GARBAGE, off, entries * 8ull);
	f->count = sum[h].odd;
	f->corruptions = sum[h].corruptions;
	if (flood)
		return;
	qf_finding_say(f,
		       "the table at 0x%" PRIx64 " now looks like %s: %" PRIu64
		       " of %" PRIu64 " entries in use are no L1 entries",
		       off, qf_pass_whatis(c, off, what, sizeof(what)),
		       sum[h].odd, sum[h].used);
	qf_finding_owner(f, "%s",
			 qf_describe_holder(c->img, h, who, sizeof(who)));
}

static void check_l1_entry(struct qf_pass_ctx *c, const struct qf_group *g,
			   const struct qf_l2_table *t, bool garbage)
{
	if (t->odd && !garbage)
		l1_entry(c, g, t);
	if (!t->off)
		l1_nothing(c, g, t);
	if (t->unread)
		unreadable(c, g, t);
}

static enum qf_err check_l1_entries(struct qf_pass_ctx *c)
{
	uint32_t n = qf_image_holders(c->img), i, v;
	struct l1_sum *sum = qf_mem_zalloc(n, sizeof(*sum));
	uint32_t *holder_of = qf_mem_zalloc(c->walk.n_tables, 4);
	enum qf_err err = QF_ERR_NOMEM;
	const struct qf_group *g;
	uint32_t h;

	if (!sum || !holder_of)
		goto out;
	sum_l1(c, sum, holder_of);
	for (i = 0; i < n && !c->opts->all; i++)
		judge_l1(c, sum, i);
	for (i = 0; i < c->walk.n_groups; i++) {
		g = &c->walk.group[i];
		for (v = 0; v < g->n; v++) {
			h = holder_of[g->first + v];
			check_l1_entry(c, g, &c->walk.table[g->first + v],
				       h < n && sum[h].garbage);
		}
	}
	err = QF_OK;
out:
	free(sum);
	free(holder_of);
	return err;
}

/* The oddity that most of the table's entries have, in words. */
static const char *commonest_odd(const struct qf_damage *d)
{
	unsigned int k, most = 0;

	for (k = 1; k < QF_ODD_KINDS; k++)
		if (d->odd[k] > d->odd[most])
			most = k;
	return qf_describe_odd(1u << most);
}

static void garbage(struct qf_pass_ctx *c, const struct qf_damage *d)
{
	const struct qf_l2_table *t = &c->walk.table[d->table];
	bool flood = qf_finding_flood(c->out, QF_P_L2_GARBAGE);
	struct qf_finding *f = qf_pass_at(c, QF_P_L2_GARBAGE, t->off,
					  c->img->geo.cluster_bytes);
	char what[256];
	unsigned int k;

	f->count = d->entries ? d->entries : 1;
	f->corruptions = d->copied;
	f->extra = !d->entries && !d->copied;
	for (k = 0; k < QF_ODD_KINDS; k++)
		if (!(UNSEEN >> k & 1))
			f->corruptions += d->odd[k];
	f->guest_off = qf_pass_guest(c->img, d->l1_index, 0);
	if (flood)
		return;
	qf_pass_whatis(c, t->off, what, sizeof(what));
	if (d->entries)
		qf_finding_say(f,
			       "the table at 0x%" PRIx64
			       " now looks like %s: %" PRIu64 " of %" PRIu64
			       " entries in use are no L2 entries (most "
			       "often: %s)",
			       t->off, what, d->entries, d->entries + d->sound,
			       commonest_odd(d));
	else
		qf_finding_say(f,
			       "the table at 0x%" PRIx64 " now looks like %s",
			       t->off, what);
	qf_pass_own_table(c, f, d->l1_index, t);
}

static void set_corruptions(struct qf_finding *f, unsigned int k, uint64_t n)
{
	if (!f->corruptions)
		return; /* a warning */
	f->corruptions = n;
	if (UNSEEN >> k & 1)
		qf_finding_unseen(f);
}

static void one_kind(struct qf_pass_ctx *c, const struct qf_damage *d,
		     unsigned int k)
{
	const struct qf_l2_table *t = &c->walk.table[d->table];
	uint64_t at = t->off +
		      (uint64_t)d->first_index[k] * c->img->geo.l2_entry_bytes;
	struct qf_finding *f =
		qf_pass_at(c, l2_problems[k], at, c->img->geo.l2_entry_bytes);

	f->count = d->odd[k];
	set_corruptions(f, k, d->odd[k]);
	f->guest_off = qf_pass_guest(c->img, d->l1_index, d->first_index[k]);
	qf_finding_say(f,
		       "%s%" PRIu64 " in the L2 table at 0x%" PRIx64
		       ": entry %" PRIu32 " is 0x%016" PRIx64,
		       d->odd[k] > 1 ? "first of " : "", d->odd[k], t->off,
		       d->first_index[k], d->first_entry[k]);
	qf_pass_own_table(c, f, d->l1_index, t);
}

/* --all: every entry by itself. */
static void every_entry(struct qf_pass_ctx *c)
{
	const struct qf_odd_entry *e = c->detail.odd;
	struct qf_finding *f;
	unsigned int odd, k;
	size_t i;

	for (i = 0; i < c->detail.n_odd; i++, e++) {
		const struct qf_l2_table *t = &c->walk.table[e->table];

		for (odd = e->odd; odd; odd &= odd - 1) {
			k = (unsigned int)__builtin_ctz(odd);
			f = qf_pass_at(
				c, l2_problems[k],
				t->off + (uint64_t)e->index *
						 c->img->geo.l2_entry_bytes,
				c->img->geo.l2_entry_bytes);
			f->count = e->weight;
			set_corruptions(f, k, e->weight);
			f->guest_off =
				qf_pass_guest(c->img, e->l1_index, e->index);
			qf_finding_say(f,
				       "entry %" PRIu32
				       " of the L2 table at 0x%" PRIx64
				       " is 0x%016" PRIx64,
				       e->index, t->off, e->entry);
			qf_pass_own_table(c, f, e->l1_index, t);
		}
	}
}

enum qf_err qf_pass_tables(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_damage *d = c->detail.damage;
	unsigned int k;
	size_t i;

	check_l1_gaps(c);
	qf_beyond_check(c);
	if (check_l1_entries(c))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to look at the L1 entries");
	if (c->opts->all) {
		every_entry(c);
		return QF_OK;
	}
	for (i = 0; i < c->detail.n_damages; i++, d++) {
		if (qf_detail_is_garbage(d)) {
			garbage(c, d);
			continue;
		}
		for (k = 0; k < QF_ODD_KINDS; k++)
			if (d->odd[k])
				one_kind(c, d, k);
	}
	return QF_OK;
}
