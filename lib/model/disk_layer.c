// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/disk_layer.h"
#include "lib/format/entry.h"
#include "lib/base/mem.h"
#include "lib/format/refblock.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 512u

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to read the disk");
}

/* Loads the L1 table as far as the file holds it. */
static enum qf_err load_l1(struct qf_layer *l, uint64_t off, uint64_t entries,
			   struct qf_why *why)
{
	struct qf_io *io = l->node->io;
	uint64_t bytes = entries * 8, at, n;
	struct qf_be64 w;

	l->l1 = qf_mem_zalloc(entries ? entries : 1, 8);
	if (!l->l1)
		return no_memory(why);
	l->l1_entries = entries;
	if (off >= io->size)
		return QF_OK;
	if (bytes > io->size - off)
		bytes = (io->size - off) & ~7ull;
	for (at = 0; at < bytes; at += n) {
		n = bytes - at;
		if (!qf_io_read_pad(io, (char *)l->l1 + at, n, off + at, NULL))
			break;
		/* piece by piece, passing over what fails */
		n = n < PIECE_BYTES ? n : PIECE_BYTES;
		if (qf_io_read_pad(io, (char *)l->l1 + at, n, off + at, NULL))
			memset((char *)l->l1 + at, 0xff, n);
	}
	for (at = 0; at < bytes / 8; at++) {
		memcpy(&w, &l->l1[at], sizeof(w));
		l->l1[at] = qf_be_get64(w);
	}
	return QF_OK;
}

enum qf_err qf_layer_open(struct qf_layer *l, const struct qf_chain_node *node,
			  uint32_t holder, struct qf_why *why)
{
	const struct qf_image *img = node->img;
	uint32_t entries;
	uint64_t off;

	memset(l, 0, sizeof(*l));
	l->node = node;
	l->disk_bytes = node->disk_bytes;
	l->l2_off = QF_NOWHERE;
	l->preallocated = -1;
	if (!img)
		return QF_OK;
	if (holder != QF_HOLDER_ACTIVE)
		l->disk_bytes = img->snapshots.snap[holder - 1].disk_bytes &
				~511ull;
	if (!qf_image_l1(img, holder, &off, &entries)) {
		/* a disk of no bytes needs no table */
		if (!l->disk_bytes)
			return load_l1(l, 0, 0, why);
		return qf_err_set(why, QF_ERR_FORMAT, 0, off,
				  "the L1 table has a place or size without "
				  "a meaning: nothing of the disk can be "
				  "found");
	}
	return load_l1(l, off, entries, why);
}

void qf_layer_beside(struct qf_layer *l, const struct qf_layer *from)
{
	memset(l, 0, sizeof(*l));
	l->node = from->node;
	l->disk_bytes = from->disk_bytes;
	l->beside = true;
	l->l1 = from->l1;
	l->l1_entries = from->l1_entries;
	l->l2_off = QF_NOWHERE;
	l->preallocated = from->preallocated;
	l->lost = from->lost;
}

void qf_layer_close(struct qf_layer *l)
{
	if (!l->beside) {
		free(l->l1);
		qf_ranges_free(&l->lost);
	}
	free(l->l2);
	free(l->packed);
	free(l->plain);
	qf_codec_free(l->codec);
	qf_diskkey_free(l->key);
}

static enum qf_err load_l2(struct qf_layer *l, uint64_t off, struct qf_why *why)
{
	uint64_t bytes = l->node->img->geo.cluster_bytes;

	if (l->l2_off == off)
		return QF_OK;
	if (!l->l2)
		l->l2 = qf_mem_zalloc(1, bytes);
	if (!l->l2)
		return no_memory(why);
	l->l2_unread = qf_io_read_pad(l->node->io, l->l2, bytes, off, NULL) !=
		       QF_OK;
	l->l2_off = off;
	return QF_OK;
}

/* An L2 entry with its subcluster bitmap. */
struct slot {
	uint64_t entry, bitmap;
};

static struct slot get_slot(const struct qf_layer *l, uint64_t index)
{
	const struct qf_geometry *g = &l->node->img->geo;
	struct slot s = { 0 };
	struct qf_be64 w;

	memcpy(&w, l->l2 + index * g->l2_entry_bytes, sizeof(w));
	s.entry = qf_be_get64(w);
	if (g->extl2) {
		memcpy(&w, l->l2 + index * 16 + 8, sizeof(w));
		s.bitmap = qf_be_get64(w);
	}
	return s;
}

/* Which oddities make an entry useless, and the words for it. */
static const struct {
	unsigned int odd;
	const char *text;
} useless[] = {
	{ QF_ODD_UNALIGNED, "the L2 entry points into a cluster" },
	{ QF_ODD_COMPRESSED_DATA_FILE,
	  "the L2 entry is compressed, beside an external data file" },
	{ QF_ODD_SUB_BOTH, "the subclusters are allocated and zero at once" },
	{ QF_ODD_SUB_NO_CLUSTER, "the subclusters have no cluster" },
	{ QF_ODD_ZERO_V2, "the zero flag is set in an image of version 2" },
};

static const char *why_useless(const struct qf_layer *l, const struct slot *s)
{
	const struct qf_image *img = l->node->img;
	unsigned int odd = qf_entry_l2_odd(&img->geo, img->hdr.version,
					   img->io->size, s->entry, s->bitmap);
	size_t i;

	for (i = 0; i < sizeof(useless) / sizeof(useless[0]); i++)
		if (odd & useless[i].odd)
			return useless[i].text;
	return NULL;
}

/* Zeros need no bytes; data do. */
static const char *why_lost(const struct qf_layer *l, const struct slot *s,
			    enum qf_disk_kind kind)
{
	const struct qf_image *img = l->node->img;

	if ((kind == QF_DISK_DATA || kind == QF_DISK_COMPRESSED) &&
	    qf_entry_l2_odd(&img->geo, img->hdr.version, img->io->size,
			    s->entry, s->bitmap) &
		    QF_ODD_PAST_END)
		return "the data lie past the end of the file";
	return NULL;
}

static enum qf_disk_kind sub_kind(const struct slot *s, unsigned int sub,
				  bool mapped)
{
	if (s->bitmap >> (32 + sub) & 1)
		return mapped ? QF_DISK_ZERO_ALLOC : QF_DISK_ZERO;
	if (!mapped)
		return QF_DISK_NONE;
	return s->bitmap >> sub & 1 ? QF_DISK_DATA : QF_DISK_NONE_ALLOC;
}

static enum qf_disk_kind slot_kind(const struct qf_layer *l,
				   const struct slot *s, unsigned int sub)
{
	static const enum qf_disk_kind kinds[] = {
		[QF_ENTRY_KIND_NONE] = QF_DISK_NONE,
		[QF_ENTRY_KIND_ZERO] = QF_DISK_ZERO,
		[QF_ENTRY_KIND_ZERO_ALLOC] = QF_DISK_ZERO_ALLOC,
		[QF_ENTRY_KIND_DATA] = QF_DISK_DATA,
		[QF_ENTRY_KIND_COMPRESSED] = QF_DISK_COMPRESSED,
	};
	const struct qf_geometry *g = &l->node->img->geo;
	enum qf_entry_kind kind = qf_entry_kind(g, s->entry);

	if (g->extl2 && kind != QF_ENTRY_KIND_COMPRESSED)
		return sub_kind(s, sub, kind == QF_ENTRY_KIND_DATA);
	return kinds[kind];
}

static bool has_place(enum qf_disk_kind kind)
{
	return kind == QF_DISK_DATA || kind == QF_DISK_ZERO_ALLOC ||
	       kind == QF_DISK_NONE_ALLOC;
}

/* The (sub)cluster at OFF, whose L2 table is loaded. */
static void one(struct qf_layer *l, uint64_t off, struct qf_disk_extent *e)
{
	const struct qf_geometry *g = &l->node->img->geo;
	uint64_t index = off >> g->cluster_bits & (g->l2_entries - 1);
	uint64_t in_cluster = off & (g->cluster_bytes - 1);
	uint64_t step = g->subcluster_bytes;
	struct slot s = get_slot(l, index);

	memset(e, 0, sizeof(*e));
	e->start = off;
	e->host_off = QF_NOWHERE;
	e->pointer_off = l->l2_off + index * g->l2_entry_bytes;
	e->entry = s.entry;
	e->bad = why_useless(l, &s);
	if (e->bad) {
		e->kind = QF_DISK_BAD;
		step = g->cluster_bytes;
	} else {
		e->kind = slot_kind(l, &s, (unsigned int)(in_cluster / step));
		e->bad = why_lost(l, &s, e->kind);
		if (e->bad)
			e->kind = QF_DISK_BAD;
	}
	if (e->kind == QF_DISK_COMPRESSED)
		step = g->cluster_bytes;
	else if (has_place(e->kind))
		e->host_off = (s.entry & QF_ENTRY_OFFSET_MASK) + in_cluster;
	e->bytes = step - (in_cluster & (step - 1));
}

/*
 * How many entries behind the one at INDEX, which is ENTRY and not bad, run on
 * from it with the same flags: alike in all that one() tells. Most tables are
 * such runs, and this takes a tenth of the time.
 */
static uint64_t run_on(const struct qf_layer *l, uint64_t index, uint64_t entry)
{
	const struct qf_image *img = l->node->img;
	const struct qf_geometry *g = &img->geo;
	uint64_t host = entry & QF_ENTRY_OFFSET_MASK, n, whole;
	uint64_t most = g->l2_entries - 1 - index;
	struct qf_be64 w;

	if (g->extl2 || g->data_file || entry & QF_ENTRY_COMPRESSED)
		return 0;
	/* what reaches past the end of the file is bad: one() says so */
	whole = img->io->size > host ? (img->io->size - host) >> g->cluster_bits
				     : 0;
	if (host && whole <= most)
		most = whole ? whole - 1 : 0;
	for (n = 0; n < most; n++) {
		entry += host ? g->cluster_bytes : 0;
		memcpy(&w, l->l2 + (index + n + 1) * g->l2_entry_bytes,
		       sizeof(w));
		if (qf_be_get64(w) != entry)
			break;
	}
	return n;
}

/* True if B goes on where A ends: only alike in what the layer tells. */
static bool goes_on(const struct qf_disk_extent *a,
		    const struct qf_disk_extent *b)
{
	if (a->kind != b->kind || a->bad != b->bad ||
	    a->kind == QF_DISK_COMPRESSED)
		return false;
	return a->host_off == QF_NOWHERE ||
	       a->host_off + a->bytes == b->host_off;
}

/* A stretch without L2 table, from OFF on: as long as the L1 entry's. */
static void whole_table(const struct qf_layer *l, uint64_t off, uint64_t index,
			enum qf_disk_kind kind, const char *bad,
			struct qf_disk_extent *e)
{
	const struct qf_geometry *g = &l->node->img->geo;
	uint32_t shift = g->l2_bits + g->cluster_bits;
	uint64_t next = index + 1;

	while (kind == QF_DISK_NONE && next < l->l1_entries &&
	       !(l->l1[next] & QF_ENTRY_OFFSET_MASK))
		next++;
	memset(e, 0, sizeof(*e));
	e->start = off;
	e->kind = kind;
	e->bad = bad;
	e->host_off = e->pointer_off = QF_NOWHERE;
	if (next >= l->l1_entries || next >= UINT64_MAX >> shift)
		e->bytes = UINT64_MAX - off;
	else
		e->bytes = (next << shift) - off;
}

static void raw_at(const struct qf_layer *l, uint64_t off, uint64_t limit,
		   struct qf_disk_extent *e)
{
	enum qf_io_kind kind;
	uint64_t end = 0;

	memset(e, 0, sizeof(*e));
	e->start = off;
	e->host_off = off;
	e->pointer_off = QF_NOWHERE;
	kind = qf_io_extent(l->node->io, off, off + limit, &end);
	e->kind = kind == QF_IO_HOLE ? QF_DISK_ZERO_ALLOC : QF_DISK_DATA;
	e->bytes = qf_mem_round_up(end, 512) - off;
}

static void clip(const struct qf_layer *l, uint64_t limit,
		 struct qf_disk_extent *e)
{
	if (limit > l->disk_bytes - e->start)
		limit = l->disk_bytes - e->start;
	if (e->bytes > limit)
		e->bytes = limit;
}

/* The table that OFF's L1 entry names, loaded; false: E has the answer. */
static enum qf_err find_table(struct qf_layer *l, uint64_t off, bool *found,
			      struct qf_disk_extent *e, struct qf_why *why)
{
	const struct qf_geometry *g = &l->node->img->geo;
	uint64_t index = off >> (g->l2_bits + g->cluster_bits), l2;
	const char *bad = NULL;
	enum qf_err err;

	*found = false;
	l2 = index < l->l1_entries ? l->l1[index] : 0;
	if (l2 == QF_LAYER_UNREAD)
		bad = "the L1 table cannot be read here";
	l2 &= QF_ENTRY_OFFSET_MASK;
	if (!bad && !l2) {
		whole_table(l, off, index, QF_DISK_NONE, NULL, e);
		return QF_OK;
	}
	if (!bad && l2 & (g->cluster_bytes - 1))
		bad = "the L1 entry points into a cluster";
	if (!bad &&
	    qf_entry_past_end(g, l->node->io->size, l2, g->cluster_bytes))
		bad = "the L2 table lies past the end of the file";
	if (!bad) {
		err = load_l2(l, l2, why);
		if (err)
			return err;
		if (l->l2_unread)
			bad = "the L2 table cannot be read";
	}
	*found = !bad;
	if (bad)
		whole_table(l, off, index, QF_DISK_BAD, bad, e);
	return QF_OK;
}

/* The stretch at OFF that is alike, not beyond the table that is loaded. */
static void run_at(struct qf_layer *l, uint64_t off, uint64_t limit,
		   struct qf_disk_extent *e)
{
	const struct qf_geometry *g = &l->node->img->geo;
	uint64_t end = (off | ((g->cluster_bytes << g->l2_bits) - 1)) + 1;
	uint64_t entry, index, n;
	struct qf_disk_extent next;

	one(l, off, e);
	entry = e->entry;
	while (e->bytes < limit && off + e->bytes < end) {
		index = (off + e->bytes - 1) >> g->cluster_bits &
			(g->l2_entries - 1);
		n = e->bad ? 0 : run_on(l, index, entry);
		e->bytes += n << g->cluster_bits;
		if (n && entry & QF_ENTRY_OFFSET_MASK)
			entry += n << g->cluster_bits;
		if (off + e->bytes >= end)
			break;
		one(l, off + e->bytes, &next);
		if (!goes_on(e, &next))
			break;
		e->bytes += next.bytes;
		entry = next.entry;
	}
}

enum qf_err qf_layer_at(struct qf_layer *l, uint64_t off, uint64_t limit,
			struct qf_disk_extent *e, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	bool found;

	if (limit > l->disk_bytes - off)
		limit = l->disk_bytes - off;
	if (!l->node->img) {
		raw_at(l, off, limit, e);
		clip(l, limit, e);
		return QF_OK;
	}
	err = find_table(l, off, &found, e, why);
	if (err)
		return err;
	if (found)
		run_at(l, off, limit, e);
	clip(l, limit, e);
	return QF_OK;
}

/* Counts refcounts that are not 0 until ENOUGH are found. */
static uint64_t count_used(const struct qf_image *img, uint64_t enough)
{
	uint64_t n = qf_image_clusters(img),
		 per = 1ull << img->geo.refblock_bits;
	unsigned char *block = qf_mem_zalloc(1, img->geo.cluster_bytes);
	uint64_t i, off, used = 0;

	for (i = 0; block && i < n && used < enough; i++) {
		if (!(i & (per - 1))) {
			off = qf_image_refblock(img, i / per);
			if (!off ||
			    qf_io_read_pad(img->io, block,
					   img->geo.cluster_bytes, off, NULL)) {
				i += per - 1;
				continue;
			}
		}
		used += qf_refblock_get(block, img->hdr.refcount_order,
					i & (per - 1)) != 0;
	}
	free(block);
	return used;
}

/*
 * QEMU's guess: the file takes clearly less room on its disk than its
 * refcounts say, so that looking for holes in it is worth while.
 */
bool qf_layer_preallocated(struct qf_layer *l)
{
	const struct qf_image *img = l->node->img;
	uint64_t real, enough;

	if (l->preallocated < 0 && img) {
		real = img->io->disk_bytes / img->geo.cluster_bytes;
		enough = real * 10 / 9 > real + 2 ? real * 10 / 9 : real + 2;
		l->preallocated = count_used(img, enough) >= enough;
	}
	return l->preallocated > 0;
}

static enum qf_err make_codec(struct qf_layer *l, struct qf_why *why)
{
	const struct qf_image *img = l->node->img;
	enum qf_err err;

	if (l->codec)
		return QF_OK;
	err = qf_codec_new(img->hdr.compression, &l->codec, why);
	if (err)
		return err;
	l->plain = qf_mem_zalloc(1, img->geo.cluster_bytes);
	/* a compressed cluster takes up to one sector less than two */
	l->packed = qf_mem_zalloc(2, img->geo.cluster_bytes);
	return l->plain && l->packed ? QF_OK : no_memory(why);
}

/* Inflates all of the cluster into OUT; false: it cannot be read. */
static bool inflate(struct qf_layer *l, uint64_t entry, unsigned char *out)
{
	const struct qf_image *img = l->node->img;
	struct qf_codec_result res;
	uint64_t off, bytes;

	qf_entry_compressed(&img->geo, entry, &off, &bytes);
	if (qf_io_read_pad(img->io, l->packed, bytes, off, NULL)) {
		memset(out, 0, img->geo.cluster_bytes);
		return false;
	}
	qf_codec_inflate(l->codec, l->packed, bytes, out,
			 img->geo.cluster_bytes, &res);
	l->plain_state = res.state;
	return true;
}

enum qf_err qf_layer_inflate(struct qf_layer *l, uint64_t entry, uint64_t in,
			     uint64_t bytes, unsigned char *buf,
			     const char **bad, struct qf_why *why)
{
	static const char *const words[QF_CODEC_STATES] = {
		[QF_CODEC_BAD] = "the compressed data are damaged",
		[QF_CODEC_CUT] = "the compressed data are cut off",
		[QF_CODEC_SHORT] = "the compressed data fill no cluster",
		[QF_CODEC_LONG] = "the compressed data are more than a "
				  "cluster",
	};
	const struct qf_image *img = l->node->img;
	/* a whole one is of no more use to this layer: no copy of it */
	bool whole = bytes == img->geo.cluster_bytes, readable = true;
	enum qf_err err = make_codec(l, why);

	if (err)
		return err;
	if (whole || l->plain_entry != entry) {
		l->plain_entry = 0;
		readable = inflate(l, entry, whole ? buf : l->plain);
		if (readable && !whole)
			l->plain_entry = entry;
	}
	if (!whole)
		memcpy(buf, l->plain + in, bytes);
	*bad = readable ? NULL : "the compressed data cannot be read";
	/* zlib: what stands behind a full cluster is of no interest */
	if (readable && (l->plain_state != QF_CODEC_LONG ||
			 img->hdr.compression != QF_COMPRESSION_ZLIB))
		*bad = words[l->plain_state];
	return QF_OK;
}
