// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/order.h"

#include <string.h>

/* So many entries to each side are looked at. */
#define REACH 16u

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

/* Where the nearest sound entry on one side puts it. */
static uint64_t side(const struct qf_facts *f, const struct window *w,
		     uint32_t index, bool left, uint64_t *near)
{
	uint64_t size = f->img->geo.cluster_bytes, off, far = size;
	uint32_t i = index;

	while (left ? i > w->first : i + 1 < w->first + w->n) {
		i = left ? i - 1 : i + 1;
		switch (see(f, w, i, &off)) {
		case SIGHT_SOUND:
			*near = off;
			if (left)
				return off + far;
			return off > far ? off - far : 0;
		case SIGHT_DOUBTFUL:
			far += size;
			break;
		case SIGHT_EMPTY:
			break;
		}
	}
	return 0;
}

void qf_order_look(const struct qf_facts *f, uint64_t pointer_off,
		   struct qf_order *o)
{
	const struct qf_geometry *g = &f->img->geo;
	uint64_t in = pointer_off & (g->cluster_bytes - 1);
	uint32_t index = (uint32_t)(in / g->l2_entry_bytes);
	struct window w;

	memset(o, 0, sizeof(*o));
	if (!read_window(f, pointer_off - in, index, &w))
		return;
	o->left = side(f, &w, index, true, &o->before);
	o->right = side(f, &w, index, false, &o->behind);
}

void qf_order_speak(const struct qf_order *o, uint64_t value,
		    struct qf_hypothesis *h)
{
	if (qf_order_both(o, value))
		qf_question_for(h, QF_WITNESS_ORDER_BOTH);
	else if (qf_order_one(o, value))
		qf_question_for(h, QF_WITNESS_ORDER_ONE);
	else if ((o->before || o->behind) && value > o->before &&
		 (!o->behind || value < o->behind))
		qf_question_for(h, QF_WITNESS_ORDER_BETWEEN);
}
