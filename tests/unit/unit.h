/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test includes: cmocka with what it needs, and dice. */
#ifndef QF_TEST_UNIT_H
#define QF_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Numbers from a seed: the same on every run and every machine. */
struct dice {
	uint64_t state;
};

static inline uint64_t dice_roll(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* A number below N. */
static inline uint64_t dice_below(struct dice *d, uint64_t n)
{
	return dice_roll(d) % n;
}

/* True once in N times. */
static inline bool dice_once_in(struct dice *d, uint64_t n)
{
	return !dice_below(d, n);
}

#endif
