// SPDX-License-Identifier: GPL-2.0-or-later
/* What a killed writer leaves, and a lost table does not. */
#include "check/lost/lost_search.h"
#include "lib/base/mem.h"

/* No writer has more clusters on their way than this. */
#define MAX_TAIL 65536u
#define MANY_TABLES 8u
#define MAX_LOOKED 256u

struct table_count {
	uint64_t behind; /* the cluster */
	uint64_t empty;	 /* of them, without an entry */
	uint64_t filled; /* of the image, with entries */
};

/* How many of N offsets, which ascend, are not before OFF. */
static uint64_t count_from(const uint64_t *at, uint64_t n, uint64_t off)
{
	uint64_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (at[mid] < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return n - lo;
}

static struct table_count count_tables(const struct qf_search *s,
				       uint64_t cluster)
{
	uint64_t off = (cluster + 1) << s->img->geo.cluster_bits;

	return (struct table_count){
		.behind = count_from(s->known, s->w->n_tables, off),
		.empty = count_from(s->empty, s->n_empty, off),
		.filled = s->w->n_tables - s->n_empty
	};
}

/* Counts the last MAX_TAIL clusters from the end: tail[n] is the last n. */
bool qf_lost_count_tail(struct qf_search *s)
{
	uint64_t n = s->t->clusters < MAX_TAIL ? s->t->clusters : MAX_TAIL, i;

	s->tail = qf_mem_zalloc(n + 1, sizeof(*s->tail));
	if (!s->tail)
		return false;
	for (i = 1; i <= n; i++) {
		uint64_t c = s->t->clusters - i;

		s->tail[i].used = s->tail[i - 1].used +
				  (qf_recount_counted(s->t, c) != 0);
		s->tail[i].leaked =
			s->tail[i - 1].leaked + qf_lost_leaked(s->t, c);
	}
	return true;
}

bool qf_lost_holds_data(const struct qf_search *s, uint64_t cluster)
{
	uint64_t off = cluster << s->img->geo.cluster_bits, end;
	uint64_t bytes = s->img->geo.cluster_bytes;

	if (s->img->backing_name)
		return true;
	return qf_io_extent(s->img->io, off, off + bytes, &end) == QF_IO_DATA ||
	       end < off + bytes;
}

/* Data that were on their way: allocated, but behind the file's end or in a
 * hole of it. Looks at the file's last clusters. */
static bool look_at_tail(const struct qf_search *s)
{
	uint64_t c = s->t->clusters, stated, looked = 0;

	if (!qf_image_refcount(s->img, c, &stated, NULL) && stated)
		return true;
	while (c && looked < MAX_LOOKED && s->t->clusters - c < MAX_TAIL)
		if (qf_lost_leaked(s->t, --c)) {
			if (!qf_lost_holds_data(s, c))
				return true;
			looked++;
		}
	return false;
}

static bool on_their_way(struct qf_search *s)
{
	if (!s->way_known)
		s->on_way = look_at_tail(s);
	s->way_known = true;
	return s->on_way;
}

uint64_t qf_lost_used_behind(const struct qf_search *s, uint64_t cluster)
{
	if (cluster >= s->t->clusters)
		return 0;
	if (s->t->clusters - cluster > MAX_TAIL)
		return UINT64_MAX;
	return s->tail[s->t->clusters - cluster].used;
}

/* True if next to nothing behind the cluster has an owner, but for tables. */
static bool is_little(const struct qf_search *s, uint64_t cluster,
		      const struct table_count *n)
{
	uint64_t at = s->t->clusters - cluster - 1, used = s->tail[at].used;

	used -= used < n->behind ? used : n->behind;
	return used * 8 <= s->tail[at].leaked + 8;
}

bool qf_lost_little_behind(const struct qf_search *s, uint64_t cluster)
{
	struct table_count n;

	if (s->t->clusters - cluster > MAX_TAIL)
		return false;
	n = count_tables(s, cluster);
	return is_little(s, cluster, &n);
}

/* True if a cluster before this one is counted and has no owner at all. A count
 * of the header, or of a table, that is too high is no such cluster. */
static bool leaks_before(const struct qf_recount *t, uint64_t cluster)
{
	const struct qf_trouble *tr = t->trouble;
	size_t i;

	for (i = 0; i < t->n_troubles && tr->first < cluster; i++, tr++)
		if (!tr->counted && qf_lost_leaked(t, tr->first))
			return true;
	return false;
}

bool qf_lost_killed_tail(struct qf_search *s, uint64_t table_cluster)
{
	const struct qf_recount *t = s->t;
	struct table_count n;

	if (t->clusters - table_cluster > MAX_TAIL)
		return false;
	n = count_tables(s, table_cluster);
	if (!is_little(s, table_cluster, &n))
		return false;
	return leaks_before(t, table_cluster) || t->stated_end < t->clusters ||
	       n.empty || n.filled >= MANY_TABLES || on_their_way(s);
}
