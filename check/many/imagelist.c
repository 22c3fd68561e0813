// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/imagelist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes TEXT over, also if it cannot be added. */
static bool take(struct qf_imagelist *l, char *text)
{
	struct qf_imagelist_name *grown;
	size_t room = l->room ? l->room * 2 : 16;

	if (text && l->n == l->room) {
		grown = realloc(l->at, room * sizeof(*l->at));
		if (!grown) {
			free(text);
			return false;
		}
		l->at = grown;
		l->room = room;
	}
	if (text)
		l->at[l->n++] = (struct qf_imagelist_name){ .text = text };
	return text;
}

bool qf_imagelist_add(struct qf_imagelist *l, const char *name)
{
	return take(l, strdup(name));
}

/* All of F, with a NUL behind it: owned by the caller. NULL: no memory. */
static char *read_all(FILE *f, size_t *used)
{
	size_t room = 0, got;
	char *buf = NULL, *grown;

	*used = 0;
	do {
		if (*used + 4096 + 1 > room) {
			room = room * 2 + 8192;
			grown = realloc(buf, room);
			if (!grown) {
				free(buf);
				return NULL;
			}
			buf = grown;
		}
		got = fread(buf + *used, 1, 4096, f);
		*used += got;
	} while (got);
	buf[*used] = '\0';
	return buf;
}

bool qf_imagelist_read(struct qf_imagelist *l, const char *file)
{
	FILE *f = strcmp(file, "-") ? fopen(file, "re") : stdin;
	size_t used = 0, at;
	bool good = true;
	char *buf;

	if (!f) {
		fprintf(stderr, "qfsck: %s: %s\n", file, strerror(errno));
		return false;
	}
	buf = read_all(f, &used);
	if (f != stdin)
		fclose(f);
	for (at = 0; buf && good && at < used; at += strlen(buf + at) + 1)
		if (buf[at])
			good = qf_imagelist_add(l, buf + at);
	free(buf);
	return buf && good;
}

/* The file name in "driver=qcow2,file.filename=X,..."; commas are doubled. */
static char *from_image_opts(const char *opts)
{
	static const char *const keys[] = { "file.filename=", "filename=" };
	const char *p = opts;
	char *out = malloc(strlen(opts) + 1);
	size_t k, n;

	while (out && p && *p) {
		for (k = 0; k < 2; k++) {
			n = strlen(keys[k]);
			if (strncmp(p, keys[k], n))
				continue;
			p += n;
			for (n = 0; *p && (*p != ',' || p[1] == ','); p++) {
				p += *p == ',';
				out[n++] = *p;
			}
			out[n] = '\0';
			return out;
		}
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	free(out);
	return NULL;
}

const char *qf_imagelist_resolve(struct qf_imagelist *l)
{
	char *name;
	size_t i;

	for (i = 0; i < l->n; i++) {
		name = from_image_opts(l->at[i].text);
		if (!name)
			return l->at[i].text;
		free(l->at[i].text);
		l->at[i].text = name;
	}
	return NULL;
}

/* FNV-1a, with its bits mixed: the low ones alone are not even. */
static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

void qf_imagelist_shard(struct qf_imagelist *l, unsigned int part,
			unsigned int parts)
{
	size_t i, kept = 0;

	for (i = 0; i < l->n; i++) {
		if (hash(l->at[i].text + l->at[i].key) % parts == part - 1)
			l->at[kept++] = l->at[i];
		else
			free(l->at[i].text);
	}
	l->n = kept;
}

void qf_imagelist_free(struct qf_imagelist *l)
{
	while (l->n)
		free(l->at[--l->n].text);
	free(l->at);
	l->at = NULL;
	l->room = 0;
}
