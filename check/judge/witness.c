// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/witness.h"

static const char *const kinds[] = {
#define QF_KIND(NAME, name) name,
#include "check/judge/witnesses.def"
#undef QF_KIND
};

enum grade {
	LIKELY,
	POSSIBLE,
};

static const struct {
	unsigned int bits, kinds;
} enough[] = {
#define QF_ENOUGH(GRADE, bits, kinds) [GRADE] = { bits, kinds },
#include "check/judge/witnesses.def"
#undef QF_ENOUGH
};

static const struct qf_witness_row rows[] = {
#define QF_WITNESS(NAME, name, KIND, exclude, bits, spoke, right, words) \
	{ name, QF_WITNESS_KIND_##KIND, exclude, bits, spoke, right, words },
#include "check/judge/witnesses.def"
#undef QF_WITNESS
};

_Static_assert(QF_WITNESSES <= 64, "a set of witnesses is 64 bits wide");

const struct qf_witness_row *qf_witness_get(enum qf_witness w)
{
	return &rows[w];
}

const char *qf_witness_kind_name(enum qf_witness_kind k)
{
	return kinds[k];
}

static bool is_enough(enum grade g, unsigned int margin, unsigned int n)
{
	return margin >= enough[g].bits && n >= enough[g].kinds;
}

bool qf_witness_likely(unsigned int margin, unsigned int n)
{
	return is_enough(LIKELY, margin, n);
}

bool qf_witness_possible(unsigned int margin, unsigned int n)
{
	return is_enough(POSSIBLE, margin, n);
}
