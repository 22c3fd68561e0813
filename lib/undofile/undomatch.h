/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How an image stands to the records of an undo file: what their places hold
 * decides whose an undo file is where the inode number does not, as in a copy
 * of both.
 */
#ifndef QF_UNDOMATCH_H
#define QF_UNDOMATCH_H

#include "lib/undofile/undofile.h"

struct qf_undomatch {
	uint64_t before, after; /* sectors that are clearly the one */
	bool strange;		/* one is neither */
};

/* True if the image says that it must not be written to: QEMU met a
 * contradiction in it, or a repair is under way. */
bool qf_undomatch_is_marked(struct qf_io *io);

/* Compares all of U that is whole, but for sector 0; false if that cannot be
 * done. T is added to. */
bool qf_undomatch_compare(struct qf_undofile *u, struct qf_io *io,
			  struct qf_undomatch *t);

/* True if sector 0 is as some record has it, before or after. */
bool qf_undomatch_knows_first(struct qf_undofile *u, struct qf_io *io);

/* True if the image is as before the repair, but for the corrupt bit: it was
 * begun. */
bool qf_undomatch_is_marked_only(const struct qf_undofile *u, struct qf_io *io);

/*
 * True if every place that U records holds what was there before or what comes
 * there, the file's size fits, and the image shows that it was begun: by its
 * mark, or by a place that holds what comes there. An image in which all is
 * as before has nothing to be finished.
 */
bool qf_undomatch_is_begun(struct qf_undofile *u, struct qf_io *io);

#endif
