/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's files in the clusters whose owners are told. */
#ifndef QF_OWNERNAMES_H
#define QF_OWNERNAMES_H

#include "lib/guest/guest.h"
#include "viz/files/places.h"

#include <jansson.h>

/* So many states of the disk are looked into. */
#define QF_OWNERNAMES_STATES 8u

/* What one state has in all its clusters that were asked for. */
struct qf_ownernames_state {
	uint32_t holder;
	struct qf_guest *guest; /* to look at, not to ask; NULL: not known */
	struct qf_guest_names names;
	uint64_t *reach; /* owned; the end of the pieces up to each */
	struct qf_guest_range *asked; /* owned */
	size_t n, room;
};

struct qf_ownernames {
	struct qf_ownernames_state state[QF_OWNERNAMES_STATES];
	uint32_t n;
	uint64_t cluster_bytes;
	bool cut;    /* there are more states */
	bool failed; /* no memory */
};

/*
 * Asks the guest's file systems, each state once, whose the bytes are that P
 * lists. Never fails: what is not known has no name. Free with
 * qf_ownernames_free.
 */
void qf_ownernames_find(struct qf_image *img, const struct qf_places *p,
			struct qf_ownernames *out);
void qf_ownernames_free(struct qf_ownernames *o);

/* Prints the files that HOLDER has in the cluster of guest offset OFF, a line
 * each that begins with LEAD; or adds them to the object O as "files". */
void qf_ownernames_print(const struct qf_ownernames *n, uint32_t holder,
			 uint64_t off, const char *lead);
void qf_ownernames_json(const struct qf_ownernames *n, uint32_t holder,
			uint64_t off, json_t *o);

/* Says on stderr what is not known. */
void qf_ownernames_troubles(const struct qf_ownernames *n);

#endif
