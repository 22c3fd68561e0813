// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/gate/gate_view.h"
#include "lib/base/mem.h"
#include "lib/format/entry.h"
#include "lib/model/disk_layer.h"

#include <stdlib.h>
#include <string.h>

/* So much is compared at once. */
#define PIECE_BYTES (1u << 20)

static enum qf_err open_side(struct qf_gate_side *s, struct qf_image *img,
			     uint32_t holder, struct qf_why *why)
{
	enum qf_err err;

	s->img = img;
	s->node = (struct qf_chain_node){ .img = img,
					  .io = img->io,
					  .data = img->geo.data_file ? NULL
								     : img->io,
					  .disk_bytes = img->hdr.disk_bytes };
	s->chain = (struct qf_chain){ .node = &s->node, .n = 1 };
	s->buf = qf_mem_zalloc(1, PIECE_BYTES);
	if (!s->buf)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to compare the disk");
	err = qf_disk_open(&s->chain, holder, &s->disk, why);
	/* one that has no table to follow reads nothing */
	return err == QF_ERR_FORMAT ? QF_OK : err;
}

enum qf_err qf_gate_view_open(struct qf_gate_view *v, struct qf_image *a,
			      uint32_t h, struct qf_image *b, uint32_t k,
			      const struct qf_overlay *over, struct qf_why *why)
{
	enum qf_err err;

	memset(v, 0, sizeof(*v));
	v->over = over;
	v->backing = a->backing_name || a->backing_name_bad ||
		     b->backing_name || b->backing_name_bad;
	err = open_side(&v->before, a, h, why);
	return err ? err : open_side(&v->after, b, k, why);
}

void qf_gate_view_close(struct qf_gate_view *v)
{
	qf_disk_close(v->before.disk);
	qf_disk_close(v->after.disk);
	free(v->before.buf);
	free(v->after.buf);
	memset(v, 0, sizeof(*v));
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The bytes of E in S->buf; *BAD: they cannot be had. */
static enum qf_err read_side(struct qf_gate_side *s,
			     const struct qf_disk_extent *e, uint64_t bytes,
			     bool *bad, struct qf_why *why)
{
	uint64_t in = e->start & (s->img->geo.cluster_bytes - 1);
	const char *words = NULL;
	enum qf_err err;

	*bad = false;
	switch (e->kind) {
	case QF_DISK_DATA:
		*bad = !s->node.data ||
		       qf_io_read_pad(s->node.data, s->buf, bytes, e->host_off,
				      NULL);
		return QF_OK;
	case QF_DISK_COMPRESSED:
		err = qf_layer_inflate(&s->disk->layer[0], e->entry, in, bytes,
				       s->buf, &words, why);
		if (err == QF_ERR_NOMEM)
			return err;
		*bad = err || words;
		return QF_OK;
	default:
		/* of what is longer no byte is looked at */
		memset(s->buf, 0, least(bytes, PIECE_BYTES));
		return QF_OK;
	}
}

/* What an extent reads, as far as it is known without its bytes. */
enum reads {
	READS_BEHIND, /* what lies behind the image */
	READS_ZEROS,
	READS_BYTES,
	READS_NOTHING,
};

static enum reads reads(const struct qf_gate_view *v,
			const struct qf_disk_extent *e)
{
	switch (e->kind) {
	case QF_DISK_NONE:
	case QF_DISK_NONE_ALLOC:
		return v->backing ? READS_BEHIND : READS_ZEROS;
	case QF_DISK_ZERO:
	case QF_DISK_ZERO_ALLOC:
		return READS_ZEROS;
	case QF_DISK_DATA:
	case QF_DISK_COMPRESSED:
		return READS_BYTES;
	default:
		return READS_NOTHING;
	}
}

/* The key stream of LUKS goes by the place in the file; zeros and what is
 * compressed are not encrypted. */
static bool decrypts_alike(const struct qf_gate_view *v,
			   const struct qf_disk_extent *a,
			   const struct qf_disk_extent *b)
{
	uint32_t method = v->before.img->hdr.crypt_method;

	if (method != v->after.img->hdr.crypt_method)
		return false;
	if (method == QF_CRYPT_NONE)
		return true;
	return a->kind == b->kind &&
	       (method != QF_CRYPT_LUKS || a->host_off == b->host_off);
}

/* True if both lie at one place of the file, and nothing is written there. */
static bool same_place(const struct qf_gate_view *v,
		       const struct qf_disk_extent *a,
		       const struct qf_disk_extent *b, uint64_t bytes)
{
	uint64_t off = a->host_off, len = bytes;

	if (a->kind != b->kind ||
	    v->before.img->hdr.compression != v->after.img->hdr.compression)
		return false;
	if (a->kind == QF_DISK_COMPRESSED) {
		if (a->entry != b->entry)
			return false;
		qf_entry_compressed(&v->before.img->geo, a->entry, &off, &len);
	} else if (a->host_off != b->host_off) {
		return false;
	}
	return v->before.img->geo.data_file ||
	       !qf_overlay_covers(v->over, off, len);
}

/* True if E's first bytes are those of the file's place where B's stand, as
 * they were: a copy that was planned of it. */
static bool is_copy(const struct qf_gate_view *v,
		    const struct qf_disk_extent *a,
		    const struct qf_disk_extent *b, uint64_t *bytes)
{
	uint64_t src, len;

	if (a->kind != QF_DISK_DATA || b->kind != QF_DISK_DATA ||
	    v->before.img->geo.data_file || v->after.img->geo.data_file ||
	    v->before.img->hdr.crypt_method || v->after.img->hdr.crypt_method ||
	    !qf_overlay_source(v->over, b->host_off, &src, &len) ||
	    src != a->host_off)
		return false;
	*bytes = least(*bytes, len);
	return true;
}

/* What E reads, and for how many of the *BYTES: a hole of the file is known
 * to be zeros, as long as it may be. */
static enum reads reads_first(const struct qf_gate_view *v,
			      const struct qf_gate_side *s,
			      const struct qf_disk_extent *e, uint64_t *bytes)
{
	enum reads r = reads(v, e);
	enum qf_io_kind kind;
	uint64_t end;

	if (r != READS_BYTES)
		return r;
	if (e->kind == QF_DISK_DATA && s->node.data &&
	    s->img->hdr.crypt_method == QF_CRYPT_NONE) {
		kind = qf_io_extent(s->node.data, e->host_off,
				    e->host_off + *bytes, &end);
		*bytes = least(*bytes, end - e->host_off);
		if (kind == QF_IO_HOLE)
			return READS_ZEROS;
	}
	*bytes = least(*bytes, PIECE_BYTES);
	return READS_BYTES;
}

/* *HOW: what differs between A and B, in so many of the *BYTES as were looked
 * at; NULL: nothing. */
static enum qf_err differ(struct qf_gate_view *v,
			  const struct qf_disk_extent *a,
			  const struct qf_disk_extent *b, uint64_t *bytes,
			  const char **how, struct qf_why *why)
{
	enum reads x = reads(v, a), y = reads(v, b);
	bool bad_a, bad_b = false;
	enum qf_err err;

	*how = NULL;
	v->garbled = false;
	if (x == READS_NOTHING || (x == y && x != READS_BYTES) ||
	    (x == y && same_place(v, a, b, *bytes)) || is_copy(v, a, b, bytes))
		return QF_OK;
	x = reads_first(v, &v->before, a, bytes);
	y = reads_first(v, &v->after, b, bytes);
	if (x == READS_ZEROS && y == READS_ZEROS)
		return QF_OK;
	err = read_side(&v->before, a, *bytes, &bad_a, why);
	if (!err && y != READS_NOTHING)
		err = read_side(&v->after, b, *bytes, &bad_b, why);
	if (err || bad_a)
		return err;
	if (y == READS_NOTHING || bad_b) {
		*how = "it could not be read any more";
	} else if (x == READS_BEHIND) {
		*how = "the backing file would not show there any more";
	} else if (y == READS_BEHIND) {
		*how = "the backing file would show there";
	} else if (!decrypts_alike(v, a, b)) {
		*how = "it would be decrypted otherwise";
		v->garbled = b->kind == QF_DISK_DATA &&
			     !v->after.img->geo.data_file &&
			     qf_overlay_covers(v->over, b->host_off, *bytes);
	} else if (memcmp(v->before.buf, v->after.buf, *bytes)) {
		*how = "other bytes would be read";
	}
	return QF_OK;
}

/* What is left of E behind its first BYTES. */
static void pass_over(struct qf_disk_extent *e, uint64_t bytes)
{
	e->start += bytes;
	e->bytes -= bytes;
	if (e->host_off != QF_NOWHERE)
		e->host_off += bytes;
}

enum qf_err qf_gate_view_next(struct qf_gate_view *v, uint64_t *at,
			      uint64_t end, uint64_t *bytes, const char **how,
			      struct qf_why *why)
{
	struct qf_disk_extent a = { 0 }, b = { 0 };
	enum qf_err err = QF_OK;

	*how = NULL;
	if (!v->before.disk)
		return QF_OK;
	end = least(end, qf_disk_bytes(v->before.disk));
	if (*at < end && !v->after.disk) {
		*bytes = end - *at;
		*how = "nothing of the disk could be read any more";
		return QF_OK;
	}
	if (v->after.disk)
		end = least(end, qf_disk_bytes(v->after.disk));
	while (!err && *at < end) {
		if (!a.bytes)
			err = qf_disk_layer_at(v->before.disk, 0, *at,
					       end - *at, &a, why);
		if (!err && !b.bytes)
			err = qf_disk_layer_at(v->after.disk, 0, *at, end - *at,
					       &b, why);
		if (err)
			break;
		*bytes = least(a.bytes, b.bytes);
		err = differ(v, &a, &b, bytes, how, why);
		if (err || *how)
			break;
		*at += *bytes;
		pass_over(&a, *bytes);
		pass_over(&b, *bytes);
	}
	return err;
}
