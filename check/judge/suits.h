/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the bytes of a cluster would do as what should stand at a place. */
#ifndef QF_SUITS_H
#define QF_SUITS_H

#include "check/judge/facts.h"

/* A cluster of the image's own tables. */
struct qf_place_of {
	uint64_t off; /* host offset */
	enum qf_ref_kind kind;
	uint64_t index;	  /* L1, refcount table: the first entry in it; refcount
			  * block: its number */
	uint64_t entries; /* L1: of them, so many are the table's */
};

/*
 * True if BUF, the bytes of a cluster, could be what belongs to P: formed as
 * such a table is, and in agreement with the rest of the image as far as that
 * costs little. Tables of zeros are none.
 */
bool qf_suits(const struct qf_facts *f, const struct qf_place_of *p,
	      const unsigned char *buf);

/*
 * True if what stands at P can hardly be what belongs there. BUF: its bytes. An
 * L2 table that is sound may be one all the same, if most of what it leads to
 * is in trouble, or if it maps nothing and clusters lack an owner.
 */
bool qf_suits_is_suspect(const struct qf_facts *f, const struct qf_place_of *p,
			 const unsigned char *buf);

/* Without a look at its bytes: false, if the recount has found all counts right
 * that the refcount block P holds. */
bool qf_suits_may_be_suspect(const struct qf_facts *f,
			     const struct qf_place_of *p);

/* True if that can be said of tables of this kind. */
bool qf_suits_knows(enum qf_ref_kind kind);

#endif
