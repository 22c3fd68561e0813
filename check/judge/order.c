// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/order.h"

#include <string.h>

/* Entries to each side that are looked at. */
#define REACH ((unsigned int)QF_WITNESS_ORDER_REACH)

struct window {
	unsigned char buf[(2 * REACH + 1) * 16];
	uint32_t first, n; /* L2 indices that it holds */
};

enum sight {
	SIGHT_EMPTY,	/* names no cluster: nothing was taken for it */
	SIGHT_DOUBTFUL, /* took a cluster, but which is in question */
	SIGHT_SOUND,
};

/* What the entry at INDEX is; *OFF: its cluster, if it is sound. */
static enum sight see(const struct qf_facts *f, const struct window *w,
		      uint32_t index, uint64_t *off)
{
	const struct qf_image *img = f->img;
	const struct qf_geometry *g = &img->geo;
	struct qf_be64 word[2] = { 0 };
	uint64_t e, bitmap;

	memcpy(word, w->buf + (size_t)(index - w->first) * g->l2_entry_bytes,
	       g->l2_entry_bytes);
	e = qf_be_get64(word[0]);
	bitmap = g->extl2 ? qf_be_get64(word[1]) : 0;
	if (qf_entry_l2_odd(g, img->hdr.version, img->io->size, e, bitmap) ||
	    e & QF_ENTRY_COMPRESSED)
		return SIGHT_DOUBTFUL;
	*off = e & QF_ENTRY_OFFSET_MASK;
	if (!*off)
		return SIGHT_EMPTY;
	return qf_facts_is_double(f, *off) ? SIGHT_DOUBTFUL : SIGHT_SOUND;
}

static bool read_window(const struct qf_facts *f, uint64_t table_off,
			uint32_t index, struct window *w)
{
	const struct qf_geometry *g = &f->img->geo;
	uint32_t end = index + REACH + 1;

	w->first = index < REACH ? 0 : index - REACH;
	w->n = (end < g->l2_entries ? end : g->l2_entries) - w->first;
	return !qf_io_read_pad(
		f->img->io, w->buf, (size_t)w->n * g->l2_entry_bytes,
		table_off + (uint64_t)w->first * g->l2_entry_bytes, NULL);
}

struct side {
	uint64_t expected; /* where the nearest sound entry puts it; 0: nowhere */
	uint64_t cluster; /* of that entry */
	bool near;	  /* it is the very next one */
	bool runs;	  /* it runs on with the one behind it */
};

/* True if the sound entry at INDEX, which names OFF, runs on with the next one
 * on that side. */
static bool runs_on(const struct qf_facts *f, const struct window *w,
		    uint32_t index, bool left, uint64_t off)
{
	uint64_t size = f->img->geo.cluster_bytes, next;

	if (left ? index == w->first : index + 1 >= w->first + w->n)
		return false;
	return see(f, w, left ? index - 1 : index + 1, &next) == SIGHT_SOUND &&
	       next == (left ? off - size : off + size);
}

static struct side look_aside(const struct qf_facts *f, const struct window *w,
			      uint32_t index, bool left)
{
	uint64_t size = f->img->geo.cluster_bytes, off, far = size;
	struct side s = { .near = true };
	uint32_t i = index;

	while (left ? i > w->first : i + 1 < w->first + w->n) {
		i = left ? i - 1 : i + 1;
		switch (see(f, w, i, &off)) {
		case SIGHT_SOUND:
			s.cluster = off;
			s.runs = runs_on(f, w, i, left, off);
			if (left)
				s.expected = off + far;
			else
				s.expected = off > far ? off - far : 0;
			return s;
		case SIGHT_DOUBTFUL:
			far += size;
			break;
		case SIGHT_EMPTY:
			break;
		}
		s.near = false;
	}
	return (struct side){ 0 };
}

struct line {
	unsigned int on, astray; /* sound entries */
	bool ends;		 /* nothing stands on that side */
};

/* What of the entries on one side, up to the first empty one, lies as far from
 * VALUE as it stands from INDEX in the table. */
static struct line follow(const struct qf_facts *f, const struct window *w,
			  uint32_t index, bool left, uint64_t value)
{
	uint64_t size = f->img->geo.cluster_bytes, off;
	struct line l = { .ends = true };
	uint32_t i = index;
	enum sight s;

	while (left ? i > w->first : i + 1 < w->first + w->n) {
		i = left ? i - 1 : i + 1;
		s = see(f, w, i, &off);
		if (s == SIGHT_EMPTY)
			break;
		l.ends = false;
		if (s == SIGHT_DOUBTFUL)
			continue;
		if (off - value == ((uint64_t)i - index) * size)
			l.on++;
		else
			l.astray++;
	}
	return l;
}

/*
 * True if the entry belongs on a line: with VALUE at INDEX, the entries around
 * run on with it, enough of them on each side that has any. A few may be bent.
 */
static bool is_on_line(const struct qf_facts *f, const struct window *w,
		       uint32_t index, uint64_t value)
{
	struct line l = follow(f, w, index, true, value);
	struct line r = follow(f, w, index, false, value);

	return l.on + r.on >=
		       QF_WITNESS_LINE_LEAST * (1 + l.astray + r.astray) &&
	       (l.on > 1 || l.ends) && (r.on > 1 || r.ends);
}

void qf_order_look(const struct qf_facts *f, uint64_t pointer_off,
		   struct qf_order *o)
{
	const struct qf_geometry *g = &f->img->geo;
	uint64_t in = pointer_off & (g->cluster_bytes - 1);
	uint32_t index = (uint32_t)(in / g->l2_entry_bytes);
	struct window w;
	struct side s;

	memset(o, 0, sizeof(*o));
	if (!read_window(f, pointer_off - in, index, &w))
		return;
	s = look_aside(f, &w, index, true);
	o->left = s.expected;
	o->before = s.cluster;
	o->left_near = s.near;
	o->left_runs = s.runs;
	s = look_aside(f, &w, index, false);
	o->right = s.expected;
	o->behind = s.cluster;
	o->right_near = s.near;
	o->line = 0;
	if (is_on_line(f, &w, index, o->left ? o->left : o->right))
		o->line = o->left ? o->left : o->right;
	o->right_runs = s.runs;
}

void qf_order_speak(const struct qf_order *o, uint64_t value, bool closes,
		    bool whole, bool dead, struct qf_hypothesis *h)
{
	bool left = value && o->left == value;
	bool right = value && o->right == value;
	bool near = o->left_near && o->right_near;

	if (value && o->line == value)
		qf_question_for(h, closes ? QF_WITNESS_ORDER_LINE_CLOSES
					  : QF_WITNESS_ORDER_LINE);
	else if (left && right && near && whole)
		qf_question_for(h, QF_WITNESS_ORDER_WHOLE);
	else if (left && right && o->left_runs && o->right_runs)
		qf_question_for(h, near ? QF_WITNESS_ORDER_RUN
					: QF_WITNESS_ORDER_RUN_FAR);
	else if (left && right)
		qf_question_for(h, near ? QF_WITNESS_ORDER_BOTH
					: QF_WITNESS_ORDER_BOTH_FAR);
	else if ((left && o->left_near) || (right && o->right_near))
		qf_question_for(h, whole && dead ? QF_WITNESS_ORDER_ONE_WHOLE
						 : QF_WITNESS_ORDER_ONE);
}
