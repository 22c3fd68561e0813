// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/judge/witness.h"

static const struct {
	const char *name;
	unsigned int cap;
} kinds[] = {
#define QF_KIND(NAME, name, cap) { name, cap },
#include "check/judge/witnesses.def"
#undef QF_KIND
};

static const struct qf_witness_row rows[] = {
#define QF_WITNESS(NAME, name, KIND, exclude, bits, spoke, right, words) \
	{ name, QF_WITNESS_KIND_##KIND, exclude, bits, spoke, right, words },
#include "check/judge/witnesses.def"
#undef QF_WITNESS
};

_Static_assert(QF_WITNESSES <= 32, "a set of witnesses is 32 bits wide");

const struct qf_witness_row *qf_witness_get(enum qf_witness w)
{
	return &rows[w];
}

const char *qf_witness_kind_name(enum qf_witness_kind k)
{
	return kinds[k].name;
}

unsigned int qf_witness_kind_cap(enum qf_witness_kind k)
{
	return kinds[k].cap;
}
