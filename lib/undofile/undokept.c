// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile/undokept.h"
#include "lib/base/mem.h"
#include "lib/format/extarea.h"
#include "lib/undofile/undofind.h"
#include "lib/undofile/undoscan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_ROOM 4300u
#define NAMED 4 /* files that are named at most */

struct search {
	struct qf_io *io;
	char *names; /* owned */
	unsigned int n;
	bool no_memory;
};

bool qf_undokept_is_marked(struct qf_io *io)
{
	struct qf_extarea a;
	bool is = !qf_extarea_read(io, &a, NULL) &&
		  qf_ext_find(&a.list, QF_EXT_GAVE_UP);

	qf_extarea_free(&a);
	return is;
}

char *qf_undokept_name(const char *name)
{
	char *note;

	return asprintf(&note, "%s" QF_UNDOSCAN_NOTE, name) < 0 ? NULL : note;
}

/* The next line of *TEXT, ended; NULL if it has no end. */
static char *take_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

static enum qf_err parse(char *text, struct qf_undokept_note *n)
{
	char *inode, *crc, *undo, *end;

	if (strncmp(text, QF_UNDOKEPT_MAGIC, strlen(QF_UNDOKEPT_MAGIC)))
		return QF_ERR_FOREIGN;
	text += strlen(QF_UNDOKEPT_MAGIC);
	inode = take_line(&text);
	crc = inode ? take_line(&text) : NULL;
	undo = crc ? take_line(&text) : NULL;
	if (!undo)
		return QF_ERR_FOREIGN;
	n->inode = strtoull(inode, &end, 10);
	if (*end || end == inode)
		return QF_ERR_FOREIGN;
	n->crc = (uint32_t)strtoul(crc, &end, 16);
	if (*end || end == crc)
		return QF_ERR_FOREIGN;
	n->undo = strdup(undo);
	return n->undo ? QF_OK : QF_ERR_NOMEM;
}

enum qf_err qf_undokept_read(const char *path, struct qf_undokept_note *n)
{
	char *text = qf_mem_zalloc(1, NOTE_ROOM);
	enum qf_err err = text ? QF_OK : QF_ERR_NOMEM;
	struct qf_io *io = NULL;

	memset(n, 0, sizeof(*n));
	if (!err)
		err = qf_io_file_open(path, &io, NULL);
	if (!err)
		err = qf_io_read_pad(io, text, NOTE_ROOM - 1, 0, NULL);
	if (!err)
		err = parse(text, n);
	qf_io_close(io);
	free(text);
	return err;
}

/* Adds what is QUOTED, which it takes, to the names, once. */
static void add_words(struct search *s, char *quoted)
{
	char *all;

	if (!quoted) {
		s->no_memory = true;
		return;
	}
	if (s->n >= NAMED || (s->names && strstr(s->names, quoted))) {
		free(quoted);
		return;
	}
	s->n++;
	if (!s->names) {
		s->names = quoted;
		return;
	}
	if (asprintf(&all, "%s, %s", s->names, quoted) < 0)
		s->no_memory = true;
	else {
		free(s->names);
		s->names = all;
	}
	free(quoted);
}

static void add(struct search *s, const char *path)
{
	char *quoted;

	add_words(s, asprintf(&quoted, "\"%s\"", path) < 0 ? NULL : quoted);
}

/* What cannot be read may be one. */
static bool is_unknown(const char *path, enum qf_err err)
{
	return err && err != QF_ERR_FOREIGN && !access(path, F_OK);
}

/* OWN: it bears the image's name. */
static void see_note(struct search *s, const char *path, bool own)
{
	struct qf_undokept_note n;
	enum qf_err err = qf_undokept_read(path, &n);

	if (own && is_unknown(path, err))
		add(s, path);
	if (!err && (own || (n.inode == s->io->id[1] && !s->io->block_dev &&
			     !qf_undoscan_is_younger(s->io, path))))
		add(s, path);
	free(n.undo);
}

/* A device has another inode number at every boot, and so its undo files
 * are told by its name and size. */
static bool is_of(const struct search *s, const struct qf_undofile *u,
		  const char *path)
{
	const char *slash = strrchr(s->io->name, '/');

	if (s->io->block_dev)
		return u->size_before == s->io->size &&
		       !strcmp(u->name, slash ? slash + 1 : s->io->name);
	return u->inode == s->io->id[1] && !qf_undoscan_is_younger(s->io, path);
}

static void see_undo(struct search *s, const char *path, bool own)
{
	struct qf_undofile *u;
	enum qf_err err = qf_undofile_peek(path, &u, NULL);

	if (own && (err == QF_ERR_IO || err == QF_ERR_NOMEM))
		add(s, path);
	if (err)
		return;
	if (u->committed && u->state != QF_UNDO_ROLLED_BACK &&
	    u->state != QF_UNDO_UNDONE && u->flags & QF_UNDO_GAVE_UP &&
	    !(u->flags & QF_UNDO_MARKED) && (own || is_of(s, u, path)))
		add(s, path);
	qf_undofile_close(u);
}

static bool see(void *ctx, const char *path, bool note)
{
	struct search *s = ctx;

	if (note)
		see_note(s, path, false);
	else
		see_undo(s, path, false);
	return !s->no_memory && s->n < NAMED;
}

static bool see_own(void *ctx, const char *path)
{
	struct search *s = ctx;

	see_undo(s, path, true);
	return !s->no_memory;
}

/* What bears the image's name: at the name itself, and, if that is a symbolic
 * link, at the end of it. */
static void look_at_names(struct search *s, const char *name)
{
	char *note = qf_undokept_name(name);

	if (!note) {
		s->no_memory = true;
		return;
	}
	see_note(s, note, true);
	free(note);
	if (!qf_undofind_each(name, see_own, s))
		s->no_memory = true;
}

enum qf_err qf_undokept_find(const char *name, const char *beside,
			     struct qf_io *io, char **out, struct qf_why *why)
{
	struct search s = { .io = io };
	char *target = qf_undoscan_target(name);
	enum qf_err err;

	if (qf_undokept_is_marked(io))
		add_words(&s, strdup("its header"));
	look_at_names(&s, name);
	if (target)
		look_at_names(&s, target);
	free(target);
	err = qf_undoscan_folders(name, see, &s, why);
	if (!err && beside)
		err = qf_undoscan_all(beside, see, &s, why);
	if (!err && s.no_memory)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
	*out = s.names;
	if (err) {
		free(s.names);
		*out = NULL;
	}
	return err;
}
