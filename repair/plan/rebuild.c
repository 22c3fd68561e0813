// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/plan/rebuild.h"
#include "lib/base/mem.h"
#include "repair/plan/space.h"

#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to rebuild the refcounts");
}

void qf_rebuild_free(struct qf_rebuild *r)
{
	free(r->off);
	free(r->fate);
	free(r->problem);
	memset(r, 0, sizeof(*r));
}

/* Makes the arrays at least N entries long. */
static bool make_room(struct qf_rebuild *r, uint64_t n)
{
	uint64_t *off;
	uint16_t *problem;
	uint8_t *fate;

	if (n <= r->n)
		return true;
	n += n / 4 + 16;
	off = realloc(r->off, n * sizeof(*off));
	if (off)
		r->off = off;
	fate = realloc(r->fate, n);
	if (fate)
		r->fate = fate;
	problem = realloc(r->problem, n * sizeof(*problem));
	if (problem)
		r->problem = problem;
	if (!off || !fate || !problem)
		return false;
	memset(off + r->n, 0, (n - r->n) * sizeof(*off));
	memset(fate + r->n, QF_BLOCK_NONE, n - r->n);
	memset(problem + r->n, 0, (n - r->n) * sizeof(*problem));
	r->n = n;
	return true;
}

/* True if exactly one owner counts the cluster at OFF. */
static bool alone(const struct qf_fix_ctx *c, uint64_t off)
{
	unsigned int flags = 0;
	uint64_t n = qf_ledger_count(c->recount.ledger,
				     off >> c->img->geo.cluster_bits, &flags);

	return n == 1 && !(flags & QF_LEDGER_DOUBLE);
}

static bool table_is_sound(const struct qf_fix_ctx *c, enum qf_problem *p)
{
	const struct qf_image *img = c->img;
	uint64_t i;

	*p = QF_P_HEADER_REFTABLE_OFFSET;
	if (img->reftable_state == QF_PART_OUTSIDE)
		*p = QF_P_HEADER_REFTABLE_OUTSIDE;
	if (img->reftable_state != QF_PART_OK || !img->hdr.reftable_off)
		return false;
	*p = QF_P_DOUBLE_TABLES;
	for (i = 0; i < img->hdr.reftable_clusters; i++)
		if (!alone(c, img->hdr.reftable_off +
				      (i << img->geo.cluster_bits)))
			return false;
	return true;
}

/* Why the block of entry I cannot stay, or -1. */
static int fault_of(const struct qf_fix_ctx *c, uint64_t i)
{
	const struct qf_image *img = c->img;
	uint64_t e = img->reftable[i], off = e & QF_REFT_OFFSET_MASK;

	if (e & QF_REFT_RESERVED_MASK)
		return QF_P_REFTABLE_RESERVED;
	if (off & (img->geo.cluster_bytes - 1))
		return QF_P_REFTABLE_UNALIGNED;
	if (off >= img->io->size)
		return QF_P_REFTABLE_OUTSIDE;
	if (!alone(c, off))
		return QF_P_REFBLOCK_SHARED;
	return -1;
}

static enum qf_err judge_blocks(struct qf_rebuild *r, struct qf_why *why)
{
	const struct qf_image *img = r->c->img;
	unsigned char probe[8];
	uint64_t i, off;
	int fault;

	if (!make_room(r, img->reftable_entries))
		return no_memory(why);
	for (i = 0; i < img->reftable_entries; i++) {
		off = qf_image_refblock(img, i);
		if (!img->reftable[i])
			continue;
		fault = fault_of(r->c, i);
		r->fate[i] = fault < 0 ? QF_BLOCK_KEEP : QF_BLOCK_DROP;
		r->problem[i] = (uint16_t)(fault < 0 ? 0 : fault);
		if (fault >= 0)
			continue;
		r->off[i] = off;
		if (qf_io_read_pad(img->io, probe, sizeof(probe), off, NULL))
			r->fate[i] = QF_BLOCK_LEAVE;
	}
	return QF_OK;
}

/* Block I has to be there: take a place for it if it is not. */
static enum qf_err need_block(struct qf_rebuild *r, uint64_t i,
			      struct qf_why *why)
{
	if (!make_room(r, i + 1))
		return no_memory(why);
	if (r->fate[i] != QF_BLOCK_NONE && r->fate[i] != QF_BLOCK_DROP)
		return QF_OK;
	if (r->fate[i] == QF_BLOCK_NONE)
		r->problem[i] = QF_P_REFCOUNT_ZERO;
	r->fate[i] = QF_BLOCK_NEW;
	return qf_space_take(r->c, 1, &r->off[i], why);
}

/* Blocks for all clusters of which someone makes use. */
static enum qf_err need_for_used(struct qf_rebuild *r, struct qf_why *why)
{
	const struct qf_ledger *l = r->c->recount.ledger;
	uint64_t end = qf_ledger_end(l), at, step;
	uint32_t bits = r->c->img->geo.refblock_bits;
	enum qf_err err = QF_OK;

	for (at = 0; !err && at < end; at += step) {
		step = 1;
		if (!qf_ledger_count(l, at, NULL))
			continue;
		err = need_block(r, at >> bits, why);
		step = (((at >> bits) + 1) << bits) - at;
	}
	return err;
}

/* Blocks for the clusters that the plan has taken, those taken now too. */
static enum qf_err need_for_fresh(struct qf_rebuild *r, struct qf_why *why)
{
	uint32_t bits =
		r->c->img->geo.refblock_bits + r->c->img->geo.cluster_bits;
	const struct qf_range *f;
	enum qf_err err = QF_OK;
	uint64_t at = 0, i, last;

	while (!err && (f = qf_ranges_from(&r->c->plan->fresh, at))) {
		at = f->off + f->len;
		last = (at - 1) >> bits;
		for (i = f->off >> bits; !err && i <= last; i++)
			err = need_block(r, i, why);
		/* the range may have grown while blocks were placed */
	}
	return err;
}

static uint64_t blocks_used(const struct qf_rebuild *r)
{
	uint64_t i = r->n;

	while (i && (r->fate[i - 1] == QF_BLOCK_NONE ||
		     r->fate[i - 1] == QF_BLOCK_DROP))
		i--;
	return i;
}

static enum qf_err place_table(struct qf_rebuild *r, struct qf_why *why)
{
	const struct qf_geometry *g = &r->c->img->geo;
	uint64_t entries, had = r->c->img->hdr.reftable_clusters;
	enum qf_err err;

	/* a few more than needed now: the table counts itself too */
	entries = blocks_used(r) + 8;
	r->table_clusters = qf_mem_div_up(entries * 8, g->cluster_bytes);
	if (r->c->img->reftable_state == QF_PART_OK && had > r->table_clusters)
		r->table_clusters = had;
	entries += r->table_clusters >> g->refblock_bits;
	r->table_clusters = qf_mem_div_up(entries * 8, g->cluster_bytes);
	if (r->table_clusters << g->cluster_bits > QF_MAX_REFTABLE_BYTES)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "the refcount table would be larger than "
				  "QEMU allows");
	err = qf_space_take(r->c, r->table_clusters, &r->table_off, why);
	if (!err)
		err = need_for_fresh(r, why);
	if (!err && blocks_used(r) * 8 > r->table_clusters << g->cluster_bits)
		err = qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				 "no place for the refcount table was found");
	return err;
}

enum qf_err qf_rebuild_judge(struct qf_fix_ctx *c, struct qf_rebuild *r,
			     struct qf_why *why)
{
	memset(r, 0, sizeof(*r));
	r->c = c;
	r->new_table = !table_is_sound(c, &r->table_problem);
	return judge_blocks(r, why);
}

enum qf_err qf_rebuild_place(struct qf_rebuild *r, struct qf_why *why)
{
	enum qf_err err = need_for_used(r, why);

	if (!err)
		err = need_for_fresh(r, why);
	if (!err && blocks_used(r) > r->c->img->reftable_entries &&
	    !r->new_table) {
		r->new_table = true;
		r->table_problem = QF_P_REFCOUNT_ZERO;
	}
	if (!err && r->new_table)
		err = place_table(r, why);
	return err;
}
