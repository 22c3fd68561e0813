// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host clusters with two owners. The walker shows every pair of guest and
 * host cluster once, so that the tally knows them; here they get names.
 * Metadata past the end of the file are reported here too.
 */
#include "check/pass.h"
#include "lib/describe.h"

#include <inttypes.h>

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

static void report(struct qf_pass_ctx *c, const struct qf_trouble *tr)
{
	uint64_t off = tr->first << c->img->geo.cluster_bits;
	const struct qf_owner *o;
	struct qf_finding *f;
	char a[700], b[700];
	size_t n;

	o = qf_detail_owners(&c->detail, tr->first, &n);
	if (n < 2) {
		f = qf_pass_at(c, QF_P_DOUBLE_DATA, off,
			       tr->n << c->img->geo.cluster_bits);
	} else {
		f = qf_pass_at(c, problem_of(&o[0], &o[1]), off,
			       tr->n << c->img->geo.cluster_bits);
		f->guest_off = o[0].guest_off != QF_NOWHERE ? o[0].guest_off
							    : o[1].guest_off;
		qf_finding_owner(f, "%s",
				 qf_detail_describe(c->img, &o[0], a,
						    sizeof(a)));
		qf_finding_other(f, "%s",
				 qf_detail_describe(c->img, &o[1], b,
						    sizeof(b)));
	}
	set_counts(f, tr, o, n);
	qf_finding_say(f,
		       "%" PRIu64 " cluster%s at 0x%" PRIx64
		       ", refcount %" PRIu64 ", %zu owners%s",
		       tr->hits, tr->hits == 1 ? "" : "s", off, tr->stated, n,
		       tr->stated < tr->counted
			       ? ""
			       : " (the refcount agrees with that)");
}

static bool outside(void *ctx, const struct qf_claim *cl)
{
	struct qf_pass_ctx *c = ctx;
	struct qf_finding *f;
	uint64_t first;

	/* the others have words of their own */
	if (cl->kind != QF_REF_BITMAP_DATA ||
	    qf_tally_touched(c->img, cl->off, cl->bytes, &first))
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
	size_t i;

	(void)why;
	for (i = 0; i < c->tally.n_troubles; i++)
		if (c->tally.trouble[i].why & QF_TROUBLE_DOUBLE)
			report(c, &c->tally.trouble[i]);
	if (!c->tally.past_end)
		return QF_OK;
	return qf_walk_metadata(c->img, &fns);
}
