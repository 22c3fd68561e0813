// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbdkit's plugin "qfsck": a state of an image's disk as an NBD export.
 *
 *	nbdkit qfsck disk.qcow2 snapshot=before
 *
 * Nothing is written. What can be read is served; what the image has lost, or
 * cannot be read, is an I/O error and not zeros.
 */
#include "lib/format/diskkey.h"
#include "lib/qfsck.h"

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Each client has its own state, read by one request at a time. */
#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS

static char *file, *snapshot, *key;
static size_t key_bytes;
static bool share, zeros;
static struct qfsck_image *image;
/* what is opened from an image is opened by one thread at a time */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void qfsck_unload(void)
{
	qfsck_close(image);
	free(file);
	free(snapshot);
	qf_diskkey_forget(key, key_bytes);
}

static int take_word(const char *name, const char *value, const char *yes,
		     const char *no, bool *is)
{
	if (strcmp(value, yes) && strcmp(value, no)) {
		nbdkit_error("%s=%s or %s=%s", name, yes, name, no);
		return -1;
	}
	*is = !strcmp(value, yes);
	return 0;
}

static int read_key_file(const char *name)
{
	struct qf_why why;

	qf_diskkey_forget(key, key_bytes);
	key = NULL;
	if (!qf_diskkey_read_file(name, &key, &key_bytes, &why))
		return 0;
	nbdkit_error("%s: %s", name, why.text);
	return -1;
}

static int qfsck_config(const char *name, const char *value)
{
	char **to = !strcmp(name, "file")	? &file
		    : !strcmp(name, "snapshot") ? &snapshot
						: NULL;

	if (!strcmp(name, "lost"))
		return take_word(name, value, "zeros", "error", &zeros);
	if (!strcmp(name, "share"))
		return take_word(name, value, "true", "false", &share);
	if (!strcmp(name, "key-file"))
		return read_key_file(value);
	if (!to) {
		nbdkit_error("unknown parameter \"%s\"", name);
		return -1;
	}
	free(*to);
	*to = to == &file && !strstr(value, "://") ? nbdkit_realpath(value)
						   : strdup(value);
	return *to ? 0 : -1;
}

static int qfsck_config_complete(void)
{
	if (file)
		return 0;
	nbdkit_error("name the image: nbdkit qfsck IMAGE");
	return -1;
}

static int complain(const struct qfsck_error *why)
{
	nbdkit_error("%s: %s%s%s", file, why->text,
		     why->next[0] ? "; next: " : "", why->next);
	return -1;
}

static int open_image(struct qfsck_image **out)
{
	struct qfsck_error why;

	if (qfsck_open(file, share ? QFSCK_SHARE : 0, out, &why))
		return complain(&why);
	if (!key || !qfsck_unlock(*out, key, key_bytes, &why))
		return 0;
	qfsck_close(*out);
	*out = NULL;
	return complain(&why);
}

/* Says what is wrong while there is still a terminal to say it to. */
static int qfsck_get_ready(void)
{
	struct qfsck_snapshot s;
	struct qfsck_image *img;
	bool found = !snapshot;
	uint32_t i;

	if (open_image(&img))
		return -1;
	for (i = 0; !found && !qfsck_snapshot(img, i, &s, sizeof(s)); i++)
		found = !strcmp(s.id, snapshot) || !strcmp(s.name, snapshot);
	qfsck_close(img);
	if (!found)
		nbdkit_error("%s: has no snapshot with the id or name \"%s\"",
			     file, snapshot);
	return found ? 0 : -1;
}

/* Threads and locks are those of the process that serves. */
static int qfsck_after_fork(void)
{
	return open_image(&image);
}

static void *open_state(int readonly)
{
	struct qfsck_state *state;
	struct qfsck_error why;
	int err;

	(void)readonly;
	pthread_mutex_lock(&opening);
	err = qfsck_state_open(image, snapshot, 0, &state, &why);
	pthread_mutex_unlock(&opening);
	if (err)
		complain(&why);
	return err ? NULL : state;
}

static void close_state(void *handle)
{
	pthread_mutex_lock(&opening);
	qfsck_state_close(handle);
	pthread_mutex_unlock(&opening);
}

static int64_t get_size(void *handle)
{
	return (int64_t)qfsck_state_bytes(handle);
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int read_bytes(void *handle, void *buf, uint32_t count, uint64_t off,
		      uint32_t flags)
{
	struct qfsck_error why;
	uint64_t bad;

	(void)flags;
	if (qfsck_state_read(handle, buf, count, off, &bad, &why)) {
		nbdkit_set_error(why.sys ? why.sys : EIO);
		return complain(&why);
	}
	if (!bad || zeros)
		return 0;
	nbdkit_error("%s: %llu bytes of the %lu at %llu are lost or cannot be "
		     "read",
		     file, (unsigned long long)bad, (unsigned long)count,
		     (unsigned long long)off);
	nbdkit_set_error(EIO);
	return -1;
}

static int add_extent(void *ctx, const struct qfsck_extent *e)
{
	bool nothing = !e->lost &&
		       (e->kind == QFSCK_UNMAPPED || e->kind == QFSCK_ZERO);

	return nbdkit_add_extent(
		ctx, e->start, e->length,
		nothing ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0);
}

static int tell_extents(void *handle, uint32_t count, uint64_t off,
			uint32_t flags, struct nbdkit_extents *extents)
{
	struct qfsck_error why;

	(void)flags;
	if (!qfsck_state_map(handle, off, count, add_extent, extents, &why))
		return 0;
	nbdkit_set_error(EIO);
	return complain(&why);
}

static struct nbdkit_plugin plugin = {
	.name = "qfsck",
	.longname = "qfsck: a qcow2 image, past its damage",
	.version = QFSCK_VERSION,
	.description = "A state of a qcow2 image's disk, read-only",
	.magic_config_key = "file",
	.config_help = "[file=]IMAGE      the qcow2 image, or an nbd:// URI\n"
		       "snapshot=NAME     a snapshot's id or name (default: "
		       "the active disk)\n"
		       "key-file=FILE     the passphrase of an encrypted "
		       "image, all bytes of FILE\n"
		       "lost=zeros        zeros for what is lost (default: "
		       "an error)\n"
		       "share=true        no lock: the image may be in use",
	.unload = qfsck_unload,
	.config = qfsck_config,
	.config_complete = qfsck_config_complete,
	.get_ready = qfsck_get_ready,
	.after_fork = qfsck_after_fork,
	.open = open_state,
	.close = close_state,
	.get_size = get_size,
	.can_multi_conn = yes,
	.can_extents = yes,
	.pread = read_bytes,
	.extents = tell_extents,
};

/* what the macro defines, and its header does not declare */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
