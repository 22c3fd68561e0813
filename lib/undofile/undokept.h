/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an earlier repair could not find a way to. Where a repair gives up
 * pointers, what they led to may lie in leaked and in free clusters, and
 * nothing in its tables says so. Three things remember it, each by itself:
 *
 * - A mark in the image, which goes wherever the image goes: a header
 *   extension of the type QF_EXT_GAVE_UP. Its data are the text
 *   QF_UNDOKEPT_MARK with its NUL; with any other it counts as well. QEMU
 *   keeps extensions that it does not know when it writes the header anew.
 * - The undo file (its flag QF_UNDO_GAVE_UP), if the image could not be marked
 *   (no QF_UNDO_MARKED).
 * - A note beside the image, IMAGE.qfsck-gave-up, for as long as it is there:
 *
 *	QFSCK-GAVE-UP 1
 *	the image's inode number
 *	the checksum of the undo file's header, 8 hexadecimal digits
 *	the absolute name of the undo file, or "-"
 *	words for whoever finds it
 *
 * What bears the image's own name counts, also if it was copied along with
 * it or cannot be read; what bears another name counts if it records the
 * image's inode number.
 */
#ifndef QF_UNDOKEPT_H
#define QF_UNDOKEPT_H

#include "lib/undofile/undofile.h"

#define QF_UNDOKEPT_MAGIC "QFSCK-GAVE-UP 1\n"
#define QF_UNDOKEPT_MARK "gave-up"
#define QF_UNDOKEPT_MARK_BYTES 16u /* the whole extension */

struct qf_undokept_note {
	uint64_t inode;
	uint32_t crc;
	char *undo; /* owned */
};

/* The name of the note beside the image NAME: owned by the caller, NULL
 * without memory. */
char *qf_undokept_name(const char *name);

/* Reads the note PATH. QF_ERR_FOREIGN: it is not one, or was never finished;
 * QF_ERR_IO, also if there is none; QF_ERR_NOMEM. */
enum qf_err qf_undokept_read(const char *path, struct qf_undokept_note *n);

/* True if the image behind IO bears the mark; false if its header cannot be
 * read. */
bool qf_undokept_is_marked(struct qf_io *io);

/*
 * What remembers a repair of the image NAME behind IO that gave up pointers:
 * *OUT names it, files in quotes, for a message; NULL if there is nothing.
 * BESIDE (or NULL): a file in whose folder undo files of any name are looked
 * for, too. *OUT is owned by the caller. Errors: QF_ERR_NOMEM.
 */
enum qf_err qf_undokept_find(const char *name, const char *beside,
			     struct qf_io *io, char **out, struct qf_why *why);

#endif
