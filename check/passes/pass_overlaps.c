// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host clusters with two owners. The walker shows every pair of guest and
 * host cluster once, so that the recount knows them; here they get names.
 * Metadata past the end of the file are reported here too.
 */
#include "check/passes/pass.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_data(const struct qf_owner *o)
{
	return o->kind == QF_REF_DATA || o->kind == QF_REF_COMPRESSED;
}

static enum qf_problem problem_of(const struct qf_owner *a,
				  const struct qf_owner *b)
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
		       const struct qf_owner *o, size_t n)
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
static bool fits(const struct qf_owner *o, const char *what)
{
	switch (o->kind) {
	case QF_REF_L1:
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

/* What speaks for one of two owners. */
struct favour {
	int who; /* 0, 1, or -1: nothing speaks for either */
	char why[400];
};

static void favour_by_content(struct qf_pass_ctx *c, const struct qf_owner *o,
			      uint64_t off, struct favour *fav)
{
	char what[256];
	int meta = is_data(&o[0]);

	qf_pass_whatis(c, off, what, sizeof(what));
	if (fits(&o[meta], what))
		fav->who = meta;
	else if (is_data(&o[!meta]) && can_be_known(c, o[meta].kind))
		fav->who = !meta;
	if (fav->who >= 0)
		snprintf(fav->why, sizeof(fav->why), "it holds %s", what);
}

/* Both are guest data, or both metadata of one kind. */
static void favour_by_pointers(struct qf_pass_ctx *c, const struct qf_owner *o,
			       const struct qf_trouble *tr, struct favour *fav)
{
	uint64_t off = tr->first << c->img->geo.cluster_bits, d0, d1;
	bool copied0 = o[0].entry & QF_ENTRY_COPIED;
	bool copied1 = o[1].entry & QF_ENTRY_COPIED;

	if (o[0].active && o[1].active && copied0 != copied1) {
		fav->who = copied1;
		snprintf(fav->why, sizeof(fav->why), "its COPIED flag is set");
	} else if (o[0].holders != o[1].holders &&
		   (tr->stated == o[0].holders || tr->stated == o[1].holders)) {
		fav->who = tr->stated == o[1].holders;
		snprintf(fav->why, sizeof(fav->why),
			 "the refcount is the number of its holders");
	} else {
		/* QEMU puts a table's first data right behind the table */
		d0 = off > o[0].table_off ? off - o[0].table_off : UINT64_MAX;
		d1 = off > o[1].table_off ? off - o[1].table_off : UINT64_MAX;
		if (d0 == d1)
			return;
		fav->who = d1 < d0;
		snprintf(fav->why, sizeof(fav->why),
			 "the cluster lies nearer behind its L2 table");
	}
}

/* For everybody whose version of the table says the same there. */
static void lose_side(struct qf_pass_ctx *c, const struct qf_owner *o,
		      uint64_t clusters)
{
	if (is_data(o))
		qf_lost_entries(c, o, clusters);
}

/* Names both owners, and which of the two the evidence favours: 0, 1, or -1
 * for neither. */
static int weigh_owners(struct qf_pass_ctx *c, struct qf_finding *f,
			const struct qf_trouble *tr, const struct qf_owner *o)
{
	uint64_t off = tr->first << c->img->geo.cluster_bits;
	struct favour fav = { .who = -1 };
	char a[700];

	if (is_data(&o[0]) == is_data(&o[1]))
		favour_by_pointers(c, o, tr, &fav);
	else
		favour_by_content(c, o, off, &fav);
	qf_finding_owner(f, "%s%s%s",
			 qf_detail_describe(c->img, &o[0], a, sizeof(a)),
			 fav.who ? "" : "; favoured: ", fav.who ? "" : fav.why);
	qf_finding_other(f, "%s%s%s",
			 qf_detail_describe(c->img, &o[1], a, sizeof(a)),
			 fav.who == 1 ? "; favoured: " : "",
			 fav.who == 1 ? fav.why : "");
	return fav.who;
}

/* Of data and metadata, what the content speaks against is lost; else both
 * may be. */
static void lose_owners(struct qf_pass_ctx *c, const struct qf_trouble *tr,
			const struct qf_owner *o, int favoured)
{
	bool both = is_data(&o[0]) && is_data(&o[1]);

	if (both || favoured != 0)
		lose_side(c, &o[0], tr->n);
	if (both || favoured != 1)
		lose_side(c, &o[1], tr->n);
}

/* A table is not what one of its two users had; the snapshots may know
 * which one. */
static void lose_spans(struct qf_pass_ctx *c, const struct qf_owner *o)
{
	uint64_t span = c->img->geo.cluster_bytes << c->img->geo.l2_bits;
	int i;

	for (i = 0; i < 2; i++)
		if (o[i].kind != QF_REF_L2 || o[i].holders <= o[!i].holders)
			qf_lost_for_table(c, o[i].l1_index, o[i].table_off,
					  o[i].l1_index * span, span);
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

/* True if two L2 tables hold the same entries. */
static bool are_alike(struct qf_pass_ctx *c, const struct qf_owner *o)
{
	const struct qf_geometry *g = &c->img->geo;
	unsigned char *a, *b;
	bool same = false;
	uint64_t i;

	a = qf_mem_zalloc(2, g->cluster_bytes);
	if (!a)
		return false;
	b = a + g->cluster_bytes;
	if (!qf_io_read_pad(c->img->io, a, g->cluster_bytes, o[0].table_off,
			    NULL) &&
	    !qf_io_read_pad(c->img->io, b, g->cluster_bytes, o[1].table_off,
			    NULL)) {
		/* COPIED is put right where QEMU finds it wrong */
		for (i = 0; i < g->cluster_bytes; i += g->l2_entry_bytes) {
			a[i] &= 0x7f;
			b[i] &= 0x7f;
		}
		same = !memcmp(a, b, g->cluster_bytes);
	}
	free(a);
	return same;
}

static bool is_copy(struct pass *p, const struct qf_owner *o)
{
	if (!is_data(&o[0]) || !is_data(&o[1]) ||
	    o[0].l2_index != o[1].l2_index || o[0].l1_index == o[1].l1_index ||
	    o[0].table_off == o[1].table_off)
		return false;
	if (o[0].table_off != p->a || o[1].table_off != p->b) {
		p->a = o[0].table_off;
		p->b = o[1].table_off;
		p->compared += p->c->img->geo.cluster_bytes;
		p->alike = p->compared <= MAX_COMPARED && are_alike(p->c, o);
	}
	return p->alike;
}

/* One finding for each pair of tables, however many runs they share. */
static void report_copy(struct qf_pass_ctx *c, const struct qf_trouble *tr,
			const struct qf_owner *o)
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
	weigh_owners(c, f, tr, o);
	set_counts(f, tr, o, 2);
	lose_spans(c, o);
	qf_finding_say(f,
		       "the L2 tables at 0x%" PRIx64 " and 0x%" PRIx64
		       " hold the same entries",
		       o[0].table_off, o[1].table_off);
}

/* An entry that points into the midst of a cluster seems to share that and
 * the next one: it is told by itself. */
static bool is_unaligned(const struct qf_pass_ctx *c, const struct qf_owner *o)
{
	return o->kind == QF_REF_DATA &&
	       o->entry & QF_ENTRY_OFFSET_MASK &
		       (c->img->geo.cluster_bytes - 1);
}

/* What another finding tells already. */
static bool is_told(struct qf_pass_ctx *c, const struct qf_owner *o, size_t n)
{
	const struct qf_owner *two[2] = { NULL, NULL };
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

/* The clusters of TR all have the same two owners. */
static void report_run(struct pass *ps, const struct qf_trouble *tr)
{
	struct qf_pass_ctx *c = ps->c;
	uint64_t off = tr->first << c->img->geo.cluster_bits;
	uint64_t bytes = tr->n << c->img->geo.cluster_bits;
	const struct qf_owner *o;
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
		lose_owners(c, tr, o, weigh_owners(c, f, tr, o));
	}
	set_counts(f, tr, o, n);
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
}

/* True if the owners of one cluster go on into the next one. */
static bool goes_on(struct qf_pass_ctx *c, const struct qf_owner *a, size_t na,
		    const struct qf_owner *b, size_t nb)
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

/* Splits a run where the owners change. */
static void report(struct pass *ps, const struct qf_trouble *tr)
{
	struct qf_pass_ctx *c = ps->c;
	struct qf_trouble part = *tr;
	const struct qf_owner *a, *b;
	uint64_t at, end = tr->first + tr->n;
	size_t na, nb;

	if (tr->hits != tr->n) {
		report_run(ps, tr);
		return;
	}
	for (at = tr->first; at < end; at += part.n) {
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
	size_t i;

	for (i = 0; i < c->recount.n_troubles; i++)
		if (c->recount.trouble[i].why & QF_TROUBLE_DOUBLE)
			report(&ps, &c->recount.trouble[i]);
	if (!c->recount.past_end)
		return QF_OK;
	return qf_pass_metadata(c, &fns, why);
}
