// SPDX-License-Identifier: GPL-2.0-or-later
/* From a plan to an undo file: what differs, sector by sector, in the order
 * in which it is to be written. */
#include "lib/base/mem.h"
#include "repair/write/journal.h"
#include "repair/write/sink.h"
#include "repair/write/stop.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR QF_OVERLAY_BLOCK
#define CHUNK QF_UNDO_MAX_RECORD
#define TRIM_UNIT (64u << 10) /* zeros are looked for in pieces of it */
#define INCOMPAT_OFF offsetof(struct qf_wire_header, incompatible_features)

struct recorder {
	const struct qf_planner *m;
	struct qf_sink sink;
	struct qf_io *view;
	unsigned char *before, *after; /* CHUNK bytes each */
	unsigned char first[SECTOR];   /* sector 0 while it is under way */
	bool marked;		       /* it has the corrupt bit set */
	uint64_t n;
	uint64_t bytes; /* of all records; when only counting too */
	bool counting;	/* only adds up N and BYTES */
};

/* One record. AFTER is NULL for a trimmed place, of which BEFORE may be, too:
 * nothing but zeros. */
static enum qf_err put(struct recorder *r, enum qf_undo_phase phase,
		       uint64_t off, const unsigned char *before, uint32_t had,
		       const unsigned char *after, uint32_t len,
		       struct qf_why *why)
{
	static const unsigned char zeros[8];
	struct qf_wire_undo_record h = {
		.magic = qf_be_put32(QF_UNDO_RECORD),
		.phase = qf_be_put32(phase),
		.off = qf_be_put64(off),
		.len = qf_be_put32(len),
		.before_len = qf_be_put32(had),
	};
	uint64_t body = sizeof(h) + (uint64_t)had + (after ? len : 0);
	uint64_t pad = qf_mem_round_up(body, 8) - body;
	enum qf_err err;
	uint32_t crc;

	r->n++;
	r->bytes += body + pad;
	if (r->counting)
		return QF_OK;
	crc = qf_undofile_crc(0, &h, sizeof(h));
	if (had)
		crc = qf_undofile_crc(crc, before, had);
	if (after)
		crc = qf_undofile_crc(crc, after, len);
	h.crc = qf_be_put32(crc);
	err = qf_sink_write(&r->sink, &h, sizeof(h), why);
	if (!err && had)
		err = qf_sink_write(&r->sink, before, had, why);
	if (!err && after)
		err = qf_sink_write(&r->sink, after, len, why);
	return err ? err : qf_sink_write(&r->sink, zeros, pad, why);
}

static enum qf_err add(struct recorder *r, enum qf_undo_phase phase,
		       uint64_t off, const unsigned char *before,
		       const unsigned char *after, uint32_t len,
		       struct qf_why *why)
{
	uint64_t size = r->m->plan->base->size;
	uint32_t had = len;

	if (off >= size)
		had = 0;
	else if (len > size - off)
		had = (uint32_t)(size - off);
	return put(r, phase, off, before, had, after, len, why);
}

/* True if the sector AT of the chunk at OFF has to be written. Sector 0 has a
 * record of its own; what is new in the file leaves no hole. */
static bool differs(const struct recorder *r, uint64_t off, uint32_t at,
		    uint32_t len)
{
	uint32_t n = len - at < SECTOR ? len - at : SECTOR;

	if (off + at == 0)
		return false;
	if (qf_trim_has(&r->m->trim, off + at))
		return false; /* nobody uses the place afterwards */
	return off + at + n > r->m->plan->base->size ||
	       memcmp(r->before + at, r->after + at, n) != 0;
}

/* The sectors of one edited stretch that belong to PHASE. */
static enum qf_err add_stretch(struct recorder *r, enum qf_undo_phase phase,
			       uint64_t off, uint32_t len, struct qf_why *why)
{
	enum qf_err err;
	uint32_t at, from;

	err = qf_io_read_pad(r->m->plan->base, r->before, len, off, why);
	if (!err)
		err = qf_io_read_pad(r->view, r->after, len, off, why);
	for (at = 0; !err && at < len; at += SECTOR) {
		if (!differs(r, off, at, len))
			continue;
		for (from = at; at < len && differs(r, off, at, len);)
			at += SECTOR;
		if (at > len)
			at = len;
		err = add(r, phase, off + from, r->before + from,
			  r->after + from, at - from, why);
	}
	return err;
}

/* Cuts [OFF, END) where the phase changes, and adds what is of PHASE. */
static enum qf_err add_phase(struct recorder *r, enum qf_phase phase,
			     struct qf_why *why)
{
	uint64_t cluster = r->m->cluster_bytes, off = 0, len, from = 0, n;
	const struct qf_plan *p = r->m->plan;
	enum qf_err err = QF_OK;

	while (!err && qf_overlay_next(p->over, from, CHUNK, &off, &len)) {
		/* a phase changes at a cluster's edge only */
		n = cluster - off % cluster;
		if (n > len)
			n = len;
		while (n < len && qf_plan_phase(p, off + n, cluster) ==
					  qf_plan_phase(p, off, cluster))
			n += len - n < cluster ? len - n : cluster;
		from = qf_mem_round_up(off + n, SECTOR);
		if (qf_plan_phase(p, off, cluster) == phase)
			err = add_stretch(r, (enum qf_undo_phase)(phase + 1),
					  off, (uint32_t)n, why);
	}
	return err;
}

/* The mark comes first: see the journal's invariant 2. */
static enum qf_err add_mark(struct recorder *r, struct qf_why *why)
{
	unsigned char was[SECTOR];
	struct qf_be64 bits;
	enum qf_err err;

	err = qf_io_read_pad(r->m->plan->base, was, SECTOR, 0, why);
	if (err)
		return err;
	memcpy(r->first, was, SECTOR);
	if (r->m->version < 3)
		return QF_OK;
	memcpy(&bits, was + INCOMPAT_OFF, sizeof(bits));
	bits = qf_be_put64(qf_be_get64(bits) | QF_INCOMPAT_CORRUPT);
	memcpy(r->first + INCOMPAT_OFF, &bits, sizeof(bits));
	r->marked = true;
	return add(r, QF_UNDO_PHASE_MARK, 0, was, r->first, SECTOR, why);
}

/* The last record of all: sector 0 as it stays. */
static enum qf_err add_end(struct recorder *r, struct qf_why *why)
{
	enum qf_err err;

	if (!r->marked && !qf_overlay_covers(r->m->plan->over, 0, SECTOR))
		return QF_OK;
	err = qf_io_read_pad(r->view, r->after, SECTOR, 0, why);
	return err ? err
		   : add(r, QF_UNDO_PHASE_END, 0, r->first, r->after, SECTOR,
			 why);
}

static bool is_zero(const unsigned char *p, uint64_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, (size_t)n - 1));
}

/* Zeros of any length: no bytes are kept. */
static enum qf_err add_zeros(struct recorder *r, uint64_t off, uint64_t len,
			     struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint32_t n;

	for (; !err && len; off += n, len -= n) {
		n = len < 1u << 31 ? (uint32_t)len : 1u << 31;
		err = put(r, QF_UNDO_PHASE_TRIM, off, NULL, 0, NULL, n, why);
	}
	return err;
}

/* One chunk of data that is trimmed: in pieces, with zeros and without. */
static enum qf_err add_data(struct recorder *r, uint64_t off, uint32_t len,
			    struct qf_why *why)
{
	enum qf_err err;
	uint32_t at, end, n;
	bool zero;

	err = qf_io_read_pad(r->m->plan->base, r->before, len, off, why);
	for (at = 0; !err && at < len; at = end) {
		n = len - at < TRIM_UNIT ? len - at : TRIM_UNIT;
		zero = is_zero(r->before + at, n);
		for (end = at + n; end < len; end += n) {
			n = len - end < TRIM_UNIT ? len - end : TRIM_UNIT;
			if (is_zero(r->before + end, n) != zero)
				break;
		}
		if (zero)
			err = add_zeros(r, off + at, end - at, why);
		else
			err = put(r, QF_UNDO_PHASE_TRIM, off + at,
				  r->before + at, end - at, NULL, end - at,
				  why);
	}
	return err;
}

/* What is punched out and cut off. */
static enum qf_err add_trims(struct recorder *r, struct qf_why *why)
{
	const struct qf_trim *t = &r->m->trim;
	struct qf_io *base = r->m->plan->base;
	const char *unit = r->counting ? "MiB read" : "MiB recorded";
	uint64_t from = 0, off = 0, len = 0, done = 0;
	enum qf_err err = QF_OK;
	bool hole;

	if (!qf_trim_any(t))
		return QF_OK;
	while (!err && qf_trim_next(t, base, from, &off, &len, &hole)) {
		if (qf_stop_asked()) /* it may take long */
			return qf_err_set(why, QF_ERR_STOPPED, 0, QF_NOWHERE,
					  "stopped; nothing was written");
		if (!hole && len > CHUNK - off % CHUNK)
			len = CHUNK - off % CHUNK;
		qf_trim_progress(t, done, unit);
		done += hole ? 0 : len;
		err = hole ? add_zeros(r, off, len, why)
			   : add_data(r, off, (uint32_t)len, why);
		from = off + len;
	}
	return err;
}

static enum qf_err add_all(struct recorder *r, struct qf_why *why)
{
	enum qf_err err = add_mark(r, why);
	unsigned int phase;

	for (phase = 0; !err && phase < QF_PHASES; phase++)
		err = add_phase(r, (enum qf_phase)phase, why);
	if (!err)
		err = add_trims(r, why);
	return err ? err : add_end(r, why);
}

static uint64_t size_after(const struct qf_planner *m)
{
	return qf_trim_any(&m->trim) ? m->trim.size_after
				     : qf_overlay_size(m->plan->over);
}

static enum qf_err write_header(struct recorder *r, struct qf_why *why)
{
	struct qf_io *base = r->m->plan->base;
	uint64_t cluster = r->m->cluster_bytes, n;
	const char *slash = strrchr(base->name, '/');
	const char *name = slash ? slash + 1 : base->name;
	struct qf_wire_undo h;
	unsigned char *first;
	enum qf_err err;
	size_t len = strlen(name);

	n = base->size < cluster ? base->size : cluster;
	first = qf_mem_zalloc(1, n);
	if (!first)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	memset(&h, 0, sizeof(h));
	memcpy(h.magic, QF_UNDO_MAGIC, sizeof(h.magic));
	h.version = qf_be_put32(QF_UNDO_VERSION);
	h.size_before = qf_be_put64(base->size);
	h.size_after = qf_be_put64(size_after(r->m));
	h.inode = qf_be_put64(base->id[1]);
	h.records = qf_be_put64(r->n);
	h.record_bytes = qf_be_put64(r->bytes);
	err = qf_io_read_pad(base, first, n, 0, why);
	h.first_bytes = qf_be_put32((uint32_t)n);
	h.first_crc = qf_be_put32(qf_undofile_crc(0, first, n));
	if (qf_plan_gives_up(r->m->plan))
		h.flags = qf_be_put32(
			QF_UNDO_GAVE_UP |
			(r->m->plan->unmarked ? 0 : QF_UNDO_MARKED));
	if (len > QF_UNDO_NAME_ROOM)
		len = QF_UNDO_NAME_ROOM;
	h.name_len = qf_be_put32((uint32_t)len);
	memcpy(h.name, name, len);
	h.crc = qf_be_put32(qf_undofile_crc(0, &h, sizeof(h)));
	free(first);
	return err ? err : qf_sink_write(&r->sink, &h, sizeof(h), why);
}

/* Up to a sector, and the room for the marks: a full disk must not keep them
 * from being written later. */
static enum qf_err write_room(struct recorder *r, struct qf_why *why)
{
	static const unsigned char zeros[SECTOR + QF_UNDO_MARKS_BYTES];

	return qf_sink_write(&r->sink, zeros,
			     QF_UNDO_HEADER_BYTES + r->bytes - r->sink.at +
				     QF_UNDO_MARKS_BYTES,
			     why);
}

/* All that is there is durable by now, so that the mark can vouch for it. */
static enum qf_err write_commit(struct recorder *r, struct qf_why *why)
{
	struct qf_wire_undo_mark m;

	memset(&m, 0, sizeof(m));
	m.magic = qf_be_put32(QF_UNDO_COMMIT);
	m.mtime = qf_be_put64((uint64_t)r->m->plan->base->mtime_ns);
	m.size = qf_be_put64(r->m->plan->base->size);
	m.crc = qf_be_put32(qf_undofile_crc(0, &m, 24));
	r->sink.at = QF_UNDO_HEADER_BYTES + r->bytes;
	return qf_sink_write(&r->sink, &m, sizeof(m), why);
}

/* Room for the undo file and for what the image grows by. */
static enum qf_err check_room(struct recorder *r, const char *name,
			      struct qf_why *why)
{
	const struct qf_io *base = r->m->plan->base;
	uint64_t after = size_after(r->m);
	uint64_t grow = after > base->size ? after - base->size : 0;
	uint64_t need = r->bytes + QF_UNDO_HEADER_BYTES + QF_UNDO_MARKS_BYTES;
	uint64_t room = qf_sink_room(name);

	if (room < need) {
		qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
			   "the undo file needs %" PRIu64
			   " bytes, and its file system has %" PRIu64 " left",
			   need, room);
		qf_err_next(why, "give it another place with --undo=FILE%s",
			    qf_trim_any(&r->m->trim)
				    ? ", or repair without --trim: it keeps "
				      "what is trimmed"
				    : "");
		return QF_ERR_IO;
	}
	/* the rest is of the image's own file system */
	need = grow + (qf_sink_is_on(name, base->id[0]) ? need : 0);
	room = qf_sink_room(base->name);
	if (!base->block_dev && grow && room < need)
		return qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
				  "the repair needs %" PRIu64
				  " bytes, and the image's file system has "
				  "%" PRIu64 " left",
				  need, room);
	return QF_OK;
}

/*
 * The file; its records have been counted before. The mark is written when
 * all else is durable: behind it, what is not whole has rotted.
 */
static enum qf_err write_file(struct recorder *r, const char *name,
			      struct qf_why *why)
{
	uint64_t n = r->n, bytes = r->bytes;
	enum qf_err err = qf_sink_create(&r->sink, name, 0600, why);

	if (!err)
		err = write_header(r, why);
	r->counting = false;
	r->n = r->bytes = 0;
	if (!err)
		err = add_all(r, why);
	r->bytes = qf_mem_round_up(r->bytes, SECTOR);
	if (!err && (r->n != n || r->bytes != bytes))
		err = qf_err_set(why, QF_ERR_IO, 0, QF_NOWHERE,
				 "the image changed while it was recorded");
	if (!err)
		err = write_room(r, why);
	if (!err)
		err = qf_sink_sync(&r->sink, why);
	if (!err)
		err = write_commit(r, why);
	if (!err)
		err = qf_sink_sync(&r->sink, why);
	qf_sink_close(&r->sink, err != QF_OK);
	return err;
}

enum qf_err qf_journal_record(const struct qf_planner *m, const char *name,
			      struct qf_why *why)
{
	struct recorder r = { .m = m, .counting = true };
	enum qf_err err = qf_overlay_view(m->plan->over, &r.view, why);

	r.sink.fd = -1;
	r.before = qf_mem_zalloc(1, CHUNK);
	r.after = qf_mem_zalloc(1, CHUNK);
	if (!err && (!r.before || !r.after))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the undo file");
	if (!err)
		err = add_all(&r, why);
	r.bytes = qf_mem_round_up(r.bytes, SECTOR);
	if (!err)
		err = check_room(&r, name, why);
	if (!err)
		err = write_file(&r, name, why);
	free(r.before);
	free(r.after);
	qf_io_close(r.view);
	return err;
}
