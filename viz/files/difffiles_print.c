// SPDX-License-Identifier: GPL-2.0-or-later
/* What diff --files tells. */
#include "viz/files/diff_files.h"
#include "check/check.h"
#include "lib/base/text.h"
#include "viz/show/cmd_args.h"

#include <inttypes.h>
#include <stdio.h>

/* Ranges of no file that a person is told. */
#define SHOWN 10

static const char *const words[] = { "changed", "came", "went", "renamed" };
static const char *const uses[] = { "unknown", "free", "used" };

/* The side that a change is told of, and the number of the file there. */
static const struct qf_difffiles_side *
side_of(const struct qf_difffiles *d, const struct qf_difffiles_change *c,
	size_t *number)
{
	bool to = c->to != SIZE_MAX;

	*number = to ? c->to : c->from;
	return to ? &d->to : &d->from;
}

/* Bytes of the file that differ, on the side where they are more. */
static uint64_t hit(const struct qf_difffiles *d,
		    const struct qf_difffiles_change *c)
{
	uint64_t a = c->from == SIZE_MAX ? 0 : d->from.hit[c->from];
	uint64_t b = c->to == SIZE_MAX ? 0 : d->to.hit[c->to];

	return a > b ? a : b;
}

static bool is_unknown(const struct qf_difffiles *d,
		       const struct qf_difffiles_change *c)
{
	if (d->unsure &&
	    (c->kind == QF_DIFFFILES_CAME || c->kind == QF_DIFFFILES_WENT))
		return true;
	return (c->from != SIZE_MAX && d->from.unknown[c->from]) ||
	       (c->to != SIZE_MAX && d->to.unknown[c->to]);
}

/* --- JSON --- */

static json_t *json_change(const struct qf_difffiles *d,
			   const struct qf_difffiles_change *c)
{
	static const char *const kinds[] = { "file", "directory", "other" };
	json_t *o = json_object();
	const struct qf_difffiles_side *s;
	const struct qf_guest_file *f;
	char title[600];
	size_t n;

	s = side_of(d, c, &n);
	f = &s->list.file[n];
	qf_json_text(o, "change", words[c->kind]);
	qf_json_text(o, "path", f->path);
	if (c->kind == QF_DIFFFILES_RENAMED)
		qf_json_text(o, "old-path", d->from.list.file[c->from].path);
	qf_json_text(o, "kind", kinds[f->kind]);
	qf_json_text(o, "volume",
		     qf_guest_title(s->guest, f->volume, title, sizeof(title)));
	qf_json_int(o, "id", f->id);
	qf_json_int(o, "size", f->bytes);
	qf_json_int(o, "differs", hit(d, c));
	if (is_unknown(d, c))
		qf_json_bool(o, "unknown", 1);
	return o;
}

static void print_json(const struct qf_difffiles *d)
{
	json_t *o = json_object(), *files = json_array(), *none = json_array();
	json_t *r;
	size_t i;

	for (i = 0; i < d->n_changes; i++)
		json_array_append_new(files, json_change(d, &d->change[i]));
	for (i = 0; i < d->n_none; i++) {
		r = json_object();
		qf_json_int(r, "start", d->none[i].start);
		qf_json_int(r, "length", d->none[i].bytes);
		qf_json_text(r, "use", uses[d->none[i].use]);
		if (d->none[i].unknown)
			qf_json_bool(r, "unknown", 1);
		json_array_append_new(none, r);
	}
	json_object_set_new(o, "files", files);
	qf_json_int(o, "metadata-bytes", d->metadata);
	json_object_set_new(o, "no-file", none);
	qf_json_bool(o, "cut", d->from.list.cut || d->to.list.cut);
	qf_args_print(o);
}

/* --- for people --- */

static const char *path_of(const struct qf_guest_file *f, char *buf,
			   size_t room)
{
	if (f->path)
		return qf_text_safe(f->path, buf, room);
	snprintf(buf, room, "inode %" PRIu64 ", without a name", f->id);
	return buf;
}

static void print_change(const struct qf_difffiles *d,
			 const struct qf_difffiles_change *c)
{
	char path[1200], old[1200], differs[32], size[32];
	const struct qf_difffiles_side *s;
	const struct qf_guest_file *f;
	uint64_t n;
	size_t i;

	s = side_of(d, c, &i);
	f = &s->list.file[i];
	printf("  %-9s%s%s", words[c->kind], path_of(f, path, sizeof(path)),
	       f->kind == QF_GUEST_DIRECTORY ? ", a directory" : "");
	qf_text_bytes(f->bytes, size, sizeof(size));
	n = hit(d, c);
	if (c->kind == QF_DIFFFILES_RENAMED)
		printf(", before: %s\n",
		       path_of(&d->from.list.file[c->from], old, sizeof(old)));
	else if (f->kind == QF_GUEST_DIRECTORY)
		putchar('\n');
	else if (is_unknown(d, c))
		printf(" (%s; a part cannot be compared)\n", size);
	else if (c->kind != QF_DIFFFILES_CHANGED)
		printf(" (%s)\n", size);
	else if (!n)
		printf(" (%s; none of its bytes on the disk)\n", size);
	else
		printf(" (%s of %s)\n",
		       qf_text_bytes(n < f->bytes || !f->bytes ? n : f->bytes,
				     differs, sizeof(differs)),
		       size);
}

static void print_changes(const struct qf_difffiles *d)
{
	const struct qf_difffiles_side *s;
	char title[600];
	uint32_t volume, last = QF_GUEST_NO_VOLUME;
	size_t i, n;

	for (i = 0; i < d->n_changes; i++) {
		s = side_of(d, &d->change[i], &n);
		volume = s->volume[s->list.file[n].volume];
		if (volume != last)
			printf("%s%s:\n", i ? "\n" : "",
			       qf_guest_title(s->guest, s->list.file[n].volume,
					      title, sizeof(title)));
		last = volume;
		print_change(d, &d->change[i]);
	}
}

static void print_none(const struct qf_difffiles *d)
{
	static const char *const use[] = { "not known", "free", "in use" };
	char text[32];
	uint64_t all = 0;
	size_t i;

	for (i = 0; i < d->n_none; i++)
		all += d->none[i].bytes;
	if (!all)
		return;
	printf("%s that differ belong to no file:\n",
	       qf_text_bytes(all, text, sizeof(text)));
	for (i = 0; i < d->n_none && i < SHOWN; i++)
		printf("  0x%-16" PRIx64 "0x%-16" PRIx64 "%s%s\n",
		       d->none[i].start, d->none[i].bytes, use[d->none[i].use],
		       d->none[i].unknown ? ", cannot be compared" : "");
	if (i < d->n_none)
		printf("  ... and %zu more ranges\n", d->n_none - i);
}

void qf_difffiles_print(const struct qf_difffiles *d)
{
	uint64_t n[QF_DIFFFILES_KINDS] = { 0 };
	char text[32];
	size_t i;

	if (d->json) {
		print_json(d);
		return;
	}
	print_changes(d);
	for (i = 0; i < d->n_changes; i++)
		n[d->change[i].kind]++;
	printf("%s%" PRIu64 " changed, %" PRIu64 " came, %" PRIu64
	       " went, %" PRIu64 " renamed\n",
	       d->n_changes ? "\n" : "", n[QF_DIFFFILES_CHANGED],
	       n[QF_DIFFFILES_CAME], n[QF_DIFFFILES_WENT],
	       n[QF_DIFFFILES_RENAMED]);
	if (d->metadata)
		printf("%s that differ are the file systems' own, or "
		       "directories\n",
		       qf_text_bytes(d->metadata, text, sizeof(text)));
	print_none(d);
	if (d->from.list.cut || d->to.list.cut)
		printf("There are more files than are compared.\n");
}

/* --- troubles --- */

static bool trouble_of(const struct qf_guest *g, const char *what)
{
	char title[600], why[400];
	bool any = false;
	uint32_t i;

	if (!g->n && *g->note) {
		fprintf(stderr, "qfsck: the %s state: %s\n", what,
			qf_text_safe(g->note, why, sizeof(why)));
		any = true;
	}
	for (i = 0; i < g->n; i++) {
		if (!*g->volume[i].trouble)
			continue;
		fprintf(stderr,
			"qfsck: the %s state: not all of %s is known: %s\n",
			what, qf_guest_title(g, i, title, sizeof(title)),
			qf_text_safe(g->volume[i].trouble, why, sizeof(why)));
		any = true;
	}
	return any;
}

bool qf_difffiles_troubles(const struct qf_difffiles *d)
{
	bool old = trouble_of(d->from.guest, "old");

	return trouble_of(d->to.guest, "new") || old;
}
