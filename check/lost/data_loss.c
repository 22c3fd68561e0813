// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost/data_loss.h"
#include "lib/base/mem.h"

#include <stdlib.h>

#define NO_TABLE UINT32_MAX
/* So many ranges of single clusters are listed; then gaps are covered too. */
#define MAX_RANGES (1u << 18)

bool qf_data_loss_start(struct qf_data_loss *l, struct qf_pass_ctx *c)
{
	uint32_t n = qf_image_holders(c->img);

	l->c = c;
	l->table_of = qf_mem_zalloc(n, sizeof(*l->table_of));
	l->open = qf_mem_zalloc(n, sizeof(*l->open));
	return l->table_of && l->open;
}

void qf_data_loss_free(struct qf_data_loss *l)
{
	free(l->table_of);
	free(l->open);
}

static void has_table(void *ctx, uint32_t holder, uint64_t off)
{
	struct qf_data_loss *l = ctx;
	const struct qf_walk *w = &l->c->walk;
	const struct qf_l2_table *t;

	t = off ? qf_walk_find(w, l->grp->l1_index, off) : NULL;
	if (t)
		l->table_of[holder] = (uint32_t)(t - &w->table[l->grp->first]);
}

/* Looks up which table each holder has in GRP. */
static void map_group(struct qf_data_loss *l, const struct qf_group *grp)
{
	uint32_t h;

	l->grp = grp;
	for (h = 0; h < qf_image_holders(l->c->img); h++)
		l->table_of[h] = NO_TABLE;
	l->c->lost_ranges->failed |=
		!qf_walk_leads(&l->c->walk, grp->l1_index, has_table, l);
}

static void flush(struct qf_data_loss *l, uint32_t holder)
{
	uint64_t from = l->open[holder].from, end = l->open[holder].end;

	if (end > from)
		qf_lost_add(l->c->img, l->c->lost_ranges, holder, from,
			    end - from);
}

void qf_data_loss_add(struct qf_data_loss *l, const struct qf_group *grp,
		      const uint64_t *members, uint32_t index)
{
	uint64_t guest = qf_pass_guest(l->c->img, grp->l1_index, index);
	bool full = l->c->lost_ranges->n >= MAX_RANGES;
	uint32_t h, v;

	if (l->grp != grp)
		map_group(l, grp);
	for (h = 0; h < qf_image_holders(l->c->img); h++) {
		v = l->table_of[h];
		if (v == NO_TABLE || !(members[v / 64] >> v % 64 & 1))
			continue;
		/* groups come in the order of the file: it may go back */
		if (guest < l->open[h].end ||
		    (guest > l->open[h].end && !full)) {
			flush(l, h);
			l->open[h].from = guest;
		} else if (!l->open[h].end) {
			l->open[h].from = guest;
		}
		l->open[h].end = guest + l->c->img->geo.cluster_bytes;
	}
}

void qf_data_loss_end(struct qf_data_loss *l)
{
	uint32_t h;

	for (h = 0; h < qf_image_holders(l->c->img); h++)
		flush(l, h);
}
