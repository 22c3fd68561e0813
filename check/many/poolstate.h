/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the checks of a pool came to, kept from run to run: an image that has
 * the same inode number, size and times as then has the same verdict. Each
 * image is written down when it is done, so that a run which was cut short is
 * gone on with.
 *
 *	QFSCK-STATE 1
 *	PATH TAB inode TAB size TAB mtime TAB ctime TAB JSON
 *	...
 *
 * The path is absolute, with \\, \t and \n for backslash, tab and line end;
 * times are in nanoseconds. The last line of a path counts; one that is not
 * whole does not.
 */
#ifndef QF_POOLSTATE_H
#define QF_POOLSTATE_H

#include "check/many/result.h"

struct qf_poolstate;

/* How an image looks from outside. */
struct qf_poolstate_look {
	uint64_t inode, size;
	int64_t mtime_ns, ctime_ns;
	int64_t when_ns; /* that it was looked at */
};

/*
 * Opens the file NAME, or makes it. HOW: the options that a verdict depends
 * on; what was checked in another way is not taken from it. Errors: as
 * qf_keepfile_open. Free with qf_poolstate_close.
 */
enum qf_err qf_poolstate_open(const char *name, const char *how,
			      struct qf_poolstate **out, struct qf_why *why);

/* Looks at the image. False: it is no plain file, and cannot be known again. */
bool qf_poolstate_look(const char *image, struct qf_poolstate_look *look);

/*
 * True if the image is as it was, and so is all that stands behind it: then
 * *R is filled, and *REPORT is its JSON, the caller's. May be called by
 * several threads, but not beside qf_poolstate_keep.
 */
bool qf_poolstate_find(const struct qf_poolstate *s, const char *image,
		       const struct qf_poolstate_look *look,
		       struct qf_result *r, json_t **report);

/*
 * Writes down what the check of an image came to. LOOK is how it was before,
 * and it is looked at again: one that changed meanwhile, or so shortly before
 * that a later change might bear the same time, is not kept. IMG: the image,
 * or NULL if it could not be opened. By one thread at a time.
 */
void qf_poolstate_keep(struct qf_poolstate *s, const char *image,
		       const struct qf_poolstate_look *look,
		       struct qf_image *img, const struct qf_result *r,
		       json_t *report);

/* Puts the file in order, without what is gone; false, and said on stderr, if
 * it could not be written. NULL is allowed. */
bool qf_poolstate_close(struct qf_poolstate *s);

#endif
