// SPDX-License-Identifier: GPL-2.0-or-later
/* An L1 table is known by what it holds: pointers to L2 tables and nothing
 * else. */
#include "repair/search/l1find.h"
#include "lib/base/mem.h"
#include "repair/search/orphan.h"

/* True if another holder's L1 entry at INDEX names the table at OFF. */
static bool is_named(const struct qf_l1find *s, uint64_t index, uint64_t off)
{
	const struct qf_l2_table *t =
		qf_walk_find(&s->c->walk, (uint32_t)index, off);

	return t && (t->weight > 1 || t->holder != s->holder);
}

/* True if the L2 table at OFF stands where the header has the L1 table that is
 * looked for: the pointer in doubt is its only owner. */
static bool is_in_place(const struct qf_l1find *s, uint64_t off)
{
	const struct qf_image *img = s->c->img;
	unsigned int flags = 0;

	return s->holder == QF_HOLDER_ACTIVE && off == img->hdr.l1_off &&
	       qf_ledger_count(s->c->recount.ledger,
			       off >> img->geo.cluster_bits, &flags) == 1 &&
	       qf_orphan_is_l2(s->c, off);
}

/* Judges one entry of what may be an L1 table, and counts it. */
static bool fits_entry(struct qf_l1find *s, uint64_t index, uint64_t entry)
{
	const struct qf_image *img = s->c->img;
	uint64_t off = entry & QF_ENTRY_OFFSET_MASK;

	if (!entry)
		return true;
	if (!off || qf_entry_l1_odd(&img->geo, img->io->size, entry))
		return false;
	s->end = index + 1;
	if (is_named(s, index, off)) {
		s->named++;
		return true;
	}
	s->lost++;
	return (qf_orphan_is(s->c, off) && qf_orphan_is_l2(s->c, off)) ||
	       is_in_place(s, off);
}

bool qf_l1find_is(struct qf_l1find *s, uint64_t off)
{
	uint64_t at, n, i, bytes = s->entries * 8;
	struct qf_be64 buf[QF_L1FIND_STEP / 8];
	bool fits = true;

	s->named = s->lost = s->end = 0;
	for (at = 0; fits && at < bytes; at += n) {
		n = bytes - at < QF_L1FIND_STEP ? bytes - at : QF_L1FIND_STEP;
		if (s->budget < n ||
		    qf_io_read_pad(s->c->img->io, buf, n, off + at, NULL))
			return false;
		s->budget -= n;
		for (i = 0; fits && i < n / 8; i++)
			fits = fits_entry(s, at / 8 + i, qf_be_get64(buf[i]));
	}
	return fits && s->named + s->lost;
}

static uint64_t clusters_of(const struct qf_l1find *s)
{
	return qf_mem_div_up(s->entries * 8, s->c->img->geo.cluster_bytes);
}

/* True if nobody owns any of the clusters that the table at OFF would have. */
static bool is_without_owner(const struct qf_l1find *s, uint64_t off)
{
	uint64_t i, n = clusters_of(s), size = s->c->img->geo.cluster_bytes;

	for (i = 0; i < n; i++)
		if (!qf_orphan_is(s->c, off + i * size))
			return false;
	return n;
}

/* The cluster to go on with behind CL, if CL is a hole: zeros hold no pointer.
 * Else CL. */
static uint64_t skip_hole(const struct qf_image *img, uint64_t cl)
{
	uint64_t off = cl << img->geo.cluster_bits, end;

	if (qf_io_extent(img->io, off, img->io->size, &end) == QF_IO_HOLE &&
	    end - off >= img->geo.cluster_bytes)
		return end >> img->geo.cluster_bits;
	return cl;
}

/* Tries the clusters of one run without an owner. */
static void look_in_run(struct qf_l1find *s, const struct qf_trouble *tr,
			struct qf_l1find *best)
{
	uint64_t cl = tr->first, next, off;

	while (cl < tr->first + tr->n && s->budget >= QF_L1FIND_STEP) {
		off = cl << s->c->img->geo.cluster_bits;
		next = skip_hole(s->c->img, cl);
		if (next > cl) {
			cl = next;
			continue;
		}
		cl++;
		if (!is_without_owner(s, off) || !qf_l1find_is(s, off))
			continue;
		s->found = off;
		if (s->n < s->room) {
			s->at[s->n].off = off;
			s->at[s->n].end = s->end;
		}
		s->n++;
		*best = *s;
	}
}

bool qf_l1find_look(struct qf_l1find *s)
{
	const struct qf_trouble *tr = s->c->recount.trouble;
	struct qf_l1find best = *s;
	bool all;
	size_t i;

	for (i = 0; i < s->c->recount.n_troubles; i++, tr++)
		if (tr->stated > tr->counted && !tr->counted)
			look_in_run(s, tr, &best);
	all = s->budget >= QF_L1FIND_STEP;
	*s = best;
	return all;
}
