// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/lost/blocks.h"
#include "check/detail/whatis.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"

#include <stdlib.h>
#include <string.h>

/* Fewer wrong refcounts than this say nothing about the block. */
#define MIN_WRONG 3u

struct counts {
	uint64_t low, high; /* wrong: too low, too high */
	uint64_t right;	    /* not zero, and what was counted */
	bool unknown;
};

static void add_trouble(struct counts *n, const struct qf_trouble *tr)
{
	n->unknown |= (tr->why & QF_TROUBLE_UNKNOWN) != 0;
	/* with two owners, it is the owners that are wrong */
	if (!(tr->why & QF_TROUBLE_REFCOUNT) || tr->why & QF_TROUBLE_DOUBLE)
		return;
	if (tr->stated < tr->counted)
		n->low += tr->hits;
	else
		n->high += tr->hits;
}

/* How many refcounts of the block are not zero, of clusters in the file. */
static bool count_stated(const struct qf_recount *t, uint64_t block,
			 unsigned char *buf, uint64_t *stated)
{
	const struct qf_image *img = t->walk->img;
	const struct qf_geometry *g = &img->geo;
	uint64_t first = block << g->refblock_bits, i, n;
	uint64_t off = qf_image_refblock(img, block);

	*stated = 0;
	if (!off || off & (g->cluster_bytes - 1) || off >= img->io->size ||
	    first >= t->clusters ||
	    qf_io_read_pad(img->io, buf, g->cluster_bytes, off, NULL))
		return false;
	n = t->clusters - first;
	if (n > 1ull << g->refblock_bits)
		n = 1ull << g->refblock_bits;
	for (i = 0; i < n; i++)
		*stated += qf_refblock_get(buf, img->hdr.refcount_order, i) !=
			   0;
	return true;
}

/* Wrong where nothing is in use is a leak, unless it cannot be a refcount. */
static bool holds_garbage(const struct qf_image *img, uint64_t block,
			  unsigned int *asked)
{
	uint64_t off = qf_image_refblock(img, block);
	char what[256];

	if ((*asked)++ < QF_WHATIS_MAX)
		qf_whatis(img, off, what, sizeof(what));
	else
		qf_whatis_quick(img, off, what, sizeof(what));
	if (strstr(what, "refcount block"))
		return false;
	/* where counts are so narrow, most bytes could be some */
	return img->hdr.refcount_order >= 3 || strstr(what, "guest data") ||
	       strstr(what, "nothing but") || strstr(what, "0xff") ||
	       strstr(what, "random");
}

static bool judge(struct qf_recount *t, struct qf_blocks *b, uint64_t block,
		  struct qf_trouble *from, const struct qf_trouble *end,
		  unsigned char *buf)
{
	struct counts n = { 0 };
	struct qf_trouble *tr;
	uint64_t stated = 0;
	bool garbage;

	for (tr = from; tr < end; tr++)
		add_trouble(&n, tr);
	if (n.unknown || n.low + n.high < MIN_WRONG ||
	    !count_stated(t, block, buf, &stated))
		return true;
	/* those that are wrong are stated as something, or as zero */
	for (tr = from; tr < end; tr++)
		if (tr->why & QF_TROUBLE_REFCOUNT && tr->stated)
			stated -= tr->hits < stated ? tr->hits : stated;
	n.right = stated;
	if (n.right * 8 > n.low + n.high)
		return true;
	garbage = holds_garbage(t->walk->img, block, &b->asked);
	/* leaks, where nothing is in use, do not make it a bad block */
	if (!garbage && (n.low < MIN_WRONG || n.right * 8 > n.low))
		return true;
	if (!qf_mem_grow((void **)&b->bad, b->n, &b->room, sizeof(*b->bad)))
		return false;
	b->bad[b->n++] = (struct qf_bad_block){ block, garbage };
	for (tr = from; garbage && tr < end; tr++)
		tr->why |= QF_TROUBLE_DOUBTED;
	return true;
}

enum qf_err qf_blocks_judge(struct qf_recount *t, struct qf_blocks *b,
			    struct qf_why *why)
{
	struct qf_trouble *tr = t->trouble, *from, *end;
	uint32_t bits = t->walk->img->geo.refblock_bits;
	unsigned char *buf;
	bool ok = true;

	memset(b, 0, sizeof(*b));
	if (!t->n_troubles)
		return QF_OK;
	end = tr + t->n_troubles;
	buf = qf_mem_zalloc(1, t->walk->img->geo.cluster_bytes);
	ok = buf != NULL;
	while (ok && tr < end) {
		from = tr;
		while (tr < end && tr->first >> bits == from->first >> bits)
			tr++;
		ok = judge(t, b, from->first >> bits, from, tr, buf);
	}
	free(buf);
	if (ok)
		return QF_OK;
	qf_blocks_free(b);
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to judge the refcount blocks");
}

void qf_blocks_free(struct qf_blocks *b)
{
	free(b->bad);
	memset(b, 0, sizeof(*b));
}

const struct qf_bad_block *qf_blocks_at(const struct qf_blocks *b,
					uint64_t number)
{
	size_t lo = 0, hi = b->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (b->bad[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->n && b->bad[lo].number == number ? &b->bad[lo] : NULL;
}
