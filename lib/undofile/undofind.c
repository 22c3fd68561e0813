// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/believe.h"
#include "lib/undofile/undofind.h"
#include "lib/format/format.h"
#include "lib/base/mem.h"
#include "lib/undofile/undobeside.h"
#include "lib/undofile/undomatch.h"
#include "lib/undofile/undoscan.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Undo files beside an image that are looked at, and how many in a row may
 * have been removed. */
#define MAX_NUMBER 1000u
#define MAX_GAP 16u
#define POINTER_ROOM 4200u
#define SECTOR 512u

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
}

char *qf_undofind_name(const char *image, unsigned int n)
{
	char *name;
	int len;

	if (n)
		len = asprintf(&name, "%s.qfsck-undo.%u", image, n);
	else
		len = asprintf(&name, "%s.qfsck-undo", image);
	return len < 0 ? NULL : name;
}

char *qf_undofind_pointer(const char *image)
{
	char *name;

	return asprintf(&name, "%s.qfsck-pending", image) < 0 ? NULL : name;
}

/*
 * Whether anything can be at work on the image: one of version 3 has its
 * corrupt bit set as long as it is.
 */
static bool is_open_to_doubt(struct qf_io *io)
{
	struct qf_wire_header h;

	return qf_io_read_pad(io, &h, sizeof(h), 0, NULL) ||
	       qf_believe_version(io, &h) < 3 || qf_undomatch_is_marked(io);
}

/*
 * True if U, which has no commit mark, had one: the image shows that the
 * repair was begun, or was written to after the undo file was. Where none of
 * the places is clearly as after, it was a guest that wrote.
 */
static bool was_begun(struct qf_undofile *u, struct qf_io *io)
{
	struct qf_undomatch t = { 0, 0, false };
	bool seen;

	if (qf_undomatch_is_marked_only(u, io))
		return true;
	seen = qf_undomatch_compare(u, io, &t);
	if (seen && (t.before || t.strange) && !t.after)
		return false;
	return io->mtime_ns > u->io->mtime_ns ||
	       (seen && t.before && t.after && !t.strange);
}

static enum qf_undo_sight rotten(struct qf_why *why, const char *what)
{
	qf_err_set(why, QF_ERR_FORMAT, 0, QF_NOWHERE, "%s", what);
	return QF_UNDO_ROTTEN;
}

static enum qf_undo_sight rotten_at(struct qf_why *why, uint64_t off)
{
	qf_err_set(why, QF_ERR_FORMAT, 0, off,
		   "it is damaged: a checksum is wrong at byte %" PRIu64
		   " of it",
		   off);
	return QF_UNDO_ROTTEN;
}

/* True if U is of the image behind IO: by its inode number, or because it
 * holds what U expects of an image whose repair has begun (a copy of one);
 * without a whole record the header alone tells. A device's number is another
 * one at every boot. */
static bool belongs(struct qf_undofile *u, struct qf_io *io)
{
	return io->block_dev || u->inode == io->id[1] ||
	       (u->n_whole ? qf_undomatch_is_begun(u, io)
			   : qf_undomatch_is_marked_only(u, io));
}

/*
 * True if the image, of version 3, is not marked and is not as U has it: the
 * repair was stopped before its first write or after its last one, and since
 * then somebody else has written. Nothing is half done.
 */
static bool is_past(struct qf_undofile *u, struct qf_io *io)
{
	struct qf_undomatch t = { 0, 0, false };

	if (is_open_to_doubt(io))
		return false;
	if (!io->block_dev && io->size != u->size_before &&
	    io->size != u->size_after)
		return true;
	return (qf_undomatch_compare(u, io, &t) && t.strange) ||
	       !qf_undomatch_knows_first(u, io);
}

enum qf_undo_sight qf_undofind_see(struct qf_undofile *u, struct qf_io *io,
				   struct qf_why *why)
{
	if (!belongs(u, io))
		return QF_UNDO_NONE;
	if (u->health == QF_UNDO_WHOLE)
		return qf_undofile_unfinished(u) && !is_past(u, io)
			       ? QF_UNDO_AT_WORK
			       : QF_UNDO_NONE;
	if (!is_open_to_doubt(io))
		return QF_UNDO_NONE;
	if (u->health == QF_UNDO_UNFINISHED) {
		if (was_begun(u, io))
			return rotten(why, "it is damaged: it was cut short, "
					   "or its commit mark is gone");
		return QF_UNDO_NONE;
	}
	return u->ended ? QF_UNDO_NONE : rotten_at(why, u->bad_off);
}

/* True if A was certainly not written to after B. */
static bool is_older(const struct qf_io *a, const struct qf_io *b)
{
	return a->mtime_ns > 0 && a->mtime_ns < b->mtime_ns;
}

/* True if nothing was written to the image since the undo file U was; of a
 * device only its mark tells. */
static bool is_untouched(struct qf_io *image, const struct qf_io *u)
{
	return image->block_dev ? !is_open_to_doubt(image) : is_older(image, u);
}

/*
 * True if the file was made and nothing was written to it. IO is the image:
 * if that is marked and was written to since, something was; SURE: it must
 * not have been written to since.
 */
static bool is_empty(const char *name, struct qf_io *io, bool sure)
{
	static const unsigned char zeros[SECTOR];
	unsigned char first[SECTOR];
	struct qf_io *u;
	bool empty;

	if (qf_io_file_open(name, &u, NULL))
		return false;
	empty = !qf_io_read_pad(u, first, sizeof(first), 0, NULL) &&
		!memcmp(first, zeros, sizeof(first));
	if (sure)
		empty = empty && !u->size && is_untouched(io, u);
	else if (qf_undomatch_is_marked(io))
		empty = empty && !is_older(u, io);
	qf_io_close(u);
	return empty;
}

bool qf_undofind_is_leftover(const char *name, struct qf_io *io)
{
	struct qf_undomatch t = { 0, 0, false };
	unsigned char *first = NULL;
	struct qf_undofile *u;
	bool is = false;
	enum qf_err err = qf_undofile_peek(name, &u, NULL);

	if (err)
		return err == QF_ERR_FOREIGN && is_empty(name, io, true);
	is = u->health == QF_UNDO_UNFINISHED;
	qf_undofile_close(u);
	/* the records of a whole one may be very many */
	if (!is || qf_undofile_open(name, &u, NULL))
		return false;
	is = false;
	if (u->health == QF_UNDO_UNFINISHED &&
	    (io->block_dev || u->inode == io->id[1]) &&
	    u->size_before == io->size && is_untouched(io, u->io) &&
	    u->first_bytes <= 1u << QF_MAX_CLUSTER_BITS)
		first = qf_mem_zalloc(1, u->first_bytes);
	if (first && !qf_io_read_pad(io, first, u->first_bytes, 0, NULL))
		is = qf_undofile_crc(0, first, u->first_bytes) ==
			     u->first_crc &&
		     qf_undomatch_compare(u, io, &t) && !t.after && !t.strange;
	free(first);
	qf_undofile_close(u);
	return is;
}

/* What the undo file NAME is. OURS: its name says that it is one. Errors:
 * QF_ERR_IO, QF_ERR_NOMEM. */
static enum qf_err look_at(const char *name, bool ours, struct qf_io *io,
			   struct qf_undofind *f, struct qf_why *why)
{
	struct qf_undofile *u;
	struct qf_why own = { 0 };
	enum qf_err err = qf_undofile_peek(name, &u, &own);

	f->sight = QF_UNDO_NONE;
	if (!err && u->health == QF_UNDO_WHOLE && !qf_undofile_unfinished(u)) {
		qf_undofile_close(u); /* the records do not matter */
		return QF_OK;
	}
	if (!err) {
		qf_undofile_close(u);
		err = qf_undofile_open(name, &u, &own);
	}
	if (!err) {
		f->sight = qf_undofind_see(u, io, &f->why);
		qf_undofile_close(u);
		return QF_OK;
	}
	if (err == QF_ERR_IO || err == QF_ERR_NOMEM) {
		if (why)
			*why = own;
		return err;
	}
	if (is_open_to_doubt(io) &&
	    (err != QF_ERR_FOREIGN || (ours && !is_empty(name, io, false)))) {
		f->sight = QF_UNDO_ROTTEN;
		f->why = own;
		if (err == QF_ERR_FOREIGN)
			rotten(&f->why, "it is damaged: its beginning is gone");
	}
	return QF_OK;
}

/* Takes NAME into F if that is more than F has. True: it is at work. */
static bool note(struct qf_undofind *f, const struct qf_undofind *seen,
		 char *name)
{
	bool more =
		seen->sight != QF_UNDO_NONE &&
		(f->sight == QF_UNDO_NONE || seen->sight == QF_UNDO_AT_WORK);

	if (!more) {
		free(name);
		return false;
	}
	free(f->name);
	*f = *seen;
	f->name = name;
	return f->sight == QF_UNDO_AT_WORK;
}

/* The place that the pointer beside the image tells: owned by the caller;
 * NULL if there is none, or none of this image. */
static enum qf_err read_pointer(const char *image, struct qf_io *io, char **out,
				struct qf_why *why)
{
	char *name = qf_undofind_pointer(image), *end, *text, *line;
	const size_t head = sizeof(QF_UNDOFIND_MAGIC) - 1;
	struct qf_io *p;
	enum qf_err err;

	*out = NULL;
	if (!name)
		return no_memory(why);
	if (access(name, F_OK) < 0) {
		free(name);
		return QF_OK;
	}
	err = qf_io_file_open(name, &p, why);
	free(name);
	if (err)
		return err;
	text = qf_mem_zalloc(1, POINTER_ROOM);
	err = text ? qf_io_read_pad(p, text, POINTER_ROOM - 1, 0, why)
		   : no_memory(why);
	qf_io_close(p);
	if (!err && !strncmp(text, QF_UNDOFIND_MAGIC, head)) {
		line = strchr(text + head, '\n');
		end = line ? strchr(line + 1, '\n') : NULL;
		if (end && (io->block_dev ||
			    strtoull(text + head, NULL, 10) == io->id[1])) {
			*end = '\0';
			*out = strdup(line + 1);
			err = *out ? QF_OK : no_memory(why);
		}
	}
	free(text);
	return err;
}

/* The one at NAME, which stands elsewhere. */
static enum qf_err look_away(char *name, struct qf_io *io,
			     struct qf_undofind *f, struct qf_why *why)
{
	struct qf_undofind seen = { .sight = QF_UNDO_NONE };
	enum qf_err err = look_at(name, true, io, &seen, &seen.why);

	if (err == QF_ERR_NOMEM) {
		free(name);
		return no_memory(why);
	}
	if (err && is_open_to_doubt(io))
		seen.sight = QF_UNDO_AWAY;
	note(f, &seen, name);
	return QF_OK;
}

bool qf_undofind_each(const char *image,
		      bool (*see)(void *ctx, const char *name), void *ctx)
{
	unsigned int n, gap = 0;
	bool go_on = true;
	char *name;

	if (!qf_undobeside_any(image))
		return true;
	for (n = 0; go_on && n < MAX_NUMBER && gap < MAX_GAP; n++) {
		name = qf_undofind_name(image, n);
		if (!name)
			return false;
		if (access(name, F_OK) < 0) {
			gap++;
		} else {
			gap = 0;
			go_on = see(ctx, name);
		}
		free(name);
	}
	return true;
}

struct looker {
	struct qf_io *io;
	struct qf_undofind *f;
	struct qf_why *why;
	enum qf_err err;
};

static bool see_beside(void *ctx, const char *name)
{
	struct qf_undofind seen = { .sight = QF_UNDO_NONE };
	struct looker *l = ctx;
	char *copy = strdup(name);
	enum qf_err err;

	if (!copy) {
		l->err = no_memory(l->why);
		return false;
	}
	err = look_at(name, true, l->io, &seen, l->why);
	if (err)
		l->err = err;
	if (!note(l->f, &seen, copy))
		return true;
	l->err = QF_OK;
	return false;
}

/* Those beside the image. An error of reading one is told if no other is at
 * work. */
static enum qf_err look_beside(const char *image, struct qf_io *io,
			       struct qf_undofind *f, struct qf_why *why)
{
	struct looker l = { io, f, why, QF_OK };

	return qf_undofind_each(image, see_beside, &l) ? l.err : no_memory(why);
}

/* What U, of another name, is: the image of version 3 must be marked, and
 * any must hold what U tells of. */
static enum qf_undo_sight see_other(struct qf_undofile *u, struct qf_io *io,
				    struct qf_why *why)
{
	struct qf_undomatch t = { 0, 0, false };

	if (qf_undomatch_is_marked(io))
		return qf_undofind_see(u, io, why);
	if (is_open_to_doubt(io) && u->health == QF_UNDO_WHOLE &&
	    qf_undomatch_compare(u, io, &t) && !t.strange &&
	    (t.before || t.after))
		return QF_UNDO_AT_WORK;
	return QF_UNDO_NONE;
}

static bool see_renamed(void *ctx, const char *path, bool is_note)
{
	struct qf_undofind seen = { .sight = QF_UNDO_NONE };
	struct looker *l = ctx;
	struct qf_undofile *u;
	char *copy;
	bool maybe;

	if (is_note || qf_undofile_peek(path, &u, NULL))
		return true;
	maybe = u->inode == l->io->id[1] && u->committed && !u->ended &&
		!qf_undoscan_is_younger(l->io, path);
	qf_undofile_close(u);
	if (!maybe || qf_undofile_open(path, &u, NULL))
		return true;
	seen.sight = see_other(u, l->io, &seen.why);
	qf_undofile_close(u);
	copy = strdup(path);
	if (copy)
		return !note(l->f, &seen, copy);
	l->err = no_memory(l->why);
	return false;
}

enum qf_err qf_undofind_renamed(const char *name, struct qf_io *io,
				struct qf_undofind *f, struct qf_why *why)
{
	struct looker l = { io, f, why, QF_OK };
	enum qf_err err = QF_OK;

	if (!io->block_dev)
		err = qf_undoscan_folders(name, see_renamed, &l, why);
	return err ? err : l.err;
}

enum qf_err qf_undofind_pending(const char *name, const char *extra,
				struct qf_io *io, struct qf_undofind *f,
				struct qf_why *why)
{
	struct qf_undofind seen = { .sight = QF_UNDO_NONE };
	enum qf_err err;
	char *away;

	memset(f, 0, sizeof(*f));
	if (extra && !access(extra, F_OK)) {
		away = strdup(extra);
		if (!away)
			return no_memory(why);
		err = look_at(extra, false, io, &seen, why);
		if (note(f, &seen, away))
			return QF_OK;
		if (err)
			return err;
	}
	err = read_pointer(name, io, &away, why);
	if (!err && away)
		err = look_away(away, io, f, why);
	if (err || f->sight == QF_UNDO_AT_WORK)
		return err;
	err = look_beside(name, io, f, why);
	if (err) {
		free(f->name);
		memset(f, 0, sizeof(*f));
	}
	return err;
}
