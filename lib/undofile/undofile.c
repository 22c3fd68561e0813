// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile/undofile.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

uint32_t qf_undofile_crc(uint32_t crc, const void *buf, uint64_t len)
{
	return (uint32_t)crc32_z(crc, buf, (size_t)len);
}

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the undo file");
}

static enum qf_err damaged(struct qf_why *why, uint64_t off)
{
	return qf_err_set(why, QF_ERR_FORMAT, 0, off,
			  "the undo file is damaged: a checksum is wrong at "
			  "byte %" PRIu64 " of it",
			  off);
}

static void is_bad(struct qf_undofile *u, uint64_t off)
{
	if (u->health != QF_UNDO_DAMAGED)
		u->bad_off = off;
	u->health = QF_UNDO_DAMAGED;
}

static bool is_mark(const struct qf_wire_undo_mark *m, uint32_t magic)
{
	return qf_undofile_crc(0, m, 24) == qf_be_get32(m->crc) &&
	       qf_be_get32(m->magic) == magic;
}

static bool is_state(const struct qf_wire_undo_mark *m)
{
	uint32_t state = qf_be_get32(m->state);

	return is_mark(m, QF_UNDO_STATE) && state >= QF_UNDO_APPLIED &&
	       state <= QF_UNDO_UNDONE;
}

static bool is_blank(const void *p, size_t n)
{
	static const unsigned char zeros[QF_UNDO_MARKS_BYTES];

	return !memcmp(p, zeros, n);
}

/* The first bytes are others. A recording that was cut short left nothing in
 * their place, and has no commit mark. */
static enum qf_err no_magic(struct qf_undofile *u, struct qf_why *why)
{
	struct qf_wire_undo_mark m;

	if (u->io->size > QF_UNDO_HEADER_BYTES + QF_UNDO_MARKS_BYTES &&
	    !qf_io_read(u->io, &m, sizeof(m), u->io->size - QF_UNDO_MARKS_BYTES,
			NULL) &&
	    is_mark(&m, QF_UNDO_COMMIT))
		return damaged(why, 0);
	return qf_err_set(why, QF_ERR_FOREIGN, 0, QF_NOWHERE,
			  "is not an undo file of qfsck");
}

static enum qf_err read_header(struct qf_undofile *u, struct qf_why *why)
{
	struct qf_wire_undo h;
	enum qf_err err = qf_io_read(u->io, &h, sizeof(h), 0, why);
	uint32_t crc, len, version;

	if (err == QF_ERR_OUTSIDE ||
	    (!err && memcmp(h.magic, QF_UNDO_MAGIC, sizeof(h.magic))))
		return no_magic(u, why);
	if (err)
		return err;
	crc = qf_be_get32(h.crc);
	h.crc = qf_be_put32(0);
	len = qf_be_get32(h.name_len);
	u->record_bytes = qf_be_get64(h.record_bytes);
	if (qf_undofile_crc(0, &h, sizeof(h)) != crc ||
	    len > QF_UNDO_NAME_ROOM || u->record_bytes > INT64_MAX / 2)
		return damaged(why, 0);
	version = qf_be_get32(h.version);
	if (!version || version > QF_UNDO_VERSION)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "was written by another version of qfsck");
	u->crc = crc;
	u->size_before = qf_be_get64(h.size_before);
	u->size_after = qf_be_get64(h.size_after);
	u->inode = qf_be_get64(h.inode);
	u->first_bytes = qf_be_get32(h.first_bytes);
	u->first_crc = qf_be_get32(h.first_crc);
	u->flags = qf_be_get32(h.flags);
	u->n = qf_be_get64(h.records);
	memcpy(u->name, h.name, len);
	return QF_OK;
}

static void take_state(struct qf_undofile *u, const struct qf_wire_undo_mark *m)
{
	u->state = (enum qf_undo_state)qf_be_get32(m->state);
	u->state_mtime = qf_be_get64(m->mtime);
	u->state_size = qf_be_get64(m->size);
	u->ended = u->state != QF_UNDO_PENDING && u->state != QF_UNDO_BEGUN;
}

/* Each mark is whole, or nothing was ever written there; what is neither has
 * rotted: a mark does not cross a sector. */
static enum qf_err read_marks(struct qf_undofile *u, struct qf_why *why)
{
	struct qf_wire_undo_mark m[QF_UNDO_MARKS_BYTES / QF_UNDO_MARK_BYTES];
	uint64_t at = QF_UNDO_HEADER_BYTES + u->record_bytes;
	enum qf_err err = qf_io_read_pad(u->io, m, sizeof(m), at, why);
	size_t i, n = sizeof(m) / sizeof(m[0]);

	if (err)
		return err;
	u->mark_off = at + sizeof(m[0]);
	if (is_blank(m, sizeof(m))) {
		u->health = QF_UNDO_UNFINISHED;
		return QF_OK;
	}
	u->committed = is_mark(&m[0], QF_UNDO_COMMIT);
	if (u->committed)
		u->mtime_before = qf_be_get64(m[0].mtime);
	else
		is_bad(u, at);
	for (i = 1; i < n; i++) {
		if (is_blank(&m[i], sizeof(m[i])))
			continue;
		u->mark_off = at + (i + 1) * sizeof(m[i]);
		if (is_state(&m[i])) {
			take_state(u, &m[i]);
			continue;
		}
		is_bad(u, u->mark_off - sizeof(m[i]));
		u->ended = false;
	}
	/* more than there is room for: an undo that was cut short often */
	while (u->mark_off >= at + sizeof(m) &&
	       !qf_io_read(u->io, m, sizeof(m[0]), u->mark_off, NULL) &&
	       is_state(m)) {
		take_state(u, m);
		u->mark_off += sizeof(m[0]);
	}
	return QF_OK;
}

/* Sets where the bytes before and after stand; false: it makes no sense. */
static bool take_shape(const struct qf_undofile *u, struct qf_undo_record *r)
{
	bool trim = r->phase == QF_UNDO_PHASE_TRIM;

	r->before = u->buf + QF_UNDO_RECORD_HEAD;
	r->after = trim ? NULL : r->before + r->before_len;
	if (r->phase >= QF_UNDO_PHASES || !r->len ||
	    r->off > (uint64_t)INT64_MAX - r->len)
		return false;
	if (trim && !r->before_len)
		return true;
	if (trim && r->before_len != r->len)
		return false;
	return r->len <= QF_UNDO_MAX_RECORD && r->before_len <= r->len;
}

/* Reads and verifies the record at POS; *END is where the next begins. */
static enum qf_err read_at(struct qf_undofile *u, uint64_t pos,
			   struct qf_undo_record *r, uint64_t *end,
			   struct qf_why *why)
{
	struct qf_wire_undo_record *h = (struct qf_wire_undo_record *)u->buf;
	enum qf_err err = qf_io_read(u->io, h, sizeof(*h), pos, why);
	uint64_t body;
	uint32_t crc;

	if (err)
		return err;
	r->phase = (enum qf_undo_phase)qf_be_get32(h->phase);
	r->off = qf_be_get64(h->off);
	r->len = qf_be_get32(h->len);
	r->before_len = qf_be_get32(h->before_len);
	if (qf_be_get32(h->magic) != QF_UNDO_RECORD || !take_shape(u, r))
		return damaged(why, pos);
	body = (uint64_t)r->before_len + (r->after ? r->len : 0);
	err = qf_io_read(u->io, u->buf + sizeof(*h), body, pos + sizeof(*h),
			 why);
	if (err)
		return err;
	crc = qf_be_get32(h->crc);
	h->crc = qf_be_put32(0);
	if (qf_undofile_crc(0, u->buf, sizeof(*h) + body) != crc)
		return damaged(why, pos);
	*end = pos + qf_mem_round_up(sizeof(*h) + body, 8);
	return QF_OK;
}

enum qf_err qf_undofile_read(struct qf_undofile *u, uint64_t i,
			     struct qf_undo_record *r, struct qf_why *why)
{
	uint64_t end;
	enum qf_err err = read_at(u, u->pos[i], r, &end, why);

	return err == QF_ERR_OUTSIDE ? damaged(why, u->pos[i]) : err;
}

/* Finds the places of all records; the first that is not whole ends it. */
static enum qf_err index_records(struct qf_undofile *u, struct qf_why *why)
{
	uint64_t at = QF_UNDO_HEADER_BYTES, i;
	uint64_t most = u->io->size / QF_UNDO_RECORD_HEAD;
	struct qf_undo_record r;
	enum qf_err err = QF_OK;

	if (most > u->n)
		most = u->n;
	u->buf = qf_mem_zalloc(1, QF_UNDO_RECORD_HEAD + 2 * QF_UNDO_MAX_RECORD);
	u->pos = qf_mem_zalloc(most + 1, sizeof(*u->pos));
	u->off = qf_mem_zalloc(most + 1, sizeof(*u->off));
	u->len = qf_mem_zalloc(most + 1, sizeof(*u->len));
	u->phase = qf_mem_zalloc(most + 1, 1);
	if (!u->buf || !u->pos || !u->off || !u->len || !u->phase)
		return no_memory(why);
	for (i = 0; i < most; i++, u->n_whole++) {
		u->pos[i] = at;
		err = read_at(u, at, &r, &at, why);
		if (err)
			break;
		u->off[i] = r.off;
		u->len[i] = r.len;
		u->phase[i] = (uint8_t)r.phase;
		if (r.phase == QF_UNDO_PHASE_TRIM)
			u->trim_bytes += r.before_len;
	}
	if (err && err != QF_ERR_OUTSIDE && err != QF_ERR_FORMAT)
		return err;
	if (u->n_whole == u->n && at <= QF_UNDO_HEADER_BYTES + u->record_bytes)
		return QF_OK;
	if (u->health == QF_UNDO_WHOLE)
		is_bad(u, at);
	return QF_OK;
}

static enum qf_err open_file(const char *name, bool all,
			     struct qf_undofile **out, struct qf_why *why)
{
	struct qf_undofile *u = qf_mem_zalloc(1, sizeof(*u));
	enum qf_err err;

	if (!u)
		return no_memory(why);
	err = qf_io_file_open(name, &u->io, why);
	if (!err)
		err = read_header(u, why);
	if (!err)
		err = read_marks(u, why);
	if (!err && all)
		err = index_records(u, why);
	if (err) {
		qf_undofile_close(u);
		return err;
	}
	*out = u;
	return QF_OK;
}

enum qf_err qf_undofile_open(const char *name, struct qf_undofile **out,
			     struct qf_why *why)
{
	return open_file(name, true, out, why);
}

enum qf_err qf_undofile_peek(const char *name, struct qf_undofile **out,
			     struct qf_why *why)
{
	return open_file(name, false, out, why);
}

void qf_undofile_close(struct qf_undofile *u)
{
	if (!u)
		return;
	qf_io_close(u->io);
	free(u->pos);
	free(u->off);
	free(u->len);
	free(u->phase);
	free(u->buf);
	free(u);
}

bool qf_undofile_unfinished(const struct qf_undofile *u)
{
	return u->committed && !u->ended;
}
