// SPDX-License-Identifier: GPL-2.0-or-later
/* The refcount table, its blocks, and stated against counted refcounts. */
#include "check/passes/pass.h"
#include "check/detail/whatis.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <string.h>

/* A block with more runs of wrong refcounts than this is one finding. */
#define MAX_RUNS_A_BLOCK 16

static void check_table(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t i, e, off;
	struct qf_finding *f;
	enum qf_problem p;

	for (i = 0; i < img->reftable_used; i++) {
		e = img->reftable[i];
		off = e & QF_REFT_OFFSET_MASK;
		if (e & QF_REFT_RESERVED_MASK)
			p = QF_P_REFTABLE_RESERVED;
		else if (off & (img->geo.cluster_bytes - 1))
			p = QF_P_REFTABLE_UNALIGNED;
		else if (off >= img->io->size)
			p = QF_P_REFTABLE_OUTSIDE;
		else
			continue;
		f = qf_pass_at(c, p, img->hdr.reftable_off + i * 8, 8);
		qf_finding_say(
			f,
			"entry %" PRIu64 " is 0x%016" PRIx64
			"; it counts the clusters from 0x%" PRIx64 " on",
			i, e,
			i << (img->geo.refblock_bits + img->geo.cluster_bits));
	}
}

static void check_empty(struct qf_pass_ctx *c)
{
	const struct qf_image *img = c->img;
	struct qf_finding *f;

	if (img->reftable_used || !img->reftable_entries || !c->recount.used)
		return;
	f = qf_pass_at(c, QF_P_REFTABLE_EMPTY, img->hdr.reftable_off,
		       img->reftable_entries * 8);
	qf_finding_unseen(f);
	qf_finding_say(f,
		       "%" PRIu64 " entries, all zero, at 0x%" PRIx64
		       "; %" PRIu64 " clusters are in use",
		       img->reftable_entries, img->hdr.reftable_off,
		       c->recount.used);
}

static void own(struct qf_pass_ctx *c, struct qf_finding *f, uint64_t cluster)
{
	const struct qf_detail_owner *o;
	char buf[700];
	size_t n;

	o = qf_detail_owners(&c->detail, cluster, &n);
	if (!n)
		return;
	qf_finding_owner(f, "%s",
			 qf_detail_describe(c->img, o, buf, sizeof(buf)));
	f->guest_off = o->guest_off;
	if (n > 1)
		qf_finding_other(f, "%s",
				 qf_detail_describe(c->img, &o[1], buf,
						    sizeof(buf)));
}

static enum qf_problem leak_problem(const struct qf_pass_ctx *c,
				    uint64_t counted)
{
	if (c->withhold)
		return QF_P_REFCOUNT_WITHHELD;
	return counted ? QF_P_REFCOUNT_HIGH : QF_P_REFCOUNT_LEAK;
}

/* One run of clusters with the same wrong refcount. */
static void one_run(struct qf_pass_ctx *c, const struct qf_trouble *tr)
{
	uint32_t bits = c->img->geo.cluster_bits;
	enum qf_problem p;
	struct qf_finding *f;

	if (tr->stated > tr->counted)
		p = leak_problem(c, tr->counted);
	else if (tr->counted > c->img->geo.refcount_max)
		p = QF_P_REFCOUNT_OVERFLOW;
	else
		p = tr->stated ? QF_P_REFCOUNT_LOW : QF_P_REFCOUNT_ZERO;
	f = qf_pass_at(c, p, tr->first << bits, tr->n << bits);
	f->count = tr->hits;
	if (f->leaks)
		f->leaks = tr->hits;
	if (f->corruptions)
		f->corruptions = tr->hits;
	if (p == QF_P_REFCOUNT_OVERFLOW)
		f->corruptions = (tr->counted - c->img->geo.refcount_max +
				  (tr->stated < c->img->geo.refcount_max)) *
				 tr->hits;
	qf_finding_say(f,
		       "%" PRIu64 " cluster%s from 0x%" PRIx64
		       " on: refcount %" PRIu64 ", references %" PRIu64,
		       tr->hits, tr->hits == 1 ? "" : "s", tr->first << bits,
		       tr->stated, tr->counted);
	if (tr->counted)
		own(c, f, tr->first);
}

static bool is_wrong(const struct qf_trouble *tr)
{
	return tr->why & QF_TROUBLE_REFCOUNT && !(tr->why & QF_TROUBLE_TOLD);
}

/* All wrong refcounts of one block as one finding, or all that are too high. */
static void whole_block(struct qf_pass_ctx *c, uint64_t block,
			const struct qf_trouble *from,
			const struct qf_trouble *end, bool only_high)
{
	uint64_t off = qf_image_refblock(c->img, block), low = 0, high = 0;
	uint64_t first = block << c->img->geo.refblock_bits;
	struct qf_finding *f;
	enum qf_problem p = only_high ? leak_problem(c, 0)
				      : QF_P_REFBLOCK_WRONG;
	bool flood = qf_finding_flood(c->out, p);
	const struct qf_trouble *tr;
	char what[256] = "nothing: there is no block";

	for (tr = from; tr < end; tr++) {
		if (!is_wrong(tr))
			continue;
		if (tr->stated > tr->counted)
			high += tr->hits;
		else if (!only_high)
			low += tr->hits;
	}
	f = qf_pass_at(c, p, off ? off : QF_NOWHERE, c->img->geo.cluster_bytes);
	f->count = low + high;
	f->corruptions = low;
	f->extra = !only_high && !low;
	f->leaks = high;
	if (flood)
		return;
	if (off)
		qf_pass_whatis(c, off, what, sizeof(what));
	qf_finding_say(f,
		       "the block at 0x%" PRIx64 " (for the clusters from "
		       "0x%" PRIx64 " on): %" PRIu64
		       " refcounts too low, %" PRIu64
		       " too high; it looks like %s%s",
		       off, first << c->img->geo.cluster_bits, low, high, what,
		       low ? ". Do not open this image for writing" : "");
	/* the place is the block's, whoever the clusters belong to */
	if (p == QF_P_REFBLOCK_WRONG)
		qf_finding_owner(f, "refcount block %" PRIu64, block);
}

static void unknown_block(struct qf_pass_ctx *c, uint64_t block,
			  const struct qf_trouble *tr)
{
	uint64_t off = qf_image_refblock(c->img, block);
	struct qf_finding *f;

	if (!off || off & (c->img->geo.cluster_bytes - 1))
		return; /* reported with the table */
	f = qf_pass_at(c, QF_P_REFBLOCK_UNREADABLE, off,
		       c->img->geo.cluster_bytes);
	f->count = tr->n;
	qf_finding_say(f,
		       "the block at 0x%" PRIx64 ", for %" PRIu64
		       " clusters from 0x%" PRIx64 " on",
		       off, tr->n, tr->first << c->img->geo.cluster_bits);
}

/* The troubles [FROM, END) that begin in one refcount block's range. */
static void one_block(struct qf_pass_ctx *c, uint64_t block,
		      const struct qf_trouble *from,
		      const struct qf_trouble *end)
{
	const struct qf_trouble *tr;
	size_t low = 0, high = 0;
	bool bad = qf_blocks_at(&c->blocks, block);

	for (tr = from; tr < end; tr++) {
		if (tr->why & QF_TROUBLE_UNKNOWN)
			unknown_block(c, block, tr);
		if (!is_wrong(tr))
			continue;
		high += tr->stated > tr->counted;
		/* with two owners, the block is not to blame */
		low += tr->stated < tr->counted &&
		       !(tr->why & QF_TROUBLE_DOUBLE);
	}
	if (c->opts->all)
		low = high = 0;
	else if (bad)
		low = MAX_RUNS_A_BLOCK + 1;
	if (low > MAX_RUNS_A_BLOCK) {
		whole_block(c, block, from, end, false);
		return;
	}
	if (high > MAX_RUNS_A_BLOCK)
		whole_block(c, block, from, end, true);
	for (tr = from; tr < end; tr++)
		if (is_wrong(tr) &&
		    (tr->stated < tr->counted || high <= MAX_RUNS_A_BLOCK))
			one_run(c, tr);
}

enum qf_err qf_pass_refcounts(struct qf_pass_ctx *c, struct qf_why *why)
{
	const struct qf_trouble *tr = c->recount.trouble, *from;
	const struct qf_trouble *end;
	uint64_t block;

	(void)why;
	check_table(c);
	if (!c->recount.n_troubles)
		return QF_OK;
	end = tr + c->recount.n_troubles;
	check_empty(c);
	while (tr < end) {
		from = tr;
		block = tr->first >> c->img->geo.refblock_bits;
		while (tr < end &&
		       tr->first >> c->img->geo.refblock_bits == block)
			tr++;
		one_block(c, block, from, tr);
	}
	return QF_OK;
}
