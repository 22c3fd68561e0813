/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which undo files belong to an image, and whether one of them is still at
 * work. They lie beside the image (IMAGE.qfsck-undo, numbered), or where the
 * user said: then a small file beside the image, IMAGE.qfsck-pending, tells
 * the place for as long as the repair or the undo goes on:
 *
 *	QFSCK-PENDING 1
 *	the image's inode number
 *	the absolute name of the undo file
 */
#ifndef QF_UNDOFIND_H
#define QF_UNDOFIND_H

#include "lib/undofile/undofile.h"

#define QF_UNDOFIND_MAGIC "QFSCK-PENDING 1\n"

/*
 * The name of undo file number N (0, 1, ...) beside the image: owned by the
 * caller, NULL without memory.
 */
char *qf_undofind_name(const char *image, unsigned int n);

/* The name of the file that tells the place of one that lies elsewhere. */
char *qf_undofind_pointer(const char *image);

enum qf_undo_sight {
	QF_UNDO_NONE,	 /* nothing is at work on the image */
	QF_UNDO_AT_WORK, /* a repair or an undo has not ended */
	QF_UNDO_ROTTEN,	 /* it has not ended, and its undo file is damaged */
	QF_UNDO_AWAY,	 /* its undo file is not where it ought to be */
};

struct qf_undofind {
	enum qf_undo_sight sight;
	char *name;	   /* owned: the undo file; NULL with QF_UNDO_NONE */
	struct qf_why why; /* rotten or away: what is wrong */
};

/*
 * Looks for what is at work on the image NAME behind IO: EXTRA (or NULL), the
 * one that the pointer tells, and those beside the image. Free F's name. A
 * file that was never finished is no trouble: the image was not touched.
 * Errors, with which it is not known: QF_ERR_IO (some undo file cannot be
 * read), QF_ERR_NOMEM.
 */
enum qf_err qf_undofind_pending(const char *name, const char *extra,
				struct qf_io *io, struct qf_undofind *f,
				struct qf_why *why);

/*
 * What U is, seen from the image behind IO: QF_UNDO_AT_WORK, QF_UNDO_ROTTEN
 * (F's WHY is filled) or QF_UNDO_NONE. U was opened whole.
 */
enum qf_undo_sight qf_undofind_see(struct qf_undofile *u, struct qf_io *io,
				   struct qf_why *why);

/*
 * True if the undo file NAME was cut short while it was made, and nothing has
 * been written to the image since: nobody needs it.
 */
bool qf_undofind_is_leftover(const char *name, struct qf_io *io);

/*
 * Looks, where qf_undofind_pending found nothing, for what is at work on an
 * image that was renamed since: undo files in its folder that record its inode
 * number. F as there. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_undofind_renamed(const char *name, struct qf_io *io,
				struct qf_undofind *f, struct qf_why *why);

/*
 * Shows SEE the names of the undo files beside the image, in the order of
 * their numbers, until it returns false. Returns false without memory.
 */
bool qf_undofind_each(const char *image,
		      bool (*see)(void *ctx, const char *name), void *ctx);

#endif
