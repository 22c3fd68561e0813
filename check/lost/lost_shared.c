// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * L1 entries that were erased while another holder still has the table. Nothing looks leaked then but a reference: table and data count
 * one more than they have.
 *
 * A "qemu-img snapshot -a" that was killed leaves the same. Killed late, the
 * active L1 table is, entry for entry, that of the snapshot it went to; killed
 * early, every table of that snapshot counts one more, those too that stand
 * where the active disk has one. A "qemu-img snapshot -d" leaves it as well,
 * but then the L1 table of the deleted one is still allocated, and names the
 * table.
 */
#include "check/lost/lost_deleted.h"
#include "check/passes/pass.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HOLDERS 256u
#define MAX_TARGETS 8u
#define CHUNK 8192u /* entries that are compared at once */
#define FIRST_CHUNK 512u
#define MAX_COMPARED (1ull << 24)
#define MAX_ALIKE (1ull << 26)

struct search {
	struct qf_pass_ctx *c;
	struct qf_be64 *buf; /* one L2 table */
	bool known, is_snapshot;
	/* snapshots whose tables count too many where nothing was erased */
	uint32_t target[MAX_TARGETS];
	unsigned int n_targets;
	bool unknown; /* not all of them are known */
	/* what deleted snapshots have left; looked for when it is asked for */
	struct qf_lost_deleted deleted;
	bool looked;
	struct qf_lost_l1 *l1; /* of the first holders */
	uint32_t n_l1;
};

static bool is_high(const struct qf_recount *t, uint64_t cluster)
{
	const struct qf_trouble *tr = qf_recount_at(t, cluster);

	return tr && !(tr->why & (QF_TROUBLE_UNKNOWN | QF_TROUBLE_DOUBTED)) &&
	       tr->stated > tr->counted;
}

/* The entries of table T, if a reference lacks for it and each of them. */
static uint64_t lacking(const struct search *s, const struct qf_l2_table *t)
{
	const struct qf_image *img = s->c->img;
	const struct qf_geometry *g = &img->geo;
	uint64_t i, k, n, used = 0, off = 0, bytes, first, at;
	struct qf_run r = { .n = 1 };

	if (t->odd || !t->off || t->unread || t->unfollowed || !t->filled ||
	    !is_high(&s->c->recount, t->off >> g->cluster_bits) ||
	    qf_io_read_pad(img->io, s->buf, g->cluster_bytes, t->off, NULL))
		return 0;
	for (i = 0; i < g->l2_entries; i++) {
		at = i * (g->l2_entry_bytes / 8);
		r.entry = qf_be_get64(s->buf[at]);
		r.bitmap = g->extl2 ? qf_be_get64(s->buf[at + 1]) : 0;
		r.kind = (uint8_t)qf_entry_kind(g, r.entry);
		bytes = r.entry ? qf_recount_run_bytes(img, &r, &off) : 0;
		n = bytes ? qf_recount_touched(img, off, bytes, &first) : 0;
		for (k = 0; k < n; k++)
			if (!is_high(&s->c->recount, first + k))
				return 0;
		used += n > 0;
	}
	return used;
}

/* True if the first N entries of the L1 tables at A and B name the same
 * tables; B's has only NB. Where that takes too long, they may. */
static bool are_alike(const struct qf_image *img, uint64_t a, uint64_t b,
		      uint64_t n, uint64_t nb, uint64_t *budget)
{
	struct qf_be64 *buf = qf_mem_zalloc(2 * CHUNK, sizeof(*buf)), *x, *y;
	uint64_t at, k, i;
	bool alike = buf;

	for (at = 0; alike && at < n; at += k) {
		/* most differ soon */
		k = at ? CHUNK : FIRST_CHUNK;
		k = n - at < k ? n - at : k;
		if (*budget < k)
			break;
		*budget -= k;
		x = buf;
		y = buf + CHUNK;
		alike = !qf_io_read_pad(img->io, x, k * 8, a + at * 8, NULL) &&
			!qf_io_read_pad(img->io, y, k * 8, b + at * 8, NULL);
		for (i = 0; alike && i < k; i++)
			alike = !(((at + i < nb ? qf_be_get64(y[i]) : 0) ^
				   qf_be_get64(x[i])) &
				  QF_ENTRY_OFFSET_MASK);
	}
	free(buf);
	return alike;
}

/* True if the active disk is what one of the snapshots has. */
static bool is_a_snapshot(const struct qf_image *img)
{
	uint64_t a, b, budget = MAX_ALIKE;
	uint32_t h, na, nb;

	if (!qf_image_l1(img, QF_HOLDER_ACTIVE, &a, &na))
		return true;
	if (na > img->geo.l1_needed)
		na = (uint32_t)img->geo.l1_needed;
	for (h = 1; h < qf_image_holders(img); h++)
		if (qf_image_l1(img, h, &b, &nb) &&
		    are_alike(img, a, b, na, nb, &budget))
			return true;
	return false;
}

/* How the tables of a snapshot count. */
struct raised {
	uint64_t tables, high;
	uint64_t beside; /* of high, where the active disk has another */
	uint64_t shared; /* of high, that the active disk has too */
};

/* Adds the N L1 entries OF a snapshot, beside those of the ACTIVE disk. */
static void count_raised(const struct search *s, const struct qf_be64 *active,
			 const struct qf_be64 *of, uint64_t n, struct raised *r)
{
	uint64_t i, a, b;

	for (i = 0; i < n; i++) {
		a = qf_be_get64(active[i]) & QF_ENTRY_OFFSET_MASK;
		b = qf_be_get64(of[i]) & QF_ENTRY_OFFSET_MASK;
		r->tables += b != 0;
		if (!b ||
		    !is_high(&s->c->recount, b >> s->c->img->geo.cluster_bits))
			continue;
		r->high++;
		r->beside += a && a != b;
		r->shared += a == b;
	}
}

/*
 * True if a "snapshot -a" to the one with N entries at B was killed: its
 * tables count one more where no entry of the active disk is empty. A table
 * that both have may be high for another's erased entry: all must be then.
 */
static bool is_target(struct search *s, uint64_t a, uint32_t na, uint64_t b,
		      uint32_t n, struct qf_be64 *buf, uint64_t *budget)
{
	struct raised r = { 0 };
	uint64_t at, k, ka;

	for (at = 0; at < n; at += k) {
		k = n - at < CHUNK ? n - at : CHUNK;
		ka = at < na ? na - at : 0;
		ka = ka < k ? ka : k;
		if (*budget < k ||
		    qf_io_read_pad(s->c->img->io, buf + CHUNK, k * 8,
				   b + at * 8, NULL) ||
		    (ka && qf_io_read_pad(s->c->img->io, buf, ka * 8,
					  a + at * 8, NULL))) {
			s->unknown = true;
			return false;
		}
		*budget -= k;
		count_raised(s, buf, buf + CHUNK, ka, &r);
		memset(buf, 0, k * 8);
		count_raised(s, buf, buf + CHUNK + ka, k - ka, &r);
	}
	return r.beside || (r.shared && r.high == r.tables);
}

static void find_targets(struct search *s)
{
	struct qf_be64 *buf = qf_mem_zalloc(2 * CHUNK, sizeof(*buf));
	const struct qf_image *img = s->c->img;
	uint64_t a, b, budget = MAX_COMPARED;
	uint32_t h, na, n;

	s->unknown = !buf || !qf_image_l1(img, QF_HOLDER_ACTIVE, &a, &na) ||
		     qf_image_holders(img) > MAX_HOLDERS;
	for (h = 1; !s->unknown && h < qf_image_holders(img); h++) {
		if (!qf_image_l1(img, h, &b, &n) ||
		    !is_target(s, a, na, b, n, buf, &budget))
			continue;
		if (s->n_targets < MAX_TARGETS)
			s->target[s->n_targets++] = h;
		else
			s->unknown = true;
	}
	free(buf);
}

/* True if the disk was on its way to a snapshot that has the table at OFF. */
static bool is_gone_to(struct search *s, uint32_t l1_index, uint64_t off)
{
	uint64_t entry;
	unsigned int i;

	for (i = 0; i < s->n_targets; i++)
		if (qf_lost_l1_at(s->c->img, &s->l1[s->target[i]], l1_index,
				  &entry) &&
		    (entry & QF_ENTRY_OFFSET_MASK) == off)
			return true;
	return false;
}

/* True if a cluster without an owner names the table at OFF where an L1 table
 * does for L1_INDEX. */
static bool is_deleted(struct search *s, uint32_t l1_index, uint64_t off)
{
	if (!s->looked && !qf_lost_deleted_find(s->c, &s->deleted))
		s->c->lost_ranges->failed = true;
	s->looked = true;
	return qf_lost_deleted_has(s->c, &s->deleted, l1_index, off);
}

static void report(struct search *s, uint32_t holder, const struct qf_group *g,
		   const struct qf_l2_table *t, uint64_t used)
{
	struct qf_pass_ctx *c = s->c;
	bool flood = qf_finding_flood(c->out, QF_P_L1_ERASED);
	struct qf_finding *f;
	uint32_t entries;
	uint64_t l1_off;
	char who[400];

	if (!qf_image_l1(c->img, holder, &l1_off, &entries))
		return;
	f = qf_pass_at(c, QF_P_L1_ERASED, l1_off + g->l1_index * 8ull, 8);
	qf_finding_unseen(f);
	f->guest_off = qf_pass_guest(c->img, g->l1_index, 0);
	qf_lost_table(c, holder, g->l1_index, t->off);
	if (flood)
		return;
	qf_finding_say(f,
		       "entry %" PRIu32 " of the L1 table at 0x%" PRIx64
		       " is empty; the table at 0x%" PRIx64
		       " and the clusters of its %" PRIu64
		       " entries count one reference more than they have",
		       g->l1_index, l1_off, t->off, used);
	qf_finding_owner(f, "%s",
			 qf_describe_holder(c->img, holder, who, sizeof(who)));
}

/* True if T lacks a reference, and nothing but an erased entry explains it. */
static bool is_erased(struct search *s, const struct qf_group *g,
		      const struct qf_l2_table *t)
{
	if (!s->known) {
		s->is_snapshot = is_a_snapshot(s->c->img);
		if (!s->is_snapshot)
			find_targets(s);
	}
	s->known = true;
	return !s->is_snapshot && !is_gone_to(s, g->l1_index, t->off) &&
	       !is_deleted(s, g->l1_index, t->off);
}

static void active_entry(struct search *s, const struct qf_group *g)
{
	const struct qf_l2_table *t = &s->c->walk.table[g->first], *one = NULL;
	uint64_t used = 0, n;
	uint32_t v;

	for (v = 0; v < g->n; v++) {
		n = lacking(s, &t[v]);
		if (!n)
			continue;
		if (one)
			return; /* which of them cannot be told */
		one = &t[v];
		used = n;
	}
	if (one && is_erased(s, g, one))
		report(s, QF_HOLDER_ACTIVE, g, one, used);
}

/* The snapshots that have nothing at this index, while T lacks a user. */
static void snapshot_entries(struct search *s, const struct qf_group *g,
			     const struct qf_l2_table *t)
{
	const struct qf_image *img = s->c->img;
	uint64_t used = lacking(s, t), entry;
	uint32_t h;

	if (!used || is_deleted(s, g->l1_index, t->off))
		return;
	for (h = 1; h < s->n_l1; h++)
		if (qf_lost_l1_at(img, &s->l1[h], g->l1_index, &entry) &&
		    !entry)
			report(s, h, g, t, used);
}

static void one_group(struct search *s, const struct qf_group *g)
{
	const struct qf_l2_table *t = &s->c->walk.table[g->first];
	bool active = g->l1_index >= s->c->img->geo.l1_needed ||
		      g->l1_index >= s->c->img->hdr.l1_entries;
	uint32_t v;

	for (v = 0; v < g->n; v++)
		active |= t[v].active;
	if (!active) {
		active_entry(s, g);
		return;
	}
	for (v = 0; v < g->n; v++)
		snapshot_entries(s, g, &t[v]);
}

void qf_lost_shared(struct qf_pass_ctx *c)
{
	struct search s = { .c = c };
	uint32_t i;

	if (!c->recount.leaked || !c->img->snapshots.n || c->walk.n_gaps ||
	    c->img->l1_state != QF_PART_OK)
		return;
	s.buf = qf_mem_zalloc(1, c->img->geo.cluster_bytes);
	s.n_l1 = qf_image_holders(c->img) < MAX_HOLDERS
			 ? qf_image_holders(c->img)
			 : MAX_HOLDERS;
	s.l1 = qf_mem_zalloc(s.n_l1, sizeof(*s.l1));
	for (i = 0; s.l1 && i < s.n_l1; i++)
		qf_lost_l1_open(c->img, i, &s.l1[i]);
	for (i = 0; s.buf && s.l1 && i < c->walk.n_groups; i++)
		one_group(&s, &c->walk.group[i]);
	c->lost_ranges->failed |= !s.buf || !s.l1;
	qf_lost_deleted_free(&s.deleted);
	free(s.l1);
	free(s.buf);
}
