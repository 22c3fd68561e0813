/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a map's cells look like as characters: one cell, or two of them, one
 * above the other, as the halves of a character.
 */
#ifndef QF_FACE_H
#define QF_FACE_H

#include "viz/draw/scene.h"

/* How cells are drawn. */
struct qf_grid_look {
	bool ascii;
	bool marked; /* holders are marked: show whose the clusters are */
};

/* A character on two tints. */
struct qf_face {
	enum qf_tint tint;
	int under; /* enum qf_tint of the ground, or -1 */
	uint32_t ch;
	bool reverse; /* the cursor */
};

/* Which of two cells in a character the cursor is on. */
enum qf_face_here { QF_FACE_NOT_HERE, QF_FACE_UPPER, QF_FACE_LOWER };

/* A cell that has the character for itself. What would vanish behind the rest
 * of it is its lower half. */
struct qf_face qf_face_one(struct qf_scene_cell c, struct qf_grid_look look);

/*
 * UPPER and LOWER share the character (a cell past the end has kind QF_KINDS).
 * What would vanish behind the rest of a cell is its right half, or, where that
 * takes more than two colours, all of it. What is wrong has the character with
 * its letter, the gravest of the two.
 */
struct qf_face qf_face_two(struct qf_scene_cell upper,
			   struct qf_scene_cell lower, struct qf_grid_look look,
			   enum qf_face_here here);

#endif
