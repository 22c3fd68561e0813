// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/many/poolstate.h"
#include "check/many/keepfile.h"
#include "lib/model/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define MAGIC "QFSCK-STATE 1\n"
/* A file system's clock may stand still for so long. */
#define CLOCK_STEP_NS 100000000ll
/* Words in front of the JSON. */
#define FIELDS 5

/* What the file says of an image. */
struct known {
	const char *path, *line; /* into the text; the line up to its NUL */
	UT_hash_handle hh;
};

struct qf_poolstate {
	char *name, *how; /* owned */
	int fd;
	char *text; /* owned: the file, its line ends and first tabs as NUL */
	struct known *known; /* owned: by path */
	struct known *room;  /* owned: what KNOWN consists of */
	bool failed, stale; /* not all was written; some lines are not needed */
};

/* --- paths --- */

/* PATH as one field: owned by the caller. */
static char *escape(const char *path)
{
	char *out = malloc(strlen(path) * 2 + 1), *p = out;

	for (; out && *path; path++) {
		if (strchr("\\\t\n", *path))
			*p++ = '\\';
		*p++ = *path == '\t' ? 't' : *path == '\n' ? 'n' : *path;
	}
	if (out)
		*p = '\0';
	return out;
}

static void unescape(const char *field, char *path)
{
	for (; *field; field++) {
		if (*field == '\\' && field[1])
			field++;
		else {
			*path++ = *field;
			continue;
		}
		*path++ = *field == 't' ? '\t' : *field == 'n' ? '\n' : *field;
	}
	*path = '\0';
}

/* The key of an image: owned by the caller. */
static char *key_of(const char *image)
{
	char *path = realpath(image, NULL), *key;

	key = path ? escape(path) : NULL;
	free(path);
	return key;
}

/* --- the file --- */

static char *read_text(int fd)
{
	char *text = NULL;
	struct stat st;
	size_t size, n = 0;
	ssize_t got = 1;

	if (fstat(fd, &st))
		return NULL;
	size = (size_t)st.st_size;
	text = malloc(size + 1);
	while (text && n < size && got > 0) {
		got = pread(fd, text + n, size - n, (off_t)n);
		n += got > 0 ? (size_t)got : 0;
	}
	if (!text)
		return NULL;
	/* what rotted must not hide what is behind it */
	for (size = 0; size < n; size++)
		if (!text[size])
			text[size] = '?';
	text[n] = '\0';
	return text;
}

/* A new line of the same path takes the place of the old one. */
static bool learn(struct qf_poolstate *s, struct known *k)
{
	struct known *old;

	HASH_FIND_STR(s->known, k->path, old);
	if (old) {
		old->line = k->line;
		s->stale = true;
		return true;
	}
	HASH_ADD_KEYPTR(hh, s->known, k->path, strlen(k->path), k);
	return k->hh.tbl;
}

static bool take_lines(struct qf_poolstate *s)
{
	char *at = s->text + strlen(MAGIC), *end, *tab;
	struct known *k;
	size_t lines = 0;

	for (end = at; *end; end++)
		lines += *end == '\n';
	k = s->room = calloc(lines + 1, sizeof(*k));
	for (; k && (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		tab = strchr(at, '\t');
		if (!tab || tab == at) { /* two that were written as one */
			s->stale = true;
			continue;
		}
		*tab = '\0';
		k->path = at;
		k->line = tab + 1;
		if (!learn(s, k++))
			return false;
	}
	s->stale |= *at != '\0';
	return k;
}

enum qf_err qf_poolstate_open(const char *name, const char *how,
			      struct qf_poolstate **out, struct qf_why *why)
{
	struct qf_poolstate *s = calloc(1, sizeof(*s));
	enum qf_err err;
	bool cut;

	if (!s)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory");
	s->fd = -1;
	err = qf_keepfile_open(name, MAGIC, &s->fd, why);
	if (!err) {
		s->name = strdup(name);
		s->how = strdup(how);
		s->text = read_text(s->fd);
		if (!s->name || !s->how || !s->text)
			err = QF_ERR_NOMEM;
	}
	/* a line that was cut short must not take the next one with it */
	cut = !err && s->text[strlen(s->text) - 1] != '\n';
	if (cut && !qf_keepfile_add(s->fd, "\n", 1))
		s->failed = true;
	if (!err && !take_lines(s))
		err = QF_ERR_NOMEM;
	if (err == QF_ERR_NOMEM)
		qf_err_set(why, err, 0, QF_NOWHERE, "no memory");
	if (err) {
		s->failed = s->stale = false;
		(void)qf_poolstate_close(s);
		return err;
	}
	*out = s;
	return QF_OK;
}

/* --- what is known --- */

static int64_t in_ns(const struct timespec *t)
{
	return t->tv_sec * 1000000000ll + t->tv_nsec;
}

bool qf_poolstate_look(const char *image, struct qf_poolstate_look *look)
{
	struct timespec now;
	struct stat st;

	if (stat(image, &st) || !S_ISREG(st.st_mode))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	look->inode = st.st_ino;
	look->size = (uint64_t)st.st_size;
	look->mtime_ns = in_ns(&st.st_mtim);
	look->ctime_ns = in_ns(&st.st_ctim);
	look->when_ns = in_ns(&now);
	return true;
}

static bool is_same(const struct qf_poolstate_look *a,
		    const struct qf_poolstate_look *b)
{
	return a->inode == b->inode && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* The look in front of a record; its JSON, or NULL. */
static const char *split(const char *line, struct qf_poolstate_look *look)
{
	int end = -1;

	memset(look, 0, sizeof(*look));
	if (sscanf(line,
		   "%" SCNu64 "\t%" SCNu64 "\t%" SCNd64 "\t%" SCNd64 "\t%n",
		   &look->inode, &look->size, &look->mtime_ns, &look->ctime_ns,
		   &end) != FIELDS - 1 ||
	    end < 0)
		return NULL;
	return line + end;
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* True if all that stood behind the image is as it was. */
static bool is_behind(const json_t *a)
{
	struct qf_poolstate_look was, now;
	const char *path;
	const json_t *o;
	size_t i;

	json_array_foreach(a, i, o) {
		was.inode = number(o, "inode");
		was.size = number(o, "size");
		was.mtime_ns = (int64_t)number(o, "mtime");
		was.ctime_ns = (int64_t)number(o, "ctime");
		path = json_string_value(json_object_get(o, "path"));
		if (!path || !qf_poolstate_look(path, &now) ||
		    !is_same(&was, &now))
			return false;
	}
	return json_is_array(a);
}

static bool take_result(const json_t *o, struct qf_result *r)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *note = json_string_value(json_object_get(o, "note"));
	int k;

	memset(r, 0, sizeof(*r));
	for (k = 0; kind && k < QF_RESULT_KINDS; k++)
		if (!strcmp(kind, qf_result_key((enum qf_result_kind)k)))
			break;
	if (!kind || k == QF_RESULT_KINDS)
		return false;
	r->kind = (enum qf_result_kind)k;
	r->code = (int)number(o, "code");
	r->errors = number(o, "errors");
	r->lost_bytes = number(o, "lost-bytes");
	r->leaked_bytes = number(o, "leaked-bytes");
	r->checked = (int64_t)number(o, "checked");
	r->seconds = json_number_value(json_object_get(o, "seconds"));
	r->note = note ? strdup(note) : NULL;
	r->unchanged = true;
	return true;
}

bool qf_poolstate_find(const struct qf_poolstate *s, const char *image,
		       const struct qf_poolstate_look *look,
		       struct qf_result *r, json_t **report)
{
	char *key = key_of(image);
	struct qf_poolstate_look was;
	const char *text = NULL, *how;
	struct known *k = NULL;
	json_t *o;
	bool good;

	if (key)
		HASH_FIND_STR(s->known, key, k);
	free(key);
	if (k)
		text = split(k->line, &was);
	if (!text || !is_same(&was, look))
		return false;
	o = json_loads(text, 0, NULL);
	how = json_string_value(json_object_get(o, "how"));
	*report = json_object_get(o, "report");
	good = how && !strcmp(how, s->how) && *report &&
	       is_behind(json_object_get(o, "behind")) && take_result(o, r);
	if (good)
		json_incref(*report);
	json_decref(o);
	return good;
}

/* --- what is kept --- */

/* Adds the file PATH to what is behind; false: it cannot be known again. */
static bool add_behind(json_t *a, const char *path, int64_t when_ns)
{
	struct qf_poolstate_look look;
	char *real = realpath(path, NULL);
	json_t *o, *text = real ? json_string(real) : NULL;

	free(real);
	if (!text || !qf_poolstate_look(path, &look) ||
	    look.ctime_ns + CLOCK_STEP_NS > when_ns) {
		json_decref(text);
		return false;
	}
	o = json_object();
	json_object_set_new(o, "path", text);
	qf_json_int(o, "inode", look.inode);
	qf_json_int(o, "size", look.size);
	qf_json_int(o, "mtime", (uint64_t)look.mtime_ns);
	qf_json_int(o, "ctime", (uint64_t)look.ctime_ns);
	json_array_append_new(a, o);
	return true;
}

/* Backing files and data files: owned by the caller; NULL: not all known. */
static json_t *behind(struct qf_image *img, int64_t when_ns)
{
	json_t *a = json_array();
	struct qf_chain c;
	bool good;
	uint32_t i;

	if (!img || (!img->backing_name && !img->data_file_name))
		return a;
	good = !qf_chain_open(img, true, &c, NULL) && c.end == QF_CHAIN_WHOLE;
	for (i = 0; good && i < c.n; i++) {
		if (i)
			good = add_behind(a, c.node[i].path, when_ns);
		if (good && c.node[i].data && c.node[i].data != c.node[i].io)
			good = add_behind(a, c.node[i].data->name, when_ns);
		good &= c.node[i].data != NULL;
	}
	qf_chain_close(&c);
	if (good)
		return a;
	json_decref(a);
	return NULL;
}

static json_t *record(const struct qf_poolstate *s, const struct qf_result *r,
		      json_t *files, json_t *report)
{
	json_t *o = json_object();

	qf_json_text(o, "how", s->how);
	qf_json_text(o, "kind", qf_result_key(r->kind));
	qf_json_int(o, "code", (uint64_t)r->code);
	qf_json_int(o, "errors", r->errors);
	qf_json_int(o, "lost-bytes", r->lost_bytes);
	qf_json_int(o, "leaked-bytes", r->leaked_bytes);
	qf_json_text(o, "note", r->note);
	qf_json_int(o, "checked", (uint64_t)r->checked);
	json_object_set_new(o, "seconds", json_real(r->seconds));
	json_object_set(o, "behind", files);
	json_object_set(o, "report", report);
	return o;
}

/* The verdicts that last as long as the image is the same. */
static bool is_lasting(const struct qf_result *r)
{
	return r->kind == QF_RESULT_CLEAN || r->kind == QF_RESULT_LEAKS ||
	       r->kind == QF_RESULT_CORRUPT || r->kind == QF_RESULT_FOREIGN;
}

void qf_poolstate_keep(struct qf_poolstate *s, const char *image,
		       const struct qf_poolstate_look *look,
		       struct qf_image *img, const struct qf_result *r,
		       json_t *report)
{
	struct qf_poolstate_look now;
	json_t *files = NULL, *o;
	char *key, *json, *line;
	int n;

	if (!is_lasting(r) || !report || !qf_poolstate_look(image, &now) ||
	    !is_same(look, &now) ||
	    look->ctime_ns + CLOCK_STEP_NS > look->when_ns)
		return;
	files = behind(img, look->when_ns);
	key = files ? key_of(image) : NULL;
	if (!key) {
		json_decref(files);
		return;
	}
	o = record(s, r, files, report);
	json = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	n = json ? asprintf(&line,
			    "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRId64
			    "\t%" PRId64 "\t%s\n",
			    key, look->inode, look->size, look->mtime_ns,
			    look->ctime_ns, json)
		 : -1;
	if (n < 0 || !qf_keepfile_add(s->fd, line, (size_t)n))
		s->failed = true;
	if (n >= 0)
		free(line);
	/* not after the first run of all: it has nothing to put in order */
	s->stale |= s->known != NULL;
	free(json);
	free(key);
	json_decref(o);
	json_decref(files);
}

/* --- the end --- */

static void forget(struct qf_poolstate *s)
{
	HASH_CLEAR(hh, s->known);
	free(s->room);
	free(s->text);
	s->room = NULL;
	s->text = NULL;
}

static bool is_there(const char *key)
{
	char *path = malloc(strlen(key) + 1);
	bool there = true;

	if (path) {
		unescape(key, path);
		there = !access(path, F_OK) || errno != ENOENT;
	}
	free(path);
	return there;
}

/* One line an image that is still there. */
static bool put_in_order(struct qf_poolstate *s)
{
	struct known *k, *next;
	struct qf_why why = { 0 };
	char *text = NULL;
	size_t n = 0;
	enum qf_err err = QF_ERR_NOMEM;
	FILE *f;

	forget(s);
	s->text = read_text(s->fd);
	f = open_memstream(&text, &n);
	if (f && s->text && take_lines(s)) {
		fputs(MAGIC, f);
		HASH_ITER(hh, s->known, k, next) {
			if (is_there(k->path))
				fprintf(f, "%s\t%s\n", k->path, k->line);
		}
		if (!fclose(f))
			err = qf_keepfile_replace(s->name, MAGIC, text, n,
						  &why);
	} else if (f) {
		fclose(f);
	}
	free(text);
	return !err;
}

bool qf_poolstate_close(struct qf_poolstate *s)
{
	bool good = true;

	if (!s)
		return true;
	if (s->stale && !s->failed)
		s->failed = !put_in_order(s);
	if (s->failed) {
		good = false;
		fprintf(stderr,
			"qfsck: %s: cannot be written: the next run checks "
			"more than it must\n",
			s->name ? s->name : "");
	}
	forget(s);
	if (s->fd >= 0)
		close(s->fd);
	free(s->name);
	free(s->how);
	free(s);
	return good;
}
