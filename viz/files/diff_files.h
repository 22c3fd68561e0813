/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the guest's files changed, came and went between two states of a
 * disk, and which of the bytes that differ belong to none.
 */
#ifndef QF_DIFF_FILES_H
#define QF_DIFF_FILES_H

#include "lib/guest/guest.h"

/* The file systems of one state, and what differs of each file. */
struct qf_difffiles_side {
	struct qf_guest *guest;
	struct qf_guest_names list;
	uint64_t *hit;	   /* owned; of each file, the bytes that differ */
	uint64_t *unknown; /* owned; ... and that cannot be compared */
	uint64_t *layout;  /* owned; alike where the pieces are */
	uint32_t *volume;  /* owned; a number that both sides have */
};

enum qf_difffiles_kind {
	QF_DIFFFILES_CHANGED,
	QF_DIFFFILES_CAME,
	QF_DIFFFILES_WENT,
	QF_DIFFFILES_RENAMED,
	QF_DIFFFILES_KINDS
};

struct qf_difffiles_change {
	enum qf_difffiles_kind kind;
	size_t from, to; /* numbers of the files; SIZE_MAX: none */
};

struct qf_difffiles_range {
	uint64_t start, bytes;
	bool unknown;	       /* cannot be compared */
	enum qf_guest_use use; /* of the parts in NONE: in the new state */
};

struct qf_difffiles {
	bool json;
	struct qf_difffiles_range *range; /* owned; what differs, in order */
	size_t n, room;
	struct qf_difffiles_side from, to;
	struct qf_difffiles_change *change; /* owned; by volume and path */
	size_t n_changes, change_room;
	struct qf_difffiles_range *none; /* owned; of no file, in order */
	size_t n_none, none_room;
	bool unsure;	   /* what cannot be compared may hide files */
	uint64_t metadata; /* bytes that differ in metadata or directories */
};

/* Takes a range that differs: see struct qf_diff. CTX is a qf_difffiles. */
bool qf_difffiles_add(void *ctx, uint64_t start, uint64_t bytes, bool unknown);

/*
 * Finds the changes between the disks FROM and TO, whose ranges were added
 * before. Errors: QF_ERR_NOMEM. Free with qf_difffiles_free, also after one.
 */
enum qf_err qf_difffiles_find(struct qf_difffiles *d, struct qf_disk *from,
			      struct qf_disk *to, struct qf_why *why);
void qf_difffiles_free(struct qf_difffiles *d);

/* Prints them. */
void qf_difffiles_print(const struct qf_difffiles *d);
/* Says on stderr what is not known; returns whether there was something. */
bool qf_difffiles_troubles(const struct qf_difffiles *d);

#endif
