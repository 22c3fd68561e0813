// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost/lost_gaps.h"
#include "lib/base/mem.h"

#define SECTOR_BYTES 512u
/* The unit in which file systems and punched holes lose data. */
#define PAGE_BYTES 4096u
/* More than what is on its way to one place when a writer dies. */
#define REQUESTS_BYTES (2u << 20)
/* Fewer leaks than this are no sign at the open end of a table. */
#define MANY_LEAKS 64u
#define FEW_LEAKS 8u
/* QEMU keeps so many refcount blocks in memory, at least. */
#define CACHED_REFBLOCKS 4u
/* Leaks are scattered if most parts of their range have some. */
#define PARTS 8u
#define MOST_PARTS 6u

uint32_t qf_gap_sector(const struct qf_geometry *g)
{
	return SECTOR_BYTES / g->l2_entry_bytes;
}

bool qf_gap_has_sector(const struct qf_geometry *g, uint32_t from, uint32_t to)
{
	uint32_t sector = qf_gap_sector(g);

	return qf_mem_round_up(from, sector) + sector <= to;
}

static bool is_leak(const struct qf_trouble *tr)
{
	return !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED)) &&
	       tr->stated && !tr->counted && tr->hits == tr->n;
}

bool qf_gap_is_leak(const struct qf_search *s, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_at(s->t, cluster);

	return tr && is_leak(tr) && !qf_lost_is_explained(s, cluster);
}

/* In how many of the PARTS parts of the leaks' range there are some. */
static unsigned int parts_with_leaks(const struct qf_search *s, uint64_t first,
				     uint64_t last)
{
	uint64_t n = last - first + 1, k, from, to;
	const struct qf_trouble *tr;
	unsigned int sum = 0;

	for (k = 0; k < PARTS; k++) {
		from = first + n / PARTS * k;
		to = k + 1 < PARTS ? from + n / PARTS : last + 1;
		tr = qf_recount_from(s->t, from);
		while (tr && tr < s->t->trouble + s->t->n_troubles &&
		       tr->first < to && !is_leak(tr))
			tr++;
		sum += tr && tr < s->t->trouble + s->t->n_troubles &&
		       tr->first < to;
	}
	return sum;
}

/* True if N leaks before cluster END can be no more than what a dying writer
 * had on its way: nothing much was allocated behind them. */
static bool is_window(const struct qf_search *s, uint64_t n, uint64_t end)
{
	uint32_t bits = s->img->geo.cluster_bits;
	uint64_t used = qf_lost_used_behind(s, end);

	return n << bits <= REQUESTS_BYTES &&
	       (used < 4 * n + 8 || used < QF_WINDOW_BYTES >> bits);
}

struct qf_gap_leaks qf_gap_leaks(const struct qf_search *s)
{
	const struct qf_trouble *tr = s->t->trouble;
	struct qf_gap_leaks l = { 0 };
	uint64_t n, last = 0;
	bool open = false;
	size_t i;

	for (i = 0; i < s->t->n_troubles; i++, tr++) {
		if (!is_leak(tr))
			continue;
		n = qf_lost_unexplained(s, tr->first, tr->n);
		if (!n)
			continue;
		if (!l.n) {
			l.first = tr->first;
			l.stated = tr->stated;
		}
		l.stated = l.stated == tr->stated ? l.stated : 0;
		l.n += n;
		l.runs++;
		open |= tr->first && qf_lost_little_behind(s, tr->first - 1);
		if (open)
			continue;
		last = tr->first + tr->n - 1;
		l.inside += n;
	}
	l.tail = l.n && (l.first < 2 || qf_lost_little_behind(s, l.first - 1) ||
			 is_window(s, l.n, l.first));
	n = l.inside ? last - l.first : 0;
	l.scattered = l.inside &&
		      parts_with_leaks(s, l.first, last) >= MOST_PARTS &&
		      (n >= 4 * l.inside ||
		       n << s->img->geo.cluster_bits >= 2ull * QF_WINDOW_BYTES);
	return l;
}

/* Clusters without an owner, one after another. */
struct leaks {
	uint64_t first, n;
	uint64_t next; /* the cluster behind them, or before if downward */
	bool shared;   /* all had several owners */
};

static void take_leak(const struct qf_search *s, struct leaks *l, uint64_t c,
		      const struct qf_trouble *tr)
{
	if (!l->n || c < l->first)
		l->first = c;
	l->n++;
	l->shared &= tr->stated > 1 && tr->stated <= qf_image_holders(s->img);
}

/* The trouble at cluster C, if it is a leak; TR is the one before, of which
 * most have many clusters. */
static const struct qf_trouble *leak_at(const struct qf_search *s, uint64_t c,
					const struct qf_trouble *tr)
{
	if (!tr || c < tr->first || c - tr->first >= tr->n)
		tr = qf_recount_at(s->t, c);
	return tr && is_leak(tr) && !qf_lost_is_explained(s, c) ? tr : NULL;
}

/* At most MAX leaks from cluster C on; refcount blocks lie between. */
static struct leaks leaks_up(const struct qf_search *s, uint64_t c,
			     uint64_t max)
{
	struct leaks l = { .shared = true };
	const struct qf_trouble *tr = NULL;

	for (; l.n < max; c++) {
		tr = leak_at(s, c, tr);
		if (tr)
			take_leak(s, &l, c, tr);
		else if (!qf_lost_is_refblock(s, c))
			break;
	}
	while (qf_lost_is_refblock(s, c))
		c++;
	l.next = c;
	return l;
}

/* The same, downward. */
static struct leaks leaks_down(const struct qf_search *s, uint64_t c,
			       uint64_t max)
{
	struct leaks l = { .shared = true };
	const struct qf_trouble *tr = NULL;

	for (; c && l.n < max; c--) {
		tr = leak_at(s, c, tr);
		if (tr)
			take_leak(s, &l, c, tr);
		else if (!qf_lost_is_refblock(s, c))
			break;
	}
	l.next = c;
	return l;
}

/* True if a page of the stretch lies in a hole of the file: no writer leaves
 * one in a table. */
static bool is_punched(const struct qf_search *s, const struct qf_gap *gap)
{
	uint32_t entry = s->img->geo.l2_entry_bytes;
	uint64_t from = gap->table->off + (uint64_t)gap->from * entry;
	uint64_t to = gap->table->off + (uint64_t)gap->to * entry, end;

	if (!qf_lost_holes_tell(s->img))
		return false;
	for (from = qf_mem_round_up(from, PAGE_BYTES); from + PAGE_BYTES <= to;
	     from += PAGE_BYTES)
		if (qf_io_extent(s->img->io, from, from + PAGE_BYTES, &end) ==
			    QF_IO_HOLE &&
		    end >= from + PAGE_BYTES)
			return true;
	return false;
}

/* True if nothing follows the leaks, and QEMU may have written refcounts
 * long before it wrote the tables. */
static bool is_tail(const struct qf_search *s, const struct leaks *l)
{
	uint64_t used = qf_lost_used_behind(s, l->first + l->n);
	uint64_t cached = (uint64_t)CACHED_REFBLOCKS
			  << s->img->geo.refblock_bits;

	if (used >= 8 + l->n / 8)
		return false;
	return s->t->clusters > cached ||
	       l->n << s->img->geo.cluster_bits <= REQUESTS_BYTES;
}

/* Leaks at one end of the stretch only: it must end where a sector or page
 * ends, or have room for just as many. */
static bool open_was_erased(const struct qf_search *s, const struct qf_gap *gap,
			    const struct leaks *l, bool upward)
{
	uint32_t page = PAGE_BYTES / s->img->geo.l2_entry_bytes;

	if (l->n < MANY_LEAKS || is_tail(s, l))
		return false;
	if (l->n == gap->to - gap->from &&
	    l->n << s->img->geo.cluster_bits >= QF_WINDOW_BYTES)
		return true;
	return upward ? gap->from && gap->from % page == 0
		      : gap->to % page == 0;
}

/* What the file has next to the stretch's neighbours. */
static struct leaks leaks_beside(const struct qf_search *s,
				 const struct qf_gap *gap, bool *upward)
{
	struct leaks l = { 0 };

	*upward = true;
	if (gap->before)
		l = leaks_up(s, gap->before, gap->to - gap->from);
	if (l.n || !gap->after)
		return l;
	*upward = false;
	return leaks_down(s, gap->after - 1, gap->to - gap->from);
}

/* Version 2 has no zero flag: a discard leaves the same, if it is killed; but
 * hardly just where sectors begin and end. */
static bool may_be_discard(const struct qf_search *s, const struct qf_gap *gap)
{
	uint32_t sector = qf_gap_sector(&s->img->geo);

	return s->img->hdr.version < 3 &&
	       (gap->from % sector || gap->to % sector);
}

/* The leaks that tell of the stretch, but for whether they hold data. */
static uint64_t leaks_of(const struct qf_search *s, const struct qf_gap *gap,
			 uint64_t *first)
{
	bool upward, fits;
	struct leaks l = leaks_beside(s, gap, &upward);

	*first = l.first;
	if (!l.n)
		return 0;
	fits = upward && l.next == gap->after;
	/* what was shared had been finished: no killed writer's */
	if (l.shared)
		return fits || l.n >= 2 ? l.n : 0;
	if (!qf_gap_has_sector(&s->img->geo, gap->from, gap->to) ||
	    qf_lost_little_behind(s, upward ? gap->before - 1 : l.next))
		return 0;
	if (is_punched(s, gap))
		return l.n;
	if (may_be_discard(s, gap) || is_window(s, l.n, l.first + l.n))
		return 0;
	/* a few fit into a gap by chance: clusters that were free, and given
	 * out again by a writer that was killed */
	if (fits)
		return l.n >= FEW_LEAKS && (l.n == gap->to - gap->from ||
					    s->img->hdr.version >= 3)
			       ? l.n
			       : 0;
	return open_was_erased(s, gap, &l, upward) ? l.n : 0;
}

uint64_t qf_gap_was_erased(const struct qf_search *s, const struct qf_gap *gap)
{
	uint64_t first, n = leaks_of(s, gap, &first);

	/* asked last: a file system may look long for the end of data */
	return n && qf_lost_holds_data(s, first) ? n : 0;
}
