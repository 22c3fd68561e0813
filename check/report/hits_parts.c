// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/hits_parts.h"
#include "lib/base/mem.h"

#include <stdlib.h>

/* A place where a volume begins or ends. */
struct edge {
	uint64_t at;
	uint32_t volume;
	bool begins;
};

static int by_place(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;

	return a->at < b->at ? -1 : a->at > b->at;
}

/* What is better to tell of a place; 0: nothing can be told. */
static int rank(const struct qf_guest_volume *v)
{
	if (v->level == QF_GUEST_WHOLE && !*v->fs.kind && !*v->trouble)
		return 0;
	return 1 + (int)v->level * 4 + (*v->fs.kind ? 2 : 0) + !v->fs.opaque;
}

/* The best of those that are OPEN. */
static uint32_t best_of(const struct qf_guest *g, const uint32_t *open)
{
	uint32_t i, best = QF_GUEST_NO_VOLUME;
	int most = 0;

	for (i = 0; i < g->n; i++)
		if (open[i] && rank(&g->volume[i]) > most) {
			most = rank(&g->volume[i]);
			best = i;
		}
	return best;
}

static size_t find_edges(const struct qf_guest *g, struct edge *e)
{
	const struct qf_guest_volume *v;
	const struct qf_guest_segment *s;
	size_t n = 0;
	uint32_t i, k;

	for (i = 0; i < g->n; i++) {
		v = &g->volume[i];
		for (k = 0; k < v->segments; k++) {
			s = &g->segment[v->segment + k];
			if (s->at == QF_NOWHERE)
				continue;
			e[n++] = (struct edge){ s->at, i, true };
			e[n++] = (struct edge){ s->at + s->bytes / s->columns,
						i, false };
		}
	}
	if (n)
		qsort(e, n, sizeof(*e), by_place);
	return n;
}

bool qf_hit_parts_make(const struct qf_guest *g, struct qf_hit_parts *out)
{
	size_t room = 2 * (size_t)g->n_segments + 1, n, i;
	struct edge *e = qf_mem_zalloc(room, sizeof(*e));
	uint32_t *open = qf_mem_zalloc(g->n + 1, sizeof(*open)), v;

	out->n = 0;
	out->at = qf_mem_zalloc(room, sizeof(*out->at));
	n = e && open && out->at ? find_edges(g, e) : 0;
	for (i = 0; i < n; i++) {
		if (e[i].begins)
			open[e[i].volume]++;
		else
			open[e[i].volume]--;
		if (i + 1 < n && e[i + 1].at == e[i].at)
			continue;
		v = best_of(g, open);
		if (!out->n || out->at[out->n - 1].volume != v)
			out->at[out->n++] = (struct qf_hit_part){ e[i].at, v };
	}
	if (!e || !open) {
		free(out->at);
		out->at = NULL;
	}
	free(e);
	free(open);
	return out->at;
}

void qf_hit_parts_free(struct qf_hit_parts *p)
{
	free(p->at);
}

uint32_t qf_hit_parts_at(const struct qf_hit_parts *p, uint64_t off,
			 uint64_t limit, uint64_t *bytes)
{
	size_t lo = 0, hi = p->n, mid;

	while (lo < hi) { /* the first that starts behind OFF */
		mid = lo + (hi - lo) / 2;
		if (p->at[mid].start <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	*bytes = limit;
	if (lo < p->n && p->at[lo].start - off < limit)
		*bytes = p->at[lo].start - off;
	return lo ? p->at[lo - 1].volume : QF_GUEST_NO_VOLUME;
}
