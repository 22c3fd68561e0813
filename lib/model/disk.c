// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/model/disk.h"
#include "lib/model/disk_layer.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to read the disk");
}

enum qf_err qf_disk_open(const struct qf_chain *chain, uint32_t holder,
			 struct qf_disk **out, struct qf_why *why)
{
	struct qf_disk *g = qf_mem_zalloc(1, sizeof(*g));
	const struct qf_image *last = chain->node[chain->n - 1].img;
	enum qf_err err = QF_OK;
	struct qf_why below;
	uint32_t i;

	if (g)
		g->layer = qf_mem_zalloc(chain->n, sizeof(*g->layer));
	if (!g || !g->layer) {
		qf_disk_close(g);
		return no_memory(why);
	}
	g->incomplete = last && (last->backing_name || last->backing_name_bad);
	for (i = 0; !err && i < chain->n; i++) {
		err = qf_layer_open(&g->layer[i], &chain->node[i],
				    i ? QF_HOLDER_ACTIVE : holder,
				    i ? &below : why);
		if (!err)
			g->n++;
	}
	/* a backing file without a mapping is as good as missing */
	if (err == QF_ERR_FORMAT && i > 1) {
		g->incomplete = true;
		err = QF_OK;
	}
	if (err) {
		qf_disk_close(g);
		return err == QF_ERR_NOMEM ? no_memory(why) : err;
	}
	*out = g;
	return QF_OK;
}

enum qf_err qf_disk_beside(const struct qf_disk *from, struct qf_disk **out,
			   struct qf_why *why)
{
	struct qf_disk *g = qf_mem_zalloc(1, sizeof(*g));

	if (g)
		g->layer = qf_mem_zalloc(from->n, sizeof(*g->layer));
	if (!g || !g->layer) {
		qf_disk_close(g);
		return no_memory(why);
	}
	g->incomplete = from->incomplete;
	g->holes = from->holes;
	for (; g->n < from->n; g->n++)
		qf_layer_beside(&g->layer[g->n], &from->layer[g->n]);
	if (qf_disk_unlock_as(g, from, why)) {
		qf_disk_close(g);
		return QF_ERR_NOMEM;
	}
	*out = g;
	return QF_OK;
}

void qf_disk_close(struct qf_disk *g)
{
	uint32_t i;

	if (!g)
		return;
	for (i = 0; i < g->n; i++)
		qf_layer_close(&g->layer[i]);
	free(g->layer);
	free(g);
}

uint64_t qf_disk_bytes(const struct qf_disk *g)
{
	return g->layer[0].disk_bytes;
}

uint32_t qf_disk_layers(const struct qf_disk *g)
{
	return g->n;
}

static bool is_encrypted(const struct qf_layer *l)
{
	return l->node->img && l->node->img->hdr.crypt_method;
}

enum qf_err qf_disk_unlock(struct qf_disk *g, const void *pass, size_t n,
			   struct qf_why *why)
{
	const struct qf_image *img;
	enum qf_err err = QF_ERR_USAGE;
	struct qf_why what = { 0 };
	uint32_t i;

	qf_err_set(why, err, 0, QF_NOWHERE,
		   "is not encrypted: no key is "
		   "needed");
	for (i = 0; i < g->n; i++) {
		if (!is_encrypted(&g->layer[i]) || g->layer[i].key)
			continue;
		img = g->layer[i].node->img;
		err = qf_diskkey_open(img->io, img->hdr.crypt_method, &img->ext,
				      pass, n, &g->layer[i].key, &what);
		if (!err)
			continue;
		if (why)
			*why = what;
		if (i)
			qf_err_set(why, err, what.sys, what.off, "%.200s: %s",
				   g->layer[i].node->path, what.text);
		return err;
	}
	return err;
}

enum qf_err qf_disk_unlock_by(struct qf_disk *g, const char *name,
			      struct qf_why *why)
{
	enum qf_err err;
	char *pass;
	size_t n;

	if (!name)
		return QF_OK;
	err = qf_diskkey_read_file(name, &pass, &n, why);
	if (err)
		return err;
	err = qf_disk_unlock(g, pass, n, why);
	qf_diskkey_forget(pass, n);
	return err;
}

enum qf_err qf_disk_unlock_as(struct qf_disk *g, const struct qf_disk *from,
			      struct qf_why *why)
{
	uint32_t i;

	for (i = 0; i < g->n && i < from->n; i++) {
		if (!from->layer[i].key || g->layer[i].key)
			continue;
		g->layer[i].key = qf_diskkey_copy(from->layer[i].key);
		if (!g->layer[i].key)
			return no_memory(why);
	}
	return QF_OK;
}

bool qf_disk_locked(const struct qf_disk *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (is_encrypted(&g->layer[i]) && !g->layer[i].key)
			return true;
	return false;
}

uint64_t qf_disk_cluster_bytes(const struct qf_disk *g)
{
	const struct qf_image *img;
	uint64_t most = 0;
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		img = g->layer[i].node->img;
		if (img && img->geo.cluster_bytes > most)
			most = img->geo.cluster_bytes;
	}
	return most;
}

void qf_disk_lose(struct qf_disk *g, uint32_t depth, struct qf_ranges *r)
{
	if (depth < g->n) {
		qf_ranges_free(&g->layer[depth].lost);
		g->layer[depth].lost = *r;
		*r = (struct qf_ranges){ 0 };
	} else {
		qf_ranges_free(r);
	}
}

const struct qf_range *qf_disk_lost_from(const struct qf_disk *g, uint64_t off)
{
	return qf_ranges_from(&g->layer[0].lost, off);
}

void qf_disk_tell_doubts(struct qf_disk *g, qf_disk_lost *fn, void *ctx)
{
	g->doubt = fn;
	g->doubt_ctx = ctx;
}

void qf_disk_look_into_holes(struct qf_disk *g)
{
	g->holes = true;
}

/* What the data file's holes add to a stretch of data: QEMU's "recurse". */
static void look_into_holes(const struct qf_layer *l, struct qf_disk_extent *e)
{
	struct qf_io *io = l->node->data;
	enum qf_io_kind kind;
	uint64_t end = 0, bytes;

	if (e->kind != QF_DISK_DATA || !io || !l->node->img)
		return;
	if (e->host_off >= io->size) {
		e->zero = true;
		return;
	}
	kind = qf_io_extent(io, e->host_off, e->host_off + e->bytes, &end);
	e->zero = kind == QF_IO_HOLE;
	if (end >= io->size && e->zero)
		return; /* past the end there are zeros as well */
	if (end > io->size)
		end = qf_mem_round_up(io->size, 512);
	bytes = end - e->host_off;
	if (bytes < e->bytes)
		e->bytes = bytes;
}

static void tell_flags(struct qf_disk_extent *e)
{
	e->zero = e->kind == QF_DISK_ZERO || e->kind == QF_DISK_ZERO_ALLOC;
	e->data = e->kind == QF_DISK_DATA || e->kind == QF_DISK_COMPRESSED;
	e->present = e->zero || e->data;
}

enum qf_err qf_disk_layer_at(struct qf_disk *g, uint32_t depth, uint64_t off,
			     uint64_t limit, struct qf_disk_extent *e,
			     struct qf_why *why)
{
	struct qf_layer *l = &g->layer[depth];
	enum qf_err err = qf_layer_at(l, off, limit, e, why);

	if (err)
		return err;
	e->depth = depth;
	tell_flags(e);
	/* QEMU does not tell the place of encrypted data, nor looks at it */
	if (l->node->img && l->node->img->hdr.crypt_method)
		return QF_OK;
	if (g->holes && qf_layer_preallocated(l))
		look_into_holes(l, e);
	return QF_OK;
}

static bool is_none(const struct qf_disk_extent *e)
{
	return e->kind == QF_DISK_NONE || e->kind == QF_DISK_NONE_ALLOC;
}

static void set_bad(struct qf_disk_extent *e, const char *why)
{
	e->kind = QF_DISK_BAD;
	e->host_off = QF_NOWHERE;
	e->zero = false;
	e->bad = why;
}

/* Cuts LIMIT to what at OFF is lost, or is not; returns which. */
static bool is_lost(const struct qf_layer *l, uint64_t off, uint64_t *limit)
{
	const struct qf_range *r = qf_ranges_from(&l->lost, off);
	uint64_t end;

	if (!r)
		return false;
	end = r->off > off ? r->off : r->off + r->len;
	if (*limit > end - off)
		*limit = end - off;
	return r->off <= off;
}

/* E is what shows where one of the images has lost what it had. */
static void set_lost(struct qf_disk_extent *e, bool older)
{
	e->lost = true;
	if (is_none(e))
		set_bad(e, "the table that led to the data here was erased "
			   "or damaged");
	else if (e->kind != QF_DISK_BAD)
		e->bad = older ? "the newer data are lost: these are older, "
				 "from the backing file"
			       : "the table that leads here is damaged: these "
				 "may be other data";
}

/* What lies behind all images. */
static void look_behind(const struct qf_disk *g, struct qf_disk_extent *e)
{
	e->zero = true;
	/* zeros where the file behind is shorter */
	if (e->depth + 1 == g->n && g->incomplete)
		set_bad(e, "the backing file is missing");
}

enum qf_err qf_disk_at(struct qf_disk *g, uint64_t off, uint64_t limit,
		       struct qf_disk_extent *e, struct qf_why *why)
{
	bool lost = false, older = false;
	enum qf_err err;
	uint32_t depth;

	for (depth = 0;; depth++) {
		older = lost;
		lost |= is_lost(&g->layer[depth], off, &limit);
		err = qf_disk_layer_at(g, depth, off, limit, e, why);
		if (err)
			return err;
		if (!is_none(e))
			break;
		limit = e->bytes;
		if (depth + 1 < g->n && off < g->layer[depth + 1].disk_bytes)
			continue;
		if (!lost)
			look_behind(g, e);
		break;
	}
	if (lost)
		set_lost(e, older);
	return QF_OK;
}

bool qf_disk_extends(const struct qf_disk_extent *e,
		     const struct qf_disk_extent *next)
{
	if (e->start + e->bytes != next->start || e->depth != next->depth ||
	    e->present != next->present || e->zero != next->zero ||
	    e->data != next->data || e->lost != next->lost ||
	    e->bad != next->bad ||
	    (e->kind == QF_DISK_COMPRESSED) !=
		    (next->kind == QF_DISK_COMPRESSED) ||
	    (e->host_off == QF_NOWHERE) != (next->host_off == QF_NOWHERE))
		return false;
	return e->host_off == QF_NOWHERE ||
	       e->host_off + e->bytes == next->host_off;
}

/* Where reading goes on. */
struct reading {
	struct qf_disk *g;
	qf_disk_lost *lost;
	void *ctx;
	bool told; /* that all of it is in doubt */
};

static enum qf_err lose(const struct reading *r, uint64_t start, uint64_t bytes,
			const char *reason)
{
	if (r->lost && !r->lost(r->ctx, start, bytes, reason))
		return QF_ERR_STOPPED;
	return QF_OK;
}

static enum qf_err doubt(const struct reading *r,
			 const struct qf_disk_extent *e, const char *reason)
{
	const struct qf_disk *g = r->g;

	if (r->told || !g->doubt ||
	    g->doubt(g->doubt_ctx, e->start, e->bytes, reason))
		return QF_OK;
	return QF_ERR_STOPPED;
}

/* Reads BYTES at OFF, and decrypts them where that is needed: whole sectors,
 * then. */
static enum qf_err fetch(const struct qf_layer *l, unsigned char *buf,
			 uint64_t bytes, uint64_t off, uint64_t guest)
{
	enum qf_err err = qf_io_read_pad(l->node->data, buf, bytes, off, NULL);

	if (!err && l->key &&
	    !qf_diskkey_decrypt(l->key, buf, bytes, off, guest))
		err = QF_ERR_IO;
	return err;
}

/* After a failed read: sector by sector, zeros for what fails. */
static enum qf_err read_sectors(const struct reading *r,
				const struct qf_layer *l, unsigned char *buf,
				uint64_t bytes, uint64_t off, uint64_t guest)
{
	enum qf_err err = QF_OK;
	uint64_t at, n;

	for (at = 0; !err && at < bytes; at += n) {
		/* to the next sector of the file */
		n = 512 - ((off + at) & 511);
		if (n > bytes - at)
			n = bytes - at;
		if (!fetch(l, buf + at, n, off + at, guest + at))
			continue;
		memset(buf + at, 0, n);
		err = lose(r, guest + at, n, "the data cannot be read");
	}
	return err;
}

static enum qf_err read_data(const struct reading *r,
			     const struct qf_disk_extent *e, unsigned char *buf)
{
	const struct qf_layer *l = &r->g->layer[e->depth];

	if (!l->node->data) {
		memset(buf, 0, e->bytes);
		return lose(r, e->start, e->bytes, "the data file is missing");
	}
	if (!fetch(l, buf, e->bytes, e->host_off, e->start))
		return QF_OK;
	return read_sectors(r, l, buf, e->bytes, e->host_off, e->start);
}

/* What is lost of whole sectors, cut to what was asked for. */
struct clip {
	const struct reading *r;
	uint64_t start, end;
};

static bool clip_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	const struct clip *c = ctx;
	uint64_t end = start + bytes < c->end ? start + bytes : c->end;

	if (start < c->start)
		start = c->start;
	return start >= end || !lose(c->r, start, end - start, reason);
}

/* Encrypted data are decrypted by whole sectors. */
static enum qf_err read_encrypted(const struct reading *r,
				  const struct qf_disk_extent *e,
				  unsigned char *buf, struct qf_why *why)
{
	uint64_t head = e->host_off & 511;
	struct clip clip = { r, e->start, e->start + e->bytes };
	struct reading whole = { r->g, clip_lost, &clip, r->told };
	struct qf_disk_extent s = *e;
	unsigned char *sectors;
	enum qf_err err;

	if (!head && !(e->bytes & 511))
		return read_data(r, e, buf);
	s.start -= head;
	s.host_off -= head;
	s.bytes = qf_mem_round_up(e->bytes + head, 512);
	sectors = qf_mem_zalloc(1, s.bytes);
	if (!sectors)
		return no_memory(why);
	err = read_data(&whole, &s, sectors);
	memcpy(buf, sectors + head, e->bytes);
	free(sectors);
	return err;
}

static enum qf_err read_packed(const struct reading *r,
			       const struct qf_disk_extent *e,
			       unsigned char *buf, struct qf_why *why)
{
	struct qf_layer *l = &r->g->layer[e->depth];
	uint64_t in = e->start & (l->node->img->geo.cluster_bytes - 1);
	const char *bad = NULL;
	enum qf_err err;

	/* what came out before damage is better than nothing */
	err = qf_layer_inflate(l, e->entry, in, e->bytes, buf, &bad, why);
	if (err == QF_ERR_UNSUPPORTED) {
		memset(buf, 0, e->bytes);
		return lose(r, e->start, e->bytes,
			    "the kind of compression is not known");
	}
	if (err)
		return err;
	if (bad)
		return lose(r, e->start, e->bytes, bad);
	if (l->plain_state == QF_CODEC_LONG)
		return doubt(r, e,
			     "the compressed data do not end with their "
			     "cluster: they are damaged, or no program of "
			     "QEMU's wrote them");
	return QF_OK;
}

static enum qf_err read_extent(const struct reading *r,
			       const struct qf_disk_extent *e,
			       unsigned char *buf, struct qf_why *why)
{
	const struct qf_layer *l = &r->g->layer[e->depth];

	if (e->data && is_encrypted(l) && !l->key)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "the disk is encrypted, and there is no "
				  "key here");
	switch (e->kind) {
	case QF_DISK_DATA:
		return l->key ? read_encrypted(r, e, buf, why)
			      : read_data(r, e, buf);
	case QF_DISK_COMPRESSED:
		return read_packed(r, e, buf, why);
	case QF_DISK_BAD:
		memset(buf, 0, e->bytes);
		return lose(r, e->start, e->bytes, e->bad);
	default:
		memset(buf, 0, e->bytes);
		return QF_OK;
	}
}

/* The same where all is in doubt: it is told once, for all of it. */
static enum qf_err read_doubtful(const struct reading *r,
				 const struct qf_disk_extent *e,
				 unsigned char *buf, struct qf_why *why)
{
	struct reading quiet = { r->g, NULL, NULL, true };
	enum qf_err err = doubt(r, e, e->bad);

	return err ? err : read_extent(&quiet, e, buf, why);
}

enum qf_err qf_disk_read(struct qf_disk *g, void *buf, uint64_t len,
			 uint64_t off, qf_disk_lost *lost, void *ctx,
			 struct qf_why *why)
{
	struct reading r = { g, lost, ctx, false };
	struct qf_disk_extent e;
	enum qf_err err = QF_OK;
	uint64_t at;

	for (at = 0; !err && at < len; at += e.bytes) {
		err = qf_disk_at(g, off + at, len - at, &e, why);
		if (err)
			break;
		err = e.lost && e.kind != QF_DISK_BAD
			      ? read_doubtful(&r, &e, (unsigned char *)buf + at,
					      why)
			      : read_extent(&r, &e, (unsigned char *)buf + at,
					    why);
	}
	return err;
}
