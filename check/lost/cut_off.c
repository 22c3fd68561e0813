// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost/cut_off.h"
#include "check/lost/blocks.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"

#include <stdlib.h>
#include <string.h>

/* Blocks that are read: more count clusters past the end in hostile files. */
#define MAX_READ 4096u
/* A block that was cut off may be counted by another one that was. */
#define MAX_ROUNDS 4u

struct look {
	const struct qf_image *img;
	const struct qf_blocks *bad;
	struct qf_cut *cut;
	unsigned char *buf;
	unsigned int read;
};

/* The clusters from FIRST on, N of them: those past the end were there. */
static bool take(struct look *l, uint64_t first, uint64_t n)
{
	uint32_t bits = l->img->geo.cluster_bits;
	uint64_t from = qf_image_clusters(l->img);
	uint64_t most = QF_ENTRY_OFFSET_MASK >> bits;

	if (first >= most)
		return true;
	if (n > most - first)
		n = most - first;
	if (first + n <= from)
		return true;
	if (first < from) {
		n -= from - first;
		first = from;
	}
	return qf_ranges_add(&l->cut->gone, first << bits, n << bits);
}

/* The first of the counts K to N that is not 0, or N: by whole words, as most
 * of a small file's only block counts nothing. */
static uint64_t next_counted(const unsigned char *block, uint32_t order,
			     uint64_t k, uint64_t n)
{
	uint64_t in_word = 64u >> order, word;

	while (k < n) {
		if (!(k & (in_word - 1)) && k + in_word <= n) {
			memcpy(&word, block + (k << order >> 3), sizeof(word));
			if (!word) {
				k += in_word;
				continue;
			}
		}
		if (qf_refblock_get(block, order, k))
			break;
		k++;
	}
	return k;
}

/* The clusters past the end that block I, which stands at OFF, has counted. */
static bool take_counted(struct look *l, uint64_t i, uint64_t off)
{
	const struct qf_geometry *g = &l->img->geo;
	uint64_t first = i << g->refblock_bits, n = 1ull << g->refblock_bits;
	uint64_t kept = l->cut->end - off, k, from;
	uint64_t end = qf_image_clusters(l->img);
	uint32_t order = l->img->hdr.refcount_order;

	/* of a block that was cut in two, the rest of the counts is gone */
	kept = kept < g->cluster_bytes ? (kept << 3) >> order : n;
	if (!take(l, first + kept, n - kept))
		return false;
	if (l->read++ >= MAX_READ ||
	    qf_io_read_pad(l->img->io, l->buf, g->cluster_bytes, off, NULL))
		return true;
	for (k = end > first ? end - first : 0; k < kept;) {
		from = k = next_counted(l->buf, order, k, kept);
		while (k < kept && qf_refblock_get(l->buf, order, k))
			k++;
		if (k > from && !take(l, first + from, k - from))
			return false;
	}
	return true;
}

static bool is_formed(const struct qf_image *img, uint64_t i)
{
	return img->reftable[i] &&
	       !(img->reftable[i] & QF_REFT_RESERVED_MASK) &&
	       !(img->reftable[i] & (img->geo.cluster_bytes - 1));
}

/* Blocks that stand in the file. */
static bool take_blocks(struct look *l)
{
	const struct qf_image *img = l->img;
	uint64_t end = qf_image_clusters(img), i, off;
	const struct qf_bad_block *b;
	bool ok = true;

	for (i = end >> img->geo.refblock_bits; ok && i < img->reftable_used;
	     i++) {
		off = qf_image_refblock(img, i);
		if (!is_formed(img, i) || off >= l->cut->end)
			continue;
		b = l->bad ? qf_blocks_at(l->bad, i) : NULL;
		if (!b || !b->garbage)
			ok = take_counted(l, i, off);
	}
	return ok;
}

/*
 * True if block I, at OFF, was cut off: another one counted it, or it counted
 * itself, as a block does that is made for the first of its clusters. The first
 * block of all is made with the image.
 */
static bool was_cut_off(const struct look *l, uint64_t i, uint64_t off)
{
	const struct qf_geometry *g = &l->img->geo;
	uint32_t bits = g->cluster_bits + g->refblock_bits;

	if (off < l->cut->end)
		return false;
	return qf_cut_took(l->cut, off) || (i && off >> bits == i);
}

/* The blocks that were cut off. */
static bool take_cut_blocks(struct look *l, bool *more)
{
	const struct qf_image *img = l->img;
	uint32_t bits = img->geo.cluster_bits + img->geo.refblock_bits;
	uint64_t most = QF_ENTRY_OFFSET_MASK >> bits, i, first;
	bool ok = true;

	*more = false;
	for (i = 0; ok && i < img->reftable_used && i < most; i++) {
		if (!is_formed(img, i) ||
		    !was_cut_off(l, i, qf_image_refblock(img, i)))
			continue;
		first = i << bits;
		if (first < l->cut->end)
			first = qf_mem_round_up(l->cut->end,
						img->geo.cluster_bytes);
		if (qf_cut_took(l->cut, first))
			continue;
		*more = true;
		ok = take(l, i << img->geo.refblock_bits,
			  1ull << img->geo.refblock_bits);
	}
	return ok;
}

/* The part of the refcount table that was cut off, and all it counted. */
static bool take_table(struct look *l)
{
	const struct qf_image *img = l->img;
	uint64_t off = img->hdr.reftable_off, had;
	uint32_t bits = img->geo.refblock_bits;

	if (img->reftable_state != QF_PART_OUTSIDE)
		return true;
	had = off < l->cut->end ? (l->cut->end - off) / 8 : 0;
	if (had >= img->reftable_entries)
		return true;
	l->cut->uncounted = true;
	return take(l, had << bits, (img->reftable_entries - had) << bits);
}

bool qf_cut_find(const struct qf_image *img, const struct qf_blocks *b,
		 struct qf_cut *cut)
{
	struct look l = { .img = img, .bad = b, .cut = cut };
	unsigned int round;
	bool ok, more = true;

	*cut = (struct qf_cut){ .end = img->io->size };
	if (!img->reftable_entries)
		return true;
	l.buf = qf_mem_zalloc(1, img->geo.cluster_bytes);
	ok = l.buf && take_table(&l) && take_blocks(&l);
	for (round = 0; ok && more && round < MAX_ROUNDS; round++)
		ok = take_cut_blocks(&l, &more);
	free(l.buf);
	return ok;
}

void qf_cut_free(struct qf_cut *cut)
{
	qf_ranges_free(&cut->gone);
	*cut = (struct qf_cut){ 0 };
}

bool qf_cut_took(const struct qf_cut *cut, uint64_t off)
{
	return off >= cut->end && qf_ranges_has(&cut->gone, off);
}

bool qf_cut_took_entry(const struct qf_cut *cut, const struct qf_geometry *g,
		       uint64_t entry, unsigned int odd)
{
	uint64_t off, bytes, at;

	if (odd != QF_ODD_PAST_END)
		return false;
	if (!(entry & QF_ENTRY_COMPRESSED))
		return qf_cut_took(cut, entry & QF_ENTRY_OFFSET_MASK);
	qf_entry_compressed(g, entry, &off, &bytes);
	at = off < cut->end ? cut->end : off;
	for (at = qf_mem_round_up(at + 1, g->cluster_bytes) - g->cluster_bytes;
	     at < off + bytes; at += g->cluster_bytes)
		if (at >= cut->end && !qf_cut_took(cut, at))
			return false;
	return true;
}
