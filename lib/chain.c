// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/chain.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True if NAME begins with a protocol ("nbd:", "https://"). */
static bool has_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return name[n] == ':' && n > 0;
}

/* The file name in a json: name: {"file": {"filename": ...}}, or NULL. */
static char *from_json(const char *text)
{
	json_t *root = json_loads(text, 0, NULL);
	json_t *at = root, *name = NULL;
	char *copy = NULL;

	while (json_is_object(at) && !name) {
		name = json_object_get(at, "filename");
		if (!name)
			name = json_object_get(at, "file.filename");
		at = json_object_get(at, "file");
	}
	if (json_is_string(name))
		copy = strdup(json_string_value(name));
	json_decref(root);
	return copy;
}

static char *beside(const char *image_path, const char *name)
{
	const char *slash = strrchr(image_path, '/');
	char *path;

	if (name[0] == '/' || !slash)
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)(slash - image_path), image_path,
		     name) < 0)
		return NULL;
	return path;
}

char *qf_chain_path(const char *image_path, const char *name)
{
	char *inner, *path;

	if (!strncmp(name, "json:", 5)) {
		inner = from_json(name + 5);
		path = inner ? beside(image_path, inner) : NULL;
		free(inner);
		return path;
	}
	if (!strncmp(name, "file:", 5))
		return beside(image_path, name + 5);
	if (has_protocol(name))
		return NULL;
	return beside(image_path, name);
}

enum qf_err qf_chain_readable(const char *path, struct qf_why *why)
{
	struct qf_io *io;
	enum qf_err err = qf_io_file_open(path, &io, why);

	if (!err)
		qf_io_close(io);
	return err;
}
