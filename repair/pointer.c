// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/pointer.h"
#include "repair/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True if UNDO_FILE is looked at without a pointer. */
static bool is_beside(const char *name, const char *undo_file)
{
	size_t len = strlen(name);
	const char *rest = undo_file + len;

	if (strncmp(name, undo_file, len) ||
	    strncmp(rest, ".qfsck-undo", strlen(".qfsck-undo")))
		return false;
	rest += strlen(".qfsck-undo");
	/* the first few numbers, of which none needs to be there */
	return !*rest ||
	       (rest[0] == '.' && rest[1] >= '1' && rest[1] <= '9' && !rest[2]);
}

static enum qf_err write_pointer(const char *pointer, uint64_t inode,
				 const char *place, struct qf_why *why)
{
	char number[24];
	struct qf_sink s;
	enum qf_err err;

	snprintf(number, sizeof(number), "%" PRIu64 "\n", inode);
	err = qf_sink_create(&s, pointer, 0644, why);
	if (!err)
		err = qf_sink_write(&s, QF_UNDOFIND_MAGIC,
				    strlen(QF_UNDOFIND_MAGIC), why);
	if (!err)
		err = qf_sink_write(&s, number, strlen(number), why);
	if (!err)
		err = qf_sink_write(&s, place, strlen(place), why);
	if (!err)
		err = qf_sink_write(&s, "\n", 1, why);
	if (!err)
		err = qf_sink_sync(&s, why);
	qf_sink_close(&s, err != QF_OK);
	return err;
}

enum qf_err qf_pointer_leave(const char *name, struct qf_io *io,
			     const char *undo_file, struct qf_why *why)
{
	char place[PATH_MAX], *pointer;
	enum qf_err err;

	if (is_beside(name, undo_file))
		return QF_OK;
	if (!realpath(undo_file, place) || strchr(place, '\n'))
		return qf_err_set(why, QF_ERR_IO, errno, QF_NOWHERE,
				  "cannot tell the place of \"%s\"", undo_file);
	pointer = qf_undofind_pointer(name);
	if (!pointer)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	qf_sink_remove(pointer);
	err = write_pointer(pointer, io->id[1], place, why);
	free(pointer);
	return err;
}

void qf_pointer_remove(const char *name)
{
	char *pointer = qf_undofind_pointer(name);

	if (pointer)
		qf_sink_remove(pointer);
	free(pointer);
}
