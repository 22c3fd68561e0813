// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/salvage/extract_path.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

/* --- which file --- */

static enum qf_err none_such(const struct qf_guest *g, struct qf_why *why)
{
	char title[600], text[200];
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (*g->volume[i].trouble)
			break;
	if (i < g->n) {
		qf_guest_title(g, i, title, sizeof(title));
		qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
			   "no file system on the disk has this file, as far "
			   "as is known: %.100s: %.100s",
			   title,
			   qf_text_safe(g->volume[i].trouble, text,
					sizeof(text)));
		return QF_ERR_USAGE;
	}
	qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
		   "no file system on the disk has this file%s%.100s",
		   *g->note ? ": " : "",
		   qf_text_safe(g->note, text, sizeof(text)));
	qf_err_next(why, "qfsck guest tells what is on the disk");
	return QF_ERR_USAGE;
}

static enum qf_err find_in(struct qf_guest *g, const char *path,
			   struct qf_guest_contents *out, struct qf_why *why)
{
	enum qf_err err = QF_OK;
	uint32_t i;

	for (i = 0; !err && i < g->n; i++) {
		err = qf_guest_contents(g, i, path, out, why);
		if (err || out->found)
			break;
		qf_guest_contents_free(out);
	}
	if (err)
		return err;
	if (!out->found)
		return none_such(g, why);
	if (out->file.kind == QF_GUEST_FILE)
		return QF_OK;
	return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
			  "that is %s, and not a file with bytes",
			  out->file.kind == QF_GUEST_DIRECTORY
				  ? "a directory"
				  : "a link or a device");
}

/* --- its bytes --- */

/* What is being read: DISK_OFF of the disk is x->at of the file. */
struct reading {
	struct qf_extract *x;
	uint64_t disk_off, bytes;
	bool only_look; /* for whether all can be read */
	bool bad;
};

static bool note(struct reading *r, uint64_t start, uint64_t bytes,
		 const char *reason, bool doubtful)
{
	struct qf_extract_lost l = { .reason = reason, .doubtful = doubtful };
	uint64_t end = r->disk_off + r->bytes;

	r->bad = true;
	if (r->only_look)
		return true;
	/* whole sectors are told, also around a file's end */
	if (start < r->disk_off) {
		bytes -= r->disk_off - start;
		start = r->disk_off;
	}
	if (start >= end)
		return true;
	l.start = r->x->at + (start - r->disk_off);
	l.bytes = bytes < end - start ? bytes : end - start;
	return qf_extract_note(r->x, &l);
}

static bool note_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	return note(ctx, start, bytes, reason, false);
}

static bool note_doubt(void *ctx, uint64_t start, uint64_t bytes,
		       const char *reason)
{
	return note(ctx, start, bytes, reason, true);
}

static enum qf_err read_disk(struct reading *r)
{
	struct qf_extract *x = r->x;
	enum qf_err err;

	r->bad = false;
	qf_disk_tell_doubts(x->guest, note_doubt, r);
	err = qf_disk_read(x->guest, x->buf, r->bytes, r->disk_off, note_lost,
			   r, &x->why);
	qf_disk_tell_doubts(x->guest, NULL, NULL);
	return err;
}

/* The part number I and the COPIES behind it are one. */
static size_t copies_of(const struct qf_guest_contents *c, size_t i)
{
	const struct qf_guest_part *p = &c->at[i];
	size_t k;

	for (k = i + 1; k < c->n; k++)
		if (c->at[k].content != QF_GUEST_BYTES ||
		    p->content != QF_GUEST_BYTES ||
		    c->at[k].file_off != p->file_off ||
		    c->at[k].bytes != p->bytes)
			break;
	return k - i;
}

/* BYTES from IN on of what the disk has in part I, of the first of its copies
 * that is sound. */
static enum qf_err put_piece(struct qf_extract *x, size_t i, size_t copies,
			     uint64_t in, uint64_t bytes)
{
	const struct qf_guest_part *p = &x->file->at[i];
	struct reading r = { .x = x, .bytes = bytes, .only_look = copies > 1 };
	enum qf_err err = QF_OK;
	size_t k;

	for (k = 0; k < copies; k++) {
		r.disk_off = p[k].start + in;
		err = read_disk(&r);
		if (err || !r.bad)
			break;
	}
	if (!err && r.bad && r.only_look) { /* all are: this is the first */
		r.disk_off = p->start + in;
		r.only_look = false;
		err = read_disk(&r);
	}
	return err ? err : qf_extract_put(x, bytes);
}

static enum qf_err put_bytes(struct qf_extract *x, size_t i, uint64_t end)
{
	size_t copies = copies_of(x->file, i);
	uint64_t start = x->file->at[i].file_off, n;
	enum qf_err err = QF_OK;

	for (; !err && x->at < end;) {
		n = QF_EXTRACT_PIECE - x->at % QF_EXTRACT_PIECE;
		n = n < end - x->at ? n : end - x->at;
		err = put_piece(x, i, copies, x->at - start, n);
	}
	return err;
}

/* Zeros up to END for what is not known. */
static enum qf_err put_lost(struct qf_extract *x, uint64_t end,
			    const char *reason)
{
	const struct qf_extract_lost l = { x->at, end - x->at, reason, false };

	return qf_extract_note(x, &l) ? qf_extract_zeros(x, end - x->at)
				      : QF_ERR_STOPPED;
}

/* Up to END no part tells what there is. */
static enum qf_err put_gap(struct qf_extract *x, uint64_t end)
{
	if (x->file->whole)
		return qf_extract_zeros(x, end - x->at);
	return put_lost(x, end, "nothing tells where these bytes of it lay");
}

static enum qf_err put_part(struct qf_extract *x, size_t i)
{
	const struct qf_guest_part *p = &x->file->at[i];
	uint64_t end = p->file_off + p->bytes, in = x->at - p->file_off;

	switch (p->content) {
	case QF_GUEST_BYTES:
		return put_bytes(x, i, end);
	case QF_GUEST_ZEROS:
		return qf_extract_zeros(x, end - x->at);
	case QF_GUEST_INLINE:
		memcpy(x->buf, p->data + in, p->bytes - in);
		return qf_extract_put(x, p->bytes - in);
	default:
		return put_lost(x, end,
				"they are compressed or encrypted by the "
				"guest's file system");
	}
}

static enum qf_err put_file(struct qf_extract *x)
{
	const struct qf_guest_contents *c = x->file;
	const struct qf_guest_part *p;
	enum qf_err err = QF_OK;
	size_t i;

	x->at = 0;
	for (i = 0; !err && i < c->n; i++) {
		p = &c->at[i];
		if (p->file_off > x->at)
			err = put_gap(x, p->file_off);
		if (!err && p->file_off + p->bytes > x->at)
			err = put_part(x, i);
	}
	if (!err && c->file.bytes > x->at)
		err = put_gap(x, c->file.bytes);
	return err;
}

/* --- both --- */

enum qf_err qf_extract_path_find(struct qf_extract *x, const char *path,
				 struct qf_guest_contents *out, char *title,
				 size_t room, struct qf_why *why)
{
	struct qf_guest *g;
	enum qf_err err = qf_guest_open(x->guest, false, &g, why);

	if (err)
		return err;
	err = find_in(g, path, out, why);
	if (!err) {
		qf_guest_title(g, out->file.volume, title, room);
		x->file = out;
		x->run = put_file;
	}
	qf_guest_close(g);
	return err;
}
