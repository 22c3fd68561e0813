/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of witnesses, as data. */
#ifndef QF_WITNESS_H
#define QF_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

enum qf_witness_kind {
#define QF_KIND(NAME, name) QF_WITNESS_KIND_##NAME,
#include "check/judge/witnesses.def"
#undef QF_KIND
	QF_WITNESS_KINDS
};

enum qf_witness {
#define QF_WITNESS(NAME, ...) QF_WITNESS_##NAME,
#include "check/judge/witnesses.def"
#undef QF_WITNESS
	QF_WITNESSES
};

enum qf_witness_bound {
#define QF_BOUND(NAME, number) QF_WITNESS_##NAME = number,
#include "check/judge/witnesses.def"
#undef QF_BOUND
};

struct qf_witness_row {
	const char *name;
	enum qf_witness_kind kind;
	bool may_exclude;
	unsigned int bits;
	unsigned long spoke, right; /* as measured */
	const char *words;
};

const struct qf_witness_row *qf_witness_get(enum qf_witness w);

const char *qf_witness_kind_name(enum qf_witness_kind k);

/* True if MARGIN bits from witnesses of KINDS kinds make an answer likely, or
 * possible. */
bool qf_witness_likely(unsigned int margin, unsigned int kinds);
bool qf_witness_possible(unsigned int margin, unsigned int kinds);

/* A set of witnesses. */
static inline uint64_t qf_witness_bit(enum qf_witness w)
{
	return 1ull << w;
}

#endif
