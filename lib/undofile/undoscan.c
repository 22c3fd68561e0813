// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile/undoscan.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE, "no memory");
}

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

/* What the name of a file says; false: nothing. */
static bool is_ours(const char *entry, bool *note)
{
	*note = ends_with(entry, QF_UNDOSCAN_NOTE);
	return *note || strstr(entry, QF_UNDOSCAN_UNDO);
}

/* The files beside FILE, with the folder in their names as it has it. */
static enum qf_err scan(const char *file, bool any_name, qf_undoscan_fn *fn,
			void *ctx, struct qf_why *why)
{
	const char *slash = strrchr(file, '/');
	int len = slash ? (int)(slash - file) + 1 : 0;
	struct dirent *e;
	bool note, go_on = true;
	char *path;
	DIR *dir;

	if (asprintf(&path, "%.*s.", len, file) < 0)
		return no_memory(why);
	dir = opendir(path);
	free(path);
	while (dir && go_on && (e = readdir(dir))) {
		if (!is_ours(e->d_name, &note) && !any_name)
			continue;
		if (asprintf(&path, "%.*s%s", len, file, e->d_name) < 0) {
			closedir(dir);
			return no_memory(why);
		}
		go_on = fn(ctx, path, note && !any_name);
		free(path);
	}
	if (dir)
		closedir(dir);
	return QF_OK;
}

char *qf_undoscan_target(const char *name)
{
	struct stat st;

	if (lstat(name, &st) < 0 || !S_ISLNK(st.st_mode))
		return NULL;
	return realpath(name, NULL);
}

enum qf_err qf_undoscan_folders(const char *name, qf_undoscan_fn *fn, void *ctx,
				struct qf_why *why)
{
	enum qf_err err = scan(name, false, fn, ctx, why);
	char *target = qf_undoscan_target(name);

	if (!err && target)
		err = scan(target, false, fn, ctx, why);
	free(target);
	return err;
}

enum qf_err qf_undoscan_all(const char *file, qf_undoscan_fn *fn, void *ctx,
			    struct qf_why *why)
{
	return scan(file, true, fn, ctx, why);
}

uint64_t qf_undoscan_born(const struct qf_io *io)
{
	struct statx born;

	if (io->block_dev ||
	    statx(io->fd, "", AT_EMPTY_PATH, STATX_BTIME, &born) < 0 ||
	    !(born.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)born.stx_btime.tv_sec * 1000000000u +
	       born.stx_btime.tv_nsec;
}

bool qf_undoscan_is_younger(const struct qf_io *io, const char *path)
{
	uint64_t born = qf_undoscan_born(io);
	struct stat st;

	return born && !stat(path, &st) &&
	       born > (uint64_t)st.st_mtim.tv_sec * 1000000000u +
			       (uint64_t)st.st_mtim.tv_nsec;
}
