/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of several words was meant. */
#ifndef QF_NEAREST_H
#define QF_NEAREST_H

#include <stddef.h>

/*
 * How many letters have to be put in, left out, changed, or swapped with the
 * next one to make B of A; of each 31 letters are looked at.
 */
unsigned int qf_nearest_distance(const char *a, const char *b);

/* True if A, at the distance D from a word, may well be that word mistyped. */
static inline int qf_nearest_is_near(const char *a, unsigned int d)
{
	return a[0] && a[1] && a[2] && d <= (a[3] && a[4] ? 2u : 1u);
}

#endif
