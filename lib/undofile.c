// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile.h"
#include "lib/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Undo files beside an image that are looked at. */
#define MAX_NUMBER 1000u

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
			  "the undo file is damaged: a checksum is wrong");
}

static enum qf_err read_header(struct qf_undofile *u, struct qf_why *why)
{
	struct qf_wire_undo h;
	enum qf_err err = qf_io_read(u->io, &h, sizeof(h), 0, why);
	uint32_t crc, len;

	if (err == QF_ERR_OUTSIDE ||
	    (!err && memcmp(h.magic, QF_UNDO_MAGIC, sizeof(h.magic))))
		return qf_err_set(why, QF_ERR_FOREIGN, 0, QF_NOWHERE,
				  "is not an undo file of qfsck");
	if (err)
		return err;
	crc = qf_be_get32(h.crc);
	h.crc = qf_be_put32(0);
	len = qf_be_get32(h.name_len);
	if (qf_undofile_crc(0, &h, sizeof(h)) != crc || len > QF_UNDO_NAME_ROOM)
		return damaged(why, 0);
	if (qf_be_get32(h.version) != QF_UNDO_VERSION)
		return qf_err_set(why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "was written by another version of qfsck");
	u->size_before = qf_be_get64(h.size_before);
	u->size_after = qf_be_get64(h.size_after);
	u->inode = qf_be_get64(h.inode);
	u->first_bytes = qf_be_get32(h.first_bytes);
	u->first_crc = qf_be_get32(h.first_crc);
	u->flags = qf_be_get32(h.flags);
	u->n = qf_be_get64(h.records);
	memcpy(u->name, h.name, len);
	u->mark_off = QF_UNDO_HEADER_BYTES;
	return QF_OK;
}

/* Reads and verifies the record at POS; *END is where the next begins. */
static enum qf_err read_at(struct qf_undofile *u, uint64_t pos,
			   struct qf_undo_record *r, uint64_t *end,
			   struct qf_why *why)
{
	struct qf_wire_undo_record *h = (struct qf_wire_undo_record *)u->buf;
	enum qf_err err = qf_io_read(u->io, h, sizeof(*h), pos, why);
	uint32_t crc;

	if (err)
		return err;
	r->phase = (enum qf_undo_phase)qf_be_get32(h->phase);
	r->off = qf_be_get64(h->off);
	r->len = qf_be_get32(h->len);
	r->before_len = qf_be_get32(h->before_len);
	if (qf_be_get32(h->magic) != QF_UNDO_RECORD ||
	    r->phase >= QF_UNDO_PHASES || !r->len ||
	    r->len > QF_UNDO_MAX_RECORD || r->before_len > r->len ||
	    r->off > (uint64_t)INT64_MAX - r->len)
		return damaged(why, pos);
	r->before = u->buf + sizeof(*h);
	r->after = r->before + r->before_len;
	err = qf_io_read(u->io, u->buf + sizeof(*h),
			 (uint64_t)r->before_len + r->len, pos + sizeof(*h),
			 why);
	if (err)
		return err;
	crc = qf_be_get32(h->crc);
	h->crc = qf_be_put32(0);
	if (qf_undofile_crc(0, u->buf,
			    sizeof(*h) + (uint64_t)r->before_len + r->len) !=
	    crc)
		return damaged(why, pos);
	*end = pos + qf_mem_round_up(
			     sizeof(*h) + (uint64_t)r->before_len + r->len, 8);
	return QF_OK;
}

enum qf_err qf_undofile_read(struct qf_undofile *u, uint64_t i,
			     struct qf_undo_record *r, struct qf_why *why)
{
	uint64_t end;
	enum qf_err err = read_at(u, u->pos[i], r, &end, why);

	return err == QF_ERR_OUTSIDE ? damaged(why, u->pos[i]) : err;
}

/* Finds the places of all records; a file cut short is not committed. */
static enum qf_err index_records(struct qf_undofile *u, struct qf_why *why)
{
	struct qf_undo_record r;
	enum qf_err err = QF_OK;
	uint64_t i;

	if (u->n > u->io->size / QF_UNDO_RECORD_HEAD)
		return QF_ERR_OUTSIDE;
	u->buf = qf_mem_zalloc(1, QF_UNDO_RECORD_HEAD + 2 * QF_UNDO_MAX_RECORD);
	u->pos = qf_mem_zalloc(u->n + 1, sizeof(*u->pos));
	u->off = qf_mem_zalloc(u->n + 1, sizeof(*u->off));
	u->phase = qf_mem_zalloc(u->n + 1, 1);
	if (!u->buf || !u->pos || !u->off || !u->phase)
		return no_memory(why);
	for (i = 0; !err && i < u->n; i++) {
		u->pos[i] = u->mark_off;
		err = read_at(u, u->mark_off, &r, &u->mark_off, why);
		u->off[i] = r.off;
		u->phase[i] = (uint8_t)r.phase;
	}
	return err;
}

/* The mark at mark_off, if there is a whole one. */
static bool read_mark(struct qf_undofile *u, struct qf_wire_undo_mark *m)
{
	return !qf_io_read(u->io, m, sizeof(*m), u->mark_off, NULL) &&
	       qf_undofile_crc(0, m, 24) == qf_be_get32(m->crc);
}

static void read_marks(struct qf_undofile *u)
{
	struct qf_wire_undo_mark m;
	uint32_t state;

	if (!read_mark(u, &m) || qf_be_get32(m.magic) != QF_UNDO_COMMIT)
		return;
	u->committed = true;
	u->mtime_before = qf_be_get64(m.mtime);
	u->mark_off += sizeof(m);
	while (read_mark(u, &m) && qf_be_get32(m.magic) == QF_UNDO_STATE) {
		state = qf_be_get32(m.state);
		if (state < QF_UNDO_APPLIED || state > QF_UNDO_UNDONE)
			break;
		u->state = (enum qf_undo_state)state;
		u->state_mtime = qf_be_get64(m.mtime);
		u->state_size = qf_be_get64(m.size);
		u->mark_off += sizeof(m);
	}
}

enum qf_err qf_undofile_open(const char *name, struct qf_undofile **out,
			     struct qf_why *why)
{
	struct qf_undofile *u = qf_mem_zalloc(1, sizeof(*u));
	struct qf_why cut;
	enum qf_err err;

	if (!u)
		return no_memory(why);
	err = qf_io_file_open(name, &u->io, why);
	if (!err)
		err = read_header(u, why);
	if (err) {
		qf_undofile_close(u);
		return err;
	}
	err = index_records(u, &cut);
	if (!err)
		read_marks(u);
	if (err && err != QF_ERR_OUTSIDE && err != QF_ERR_FORMAT) {
		if (why)
			*why = cut;
		qf_undofile_close(u);
		return err;
	}
	*out = u;
	return QF_OK;
}

void qf_undofile_close(struct qf_undofile *u)
{
	if (!u)
		return;
	qf_io_close(u->io);
	free(u->pos);
	free(u->off);
	free(u->phase);
	free(u->buf);
	free(u);
}

bool qf_undofile_unfinished(const struct qf_undofile *u)
{
	return u->committed &&
	       (u->state == QF_UNDO_PENDING || u->state == QF_UNDO_BEGUN);
}

char *qf_undofile_name(const char *image, unsigned int n)
{
	char *name;
	int len;

	if (n)
		len = asprintf(&name, "%s.qfsck-undo.%u", image, n);
	else
		len = asprintf(&name, "%s.qfsck-undo", image);
	return len < 0 ? NULL : name;
}

/* The first undo file beside IMAGE of which WANTED is true. An error is the
 * last one of reading such a file, if none was found. */
static enum qf_err look_beside(const char *image, uint64_t inode,
			       bool (*wanted)(const struct qf_undofile *u),
			       char **out, struct qf_why *why)
{
	enum qf_err err, unread = QF_OK;
	struct qf_undofile *u;
	unsigned int n;
	bool found;
	char *name;

	*out = NULL;
	for (n = 0; n < MAX_NUMBER; n++) {
		name = qf_undofile_name(image, n);
		if (!name)
			return no_memory(why);
		if (access(name, F_OK) < 0) {
			free(name);
			break;
		}
		err = qf_undofile_open(name, &u, why);
		if (!err) {
			found = wanted(u) && u->inode == inode;
			qf_undofile_close(u);
			if (found) {
				*out = name;
				return QF_OK;
			}
		}
		free(name);
		if (err == QF_ERR_IO || err == QF_ERR_NOMEM)
			unread = err;
	}
	return unread;
}

enum qf_err qf_undofile_pending(const char *image, uint64_t inode, char **found,
				struct qf_why *why)
{
	return look_beside(image, inode, qf_undofile_unfinished, found, why);
}

static bool gave_up(const struct qf_undofile *u)
{
	return u->committed && u->state == QF_UNDO_APPLIED &&
	       u->flags & QF_UNDO_GAVE_UP;
}

char *qf_undofile_gave_up(const char *image, uint64_t inode)
{
	char *name;

	(void)look_beside(image, inode, gave_up, &name, NULL);
	return name;
}
