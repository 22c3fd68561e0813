// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name of the new list. */
struct item {
	struct qf_imagelist_name name;
	size_t order; /* of the argument that it comes from */
	uint64_t dev, ino;
	bool link;
};

struct search {
	struct item *at; /* owned */
	size_t n, room;
	size_t order, key; /* of what is found now */
	uint64_t dev;	   /* stay on this file system */
	bool deep, failed;
};

bool qf_folder_has_magic(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char magic[4];
	bool has;

	if (fd < 0)
		return false;
	has = read(fd, magic, sizeof(magic)) == sizeof(magic) &&
	      !memcmp(magic, "QFI\xfb", sizeof(magic));
	close(fd);
	return has;
}

/* By its name, so that one whose magic is damaged is not passed over. */
static bool is_image(const char *path)
{
	size_t n = strlen(path);

	return (n > 6 && !strcmp(path + n - 6, ".qcow2")) ||
	       qf_folder_has_magic(path);
}

static void trouble(struct search *s, const char *path)
{
	fprintf(stderr, "qfsck: %s: cannot look into this folder: %s\n", path,
		strerror(errno));
	s->failed = true;
}

static bool put(struct search *s, const struct item *item)
{
	size_t room = s->room ? s->room * 2 : 64;
	struct item *grown;

	if (s->n == s->room) {
		grown = realloc(s->at, room * sizeof(*s->at));
		if (!grown)
			return false;
		s->at = grown;
		s->room = room;
	}
	s->at[s->n++] = *item;
	return true;
}

static void put_file(struct search *s, const char *path, const struct stat *st,
		     bool link)
{
	struct item item = { { strdup(path), s->key, true },
			     s->order,
			     st->st_dev,
			     st->st_ino,
			     link };

	if (!item.name.text || !put(s, &item)) {
		free(item.name.text);
		s->failed = true;
	}
}

/* The path of NAME in FOLDER: owned by the caller. */
static char *path_in(const char *folder, const char *name)
{
	size_t n = strlen(folder);
	char *path;

	if (asprintf(&path, "%s%s%s", folder,
		     n && folder[n - 1] == '/' ? "" : "/", name) < 0)
		return NULL;
	return path;
}

/* The folders that are still to be looked into. */
struct todo {
	char **path; /* owned */
	size_t n, room;
};

static bool put_off(struct todo *t, char *path)
{
	size_t room = t->room ? t->room * 2 : 16;
	char **grown;

	if (t->n == t->room) {
		grown = realloc(t->path, room * sizeof(*t->path));
		if (!grown)
			return false;
		t->path = grown;
		t->room = room;
	}
	t->path[t->n++] = path;
	return true;
}

/* What PATH is; takes it over. A file that has gone is none. */
static void look_at(struct search *s, struct todo *t, char *path)
{
	struct stat st;
	bool link;

	if (!path || lstat(path, &st)) {
		s->failed |= !path;
		free(path);
		return;
	}
	if (S_ISDIR(st.st_mode) && s->deep) {
		if (st.st_dev != s->dev)
			fprintf(stderr,
				"qfsck: %s: is another file system, and was "
				"not looked into\n  Next: name it as well\n",
				path);
		else if (put_off(t, path))
			return;
		else
			s->failed = true;
	}
	link = S_ISLNK(st.st_mode);
	if ((!link || !stat(path, &st)) && S_ISREG(st.st_mode) &&
	    is_image(path))
		put_file(s, path, &st, link);
	free(path);
}

/* The files of one folder; its folders go to T. */
static void look_into(struct search *s, struct todo *t, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *de;

	if (!dir) {
		trouble(s, folder);
		return;
	}
	for (errno = 0; (de = readdir(dir)); errno = 0)
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			look_at(s, t, path_in(folder, de->d_name));
	if (errno)
		trouble(s, folder);
	closedir(dir);
}

/* Not by recursion: the depth is the pool's. */
static void search(struct search *s, const char *folder)
{
	struct todo t = { 0 };
	char *path;

	look_into(s, &t, folder);
	while (t.n) {
		path = t.path[--t.n];
		look_into(s, &t, path);
		free(path);
	}
	free(t.path);
}

static int by_file(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->name.found != b->name.found)
		return a->name.found - b->name.found;
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	if (a->link != b->link)
		return a->link - b->link;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return strcmp(a->name.text, b->name.text);
}

static int by_place(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return strcmp(a->name.text, b->name.text);
}

/* Of one file under several names the first stays, and no link. */
static void drop_twins(struct search *s)
{
	size_t i, kept = 0;

	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_file);
	for (i = 0; i < s->n; i++) {
		if (kept && s->at[i].name.found && s->at[kept - 1].name.found &&
		    s->at[i].dev == s->at[kept - 1].dev &&
		    s->at[i].ino == s->at[kept - 1].ino)
			free(s->at[i].name.text);
		else
			s->at[kept++] = s->at[i];
	}
	s->n = kept;
	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_place);
}

static void open_one(struct search *s, struct qf_imagelist_name *name)
{
	struct item item = { .name = *name, .order = s->order };
	size_t before = s->n, n = strlen(name->text);
	struct stat st;

	if (stat(name->text, &st) || !S_ISDIR(st.st_mode)) {
		if (put(s, &item))
			name->text = NULL;
		else
			s->failed = true;
		return;
	}
	s->dev = st.st_dev;
	s->key = n + (name->text[n - 1] != '/');
	search(s, name->text);
	if (s->n == before)
		fprintf(stderr,
			"qfsck: %s: no qcow2 image is in this folder%s\n",
			name->text,
			s->deep ? "" : "; -R looks into those below as well");
}

bool qf_folder_open(struct qf_imagelist *l, bool deep)
{
	struct search s = { .deep = deep };
	struct qf_imagelist_name *names;
	size_t i;

	for (s.order = 0; s.order < l->n; s.order++)
		open_one(&s, &l->at[s.order]);
	drop_twins(&s);
	qf_imagelist_free(l);
	names = calloc(s.n + 1, sizeof(*names));
	for (i = 0; i < s.n; i++) {
		if (names)
			names[i] = s.at[i].name;
		else
			free(s.at[i].name.text);
	}
	free(s.at);
	l->at = names;
	l->room = names ? s.n + 1 : 0;
	l->n = names ? s.n : 0;
	return names && !s.failed;
}
