// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/unixfs/btrfs_lib.h"
#include "lib/guest/crc.h"
#include "lib/guest/digest.h"
#include "lib/guest/le.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HEAD 101u /* of a node */
#define KEY 17u
#define ITEM 25u
#define POINTER 33u
#define CHUNK 48u
#define STRIPE 32u
#define ONE_PLACE (1u << 5 | 7u) /* kinds of chunks: single and DUP */
#define METADATA_UUID 0x400u

bool qf_btrfs_sum_holds(const struct qf_btrfs *x, const unsigned char *sum,
			const void *buf, size_t n)
{
	unsigned char digest[32];

	switch (x->csum_type) {
	case QF_BTRFS_CRC32C:
		return ~qf_crc_32c(~0u, buf, n) == qf_le_get32(sum, 0);
	case QF_BTRFS_XXHASH:
		return qf_digest_xxh64(buf, n) == qf_le_get64(sum, 0);
	case QF_BTRFS_SHA256:
		qf_digest_sha256(buf, n, digest);
		return !memcmp(digest, sum, sizeof(digest));
	case QF_BTRFS_BLAKE2:
		qf_digest_blake2b(buf, n, digest);
		return !memcmp(digest, sum, sizeof(digest));
	default:
		return true;
	}
}

uint32_t qf_btrfs_sum_bytes(const struct qf_btrfs *x)
{
	static const uint32_t bytes[] = { 4, 8, 32, 32 };

	return x->csum_type < sizeof(bytes) / sizeof(bytes[0])
		       ? bytes[x->csum_type]
		       : 0;
}

/* --- superblock --- */

bool qf_btrfs_super_sound(const unsigned char *s, uint64_t at)
{
	const struct qf_btrfs x = { .csum_type = qf_le_get16(s, 0xc4) };
	uint32_t node = qf_le_get32(s, 0x94), sector = qf_le_get32(s, 0x90);

	return !memcmp(s + 0x40, "_BHRfS_M", 8) && qf_le_get64(s, 0x30) == at &&
	       qf_btrfs_sum_holds(&x, s, s + 32, QF_BTRFS_SUPER_BYTES - 32) &&
	       node >= sector && node <= QF_BTRFS_MAX_NODE &&
	       !(node & (node - 1)) && sector >= 512 &&
	       !(sector & (sector - 1)) && s[0xc6] <= QF_BTRFS_MAX_LEVEL &&
	       s[0xc7] <= QF_BTRFS_MAX_LEVEL && qf_le_get32(s, 0xa0) <= 2048;
}

bool qf_btrfs_find_super(struct qf_volume *v, unsigned char *s, bool *by_copy)
{
	static const uint64_t places[] = { QF_BTRFS_SUPER_AT, 64ull << 20,
					   256ull << 30 };
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		*by_copy = i;
		if (qf_volume_read(v, s, QF_BTRFS_SUPER_BYTES, places[i]) &&
		    qf_btrfs_super_sound(s, places[i]))
			return true;
	}
	return false;
}

/* --- chunks --- */

static int by_start(const void *a, const void *b)
{
	const struct qf_btrfs_chunk *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The chunk item P of N bytes, if it lies on this device alone. */
static void add_chunk(struct qf_btrfs *x, uint64_t start,
		      const unsigned char *p, uint32_t n)
{
	struct qf_btrfs_chunk c = { .start = start };
	uint32_t i;

	if (n < CHUNK)
		return;
	c.bytes = qf_le_get64(p, 0);
	c.copies = qf_le_get16(p, 44);
	if (!c.copies || c.copies > QF_BTRFS_COPIES ||
	    n < CHUNK + c.copies * STRIPE || !c.bytes ||
	    qf_le_get64(p, 24) & ~(uint64_t)ONE_PLACE || c.start > INT64_MAX ||
	    c.bytes > INT64_MAX)
		return;
	for (i = 0; i < c.copies; i++) {
		c.place[i] = qf_le_get64(p, CHUNK + i * STRIPE + 8);
		if (qf_le_get64(p, CHUNK + i * STRIPE) !=
			    qf_le_get64(x->super, 0xc9) ||
		    c.place[i] > x->bytes || c.bytes > x->bytes - c.place[i])
			return;
	}
	for (i = 0; i < x->chunks; i++)
		if (c.start < x->chunk[i].start + x->chunk[i].bytes &&
		    x->chunk[i].start < c.start + c.bytes)
			return; /* the superblock told it already */
	if (!qf_mem_grow((void **)&x->chunk, x->chunks, &x->chunk_room,
			 sizeof(*x->chunk))) {
		x->no_memory = true;
		return;
	}
	x->chunk[x->chunks++] = c;
	qsort(x->chunk, x->chunks, sizeof(*x->chunk), by_start);
}

static bool see_chunk(void *ctx, const struct qf_btrfs_key *key,
		      const unsigned char *data, uint32_t bytes)
{
	if (key->type == QF_BTRFS_CHUNK_ITEM)
		add_chunk(ctx, key->offset, data, bytes);
	return true;
}

/* Those that the superblock has, to find the others with. */
static void add_system_chunks(struct qf_btrfs *x)
{
	const unsigned char *p = x->super + 0x32b;
	uint32_t at = 0, end = qf_le_get32(x->super, 0xa0), n;

	while (at + KEY + CHUNK <= end) {
		n = CHUNK + STRIPE * qf_le_get16(p, at + KEY + 44);
		if (n > end - at - KEY)
			return;
		add_chunk(x, qf_le_get64(p, at + 9), p + at + KEY, n);
		at += KEY + n;
	}
}

const struct qf_btrfs_chunk *qf_btrfs_chunk_of(const struct qf_btrfs *x,
					       uint64_t logical)
{
	size_t lo = 0, hi = x->chunks, mid;
	const struct qf_btrfs_chunk *c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = &x->chunk[mid];
		if (logical < c->start)
			hi = mid;
		else if (logical - c->start >= c->bytes)
			lo = mid + 1;
		else
			return c;
	}
	return NULL;
}

uint64_t qf_btrfs_place(const struct qf_btrfs *x, uint64_t logical, uint32_t i)
{
	const struct qf_btrfs_chunk *c = qf_btrfs_chunk_of(x, logical);

	return c && i < c->copies ? c->place[i] + (logical - c->start)
				  : QF_NOWHERE;
}

/* --- trees --- */

bool qf_btrfs_node_sound(const struct qf_btrfs *x, const unsigned char *b,
			 uint64_t logical, uint64_t generation)
{
	return qf_le_get64(b, 0x30) == logical &&
	       !memcmp(b + 0x20, x->node_id, 16) &&
	       (!generation || qf_le_get64(b, 0x50) == generation) &&
	       qf_btrfs_sum_holds(x, b, b + 32, x->node - 32);
}

struct walk {
	struct qf_btrfs *x;
	const struct qf_btrfs_visitor *see;
	uint64_t left; /* nodes that there can be: no circle */
	bool stopped;
};

static struct qf_btrfs_key key_at(const unsigned char *p)
{
	return (struct qf_btrfs_key){ qf_le_get64(p, 0), qf_le_get64(p, 9),
				      p[8] };
}

static bool read_node(struct walk *w, unsigned char *b, uint64_t logical,
		      uint64_t generation, uint32_t level)
{
	uint64_t place;
	uint32_t i;

	for (i = 0; i < QF_BTRFS_COPIES; i++) {
		place = qf_btrfs_place(w->x, logical, i);
		if (place != QF_NOWHERE &&
		    qf_volume_read(w->x->v, b, w->x->node, place) &&
		    qf_btrfs_node_sound(w->x, b, logical, generation) &&
		    b[0x64] == level)
			return true;
	}
	return false;
}

static bool see_leaf(struct walk *w, const unsigned char *b)
{
	const uint32_t n = qf_le_get32(b, 0x60);
	uint32_t i, at, bytes;
	struct qf_btrfs_key key;

	if (n > (w->x->node - HEAD) / ITEM)
		return false;
	for (i = 0; i < n && !w->stopped; i++) {
		key = key_at(b + HEAD + i * ITEM);
		at = qf_le_get32(b, HEAD + i * ITEM + KEY);
		bytes = qf_le_get32(b, HEAD + i * ITEM + KEY + 4);
		if (at > w->x->node - HEAD || bytes > w->x->node - HEAD - at)
			return false;
		if (key.id >= w->see->first_id && key.id <= w->see->last_id &&
		    w->see->item)
			w->stopped = !w->see->item(w->see->ctx, &key,
						   b + HEAD + at, bytes);
	}
	return true;
}

static bool walk_node(struct walk *w, uint64_t logical, uint64_t generation,
		      uint32_t level, uint64_t parent)
{
	unsigned char b[QF_BTRFS_MAX_NODE];
	const unsigned char *p;
	uint64_t here = qf_btrfs_place(w->x, logical, 0);
	bool whole = true;
	uint32_t i, n;

	if (!w->left--)
		return false;
	if (w->see->node &&
	    !w->see->node(w->see->ctx, logical, generation, parent))
		w->stopped = true;
	if (w->stopped || !read_node(w, b, logical, generation, level))
		return false;
	if (!level)
		return see_leaf(w, b);
	n = qf_le_get32(b, 0x60);
	if (n > (w->x->node - HEAD) / POINTER)
		return false;
	for (i = 0; i < n && !w->stopped; i++) {
		p = b + HEAD + i * POINTER;
		if (qf_le_get64(p, 0) > w->see->last_id)
			break;
		if (i + 1 < n && qf_le_get64(p, POINTER) < w->see->first_id)
			continue;
		whole &= walk_node(w, qf_le_get64(p, KEY),
				   qf_le_get64(p, KEY + 8), level - 1, here);
	}
	return whole;
}

bool qf_btrfs_walk(struct qf_btrfs *x, const struct qf_btrfs_root *root,
		   const struct qf_btrfs_visitor *see)
{
	struct walk w = { .x = x, .see = see, .left = x->bytes / x->node + 1 };

	return root && root->level <= QF_BTRFS_MAX_LEVEL &&
	       walk_node(&w, root->at, root->generation, root->level,
			 QF_BTRFS_SUPER_AT) &&
	       !w.stopped;
}

const struct qf_btrfs_root *qf_btrfs_root_of(const struct qf_btrfs *x,
					     uint64_t id)
{
	size_t i;

	for (i = 0; i < x->roots; i++)
		if (x->root[i].id == id)
			return &x->root[i];
	return NULL;
}

static void add_root(struct qf_btrfs *x, uint64_t id, uint64_t at,
		     uint64_t generation, uint8_t level)
{
	if (!qf_mem_grow((void **)&x->root, x->roots, &x->root_room,
			 sizeof(*x->root)))
		x->no_memory = true;
	else
		x->root[x->roots++] =
			(struct qf_btrfs_root){ id, at, generation, level };
}

static bool see_root(void *ctx, const struct qf_btrfs_key *key,
		     const unsigned char *data, uint32_t bytes)
{
	struct qf_btrfs *x = ctx;

	/* one without references is being deleted */
	if (key->type == QF_BTRFS_ROOT_ITEM && bytes >= 239 &&
	    qf_le_get32(data, 216))
		add_root(x, key->id, qf_le_get64(data, 176),
			 qf_le_get64(data, 160), data[238]);
	return !x->no_memory;
}

/* --- open and close --- */

static void load(struct qf_btrfs *x)
{
	const struct qf_btrfs_visitor chunks = { .item = see_chunk,
						 .ctx = x,
						 .last_id = UINT64_MAX };
	const struct qf_btrfs_visitor roots = { .item = see_root,
						.ctx = x,
						.last_id = UINT64_MAX };
	const unsigned char *s = x->super;
	const struct qf_btrfs_root chunk_tree = { QF_BTRFS_CHUNK_TREE,
						  qf_le_get64(s, 0x58),
						  qf_le_get64(s, 0xa4),
						  s[0xc7] };
	const struct qf_btrfs_root root_tree = { QF_BTRFS_ROOT_TREE,
						 qf_le_get64(s, 0x50),
						 qf_le_get64(s, 0x48),
						 s[0xc6] };

	add_system_chunks(x);
	qf_btrfs_walk(x, &chunk_tree, &chunks);
	qf_btrfs_walk(x, &root_tree, &roots);
	add_root(x, chunk_tree.id, chunk_tree.at, chunk_tree.generation,
		 chunk_tree.level);
	add_root(x, root_tree.id, root_tree.at, root_tree.generation,
		 root_tree.level);
}

enum qf_err qf_btrfs_open(struct qf_volume *v, void **fs, struct qf_why *why)
{
	struct qf_btrfs *x = qf_mem_zalloc(1, sizeof(*x));
	bool by_copy;

	if (!x)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for its tables");
	x->v = v;
	if (!qf_btrfs_find_super(v, x->super, &by_copy)) {
		qf_btrfs_close(x);
		return qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE,
				  "its superblock cannot be followed");
	}
	x->node = qf_le_get32(x->super, 0x94);
	x->sector = qf_le_get32(x->super, 0x90);
	x->csum_type = qf_le_get16(x->super, 0xc4);
	x->bytes = qf_le_get64(x->super, 0xd1);
	if (x->bytes > v->bytes)
		x->bytes = v->bytes;
	memcpy(x->node_id,
	       x->super + (qf_le_get64(x->super, 0xbc) & METADATA_UUID ? 0x23b
								       : 0x20),
	       16);
	load(x);
	if (!x->no_memory) {
		*fs = x;
		return QF_OK;
	}
	qf_btrfs_close(x);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for its tables");
}

void qf_btrfs_close(void *fs)
{
	struct qf_btrfs *x = fs;

	if (!x)
		return;
	free(x->chunk);
	free(x->root);
	free(x);
}
