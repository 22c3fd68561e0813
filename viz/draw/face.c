// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/face.h"

/* Nothing is there: the ground stays the terminal's. */
#define NOTHING ((int)QF_KIND_FREE)

static struct qf_face marked_face(struct qf_scene_cell c,
				  struct qf_grid_look look, struct qf_face f)
{
	f.tint = c.mark == QF_MARK_EXCLUSIVE ? QF_TINT_MARK
		 : c.mark == QF_MARK_SHARED  ? QF_TINT_SHARE
					     : QF_TINT_DIM;
	if (c.mark == QF_MARK_EXCLUSIVE)
		f.ch = look.ascii ? (c.mostly ? '*' : 'x')
		       : c.mostly ? 0x2588
				  : 0x25aa;
	else if (c.mark == QF_MARK_SHARED)
		f.ch = look.ascii ? '+' : 0x2592;
	else if (c.kind >= QF_KIND_ACTIVE && c.kind <= QF_KIND_LEAKED)
		f.ch = look.ascii ? '.' : 0xb7;
	return f;
}

struct qf_face qf_face_one(struct qf_scene_cell c, struct qf_grid_look look)
{
	/* where there is no half of a cell, what is in an empty one shows */
	bool whole = look.ascii && c.kind < QF_KIND_HEADER && !look.marked;
	enum qf_kind kind = (enum qf_kind)(whole ? c.minor : c.kind);
	const struct qf_kind_look *k = qf_palette_kind(kind);
	struct qf_face f = { (enum qf_tint)kind, -1, k->glyph, false };

	f.ch = look.ascii ? (unsigned char)k->ascii : k->glyph;
	if (look.marked && c.kind <= QF_KIND_LEAKED)
		return marked_face(c, look, f);
	if (c.minor != c.kind && !look.ascii) {
		f.ch = 0x2584;
		f.tint = (enum qf_tint)c.minor;
		f.under = c.kind;
	}
	return f;
}

/* A cell as the two tints that its left and its right half have. */
struct half {
	int left, right;
};

static int no_less_than_nothing(int kind)
{
	return kind < (int)QF_KIND_HEADER || kind >= (int)QF_KINDS ? NOTHING
								   : kind;
}

static struct half half_of(struct qf_scene_cell c, struct qf_grid_look look)
{
	struct half h = { no_less_than_nothing(c.kind),
			  no_less_than_nothing(c.minor) };

	if (!look.marked)
		return h;
	h.left = h.right = c.mark == QF_MARK_EXCLUSIVE ? (int)QF_TINT_MARK
			   : c.mark == QF_MARK_SHARED  ? (int)QF_TINT_SHARE
						       : NOTHING;
	if (c.mark == QF_MARK_EXCLUSIVE && !c.mostly)
		h.left = NOTHING;
	return h;
}

/* The block that has the quarters: 1 upper left, 2 upper right, 4 lower left,
 * 8 lower right. */
static uint32_t block_of(unsigned int quarters)
{
	static const uint16_t block[16] = {
		' ',	0x2598, 0x259d, 0x2580, 0x2596, 0x258c, 0x259e, 0x259b,
		0x2597, 0x259a, 0x2590, 0x259c, 0x2584, 0x2599, 0x259f, 0x2588,
	};

	return block[quarters & 15];
}

/* The tint of the quarters Q that is not T. */
static int other(const int *q, int t)
{
	int i;

	for (i = 0; i < 3 && q[i] == t; i++)
		;
	return q[i];
}

/* The quarters Q as one character; false: they have more than two tints. */
static bool compose(const int *q, struct qf_face *f)
{
	int ground = q[0], ink = -1, i;
	unsigned int quarters = 0;

	for (i = 1; i < 4; i++)
		if (q[i] != ground && ink >= 0 && q[i] != ink)
			return false;
		else if (q[i] != ground)
			ink = q[i];
	/* nothing is no ink, and the cursor's ink no ground: the terminal has
	 * but one colour for each */
	if (ink == NOTHING || (ink >= 0 && ground == (int)QF_TINT_TEXT)) {
		ink = ground;
		ground = other(q, ink);
	}
	ink = ink < 0 ? ground : ink;
	for (i = 0; i < 4; i++)
		quarters |= q[i] == ink ? 1u << i : 0;
	*f = (struct qf_face){ (enum qf_tint)ink, ground, block_of(quarters),
			       false };
	return true;
}

static struct qf_face halves(struct half upper, struct half lower)
{
	const int fine[4] = { upper.left, upper.right, lower.left,
			      lower.right };
	/* of three tints, what would vanish goes before the rest */
	const int coarse[4] = { upper.right, upper.right, lower.right,
				lower.right };
	struct qf_face f;

	if (!compose(fine, &f))
		compose(coarse, &f);
	return f;
}

static bool is_grave(struct qf_scene_cell c, struct qf_grid_look look)
{
	return c.kind < QF_KINDS && (look.marked ? c.kind > QF_KIND_LEAKED
						 : c.kind >= QF_KIND_LEAKED);
}

/* Nothing of either has a colour of its own. */
static bool is_nothing(struct qf_scene_cell a, struct qf_scene_cell b,
		       struct qf_grid_look look)
{
	if (look.marked)
		return a.mark == QF_MARK_NONE && b.mark == QF_MARK_NONE;
	return no_less_than_nothing(a.kind) == NOTHING &&
	       no_less_than_nothing(a.minor) == NOTHING &&
	       no_less_than_nothing(b.kind) == NOTHING &&
	       no_less_than_nothing(b.minor) == NOTHING;
}

/* The cell with the graver kind; there may be only one. */
static struct qf_scene_cell graver(struct qf_scene_cell a,
				   struct qf_scene_cell b)
{
	if (a.kind >= QF_KINDS || b.kind >= QF_KINDS)
		return a.kind >= QF_KINDS ? b : a;
	return b.kind > a.kind ? b : a;
}

static bool alike(struct qf_scene_cell a, struct qf_scene_cell b,
		  struct qf_grid_look look)
{
	if (look.marked)
		return a.mark == b.mark && a.mostly == b.mostly &&
		       a.kind == b.kind;
	return a.kind == b.kind && a.minor == a.kind && b.minor == b.kind;
}

struct qf_face qf_face_two(struct qf_scene_cell upper,
			   struct qf_scene_cell lower, struct qf_grid_look look,
			   enum qf_face_here here)
{
	bool grave = is_grave(upper, look) || is_grave(lower, look);
	struct half cursor = { QF_TINT_TEXT, QF_TINT_TEXT };
	struct qf_face f;

	if (!grave && here == QF_FACE_UPPER)
		return halves(cursor, half_of(lower, look));
	if (!grave && here == QF_FACE_LOWER)
		return halves(half_of(upper, look), cursor);
	if (!grave && !is_nothing(upper, lower, look) &&
	    !alike(upper, lower, look))
		return halves(half_of(upper, look), half_of(lower, look));
	f = qf_face_one(graver(upper, lower), look);
	f.reverse = here != QF_FACE_NOT_HERE;
	return f;
}
