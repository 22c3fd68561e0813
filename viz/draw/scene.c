// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/scene.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qf_scene_init(struct qf_scene *s, uint64_t file_bytes,
		   uint32_t cluster_bits, uint32_t holders)
{
	memset(s, 0, sizeof(*s));
	s->file_bytes = file_bytes;
	s->cluster_bits = cluster_bits;
	s->clusters = qf_mem_div_up(file_bytes, 1ull << cluster_bits);
	s->holder = qf_mem_zalloc(holders, sizeof(*s->holder));
	s->n_holders = s->holder ? holders : 0;
	s->failed = !s->holder && holders;
	qf_scene_add_set(s, NULL, 0);
}

void qf_scene_free(struct qf_scene *s)
{
	uint32_t i;

	for (i = 0; i < s->n_holders; i++) {
		free(s->holder[i].id);
		free(s->holder[i].name);
	}
	free(s->holder);
	free(s->run);
	free(s->set);
	free(s->span);
	free(s->wrong);
	memset(s, 0, sizeof(*s));
}

uint32_t qf_scene_add_set(struct qf_scene *s, const struct qf_scene_span *span,
			  uint32_t n)
{
	struct qf_scene_set set = { .first = s->n_spans, .n = n };
	uint32_t i;

	if (!qf_mem_grow((void **)&s->set, s->n_sets, &s->sets_room,
			 sizeof(*s->set))) {
		s->failed = true;
		return 0;
	}
	for (i = 0; i < n; i++) {
		if (span[i].first >= s->n_holders ||
		    span[i].n > s->n_holders - span[i].first ||
		    !qf_mem_grow((void **)&s->span, s->n_spans, &s->spans_room,
				 sizeof(*s->span))) {
			s->failed = true;
			return 0;
		}
		s->span[s->n_spans++] = span[i];
		set.size += span[i].n;
	}
	s->set[s->n_sets] = set;
	return (uint32_t)s->n_sets++;
}

static void push(struct qf_scene *s, uint64_t first, enum qf_kind kind,
		 uint32_t set)
{
	if (s->n && s->run[s->n - 1].kind == kind &&
	    s->run[s->n - 1].set == set)
		return;
	if (!qf_mem_grow((void **)&s->run, s->n, &s->room, sizeof(*s->run))) {
		s->failed = true;
		return;
	}
	s->run[s->n++] = (struct qf_scene_run){ first, set, (uint8_t)kind };
}

/* While the scene is built, total[QF_KIND_DAMAGED] is where the runs end. */
static uint64_t *built(struct qf_scene *s)
{
	return &s->total[QF_KIND_DAMAGED];
}

void qf_scene_add_run(struct qf_scene *s, uint64_t first, uint64_t n,
		      enum qf_kind kind, uint32_t set, enum qf_kind gap)
{
	uint64_t at = *built(s), end;

	if (!qf_mem_add(first, n, &end) || end > s->clusters)
		end = s->clusters;
	if (first < at)
		first = at;
	if (first >= end)
		return;
	if (first > at)
		push(s, at, gap, 0);
	push(s, first, kind, set < s->n_sets ? set : 0);
	*built(s) = end;
}

void qf_scene_add_bytes(struct qf_scene *s, uint64_t from, uint64_t to,
			enum qf_kind kind, enum qf_kind gap)
{
	uint64_t first = from >> s->cluster_bits;
	uint64_t end = qf_mem_div_up(to, 1ull << s->cluster_bits);
	struct qf_scene_run *last = s->n ? &s->run[s->n - 1] : NULL;

	if (from >= to)
		return;
	if (last && first < *built(s) && kind >= QF_KIND_LEAKED &&
	    kind > (enum qf_kind)last->kind) {
		/* the cluster that both are in */
		*built(s) = first;
		s->n -= last->first == first;
	}
	qf_scene_add_run(s, first, end - first, kind, 0, gap);
}

void qf_scene_coarsen(struct qf_scene *s)
{
	uint32_t bits = s->cluster_bits;
	uint64_t all = *built(s), end;
	size_t i, n = s->n;

	s->clusters = qf_mem_div_up(s->clusters, 2);
	s->cluster_bits++;
	*built(s) = s->n = 0;
	/* no more than one run is put back for each that is read */
	for (i = 0; i < n; i++) {
		struct qf_scene_run r = s->run[i];

		end = i + 1 < n ? s->run[i + 1].first : all;
		qf_scene_add_bytes(s, r.first << bits, end << bits,
				   (enum qf_kind)r.kind, (enum qf_kind)r.kind);
	}
}

void qf_scene_add_wrong(struct qf_scene *s, uint64_t first, uint64_t n,
			enum qf_kind kind)
{
	uint64_t end;

	if (!qf_mem_add(first, n, &end) || end > s->clusters)
		end = s->clusters;
	if (first >= end)
		return;
	if (!qf_mem_grow((void **)&s->wrong, s->n_wrong, &s->wrong_room,
			 sizeof(*s->wrong))) {
		s->failed = true;
		return;
	}
	s->wrong[s->n_wrong++] =
		(struct qf_scene_range){ first, end, (uint8_t)kind };
}

static int by_first(const void *a, const void *b)
{
	const struct qf_scene_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* The gravest kind of the ranges that reach behind AT, and in *END where that
 * may change; QF_KINDS: none reaches there. */
static unsigned int gravest(const uint64_t *reach, uint64_t at, uint64_t *end)
{
	unsigned int k, worst = QF_KINDS;

	for (k = 0; k < QF_KINDS; k++) {
		if (reach[k] <= at)
			continue;
		worst = k;
		*end = reach[k] < *end ? reach[k] : *end;
	}
	return worst;
}

static void push_wrong(struct qf_scene_range *out, size_t *n,
		       struct qf_scene_range r)
{
	if (*n && out[*n - 1].end == r.first && out[*n - 1].kind == r.kind)
		out[*n - 1].end = r.end;
	else
		out[(*n)++] = r;
}

/* Makes the ranges disjoint; where they overlap, the gravest counts. Without
 * memory, none is left. */
static void join_wrong(struct qf_scene *s)
{
	struct qf_scene_range *out = NULL, *in = s->wrong;
	uint64_t reach[QF_KINDS] = { 0 }, at = 0, end;
	size_t i = 0, n = 0;
	unsigned int kind;

	if (!s->n_wrong)
		return;
	qsort(in, s->n_wrong, sizeof(*in), by_first);
	/* a range begins or ends where the kind changes, and nowhere else */
	out = qf_mem_zalloc(2 * s->n_wrong, sizeof(*out));
	if (!out) {
		s->failed = true;
		s->n_wrong = 0;
		return;
	}
	for (;;) {
		for (; i < s->n_wrong && in[i].first <= at; i++)
			if (in[i].end > reach[in[i].kind])
				reach[in[i].kind] = in[i].end;
		end = i < s->n_wrong ? in[i].first : s->clusters;
		kind = gravest(reach, at, &end);
		if (kind == QF_KINDS && i == s->n_wrong)
			break;
		if (kind < QF_KINDS)
			push_wrong(out, &n,
				   (struct qf_scene_range){ at, end,
							    (uint8_t)kind });
		at = end;
	}
	free(in);
	s->wrong_room = 2 * s->n_wrong;
	s->wrong = out;
	s->n_wrong = n;
}

/* What a cluster of a kind looks like that WRONG lies over. */
static uint8_t shown(uint8_t kind, uint8_t wrong)
{
	return kind > wrong ? kind : wrong;
}

/* The totals by kind; what is wrong leaves the kind that it had. */
static void sum_kinds(struct qf_scene *s)
{
	uint64_t from, to, end;
	size_t i, d, r;

	memset(s->total, 0, sizeof(s->total));
	for (i = 0; i < s->n; i++)
		s->total[s->run[i].kind] +=
			qf_scene_end(s, i) - s->run[i].first;
	for (d = 0; d < s->n_wrong; d++) {
		const struct qf_scene_range *w = &s->wrong[d];

		from = w->first;
		for (r = qf_scene_find(s, from); from < w->end; r++) {
			end = qf_scene_end(s, r);
			to = end < w->end ? end : w->end;
			s->total[s->run[r].kind] -= to - from;
			s->total[shown(s->run[r].kind, w->kind)] += to - from;
			from = to;
		}
	}
}

/* What each holder holds. Referenced is gathered as differences between a
 * holder and the one before. */
static void sum_holders(struct qf_scene *s)
{
	const struct qf_scene_span *p;
	const struct qf_scene_set *set;
	size_t i;
	uint32_t k;

	for (i = 0; i < s->n; i++)
		s->set[s->run[i].set].clusters +=
			qf_scene_end(s, i) - s->run[i].first;
	for (i = 0; i < s->n_sets; i++) {
		set = &s->set[i];
		for (k = 0; k < set->n; k++) {
			p = &s->span[set->first + k];
			s->holder[p->first].referenced += set->clusters;
			if (p->first + p->n < s->n_holders)
				s->holder[p->first + p->n].referenced -=
					set->clusters;
			if (set->size == 1)
				s->holder[p->first].exclusive += set->clusters;
		}
	}
	for (k = 1; k < s->n_holders; k++)
		s->holder[k].referenced += s->holder[k - 1].referenced;
}

void qf_scene_refinish(struct qf_scene *s)
{
	join_wrong(s);
	sum_kinds(s);
}

void qf_scene_rename(struct qf_scene *s, enum qf_kind old, enum qf_kind new)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->run[i].kind == old)
			s->run[i].kind = (uint8_t) new;
}

void qf_scene_finish(struct qf_scene *s, enum qf_kind gap)
{
	uint64_t at = *built(s);

	if (at < s->clusters)
		push(s, at, gap, 0);
	if (s->failed) {
		s->n = s->n_wrong = 0;
		s->clusters = 0;
		return;
	}
	sum_holders(s);
	qf_scene_refinish(s);
}

size_t qf_scene_find(const struct qf_scene *s, uint64_t cluster)
{
	size_t lo = 0, hi = s->n, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (s->run[mid].first <= cluster)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

uint64_t qf_scene_end(const struct qf_scene *s, size_t run)
{
	return run + 1 < s->n ? s->run[run + 1].first : s->clusters;
}

const struct qf_scene_range *qf_scene_wrong_from(const struct qf_scene *s,
						 uint64_t cluster)
{
	size_t lo = 0, hi = s->n_wrong, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->wrong[mid].end <= cluster)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n_wrong ? &s->wrong[lo] : NULL;
}

enum qf_kind qf_scene_under(const struct qf_scene *s, uint64_t cluster,
			    uint32_t *set)
{
	size_t i;

	*set = 0;
	if (!s->n || cluster >= s->clusters)
		return QF_KIND_UNKNOWN;
	i = qf_scene_find(s, cluster);
	*set = s->run[i].set;
	return (enum qf_kind)s->run[i].kind;
}

enum qf_kind qf_scene_at(const struct qf_scene *s, uint64_t cluster,
			 uint32_t *set)
{
	enum qf_kind k = qf_scene_under(s, cluster, set);
	const struct qf_scene_range *w = qf_scene_wrong_from(s, cluster);

	return w && w->first <= cluster
		       ? (enum qf_kind)shown((uint8_t)k, w->kind)
		       : k;
}

bool qf_scene_holds(const struct qf_scene *s, uint32_t set, uint32_t holder)
{
	const struct qf_scene_span *p;
	uint32_t i;

	for (i = 0; set < s->n_sets && i < s->set[set].n; i++) {
		p = &s->span[s->set[set].first + i];
		if (holder >= p->first && holder - p->first < p->n)
			return true;
	}
	return false;
}

uint64_t qf_scene_mark(struct qf_scene *s)
{
	uint32_t *before =
		qf_mem_zalloc((size_t)s->n_holders + 1, sizeof(*before));
	const struct qf_scene_span *p;
	struct qf_scene_set *set;
	uint32_t k, marked;
	uint64_t freed = 0;
	size_t i;

	for (k = 0; before && k < s->n_holders; k++)
		before[k + 1] = before[k] + s->holder[k].marked;
	for (i = 0; before && i < s->n_sets; i++) {
		set = &s->set[i];
		for (k = marked = 0; k < set->n; k++) {
			p = &s->span[set->first + k];
			marked += before[p->first + p->n] - before[p->first];
		}
		set->mark = !marked		  ? QF_MARK_NONE
			    : marked == set->size ? QF_MARK_EXCLUSIVE
						  : QF_MARK_SHARED;
		if (set->mark == QF_MARK_EXCLUSIVE)
			freed += set->clusters;
	}
	free(before);
	return freed;
}

/* "active, 1, 2 and 5 more". */
static void list_holders(const struct qf_scene *s, uint32_t set, char *buf,
			 size_t room)
{
	const struct qf_scene_set *p = &s->set[set];
	const struct qf_scene_span *span = s->span + p->first;
	uint32_t i, k, shown = 0;
	size_t n = 0;

	buf[0] = '\0';
	for (i = 0; i < p->n; i++)
		for (k = 0; k < span[i].n && n < room; k++, shown++) {
			if (shown == 6 && p->size > 7) {
				snprintf(buf + n, room - n, " and %u more",
					 p->size - shown);
				return;
			}
			n += (size_t)snprintf(buf + n, room - n, "%s%s",
					      shown ? ", " : "",
					      s->holder[span[i].first + k].id);
		}
}

char *qf_scene_describe(const struct qf_scene *s, uint64_t cluster, char *buf,
			size_t room)
{
	uint32_t set;
	enum qf_kind seen = qf_scene_at(s, cluster, &set);
	enum qf_kind kind = qf_scene_under(s, cluster, &set);
	char who[256];

	who[0] = '\0';
	if (set < s->n_sets && s->set[set].size)
		list_holders(s, set, who, sizeof(who));
	snprintf(buf, room, "%s%s%s%s%s%s",
		 seen == kind ? "" : qf_palette_kind(seen)->title,
		 seen == kind ? "" : ": ", qf_palette_kind(kind)->title,
		 *who ? " (" : "", who, *who ? ")" : "");
	return buf;
}
