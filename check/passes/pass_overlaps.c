// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host clusters with two owners. The walker shows every pair of guest and
 * host cluster once, so that the recount knows them; here they get names.
 * Metadata past the end of the file are reported here too.
 */
#include "check/passes/packed_twice.h"
#include "check/passes/table_copies.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_data(const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_DATA || o->kind == QF_REF_COMPRESSED;
}

static enum qf_problem problem_of(const struct qf_detail_owner *a,
				  const struct qf_detail_owner *b)
{
	if (is_data(a) && is_data(b))
		return QF_P_DOUBLE_DATA;
	if (is_data(a) || is_data(b))
		return QF_P_DOUBLE_META;
	if (a->kind == QF_REF_REFBLOCK || b->kind == QF_REF_REFBLOCK)
		return QF_P_REFBLOCK_SHARED;
	if (a->kind == QF_REF_L2 && b->kind == QF_REF_L2)
		return QF_P_DOUBLE_L2;
	return QF_P_DOUBLE_TABLES;
}

/*
 * QEMU counts one corruption for each refcount block whose cluster has
 * another owner, and none for other clusters whose refcount agrees.
 */
static void set_counts(struct qf_finding *f, const struct qf_trouble *tr,
		       const struct qf_detail_owner *o, size_t n)
{
	uint64_t blocks = 0;
	size_t i;

	for (i = 0; i < n; i++)
		blocks += o[i].kind == QF_REF_REFBLOCK;
	f->count = tr->hits;
	f->corruptions = tr->hits;
	qf_finding_unseen(f);
	/* QEMU counts blocks last: the first alone on its cluster is fine */
	f->corruptions = blocks && blocks == n ? blocks - 1 : blocks;
}

/* How what stands in the cluster reads, if it were the owner's. */
static bool fits(const struct qf_detail_owner *o, const char *what)
{
	switch (o->kind) {
	case QF_REF_L1:
		return strstr(what, "L1 or L2") || strstr(what, "L1 table");
	case QF_REF_L2:
		return strstr(what, "L1 or L2");
	case QF_REF_REFTABLE:
		return strstr(what, "refcount table");
	case QF_REF_REFBLOCK:
		return strstr(what, "refcount block");
	case QF_REF_SNAPSHOT_TABLE:
		return strstr(what, "snapshot table");
	case QF_REF_HEADER:
		return strstr(what, "header");
	default:
		return false;
	}
}

/* True if fits() knows such a cluster when it is whole. */
static bool can_be_known(const struct qf_pass_ctx *c, enum qf_ref_kind kind)
{
	switch (kind) {
	case QF_REF_HEADER:
	case QF_REF_L1:
	case QF_REF_L2:
	case QF_REF_REFTABLE:
	case QF_REF_SNAPSHOT_TABLE:
		return true;
	case QF_REF_REFBLOCK: /* narrow counts could be anything */
		return c->img->hdr.refcount_order >= 3;
	default:
		return false;
	}
}

/* True if an L2 table stands there that is known for one, though some entries of
 * it may be wrong: the one that claims its own table is. */
static bool is_table(const struct qf_pass_ctx *c,
		     const struct qf_detail_owner *o, uint64_t off)
{
	const struct qf_group *g =
		o->kind == QF_REF_L2 ? qf_walk_group(&c->walk, o->l1_index)
				     : NULL;
	const struct qf_l2_table *t;
	uint32_t v;

	if (!g || qf_detail_holds_garbage(&c->detail, off))
		return false;
	for (v = 0; g && v < g->n; v++) {
		t = &c->walk.table[g->first + v];
		if (t->off == off && t->filled && !t->odd && !t->unread)
			return true;
	}
	return false;
}

/* True if the refcount table stands there: a block of it counts, if entries of it
 * are wrong. */
static bool is_reftable(const struct qf_pass_ctx *c,
			const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_REFTABLE &&
	       c->img->reftable_state == QF_PART_OK && c->recount.stated_end;
}

/*
 * Of data and metadata: 0 or 1, whose the cluster's content is; -1 if it does
 * not tell. WHY is what it holds.
 */
static int whose_content(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
			 uint64_t off, char *why, size_t room)
{
	int meta = is_data(&o[0]), who = -1;
	char what[256];

	if (is_data(&o[0]) == is_data(&o[1]))
		return -1;
	qf_pass_whatis(c, off, what, sizeof(what));
	if (fits(&o[meta], what) || is_table(c, &o[meta], off) ||
	    is_reftable(c, &o[meta]))
		who = meta;
	else if (is_data(&o[!meta]) && can_be_known(c, o[meta].kind))
		who = !meta;
	if (who >= 0)
		snprintf(why, room, "; it holds %s", what);
	return who;
}

/* What the judge says of the owner's entry. */
static const struct qf_question *asked(const struct qf_pass_ctx *c,
				       const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_DATA
		       ? qf_question_at(c->questions, QF_QUESTION_CLAIM,
					o->pointer_off)
		       : NULL;
}

static bool is_bent(const struct qf_pass_ctx *c,
		    const struct qf_detail_owner *o)
{
	const struct qf_question *q = asked(c, o);

	return q && qf_question_is_answered(q);
}

/* Words for the verdict on one of the owners; OTHER_BENT: another one's entry
 * is known to be wrong. */
static void say_verdict(const struct qf_pass_ctx *c,
			const struct qf_detail_owner *o, bool other_bent,
			char *out, size_t room)
{
	const struct qf_question *q = asked(c, o);

	*out = '\0';
	if (!q)
		return;
	if (qf_question_is_answered(q))
		snprintf(out, room,
			 "; this entry was bent (%s): it led to 0x%" PRIx64,
			 qf_question_grade_name(q->grade), q->h[q->best].value);
	else if (!other_bent)
		snprintf(out, room,
			 "; doubtful: the bytes may be the other "
			 "owner's");
}

/* For everybody whose version of the table says the same there. */
static void lose_side(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
		      uint64_t clusters)
{
	if (is_data(o))
		qf_lost_entries(c, o, clusters);
}

/* Names both owners, and says what is known of each. Returns whose content
 * the cluster has, as whose_content does. */
static int name_owners(struct qf_pass_ctx *c, struct qf_finding *f,
		       const struct qf_trouble *tr,
		       const struct qf_detail_owner *o)
{
	uint64_t off = tr->first << c->img->geo.cluster_bits;
	char a[700], verdict[2][320] = { "", "" };
	int who = whose_content(c, o, off, verdict[0], sizeof(verdict[0]));

	if (who == 1) {
		memcpy(verdict[1], verdict[0], sizeof(verdict[1]));
		verdict[0][0] = '\0';
	}
	if (who < 0) {
		say_verdict(c, &o[0], is_bent(c, &o[1]), verdict[0],
			    sizeof(verdict[0]));
		say_verdict(c, &o[1], is_bent(c, &o[0]), verdict[1],
			    sizeof(verdict[1]));
	}
	qf_finding_owner(f, "%s%s",
			 qf_detail_describe(c->img, &o[0], a, sizeof(a)),
			 verdict[0]);
	qf_finding_other(f, "%s%s",
			 qf_detail_describe(c->img, &o[1], a, sizeof(a)),
			 verdict[1]);
	return who;
}

/* Lost is what the content speaks against, and what an entry that was bent
 * led to; else both may be. */
static void lose_owners(struct qf_pass_ctx *c, const struct qf_trouble *tr,
			const struct qf_detail_owner *o, size_t n, int content)
{
	size_t i, bent = 0;

	for (i = 0; i < n; i++)
		bent += is_bent(c, &o[i]);
	for (i = 0; i < n; i++)
		if (content != (int)i &&
		    (bent + 1 != n || o[n - 1].more || is_bent(c, &o[i])))
			lose_side(c, &o[i], tr->n);
}

/* A table is not what one of its two users had; the snapshots may know
 * which one. */
static void lose_spans(struct qf_pass_ctx *c, const struct qf_detail_owner *o)
{
	uint64_t span = c->img->geo.cluster_bytes << c->img->geo.l2_bits;
	int i;

	for (i = 0; i < 2; i++)
		if (o[i].kind != QF_REF_L2 || o[i].holders <= o[!i].holders)
			qf_lost_for_table(c, o[i].l1_index, o[i].table_off,
					  o[i].l1_index * span, span);
}

/* True if the owner's table is formed as an L2 table is, so that what stands
 * there does not tell which of the two it is. A snapshot's L1 table does not
 * come to where an L2 table is, but by its own pointer. */
static bool is_alike(const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_BITMAP_TABLE ||
	       (o->kind == QF_REF_L1 && o->holder == QF_HOLDER_ACTIVE);
}

/*
 * An L2 table that shares its cluster with another structure, and does not
 * surely stand there: what it maps is in doubt.
 */
static void lose_maps(struct qf_pass_ctx *c, uint64_t off,
		      const struct qf_detail_owner *o, size_t n)
{
	uint64_t span = c->img->geo.cluster_bytes << c->img->geo.l2_bits;
	bool others = false, alike = false;
	char what[256];
	size_t i;

	for (i = 0; i < n; i++) {
		others |= o[i].kind != QF_REF_L2 && !is_data(&o[i]);
		alike |= is_alike(&o[i]);
	}
	if (!others)
		return;
	qf_pass_whatis(c, off, what, sizeof(what));
	for (i = 0; i < n; i++)
		if (o[i].kind == QF_REF_L2 && (alike || !fits(&o[i], what)))
			qf_lost_for_table(c, o[i].l1_index, off,
					  o[i].l1_index * span, span);
}

/* True if nothing but a pointer that was bent brings an L1 table there. */
static bool is_no_place(enum qf_ref_kind k)
{
	return k == QF_REF_HEADER || k == QF_REF_REFTABLE ||
	       k == QF_REF_SNAPSHOT_TABLE;
}

/*
 * Of L1 tables that cross, all but one are not what they were, and a snapshot's
 * does not stand on the header or another table, nor does the active disk's
 * where the refcount table counts: the disks that they map are in doubt.
 */
static void lose_disks(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
		       size_t n)
{
	size_t i, tables = 0;
	bool astray = false, counts = false;

	for (i = 0; i < n; i++) {
		tables += o[i].kind == QF_REF_L1;
		astray |= is_no_place(o[i].kind);
		counts |= is_reftable(c, &o[i]);
	}
	for (i = 0; i < n; i++)
		if (o[i].kind == QF_REF_L1 &&
		    (tables > 1 || counts ||
		     (astray && o[i].holder != QF_HOLDER_ACTIVE)))
			qf_lost_add(c->img, c->lost_ranges, o[i].holder, 0,
				    UINT64_MAX);
}

/* So much is read to compare tables. */
#define MAX_COMPARED (1ull << 31)

/* The pass, and the last two tables that were compared. */
struct pass {
	struct qf_pass_ctx *c;
	uint64_t a, b;
	bool alike;
	uint64_t compared; /* bytes */
};

static bool is_copy(struct pass *p, const struct qf_detail_owner *o)
{
	if (!is_data(&o[0]) || !is_data(&o[1]) ||
	    o[0].l2_index != o[1].l2_index || o[0].l1_index == o[1].l1_index ||
	    o[0].table_off == o[1].table_off)
		return false;
	if (o[0].table_off != p->a || o[1].table_off != p->b) {
		p->a = o[0].table_off;
		p->b = o[1].table_off;
		p->compared += p->c->img->geo.cluster_bytes;
		p->alike = p->compared <= MAX_COMPARED &&
			   qf_table_copies_alike(p->c->img, p->a, p->b);
	}
	return p->alike;
}

/* One finding for each pair of tables, however many runs they share. */
static void report_copy(struct qf_pass_ctx *c, const struct qf_trouble *tr,
			const struct qf_detail_owner *o)
{
	struct qf_finding *f;
	size_t i;

	for (i = 0; i < c->out->n; i++) {
		f = &c->out->at[i];
		if (f->problem != QF_P_L2_COPY ||
		    f->host_off != o[1].table_off ||
		    f->guest_off != qf_pass_guest(c->img, o[0].l1_index, 0))
			continue;
		f->count += tr->hits;
		f->extra += tr->hits;
		return;
	}
	f = qf_pass_at(c, QF_P_L2_COPY, o[1].table_off,
		       c->img->geo.cluster_bytes);
	f->guest_off = qf_pass_guest(c->img, o[0].l1_index, 0);
	name_owners(c, f, tr, o);
	set_counts(f, tr, o, 2);
	lose_spans(c, o);
	qf_finding_say(f,
		       "the L2 tables at 0x%" PRIx64 " and 0x%" PRIx64
		       " hold the same entries",
		       o[0].table_off, o[1].table_off);
}

/* An entry that points into the midst of a cluster seems to share that and
 * the next one: it is told by itself. */
static bool is_unaligned(const struct qf_pass_ctx *c,
			 const struct qf_detail_owner *o)
{
	return o->kind == QF_REF_DATA &&
	       o->entry & QF_ENTRY_OFFSET_MASK &
		       (c->img->geo.cluster_bytes - 1);
}

/* What another finding tells already. */
static bool is_told(struct qf_pass_ctx *c, const struct qf_detail_owner *o,
		    size_t n)
{
	const struct qf_detail_owner *two[2] = { NULL, NULL };
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (!is_data(&o[i]))
			return false;
		if (k < 2 && !is_unaligned(c, &o[i]))
			two[k++] = &o[i];
	}
	if (k < 2)
		return true;
	/* versions of one entry, but for the one that is not aligned */
	if (n > 2 && two[0]->guest_off == two[1]->guest_off)
		return true;
	/* two L1 entries on one table: the table is the finding */
	return two[0]->table_off == two[1]->table_off &&
	       two[0]->l1_index != two[1]->l1_index;
}

/*
 * True if the refcount of the clusters of TR, which have the same two owners, is
 * that of one of them alone: it is too low because there is another, which is
 * told, and for nothing else.
 */
static bool is_of_one(struct pass *ps, const struct qf_trouble *tr)
{
	const struct qf_detail_owner *o;
	size_t i, n;

	o = qf_detail_owners(&ps->c->detail, tr->first, &n);
	if (n != 2 || o[1].more || tr->stated >= tr->counted ||
	    tr->counted > ps->c->img->geo.refcount_max ||
	    is_told(ps->c, o, n) || is_copy(ps, o))
		return false;
	for (i = 0; i < 2; i++)
		if (tr->stated == (o[i].holders ? o[i].holders : 1))
			return true;
	return false;
}

/* The clusters of TR all have the same two owners. */
static void report_run(struct pass *ps, const struct qf_trouble *tr)
{
	struct qf_pass_ctx *c = ps->c;
	uint64_t off = tr->first << c->img->geo.cluster_bits;
	uint64_t bytes = tr->n << c->img->geo.cluster_bits;
	const struct qf_detail_owner *o;
	enum qf_problem p = QF_P_DOUBLE_DATA;
	struct qf_finding *f;
	size_t n;

	o = qf_detail_owners(&c->detail, tr->first, &n);
	if (n > 1 && is_told(c, o, n))
		return;
	if (n > 1 && is_copy(ps, o)) {
		report_copy(c, tr, o);
		return;
	}
	if (n > 1)
		p = problem_of(&o[0], &o[1]);
	f = qf_pass_at(c, p, off, bytes);
	if (n > 1) {
		f->guest_off = o[0].guest_off != QF_NOWHERE ? o[0].guest_off
							    : o[1].guest_off;
		lose_owners(c, tr, o, n, name_owners(c, f, tr, o));
	}
	set_counts(f, tr, o, n);
	if (tr->why & QF_TROUBLE_TOLD) {
		f->corruptions += tr->hits;
		f->extra = 0;
	}
	qf_finding_say(f,
		       "%" PRIu64 " cluster%s at 0x%" PRIx64
		       ", refcount %" PRIu64 ", %" PRIu64 " owners%s",
		       tr->hits, tr->hits == 1 ? "" : "s", off, tr->stated,
		       n ? n + o[n - 1].more : 0,
		       tr->stated < tr->counted
			       ? ""
			       : " (the refcount agrees with that)");
	if (p == QF_P_DOUBLE_L2)
		lose_spans(c, o);
	if (p == QF_P_DOUBLE_TABLES)
		lose_disks(c, o, n);
	if (p == QF_P_DOUBLE_TABLES || p == QF_P_REFBLOCK_SHARED)
		lose_maps(c, off, o, n);
}

/* True if the owners of one cluster go on into the next one. */
static bool goes_on(struct qf_pass_ctx *c, const struct qf_detail_owner *a,
		    size_t na, const struct qf_detail_owner *b, size_t nb)
{
	size_t i;

	if (na != nb)
		return false;
	for (i = 0; i < na; i++) {
		if (a[i].kind != b[i].kind || a[i].holder != b[i].holder ||
		    a[i].table_off != b[i].table_off)
			return false;
		if (is_data(&a[i]) &&
		    a[i].guest_off + c->img->geo.cluster_bytes !=
			    b[i].guest_off)
			return false;
		if (!is_data(&a[i]) && a[i].pointer_off != b[i].pointer_off)
			return false;
	}
	return true;
}

/* The clusters of TR from AT on that have the same owners. */
static struct qf_trouble part_of(struct qf_pass_ctx *c,
				 const struct qf_trouble *tr, uint64_t at)
{
	struct qf_trouble part = *tr;
	const struct qf_detail_owner *a, *b;
	uint64_t end = tr->first + tr->n;
	size_t na, nb;

	if (tr->hits != tr->n)
		return part;
	a = qf_detail_owners(&c->detail, at, &na);
	part.first = at;
	for (part.n = 1; at + part.n < end; part.n++) {
		b = qf_detail_owners(&c->detail, at + part.n, &nb);
		/* beyond the clusters that were looked for */
		if (na && !nb)
			continue;
		if (!goes_on(c, a, na, b, nb))
			break;
		a = b;
	}
	part.hits = part.n;
	return part;
}

/* Splits a run where the owners change. */
static void report(struct pass *ps, struct qf_trouble *tr)
{
	uint64_t at, end = tr->first + tr->n;
	struct qf_trouble part;
	bool told = true;

	for (at = tr->first; told && at < end; at += part.n) {
		part = part_of(ps->c, tr, at);
		told = is_of_one(ps, &part);
	}
	if (told)
		tr->why |= QF_TROUBLE_TOLD;
	for (at = tr->first; at < end; at += part.n) {
		part = part_of(ps->c, tr, at);
		report_run(ps, &part);
	}
}

static bool outside(void *ctx, const struct qf_claim *cl)
{
	struct qf_pass_ctx *c = ctx;
	struct qf_finding *f;
	uint64_t first;

	/* the others have words of their own */
	if (cl->kind != QF_REF_BITMAP_DATA ||
	    qf_recount_touched(c->img, cl->off, cl->bytes, &first))
		return true;
	f = qf_pass_at(c, QF_P_OUTSIDE, cl->off, cl->bytes);
	qf_finding_say(f,
		       "%s: %" PRIu64 " bytes at 0x%" PRIx64
		       ", and the file ends at 0x%" PRIx64,
		       qf_describe_kind(cl->kind), cl->bytes, cl->off,
		       c->img->io->size);
	return true;
}

enum qf_err qf_pass_overlaps(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct qf_claim_fns fns = { .ctx = c, .claim = outside };
	struct pass ps = { .c = c };
	struct qf_trouble *tr = c->recount.trouble;
	enum qf_err err;
	size_t i;

	for (i = 0; i < c->recount.n_troubles; i++, tr++)
		if (tr->why & QF_TROUBLE_DOUBLE)
			report(&ps, tr);
	err = qf_table_copies_packed(c, why);
	if (!err)
		err = qf_packed_twice(c, why);
	if (err || !c->recount.past_end)
		return err;
	return qf_pass_metadata(c, &fns, why);
}
