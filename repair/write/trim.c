// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/trim.h"
#include "lib/base/mem.h"
#include "lib/walk/recount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES (1u << 20)

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to look for free clusters");
}

void qf_trim_refuse(struct qf_trim *t, const char *reason)
{
	t->wanted = true;
	snprintf(t->reason, sizeof(t->reason), "%s", reason);
}

bool qf_trim_has(const struct qf_trim *t, uint64_t off)
{
	return qf_trim_any(t) &&
	       (off >= t->size_after || qf_ranges_has(&t->free, off));
}

/* The data of [FROM, END) that come first; whole blocks, also where the file
 * ends in the midst of one. */
static bool next_data(struct qf_io *base, uint64_t from, uint64_t end,
		      uint64_t *off, uint64_t *len)
{
	uint64_t to;

	for (; from < end && from < base->size; from = to) {
		if (qf_io_extent(base, from, end, &to) == QF_IO_DATA) {
			to = qf_mem_round_up(to, QF_TRIM_BLOCK);
			*off = from;
			*len = (to < end ? to : end) - from;
			return true;
		}
	}
	return false;
}

bool qf_trim_next(const struct qf_trim *t, struct qf_io *base, uint64_t from,
		  uint64_t *off, uint64_t *len, bool *hole)
{
	const struct qf_range *r;
	uint64_t end;

	*hole = false;
	while (from < t->size_after && (r = qf_ranges_from(&t->free, from))) {
		end = r->off + r->len;
		if (from < r->off)
			from = r->off;
		if (next_data(base, from, end, off, len))
			return true;
		from = end;
	}
	if (from < t->size_after)
		from = t->size_after;
	if (t->size_after >= t->size_before || from >= base->size)
		return false;
	*off = from;
	*hole = qf_io_extent(base, from, base->size, &end) == QF_IO_HOLE;
	*len = end - from;
	return true;
}

/*
 * The image without what is trimmed: for the proof.
 */
struct view {
	struct qf_io io;
	struct qf_io *under; /* owned */
	const struct qf_trim *t;
};

static int64_t view_read(struct qf_io *io, void *buf, uint64_t len,
			 uint64_t off)
{
	struct view *v = (struct view *)io;
	const struct qf_range *r;
	uint64_t from, to, at;
	int64_t n;

	if (off >= io->size)
		return 0;
	if (len > io->size - off)
		len = io->size - off;
	n = v->under->ops->read(v->under, buf, len, off);
	for (at = off; n > 0 && (r = qf_ranges_from(&v->t->free, at));
	     at = r->off + r->len) {
		if (r->off >= off + (uint64_t)n)
			break;
		from = r->off > off ? r->off - off : 0;
		to = r->off + r->len - off;
		if (to > (uint64_t)n)
			to = (uint64_t)n;
		memset((char *)buf + from, 0, (size_t)(to - from));
	}
	return n;
}

static void view_hint(struct qf_io *io, uint64_t off, uint64_t len)
{
	qf_io_hint(((struct view *)io)->under, off, len);
}

static enum qf_io_kind view_extent(struct qf_io *io, uint64_t off,
				   uint64_t limit, uint64_t *end)
{
	struct view *v = (struct view *)io;
	const struct qf_range *r = qf_ranges_from(&v->t->free, off);

	*end = limit;
	if (r && r->off <= off) {
		if (r->off + r->len < limit)
			*end = r->off + r->len;
		return QF_IO_HOLE;
	}
	if (r && r->off < limit)
		limit = r->off;
	return qf_io_extent(v->under, off, limit, end);
}

static void view_close(struct qf_io *io)
{
	qf_io_close(((struct view *)io)->under);
	free(io->name);
	free(io);
}

static const struct qf_io_ops view_ops = {
	.read = view_read,
	.hint = view_hint,
	.extent = view_extent,
	.close = view_close,
};

static enum qf_err open_view(const struct qf_plan *p, const struct qf_trim *t,
			     struct qf_io **out, struct qf_why *why)
{
	struct view *v = qf_mem_zalloc(1, sizeof(*v));
	enum qf_err err;

	if (!v)
		return no_memory(why);
	err = qf_overlay_view(p->over, &v->under, why);
	if (err) {
		free(v);
		return err;
	}
	v->t = t;
	v->io = *v->under;
	v->io.ops = &view_ops;
	v->io.size = t->size_after;
	v->io.name = strdup(v->under->name);
	*out = &v->io;
	if (v->io.name)
		return QF_OK;
	view_close(&v->io);
	return no_memory(why);
}

/* The proof: nothing is wrong without the free clusters. */
static enum qf_err prove(const struct qf_plan *p, unsigned int jobs,
			 struct qf_trim *t, struct qf_why *why)
{
	struct qf_check_opts opts = { .jobs = jobs };
	struct qf_image *img = NULL;
	struct qf_report rep;
	struct qf_io *io = NULL;
	enum qf_err err = open_view(p, t, &io, why);

	if (!err)
		err = qf_image_open(io, &img, why);
	if (err)
		return err;
	err = qf_check_run(img, &opts, &rep, why);
	if (!err && rep.tables != QF_VERDICT_CLEAN)
		qf_trim_refuse(
			t, rep.errors ? "a part of the image could not be read"
				      : "without its free clusters the image "
					"would not be clean");
	qf_check_free(&rep);
	qf_image_close(img);
	return err;
}

/* Notes the free clusters [FIRST, END), as whole blocks of the disk. */
static bool add_free(struct qf_trim *t, const struct qf_plan *p, uint64_t first,
		     uint64_t end, uint32_t bits)
{
	uint64_t off = qf_mem_round_up(first << bits, QF_TRIM_BLOCK);
	uint64_t size = qf_mem_round_up(p->base->size, QF_TRIM_BLOCK);
	uint64_t to = end << bits;

	t->clusters += end - first;
	if (to > size)
		to = size;
	to -= to % QF_TRIM_BLOCK;
	return off >= to || qf_ranges_add(&t->free, off, to - off);
}

/* Refcounts are as counted here: what no one refers to is free. */
static enum qf_err find_free(const struct qf_plan *p,
			     const struct qf_recount *ta,
			     const struct qf_image *img, struct qf_trim *t,
			     struct qf_why *why)
{
	uint32_t bits = img->geo.cluster_bits;
	uint64_t clusters = qf_image_clusters(img), at = 0, first;
	uint64_t end = qf_ledger_end(ta->ledger);

	if (end < clusters) {
		t->size_after = end << bits;
		t->clusters = clusters - end;
	} else {
		end = clusters;
	}
	while (at < end) {
		if (qf_ledger_count(ta->ledger, at, NULL)) {
			at++;
			continue;
		}
		first = at;
		while (at < end && !qf_ledger_count(ta->ledger, at, NULL))
			at++;
		if (!add_free(t, p, first, at, bits))
			return no_memory(why);
	}
	return QF_OK;
}

static enum qf_err look(const struct qf_plan *p, unsigned int jobs,
			struct qf_trim *t, struct qf_why *why)
{
	struct qf_image *img = NULL;
	struct qf_walk walk = { 0 };
	struct qf_recount recount = { 0 };
	struct qf_io *io;
	enum qf_err err = qf_overlay_view(p->over, &io, why);

	if (!err)
		err = qf_image_open(io, &img, why);
	if (err)
		return err;
	t->cluster_bytes = img->geo.cluster_bytes;
	err = qf_walk_gather(img, &walk, why);
	if (!err)
		err = qf_recount_make(&walk, jobs, 0, QF_RECOUNT_ALL, &recount,
				      why);
	if (!err && (recount.leaked || recount.too_low || recount.unknown))
		qf_trim_refuse(t, "the refcounts are not right");
	else if (!err)
		err = find_free(p, &recount, img, t, why);
	qf_recount_free(&recount);
	qf_walk_free(&walk);
	qf_image_close(img);
	return err;
}

/* Adds up what takes room on the disk. */
static void add_up(const struct qf_plan *p, struct qf_trim *t)
{
	uint64_t off = 0, len = 0, from = 0;
	bool hole;

	for (; qf_trim_next(t, p->base, from, &off, &len, &hole);
	     from = off + len) {
		if (off >= t->size_after)
			t->cut_bytes += hole ? 0 : len;
		else
			t->punched_bytes += len;
	}
}

/* Reads [OFF, OFF + LEN), and adds what cannot be read to BAD, by blocks. */
static enum qf_err try_read(struct qf_io *base, unsigned char *buf,
			    uint64_t off, uint64_t len, struct qf_ranges *bad,
			    struct qf_why *why)
{
	uint64_t at, end = off + len;
	enum qf_err err = qf_io_read_pad(base, buf, len, off, why);

	if (err != QF_ERR_IO)
		return err;
	for (at = off - off % QF_TRIM_BLOCK; at < end; at += QF_TRIM_BLOCK) {
		err = qf_io_read_pad(base, buf, QF_TRIM_BLOCK, at, why);
		if (err == QF_ERR_IO && !qf_ranges_add(bad, at, QF_TRIM_BLOCK))
			return no_memory(why);
		if (err && err != QF_ERR_IO)
			return err;
	}
	return QF_OK;
}

/* What is to be trimmed and cannot be read. */
static enum qf_err find_unread(const struct qf_trim *t, struct qf_io *base,
			       struct qf_ranges *bad, struct qf_why *why)
{
	uint64_t from = 0, off = 0, len = 0, done = 0;
	unsigned char *buf = malloc(READ_BYTES);
	enum qf_err err = buf ? QF_OK : no_memory(why);
	bool hole;

	while (!err && qf_trim_next(t, base, from, &off, &len, &hole)) {
		if (!hole) {
			if (len > READ_BYTES - off % READ_BYTES)
				len = READ_BYTES - off % READ_BYTES;
			qf_trim_progress(t, done, "MiB looked at");
			err = try_read(base, buf, off, len, bad, why);
			done += len;
		}
		from = off + len;
	}
	free(buf);
	return err;
}

/* Adds to KEPT what [FROM, END) has besides BAD. */
static bool add_besides(struct qf_ranges *kept, const struct qf_ranges *bad,
			uint64_t from, uint64_t end)
{
	const struct qf_range *b;
	uint64_t stop;

	for (; from < end; from = b->off + b->len) {
		b = qf_ranges_from(bad, from);
		stop = b && b->off < end ? b->off : end;
		if (stop > from && !qf_ranges_add(kept, from, stop - from))
			return false;
		if (!b)
			break;
	}
	return true;
}

/* Takes BAD out of what is trimmed: the file is cut behind it. */
static enum qf_err leave_out(struct qf_trim *t, const struct qf_ranges *bad,
			     struct qf_why *why)
{
	const struct qf_range *last = &bad->at[bad->n - 1];
	uint64_t end = qf_mem_round_up(last->off + last->len, t->cluster_bytes);
	uint64_t tail = qf_mem_round_up(t->size_after, QF_TRIM_BLOCK);
	struct qf_ranges kept = { 0 };
	bool ok = true;
	size_t i;

	for (i = 0; i < bad->n; i++)
		t->unread_bytes += bad->at[i].len;
	if (end > t->size_before)
		end = t->size_before;
	for (i = 0; ok && i < t->free.n; i++)
		ok = add_besides(&kept, bad, t->free.at[i].off,
				 t->free.at[i].off + t->free.at[i].len);
	if (end > t->size_after) {
		t->size_after = end;
		if (ok && !t->cut_only)
			ok = add_besides(&kept, bad, tail,
					 end - end % QF_TRIM_BLOCK);
	}
	qf_ranges_free(&t->free);
	t->free = kept;
	return ok ? QF_OK : no_memory(why);
}

/* What cannot be read is not trimmed: undo could not give it back. */
static enum qf_err leave_unread(const struct qf_plan *p, struct qf_trim *t,
				struct qf_why *why)
{
	struct qf_ranges bad = { 0 };
	enum qf_err err = find_unread(t, p->base, &bad, why);

	if (!err && bad.n)
		err = leave_out(t, &bad, why);
	qf_ranges_free(&bad);
	return err;
}

void qf_trim_progress(const struct qf_trim *t, uint64_t done, const char *unit)
{
	uint64_t all = t->punched_bytes + t->cut_bytes;

	qf_progress_step((done < all ? done : all) >> 20, all >> 20, unit);
}

static const char *must_not(const struct qf_plan *p,
			    const struct qf_report *rep)
{
	if (p->base->block_dev)
		return "a block device has no end to cut off, and is not "
		       "punched";
	if (rep->tables != QF_VERDICT_CLEAN)
		return "the image is not clean: a free cluster may be what a "
		       "lost pointer led to";
	if (rep->withhold || qf_plan_gives_up(p))
		return "what was given up may lie in free clusters";
	return NULL;
}

enum qf_err qf_trim_plan(const struct qf_plan *p, const struct qf_report *rep,
			 bool can_punch, unsigned int jobs, struct qf_trim *t,
			 struct qf_why *why)
{
	const char *reason = must_not(p, rep);
	enum qf_err err = QF_OK;

	memset(t, 0, sizeof(*t));
	t->wanted = true;
	t->size_before = t->size_after = qf_overlay_size(p->over);
	if (reason)
		qf_trim_refuse(t, reason);
	else
		err = look(p, jobs, t, why);
	t->cut_only = !can_punch;
	if (t->cut_only)
		qf_ranges_free(&t->free);
	if (!err && !t->reason[0]) {
		add_up(p, t);
		err = leave_unread(p, t, why);
		t->punched_bytes = t->cut_bytes = 0;
		if (!err)
			add_up(p, t);
	}
	if (!err && qf_trim_any(t))
		err = prove(p, jobs, t, why);
	if (err || t->reason[0]) {
		qf_ranges_free(&t->free);
		t->size_after = t->size_before;
		t->punched_bytes = t->cut_bytes = t->unread_bytes = 0;
	}
	return err;
}

void qf_trim_free(struct qf_trim *t)
{
	qf_ranges_free(&t->free);
	memset(t, 0, sizeof(*t));
}
