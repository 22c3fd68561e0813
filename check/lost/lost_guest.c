// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost/lost_guest.h"
#include "check/judge/witness.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STATES 4u
#define MAX_ASKED 4096u
/* So many clusters without an owner are looked at for the head of a disk. */
#define MAX_HEADS 16384u
#define HEAD_BYTES 2048u

/* The tables of one state of the disk. */
struct asking {
	struct qf_search *s;
	const uint64_t *at;
	size_t n;
	uint64_t leaks;
	enum qf_lost_use *out;
	uint32_t holder;
	struct qf_guest_range *asked; /* owned; of the tables below */
	size_t *table;		      /* owned; which of AT each is */
	size_t n_asked;
	struct qf_guest *guest;
	struct qf_disk *bare; /* the same state, with nothing lost */
	bool failed;	      /* no memory */
};

/* What the tables of this state should map; the disk ends at END. */
static bool collect(struct asking *a, uint64_t end)
{
	const struct qf_walk *w = a->s->w;
	uint64_t span = w->img->geo.cluster_bytes << w->img->geo.l2_bits;
	uint64_t start;
	size_t i;

	a->asked = qf_mem_zalloc(a->n + 1, sizeof(*a->asked));
	a->table = qf_mem_zalloc(a->n + 1, sizeof(*a->table));
	if (!a->asked || !a->table)
		return false;
	for (i = 0; i < a->n; i++) {
		start = qf_walk_group_of(w, a->at[i])->l1_index * span;
		if (w->table[a->at[i]].holder != a->holder || start >= end ||
		    a->n_asked == MAX_ASKED)
			continue;
		a->table[a->n_asked] = i;
		a->asked[a->n_asked++] = (struct qf_guest_range){
			start, end - start < span ? end - start : span
		};
	}
	return true;
}

/* Nothing is believed that would be read there. */
static bool lose(const struct asking *a, struct qf_disk *disk)
{
	const struct qf_walk *w = a->s->w;
	uint64_t span = w->img->geo.cluster_bytes << w->img->geo.l2_bits;
	struct qf_ranges lost = { 0 };
	size_t i;

	/* also where there are too many to ask about each */
	for (i = 0; i < a->n; i++)
		if (w->table[a->at[i]].holder == a->holder &&
		    !qf_ranges_add(&lost,
				   qf_walk_group_of(w, a->at[i])->l1_index *
					   span,
				   span)) {
			qf_ranges_free(&lost);
			return false;
		}
	qf_disk_lose(disk, 0, &lost);
	return true;
}

bool qf_lost_all_clean(const struct qf_guest *g, const struct qf_guest_range *r)
{
	const struct qf_guest_volume *v = g->volume;
	uint32_t i;

	for (i = 0; i < g->n; i++, v++)
		if (v->start < r->start + r->bytes &&
		    r->start < v->start + v->bytes && v->fs.kind[0] &&
		    v->fs.clean != QF_GUEST_CLEAN)
			return false;
	return true;
}

/* The first of the runs, which are in order, that ends behind AT. */
static size_t first_run(const struct qf_guest_runs *runs, uint64_t at)
{
	size_t lo = 0, hi = runs->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (runs->at[mid].start + runs->at[mid].bytes <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t qf_lost_bare(struct qf_disk *disk, uint64_t from, uint64_t to)
{
	struct qf_disk_extent e;
	uint64_t sum = 0;

	for (; from < to; from += e.bytes) {
		if (qf_disk_at(disk, from, to - from, &e, NULL) || !e.bytes)
			return sum;
		sum += e.zero ? e.bytes : 0;
	}
	return sum;
}

/* How much of R is used as USE says; BARE (or NULL): but for what a backing
 * file has there. */
static uint64_t count(const struct qf_guest_runs *runs,
		      const struct qf_guest_range *r, enum qf_guest_use use,
		      struct qf_disk *bare)
{
	uint64_t from, to, sum = 0;
	size_t i;

	for (i = first_run(runs, r->start);
	     i < runs->n && runs->at[i].start < r->start + r->bytes; i++) {
		from = runs->at[i].start;
		to = from + runs->at[i].bytes;
		from = from > r->start ? from : r->start;
		to = to < r->start + r->bytes ? to : r->start + r->bytes;
		if (runs->at[i].use == use && from < to)
			sum += bare ? qf_lost_bare(bare, from, to) : to - from;
	}
	return sum;
}

static void decide(struct asking *a, const struct qf_guest_runs *runs)
{
	uint64_t cluster = a->s->img->geo.cluster_bytes, used;
	const struct qf_guest_range *r = a->asked;
	size_t i;

	for (i = 0; i < a->n_asked; i++, r++) {
		used = count(runs, r, QF_GUEST_USED,
			     a->s->img->backing_name ? a->bare : NULL);
		if (used && used / cluster <= a->leaks * QF_WITNESS_USE_SHARE)
			a->out[a->table[i]] = QF_LOST_USED;
		else if (!count(runs, r, QF_GUEST_USED, NULL) &&
			 !count(runs, r, QF_GUEST_UNKNOWN, NULL) &&
			 qf_lost_all_clean(a->guest, r))
			a->out[a->table[i]] = QF_LOST_FREE;
	}
}

static bool any_unknown(const struct asking *a)
{
	size_t i;

	for (i = 0; i < a->n_asked; i++)
		if (a->out[a->table[i]] == QF_LOST_UNKNOWN)
			return true;
	return false;
}

/* A block that reads as zeros, though its own tree says what must stand there:
 * the table mapped it. */
static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct asking *a = ctx;
	size_t i;

	if (volume == QF_GUEST_NO_VOLUME || b->state != QF_GUEST_FAILS ||
	    qf_lost_bare(a->bare, b->start, b->start + b->bytes) != b->bytes)
		return true;
	for (i = 0; i < a->n_asked; i++)
		if (b->start - a->asked[i].start < a->asked[i].bytes &&
		    a->out[a->table[i]] == QF_LOST_UNKNOWN)
			a->out[a->table[i]] = QF_LOST_USED;
	return true;
}

static enum qf_err ask_blocks(struct asking *a, struct qf_why *why)
{
	struct qf_guest *guest = NULL;
	enum qf_err err;

	if (!any_unknown(a))
		return QF_OK;
	err = qf_guest_open(a->bare, false, &guest, why);
	if (!err && guest->n) {
		guest->metadata_only = guest->faults_only = true;
		err = qf_guest_blocks(guest, a->asked, a->n_asked, see_block, a,
				      why);
	}
	qf_guest_close(guest);
	return err;
}

/* Where the map itself is lost, or does not say: what files, and the file
 * system itself, have there. */
static enum qf_err ask_names(struct asking *a, struct qf_why *why)
{
	const uint64_t cluster = a->s->img->geo.cluster_bytes;
	struct qf_guest_names names = { 0 };
	struct qf_guest_run piece;
	struct qf_guest_runs runs = { .at = &piece, .n = 1 };
	uint64_t used;
	size_t i, k;
	enum qf_err err;

	if (!any_unknown(a))
		return QF_OK;
	err = qf_guest_names(a->guest, a->asked, a->n_asked, &names, why);
	for (i = 0; !err && i < a->n_asked; i++) {
		used = 0;
		for (k = 0; k < names.pieces; k++) {
			piece = (struct qf_guest_run){ names.piece[k].start,
						       names.piece[k].bytes,
						       QF_GUEST_USED };
			used += count(&runs, &a->asked[i], QF_GUEST_USED,
				      a->s->img->backing_name ? a->bare : NULL);
		}
		if (a->out[a->table[i]] == QF_LOST_UNKNOWN && used &&
		    used / cluster <= a->leaks * QF_WITNESS_USE_SHARE)
			a->out[a->table[i]] = QF_LOST_USED;
	}
	qf_guest_names_free(&names);
	return err;
}

/* What does not work out is not known. */
static enum qf_err look(struct asking *a, struct qf_chain *chain,
			struct qf_disk **disk)
{
	struct qf_guest_runs runs = { 0 };
	struct qf_why why;
	enum qf_err err = qf_chain_open(a->s->img, true, chain, &why);

	if (!err)
		err = qf_disk_open(chain, a->holder, disk, &why);
	if (!err)
		err = qf_disk_open(chain, a->holder, &a->bare, &why);
	if (!err && (!collect(a, qf_disk_bytes(*disk)) || !lose(a, *disk)))
		err = QF_ERR_NOMEM;
	if (!err)
		err = qf_guest_open(*disk, false, &a->guest, &why);
	if (!err)
		err = qf_guest_use(a->guest, a->asked, a->n_asked, &runs, &why);
	if (!err) {
		decide(a, &runs);
		err = ask_names(a, &why);
	}
	if (!err)
		err = ask_blocks(a, &why);
	qf_guest_runs_free(&runs);
	return err;
}

static void one_state(void *ctx)
{
	struct asking *a = ctx;
	struct qf_chain chain = { 0 };
	struct qf_disk *disk = NULL;

	a->failed = look(a, &chain, &disk) == QF_ERR_NOMEM;
	qf_guest_close(a->guest);
	qf_disk_close(a->bare);
	qf_disk_close(disk);
	qf_chain_close(&chain);
	free(a->asked);
	free(a->table);
}

/* What the first clusters of a disk hold: a file system, or partitions. */
static bool is_head(const unsigned char *p)
{
	static const struct {
		unsigned int at, n;
		const char *magic;
	} heads[] = {
		{ 0, 4, "XFSB" },	 { 3, 8, "NTFS    " },
		{ 3, 8, "EXFAT   " },	 { 54, 4, "FAT1" },
		{ 82, 5, "FAT32" },	 { 512, 8, "EFI PART" },
		{ 64, 8, "_BHRfS_M" },	 { 512, 8, "LABELONE" },
		{ 1080, 2, "\x53\xef" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (!memcmp(p + heads[i].at, heads[i].magic, heads[i].n))
			return true;
	/* partitions: the first has a type, and starts somewhere */
	return p[510] == 0x55 && p[511] == 0xaa && p[450] &&
	       (p[446] == 0 || p[446] == 0x80) &&
	       (p[454] || p[455] || p[456] || p[457]);
}

/* True if the head of a disk lies in a cluster that has no owner. */
static bool is_head_loose(const struct qf_search *s)
{
	const struct qf_trouble *tr = s->t->trouble;
	unsigned char buf[HEAD_BYTES];
	uint64_t cl, seen = 0;
	size_t i;

	for (i = 0; i < s->t->n_troubles; i++, tr++)
		for (cl = tr->first; !tr->counted && cl < tr->first + tr->n &&
				     qf_lost_leaked(s->t, cl);
		     cl++) {
			if (seen++ == MAX_HEADS)
				return false;
			if (!qf_io_read_pad(s->img->io, buf, sizeof(buf),
					    cl << s->img->geo.cluster_bits,
					    NULL) &&
			    is_head(buf))
				return true;
		}
	return false;
}

/* The table of a disk's head, if it is the only one: where that lies loose, it
 * was erased. No file system can be read without it. */
static void look_for_head(struct qf_search *s, const uint64_t *at, size_t n,
			  enum qf_lost_use *out)
{
	size_t i, first = n;

	for (i = 0; i < n; i++)
		if (!qf_walk_group_of(s->w, at[i])->l1_index) {
			if (first < n)
				return;
			first = i;
		}
	if (first < n && out[first] == QF_LOST_UNKNOWN && is_head_loose(s))
		out[first] = QF_LOST_USED;
}

bool qf_lost_ask_guest(struct qf_search *s, const uint64_t *at, size_t n,
		       uint64_t leaks, enum qf_lost_use *out)
{
	uint32_t holder[MAX_STATES], n_holders = 0, k;
	struct asking a;
	size_t i;

	if (s->img->hdr.crypt_method)
		return true;
	for (i = 0; i < n && n_holders < MAX_STATES; i++) {
		for (k = 0;
		     k < n_holders && holder[k] != s->w->table[at[i]].holder;
		     k++)
			;
		if (k == n_holders)
			holder[n_holders++] = s->w->table[at[i]].holder;
	}
	for (k = 0; k < n_holders; k++) {
		a = (struct asking){ .s = s,
				     .at = at,
				     .n = n,
				     .leaks = leaks,
				     .out = out,
				     .holder = holder[k] };
		/* there are children, and libraries are loaded */
		qf_pool_alone(one_state, &a);
		if (a.failed)
			return false;
	}
	look_for_head(s, at, n, out);
	return true;
}
