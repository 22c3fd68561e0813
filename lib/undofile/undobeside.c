// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/undofile/undobeside.h"

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A folder is read at the question number 32, 64, 128, ..., and given up for
 * then if it has more names than so many for each question. */
#define FIRST_READ 32u
#define NAMES_A_QUESTION 64u
/* What changed so lately may change again without another time. */
#define SETTLED_SECONDS 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The folder that was asked about last. */
static struct {
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	uint64_t questions;
	bool empty; /* it has been read, and has none */
} folder;

/* The folder of IMAGE; owned by the caller. */
static char *folder_of(const char *image)
{
	const char *slash = strrchr(image, '/');

	if (!slash)
		return strdup(".");
	return slash == image ? strdup("/")
			      : strndup(image, (size_t)(slash - image));
}

/* True if it could be read whole and has no undo file. */
static bool has_none(const char *path, uint64_t most)
{
	DIR *d = opendir(path);
	struct dirent *e = NULL;
	bool whole = false;

	if (!d)
		return false;
	while (most--) {
		e = readdir(d);
		whole = !e;
		if (!e || strstr(e->d_name, ".qfsck-undo"))
			break;
	}
	closedir(d);
	return whole;
}

static bool is_settled(const struct timespec *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - t->tv_sec > SETTLED_SECONDS;
}

/* A question about the folder at PATH, which is as ST says. */
static bool ask(const char *path, const struct stat *st)
{
	uint64_t n;

	if (folder.dev != st->st_dev || folder.ino != st->st_ino ||
	    folder.mtime.tv_sec != st->st_mtim.tv_sec ||
	    folder.mtime.tv_nsec != st->st_mtim.tv_nsec) {
		folder.dev = st->st_dev;
		folder.ino = st->st_ino;
		folder.mtime = st->st_mtim;
		folder.questions = 0;
		folder.empty = false;
	}
	n = ++folder.questions;
	if (!folder.empty && n >= FIRST_READ && !(n & (n - 1)))
		folder.empty = has_none(path, n * NAMES_A_QUESTION);
	return !folder.empty;
}

bool qf_undobeside_any(const char *image)
{
	char *path = folder_of(image);
	struct stat st;
	bool any = true;

	if (path && !stat(path, &st) && is_settled(&st.st_mtim)) {
		pthread_mutex_lock(&lock);
		any = ask(path, &st);
		pthread_mutex_unlock(&lock);
	}
	free(path);
	return any;
}
