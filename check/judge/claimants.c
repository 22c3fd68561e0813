// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/claimants.h"

bool qf_claimants_same(const struct qf_owner *a, const struct qf_owner *b)
{
	return a->kind == b->kind && a->guest_off == b->guest_off &&
	       (a->guest_off != QF_NOWHERE ||
		(a->holder == b->holder && a->host_off == b->host_off &&
		 a->pointer_off == b->pointer_off));
}

/* A list is sorted by kind and guest offset. */
size_t qf_claimants_split(const struct qf_owner_list *l, struct qf_claimant *g,
			  size_t room)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (n && qf_claimants_same(g[n - 1].at, &l->at[i])) {
			g[n - 1].n++;
			continue;
		}
		if (n == room)
			break;
		g[n++] = (struct qf_claimant){ &l->at[i], 1 };
	}
	return n;
}

uint64_t qf_claimants_pointer(const struct qf_claimant *g)
{
	size_t i;

	for (i = 1; i < g->n; i++)
		if (g->at[i].pointer_off != g->at->pointer_off)
			return QF_NOWHERE;
	return g->at->pointer_off;
}
