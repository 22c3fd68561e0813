/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who claims a host cluster: the references to it, put together by owner. */
#ifndef QF_CLAIMANTS_H
#define QF_CLAIMANTS_H

#include "lib/walk/owners.h"

/* The references of one owner: one place of the disk, in all its states. */
struct qf_claimant {
	const struct qf_owner *at;
	size_t n;
};

/* Puts the references of L together into G, which has ROOM; returns how many
 * claimants there are, ROOM at the most. */
size_t qf_claimants_split(const struct qf_owner_list *l, struct qf_claimant *g,
			  size_t room);

/* True if A and B are references of one owner. */
bool qf_claimants_same(const struct qf_owner *a, const struct qf_owner *b);

/* The one pointer through which the claimant names the cluster; QF_NOWHERE if
 * there are several, or none in the file. */
uint64_t qf_claimants_pointer(const struct qf_claimant *g);

static inline bool qf_claimants_is_data(enum qf_ref_kind k)
{
	return k == QF_REF_DATA || k == QF_REF_COMPRESSED;
}

#endif
