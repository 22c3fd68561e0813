/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What contradicts itself on a guest's disk: blocks that are not what the
 * file system's own addresses and checksums say, and ranges in use that its
 * allocation map calls free. Only looks.
 */
#ifndef QF_GUEST_FAULTS_H
#define QF_GUEST_FAULTS_H

#include "lib/guest/guest.h"

struct qf_guest_fault {
	uint64_t start, bytes; /* on the disk */
	uint64_t belongs;      /* where what stands there says that it belongs;
				* QF_NOWHERE: it does not say */
	uint32_t volume;       /* QF_GUEST_NO_VOLUME: the partition table */
	bool free;	       /* in use, and called free */
	char what[48];
};

struct qf_guest_faults {
	struct qf_guest_fault *at; /* owned; by volume and place */
	size_t n, room;
	bool cut; /* there are more */
	bool no_memory;
};

/* Asks all file systems of G, the whole disk. Errors: QF_ERR_NOMEM. Free with
 * qf_guest_faults_free, also then. */
enum qf_err qf_guest_faults_find(struct qf_guest *g, uint64_t disk_bytes,
				 struct qf_guest_faults *out,
				 struct qf_why *why);
void qf_guest_faults_free(struct qf_guest_faults *f);

#endif
