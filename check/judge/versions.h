/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The witness "versions": what other tables at the same L1 index say. */
#ifndef QF_VERSIONS_H
#define QF_VERSIONS_H

#include "check/judge/facts.h"

/*
 * What the other versions of the table of the L2 entry at POINTER_OFF, which
 * stands for guest offset GUEST_OFF, have there: clusters that count more
 * references than they have. Puts up to ROOM different ones into VALUE and
 * returns how many.
 */
unsigned int qf_versions_look(const struct qf_facts *f, uint64_t pointer_off,
			      uint64_t guest_off, uint64_t *value,
			      unsigned int room);

#endif
