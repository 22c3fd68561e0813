// SPDX-License-Identifier: GPL-2.0-or-later
/* The scene as bars, one a holder. */
#include "viz/draw/scene.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What the bars are made of: the clusters of each set in one part. */
struct bars {
	const struct qf_scene *s;
	uint32_t from, n; /* holders */
	uint64_t *in_set;
	uint32_t *touched; /* sets with any */
	uint64_t *sum;	   /* by holder */
};

/* The levels of one part of PART clusters, into every WIDTHth byte. */
static void take_levels(const struct bars *b, size_t touched, uint64_t part,
			uint8_t *level, size_t width)
{
	const struct qf_scene_set *set;
	const struct qf_scene_span *p;
	uint32_t k, h, end;
	size_t i;

	memset(b->sum, 0, b->n * sizeof(*b->sum));
	for (i = 0; i < touched; i++) {
		set = &b->s->set[b->touched[i]];
		for (k = 0; k < set->n; k++) {
			p = &b->s->span[set->first + k];
			h = p->first > b->from ? p->first : b->from;
			end = p->first + p->n;
			if (end > b->from + b->n)
				end = b->from + b->n;
			for (; h < end; h++)
				b->sum[h - b->from] += b->in_set[b->touched[i]];
		}
		b->in_set[b->touched[i]] = 0;
	}
	for (k = 0; k < b->n; k++)
		level[k * width] = (uint8_t)(b->sum[k] ? 1 + (b->sum[k] * 7 +
							      part / 2) / part
						       : 0);
}

/* The part's first cluster: the file's clusters spread evenly. */
static uint64_t part_at(const struct qf_scene *s, size_t i, size_t width)
{
	return s->clusters / width * i + s->clusters % width * i / width;
}

/* Adds up the runs of [AT, STOP); returns the sets touched. */
static size_t sum_part(const struct bars *b, uint64_t at, uint64_t stop)
{
	const struct qf_scene *s = b->s;
	size_t r = qf_scene_find(s, at), n = 0;
	uint64_t end;
	uint32_t set;

	for (; at < stop; r++) {
		set = s->run[r].set;
		end = qf_scene_end(s, r);
		end = end < stop ? end : stop;
		if (set && !b->in_set[set])
			b->touched[n++] = set;
		if (set)
			b->in_set[set] += end - at;
		at = end;
	}
	return n;
}

bool qf_scene_bars(const struct qf_scene *s, size_t width, uint32_t from,
		   uint32_t n, uint8_t *level)
{
	struct bars b = { .s = s, .from = from, .n = n };
	uint64_t at, stop;
	size_t i;
	bool ok;

	memset(level, 0, width * n);
	b.in_set = qf_mem_zalloc(s->n_sets, sizeof(*b.in_set));
	b.touched = qf_mem_zalloc(s->n_sets, sizeof(*b.touched));
	b.sum = qf_mem_zalloc(n, sizeof(*b.sum));
	ok = b.in_set && b.touched && b.sum;
	for (i = 0; ok && s->n && i < width; i++) {
		at = part_at(s, i, width);
		stop = part_at(s, i + 1, width);
		if (stop == at && at < s->clusters)
			stop = at + 1; /* fewer clusters than parts */
		take_levels(&b, sum_part(&b, at, stop),
			    stop > at ? stop - at : 1, level + i, width);
	}
	free(b.in_set);
	free(b.touched);
	free(b.sum);
	return ok;
}
