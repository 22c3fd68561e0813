// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/write/pointer.h"
#include "lib/undofile/undokept.h"
#include "lib/undofile/undoscan.h"
#include "repair/write/sink.h"

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

static const char words[] =
	"\n"
	"A repair of this image by qfsck gave up pointers. What they led to may\n"
	"still lie in clusters that look leaked or free. As long as this note\n"
	"is beside the image, \"qfsck repair\" neither frees nor trims them:\n"
	"keep it, and move or copy it along with the image. When nothing is\n"
	"missed in the guest, remove it, and the undo file.\n";

/* In one piece: half a note must not count. */
static enum qf_err write_note(const char *note, const struct qf_io *io,
			      const struct qf_undofile *u, struct qf_why *why)
{
	char place[PATH_MAX] = "-", *text;
	struct qf_sink s;
	enum qf_err err;
	int len;

	if (u && (!realpath(u->io->name, place) || strchr(place, '\n')))
		strcpy(place, "-");
	len = asprintf(&text,
		       QF_UNDOKEPT_MAGIC "%" PRIu64 "\n%08" PRIx32 "\n%s\n%s",
		       io->id[1], u ? u->crc : 0, place, words);
	if (len < 0)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	err = qf_sink_create(&s, note, 0644, why);
	if (!err)
		err = qf_sink_write(&s, text, (uint64_t)len, why);
	if (!err)
		err = qf_sink_sync(&s, why);
	qf_sink_close(&s, err != QF_OK);
	free(text);
	return err;
}

/* The name of the note, where the image itself is: owned by the caller. */
static char *note_of(const char *name)
{
	char *target = qf_undoscan_target(name);
	char *path = qf_undokept_name(target ? target : name);

	free(target);
	return path;
}

enum qf_err qf_pointer_note(const char *name, struct qf_io *io,
			    const struct qf_undofile *u, char **note,
			    struct qf_why *why)
{
	char *path = note_of(name);
	struct qf_undokept_note old;
	enum qf_err err;

	if (!path)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	err = qf_undokept_read(path, &old);
	free(old.undo);
	if (err) {
		qf_sink_remove(path);
		err = write_note(path, io, u, why);
	}
	if (err)
		free(path);
	else
		*note = path;
	return err;
}

struct forget {
	const struct qf_undofile *u; /* NULL: whatever repair it is of */
	const struct qf_io *io;
	const char *own; /* the note of the image's present name */
};

static bool is_to_go(const struct forget *f, const char *path,
		     const struct qf_undokept_note *n)
{
	bool own = !strcmp(path, f->own), same = n->inode == f->io->id[1];

	if (f->u)
		return n->crc == f->u->crc && n->undo[0] == '/' &&
		       (own || same);
	return own || (same && !f->io->block_dev &&
		       !qf_undoscan_is_younger(f->io, path));
}

static bool forget(void *ctx, const char *path, bool is_note)
{
	const struct forget *f = ctx;
	struct qf_undokept_note n;

	if (!is_note)
		return true;
	if (!qf_undokept_read(path, &n) && is_to_go(f, path, &n))
		qf_sink_remove(path);
	free(n.undo);
	return true;
}

void qf_pointer_forget(const char *name, const struct qf_io *io,
		       const struct qf_undofile *u)
{
	char *own = note_of(name);
	struct forget f = { u, io, own };

	if (own)
		(void)qf_undoscan_folders(name, forget, &f, NULL);
	free(own);
}
