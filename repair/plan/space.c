// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/plan/space.h"
#include "lib/base/mem.h"

#include <inttypes.h>

/* References into this many clusters behind the end are kept clear of. */
#define BEYOND (1ull << 20)

struct beyond {
	struct qf_fix_ctx *c;
	uint64_t first;
};

static bool add(struct beyond *b, uint64_t off, uint64_t bytes)
{
	uint32_t bits = b->c->img->geo.cluster_bits;
	uint64_t first = off >> bits, last;

	if (!bytes || !qf_mem_add(off, bytes - 1, &last))
		return true;
	last >>= bits;
	if (last < b->first || first >= b->first + BEYOND)
		return true;
	if (first < b->first)
		first = b->first;
	if (last >= b->first + BEYOND)
		last = b->first + BEYOND - 1;
	return qf_ledger_add(b->c->beyond, 0, first, last - first + 1, 1,
			     QF_LEDGER_AGAIN);
}

static bool see_runs(void *ctx, unsigned int me, const struct qf_group *grp,
		     const struct qf_run *r, size_t n)
{
	struct beyond *b = ctx;
	uint64_t off = 0, bytes;
	bool ok = true;

	(void)me;
	(void)grp;
	for (; ok && n; n--, r++) {
		bytes = qf_recount_run_bytes(b->c->img, r, &off);
		ok = !bytes || add(b, off, bytes);
	}
	return ok;
}

static bool see_claim(void *ctx, const struct qf_claim *cl)
{
	return add(ctx, cl->off, cl->bytes);
}

/* The references into the room behind the end, hostile or damaged ones. */
static enum qf_err look_beyond(struct qf_fix_ctx *c, struct qf_why *why)
{
	struct beyond b = { c, c->plan->next_free };
	struct qf_visitor v = { .ctx = &b, .runs = see_runs };
	struct qf_claim_fns fns = { .ctx = &b, .claim = see_claim };
	enum qf_err err;
	uint64_t i;

	err = qf_ledger_new(b.first, BEYOND, 1, &c->beyond, why);
	if (err)
		return err;
	err = qf_walk_run(&c->walk, 1, &v, why);
	if (!err)
		err = qf_walk_metadata(c->img, &fns);
	for (i = 0; !err && i < c->walk.n_tables; i++)
		if (!add(&b, c->walk.table[i].off, c->img->geo.cluster_bytes))
			err = QF_ERR_NOMEM;
	if (!err && !qf_ledger_flush(c->beyond, 0))
		err = QF_ERR_NOMEM;
	if (err == QF_ERR_STOPPED)
		err = QF_ERR_NOMEM;
	return err ? qf_err_set(why, err, 0, QF_NOWHERE,
				"no memory to look for room")
		   : QF_OK;
}

/* The first cluster behind all that is in use or stated to be. */
static uint64_t first_free(const struct qf_fix_ctx *c)
{
	const struct qf_image *img = c->img;
	uint64_t end;

	if (!img->io->block_dev)
		return qf_image_clusters(img);
	/* a device has no end of its own to go by */
	end = qf_ledger_end(c->recount.ledger);
	return end > c->recount.stated_end ? end : c->recount.stated_end;
}

enum qf_err qf_space_take(struct qf_fix_ctx *c, uint64_t n, uint64_t *off,
			  struct qf_why *why)
{
	struct qf_plan *p = c->plan;
	uint32_t bits = c->img->geo.cluster_bits;
	uint64_t first, i, end;
	enum qf_err err;

	first = first_free(c);
	if (p->next_free < first)
		p->next_free = first;
	if (!c->beyond) {
		err = look_beyond(c, why);
		if (err)
			return err;
	}
	for (first = p->next_free, i = 0; i < n; i++) {
		if (!qf_ledger_count(c->beyond, first + i, NULL))
			continue;
		first += i + 1;
		i = (uint64_t)-1; /* begin anew behind it */
	}
	end = first + n;
	if (end > (uint64_t)INT64_MAX >> bits ||
	    (c->img->io->block_dev && end << bits > c->img->io->size))
		return qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
				  "there is no room for %" PRIu64
				  " clusters behind the image's end",
				  n);
	p->next_free = end;
	*off = first << bits;
	if (!qf_ranges_add(&p->fresh, *off, n << bits))
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the plan");
	return QF_OK;
}
