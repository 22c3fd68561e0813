// SPDX-License-Identifier: GPL-2.0-or-later
#include "repair/evidence/runlog.h"
#include "check/check.h"
#include "lib/base/evp.h"
#include "lib/base/mem.h"
#include "lib/io/io.h"
#include "repair/write/sink.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)
#define SECOND 1000000000ull

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the log");
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* --- which files --- */

/* getopt_long takes every beginning of an option that is not ambiguous. */
static bool is_key_option(const char *arg)
{
	size_t n = strcspn(arg, "=");

	return n > 2 && !strncmp(arg, "--key-file", n);
}

static bool is_file(const char *name)
{
	struct stat st;

	if (qf_io_is_remote(name))
		return true;
	return !stat(name, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static bool is_same(const char *a, const char *b)
{
	struct stat x, y;

	if (!strcmp(a, b))
		return true;
	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The N bytes at NAME, once. */
static bool add(struct qf_runlog *l, const char *name, size_t n)
{
	struct qf_runlog_file *f;
	char *path = strndup(name, n);
	size_t i;

	for (i = 0; path && i < l->n; i++) {
		if (strcmp(l->file[i].path, path))
			continue;
		free(path);
		return true;
	}
	if (!path ||
	    !qf_mem_grow((void **)&l->file, l->n, &l->room, sizeof(*l->file))) {
		free(path);
		return false;
	}
	f = &l->file[l->n++];
	memset(f, 0, sizeof(*f));
	f->path = path;
	return true;
}

/*
 * Every argument that is no option may name a file, if not before the run then
 * after it.
 */
static bool add_arguments(struct qf_runlog *l)
{
	bool options = true;
	size_t i;

	for (i = 1; l->argv[0] && l->argv[i]; i++) {
		const char *arg = l->argv[i];

		if (options && !strcmp(arg, "--"))
			options = false;
		else if (options && is_key_option(arg))
			i += !strchr(arg, '=') && l->argv[i + 1];
		else if (!(options && arg[0] == '-') &&
			 !add(l, arg, strlen(arg)))
			return false;
	}
	return true;
}

/* --- what they hold --- */

static bool hash_all(const struct qf_evp *evp, EVP_MD_CTX *ctx,
		     struct qf_io *io, struct qf_runlog_state *s,
		     struct qf_why *why)
{
	unsigned char *buf = qf_mem_zalloc(1, PIECE_BYTES);
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int n = 0, i;
	uint64_t at, len;
	bool ok = buf && evp->DigestInit_ex(ctx, evp->sha256(), NULL) == 1;

	for (at = 0; ok && at < io->size; at += len) {
		len = io->size - at < PIECE_BYTES ? io->size - at : PIECE_BYTES;
		ok = !qf_io_read(io, buf, len, at, why) &&
		     evp->DigestUpdate(ctx, buf, len) == 1;
		qf_progress_step(at / PIECE_BYTES, io->size / PIECE_BYTES,
				 "MiB");
	}
	free(buf);
	if (!ok || evp->DigestFinal_ex(ctx, sum, &n) != 1 || n != 32)
		return false;
	for (i = 0; i < n; i++)
		snprintf(s->sha256 + i * 2, 3, "%02x", sum[i]);
	return true;
}

static void look(const struct qf_evp *evp, const char *path,
		 struct qf_runlog_state *s)
{
	struct qf_why why = { .text = "it cannot be hashed" };
	struct qf_io *io = NULL;
	EVP_MD_CTX *ctx;

	memset(s, 0, sizeof(*s));
	if (!is_file(path))
		return;
	s->there = true;
	ctx = evp->MD_CTX_new();
	if (ctx && !qf_io_open(path, &io, &why)) {
		s->bytes = io->size;
		qf_progress_start(path, false);
		if (hash_all(evp, ctx, io, s, &why))
			why.text[0] = '\0';
		qf_progress_stop();
	}
	snprintf(s->error, sizeof(s->error), "%.199s", why.text);
	qf_io_close(io);
	if (ctx)
		evp->MD_CTX_free(ctx);
}

enum qf_err qf_runlog_begin(struct qf_runlog *l, char **argv, const char *log,
			    struct qf_why *why)
{
	const struct qf_evp *evp = qf_evp_load(why);
	size_t i;

	memset(l, 0, sizeof(*l));
	l->argv = argv;
	l->began_ns = now();
	if (!evp)
		return QF_ERR_UNSUPPORTED;
	if (!add_arguments(l))
		return no_memory(why);
	for (i = 0; i < l->n; i++) {
		if (is_same(l->file[i].path, log))
			return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
					  "the log is one of the files that "
					  "are named");
		look(evp, l->file[i].path, &l->file[i].before);
	}
	return QF_OK;
}

/* --- the line --- */

static json_t *json_state(const struct qf_runlog_state *s)
{
	json_t *o;

	if (!s->there)
		return json_null();
	o = json_object();
	qf_json_int(o, "size", s->bytes);
	if (s->sha256[0])
		qf_json_text(o, "sha256", s->sha256);
	else
		qf_json_text(o, "error", s->error);
	return o;
}

static json_t *json_files(const struct qf_runlog *l)
{
	json_t *list = json_array(), *o;
	const struct qf_runlog_file *f;
	size_t i;

	for (i = 0; i < l->n; i++) {
		f = &l->file[i];
		if (!f->before.there && !f->after.there)
			continue;
		o = json_object();
		qf_json_text(o, "path", f->path);
		json_object_set_new(o, "before", json_state(&f->before));
		json_object_set_new(o, "after", json_state(&f->after));
		qf_json_bool(o, "changed",
			     f->before.there != f->after.there ||
				     f->before.bytes != f->after.bytes ||
				     strcmp(f->before.sha256, f->after.sha256));
		json_array_append_new(list, o);
	}
	return list;
}

static void add_where(json_t *o)
{
	char text[1024] = "";
	char *cwd = getcwd(NULL, 0);

	qf_json_text(o, "directory", cwd ? cwd : "");
	free(cwd);
	if (!gethostname(text, sizeof(text) - 1))
		qf_json_text(o, "host", text);
	qf_json_int(o, "user", getuid());
}

static json_t *json_run(const struct qf_runlog *l, const char *version,
			const char *commit)
{
	time_t began = (time_t)(l->began_ns / SECOND);
	json_t *o = json_object(), *args = json_array();
	char text[40] = "";
	struct tm tm;
	size_t i;

	if (gmtime_r(&began, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	qf_json_text(o, "time", text);
	qf_json_text(o, "version", version);
	qf_json_text(o, "commit", commit);
	for (i = 0; l->argv[i]; i++)
		json_array_append_new(args, qf_json_string(l->argv[i]));
	json_object_set_new(o, "arguments", args);
	add_where(o);
	json_object_set_new(o, "exit",
			    l->signal ? json_null() : json_integer(l->code));
	if (l->signal)
		qf_json_int(o, "signal", (uint64_t)l->signal);
	json_object_set_new(
		o, "seconds",
		json_real((double)(l->seconds_ns / 1000000) / 1000));
	json_object_set_new(o, "files", json_files(l));
	return o;
}

enum qf_err qf_runlog_end(struct qf_runlog *l, const char *version,
			  const char *commit, const char *log,
			  struct qf_why *why)
{
	const struct qf_evp *evp = qf_evp_load(why);
	json_t *o;
	char *text, *line = NULL;
	enum qf_err err;
	size_t i;
	int n = -1;

	l->seconds_ns = now() - l->began_ns;
	if (!evp)
		return QF_ERR_UNSUPPORTED;
	for (i = 0; i < l->n; i++)
		look(evp, l->file[i].path, &l->file[i].after);
	o = json_run(l, version, commit);
	text = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER |
					 JSON_REAL_PRECISION(12))
		 : NULL;
	if (text)
		n = asprintf(&line, "%s\n", text);
	err = n < 0 ? no_memory(why)
		    : qf_sink_append(log, line, (uint64_t)n, why);
	if (n >= 0)
		free(line);
	free(text);
	json_decref(o);
	return err;
}

void qf_runlog_free(struct qf_runlog *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->file[i].path);
	free(l->file);
	memset(l, 0, sizeof(*l));
}
