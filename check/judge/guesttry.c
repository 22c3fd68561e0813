// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/guesttry.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* So many bytes are held at once, and one place is tried so often. */
#define BATCH_BYTES (16ull << 20)
#define MAX_ROUNDS 32u

/* -- the view -- */

static enum qf_err lose(struct qf_guestview *v)
{
	struct qf_ranges lost = { 0 };
	size_t i;

	for (i = 0; i < v->n; i++)
		if (!qf_ranges_add(&lost, v->place[i],
				   v->img->geo.cluster_bytes)) {
			qf_ranges_free(&lost);
			return QF_ERR_NOMEM;
		}
	qf_disk_lose(v->disk, 0, &lost);
	return QF_OK;
}

enum qf_err qf_guestview_open(struct qf_image *img, uint32_t holder,
			      const uint64_t *place, size_t n,
			      struct qf_guestview *v)
{
	struct qf_why why = { 0 };
	enum qf_err err;

	*v = (struct qf_guestview){ .img = img, .place = place, .n = n };
	err = qf_chain_open(img, true, &v->chain, &why);
	if (!err)
		err = qf_disk_open(&v->chain, holder, &v->disk, &why);
	if (!err)
		err = lose(v);
	if (!err)
		err = qf_guest_open(v->disk, false, &v->guest, &why);
	return err;
}

void qf_guestview_close(struct qf_guestview *v)
{
	qf_guest_close(v->guest);
	qf_disk_close(v->disk);
	qf_chain_close(&v->chain);
}

/* How many of the places in question the range touches; *FIRST: the first. */
static size_t touched(const struct qf_guestview *v, uint64_t start,
		      uint64_t bytes, size_t *first)
{
	const uint64_t cluster = v->img->geo.cluster_bytes;
	size_t lo = 0, hi = v->n, mid, n = 0;

	while (lo < hi) { /* the first that ends behind START */
		mid = lo + (hi - lo) / 2;
		if (v->place[mid] + cluster <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = lo;
	while (lo + n < v->n && v->place[lo + n] < start + bytes)
		n++;
	return n;
}

/* -- the list of tries -- */

bool qf_guesttry_add(struct qf_guesttries *t, uint64_t guest_off,
		     uint64_t value)
{
	if (!qf_mem_grow((void **)&t->at, t->n, &t->room, sizeof(*t->at)))
		return false;
	t->at[t->n++] =
		(struct qf_guesttry){ .guest_off = guest_off, .value = value };
	return true;
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_guesttry *a = pa, *b = pb;

	if (a->guest_off != b->guest_off)
		return a->guest_off < b->guest_off ? -1 : 1;
	return a->value < b->value ? -1 : a->value > b->value;
}

void qf_guesttry_sort(struct qf_guesttries *t)
{
	size_t i, n = 0;

	if (!t->n)
		return;
	qsort(t->at, t->n, sizeof(*t->at), by_place);
	for (i = 1; i < t->n; i++)
		if (by_place(&t->at[n], &t->at[i]))
			t->at[++n] = t->at[i];
	t->n = n + 1;
	for (i = 1; i < t->n; i++)
		if (t->at[i].guest_off == t->at[i - 1].guest_off)
			t->at[i].round = t->at[i - 1].round + 1;
}

const struct qf_guesttry *qf_guesttry_at(const struct qf_guesttries *t,
					 uint64_t guest_off, uint64_t value)
{
	const struct qf_guesttry key = { .guest_off = guest_off,
					 .value = value };

	return t->n ? bsearch(&key, t->at, t->n, sizeof(*t->at), by_place)
		    : NULL;
}

/* -- tries, many at a time -- */

struct batch {
	struct qf_guestview *v;
	struct qf_guesttry **at; /* owned, with the lists below */
	struct qf_guest_patch *patch;
	struct qf_guest_range *asked;
	unsigned char *data;
	size_t n, room; /* so many clusters */
};

static bool make_batch(struct qf_guestview *v, struct batch *b)
{
	const uint64_t cluster = v->img->geo.cluster_bytes;

	*b = (struct batch){ .v = v, .room = BATCH_BYTES / cluster };
	if (b->room > v->n)
		b->room = v->n;
	b->at = qf_mem_zalloc(b->room + 1, sizeof(struct qf_guesttry *));
	b->patch = qf_mem_zalloc(b->room + 1, sizeof(*b->patch));
	b->asked = qf_mem_zalloc(b->room + 1, sizeof(*b->asked));
	b->data = qf_mem_zalloc(b->room + 1, cluster);
	return b->at && b->patch && b->asked && b->data;
}

static void free_batch(struct batch *b)
{
	free(b->at);
	free(b->patch);
	free(b->asked);
	free(b->data);
}

/* The try at the place, if it is one of this batch. */
static struct qf_guesttry *try_at(const struct batch *b, uint64_t place)
{
	size_t lo = 0, hi = b->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (b->at[mid]->guest_off < place)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->n && b->at[lo]->guest_off == place ? b->at[lo] : NULL;
}

/* Whether what contradicts BLOCK is itself beyond question. */
static bool may_contradict(const struct qf_guestview *v, uint32_t volume,
			   const struct qf_guest_block *block)
{
	size_t k;

	return v->guest->volume[volume].fs.clean == QF_GUEST_CLEAN &&
	       !v->img->backing_name && block->parent != QF_NOWHERE &&
	       !touched(v, block->parent, 1, &k);
}

static bool see_block(void *ctx, uint32_t volume,
		      const struct qf_guest_block *block)
{
	struct batch *b = ctx;
	struct qf_guesttry *t;
	size_t first, n, i;

	/* a partition table was read before anything was tried */
	if (volume == QF_GUEST_NO_VOLUME || block->state == QF_GUEST_UNREAD)
		return true;
	n = touched(b->v, block->start, block->bytes, &first);
	for (i = first; i < first + n; i++) {
		t = try_at(b, b->v->place[i]);
		if (!t)
			continue;
		if (block->state == QF_GUEST_FAILS) {
			t->differs++;
			t->fails += (n == 1 || b->v->together) &&
				    may_contradict(b->v, volume, block);
		} else if (block->bond == QF_GUEST_BY_NUMBER)
			t->numbered++;
		else
			t->holds++;
	}
	return true;
}

static void put_batch(struct batch *b)
{
	struct qf_guest *g = b->v->guest;
	struct qf_why why = { 0 };

	if (b->n) {
		qf_guest_lay(g, b->patch, b->n);
		qf_guest_blocks(g, b->asked, b->n, see_block, b, &why);
		qf_guest_lay(g, NULL, 0);
	}
	b->n = 0;
}

static void add_to_batch(struct batch *b, struct qf_guesttry *t)
{
	const uint64_t cluster = b->v->img->geo.cluster_bytes;
	const uint64_t disk = qf_disk_bytes(b->v->disk);
	unsigned char *data = b->data + b->n * cluster;
	uint64_t bytes;

	if (t->guest_off >= disk ||
	    qf_io_read_pad(b->v->img->io, data, cluster, t->value, NULL))
		return;
	bytes = disk - t->guest_off < cluster ? (disk - t->guest_off) & ~511ull
					      : cluster;
	b->patch[b->n] = (struct qf_guest_patch){ t->guest_off, bytes, data };
	b->asked[b->n] = (struct qf_guest_range){ t->guest_off, bytes };
	b->at[b->n++] = t;
	if (b->n == b->room)
		put_batch(b);
}

bool qf_guesttry_all(struct qf_guestview *v, struct qf_guesttries *t)
{
	uint32_t round, last = 0;
	struct batch b;
	bool ok = make_batch(v, &b);
	size_t i;

	for (i = 0; i < t->n; i++)
		last = t->at[i].round > last ? t->at[i].round : last;
	for (round = 0; ok && round <= last && round < MAX_ROUNDS; round++) {
		for (i = 0; i < t->n; i++)
			if (t->at[i].round == round)
				add_to_batch(&b, &t->at[i]);
		put_batch(&b);
	}
	free_batch(&b);
	return ok;
}

/* -- where clusters belong -- */

struct finding {
	struct qf_guestview *v;
	struct qf_guesttries *t;
	const uint64_t *cluster; /* those of this batch */
	uint64_t last_place;
	size_t last;
	bool failed; /* no memory */
};

static bool see_place(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct finding *f = ctx;
	uint64_t in = b->start & UINT32_MAX, place = b->says - in;
	size_t first;

	(void)volume;
	if (b->says == QF_NOWHERE || b->says < in ||
	    place & (f->v->img->geo.cluster_bytes - 1) ||
	    !touched(f->v, place, 1, &first) ||
	    (f->last == b->start >> 32 && f->last_place == place))
		return true;
	f->last = b->start >> 32;
	f->last_place = place;
	f->failed = !qf_guesttry_add(f->t, place, f->cluster[f->last]);
	return !f->failed;
}

bool qf_guesttry_find(struct qf_guestview *v, const uint64_t *cluster, size_t n,
		      struct qf_guesttries *t)
{
	const uint64_t bytes = v->img->geo.cluster_bytes;
	const size_t room = BATCH_BYTES / bytes;
	struct qf_guest_loose *piece = qf_mem_zalloc(room, sizeof(*piece));
	unsigned char *data = qf_mem_zalloc(room, bytes);
	struct finding f = { .v = v, .t = t, .failed = !piece || !data };
	struct qf_why why = { 0 };
	size_t i, k, m;

	for (i = 0; i < n && !f.failed; i += m) {
		m = n - i < room ? n - i : room;
		for (k = 0; k < m; k++) {
			piece[k] = (struct qf_guest_loose){ data + k * bytes,
							    (uint32_t)bytes };
			if (qf_io_read_pad(v->img->io, data + k * bytes, bytes,
					   cluster[i + k], NULL))
				memset(data + k * bytes, 0, bytes);
		}
		f.cluster = cluster + i;
		f.last = SIZE_MAX;
		qf_guest_places(v->guest, piece, m, see_place, &f, &why);
	}
	free(piece);
	free(data);
	return !f.failed;
}
