/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What contradicts itself on a guest's disk, in words. No printing. */
#ifndef QF_GUEST_WORDS_H
#define QF_GUEST_WORDS_H

#include "check/passes/guest_faults.h"

/* Faults behind each other: the clusters that they lie in touch. */
struct qf_guest_stretch {
	const struct qf_guest_fault *at;
	size_t n;
	uint64_t start, end; /* on the disk, from the first to the last */
};

/* "inode table (8 blocks), directory block (1 block)". Returns BUF. */
char *qf_guest_words_kinds(const struct qf_guest_stretch *s, char *buf,
			   size_t room);

/* What has bytes in the stretch: "inode table of group 0, /home/x, ... and 3
 * more"; empty if nothing has a name there. Returns BUF. */
char *qf_guest_words_names(const struct qf_guest_stretch *s,
			   const struct qf_guest_names *names, char *buf,
			   size_t room);

/* "; what stands there belongs at guest offset 0x1000", or nothing. ALL is
 * where its counterpart is looked for. Returns BUF. */
char *qf_guest_words_moved(const struct qf_guest_stretch *s,
			   const struct qf_guest_faults *all, char *buf,
			   size_t room);

#endif
