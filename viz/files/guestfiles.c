// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/guestfiles.h"
#include "viz/files/guesttext.h"
#include "viz/show/map.h"
#include "check/check.h"
#include "cmd.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANGES 1000

/* --- what is asked --- */

/* "OFF", "OFF+LENGTH" or "OFF-END"; false: none of these. */
static bool parse_range(char *text, struct qf_guest_range *r)
{
	char *sign = text + strcspn(text, "+-");
	char kind = *sign;
	uint64_t n;

	*sign = '\0';
	r->bytes = 1;
	if (!qf_args_number(text, &r->start))
		return false;
	if (!kind)
		return true;
	if (!qf_args_number(sign + 1, &n))
		return false;
	if (kind == '-' && n <= r->start)
		return false;
	r->bytes = kind == '-' ? n - r->start : n;
	return r->bytes;
}

/* The ranges of TEXT in R, which has room; 0: they are none. */
static size_t parse_ranges(const char *text, struct qf_guest_range *r)
{
	char one[80];
	size_t n, len;

	for (n = 0; n < MAX_RANGES; n++) {
		len = strcspn(text, ",");
		if (len >= sizeof(one))
			return 0;
		memcpy(one, text, len);
		one[len] = '\0';
		if (!parse_range(one, &r[n]))
			return 0;
		text += len;
		if (!*text++)
			return n + 1;
	}
	return 0;
}

/* --- telling --- */

struct showing {
	const struct qf_guest *g;
	struct qf_disk *disk;
	const struct qf_args *a;
	const struct qf_guest_names *names;
	bool places;	     /* also where it lies in the image */
	json_t *extents;     /* of the piece at hand */
	uint64_t no_file[3]; /* bytes, by enum qf_guest_use */
};

static const char *const kinds[] = { "file", "directory", "other", "metadata" };

static const char *title_of(const struct showing *s, uint32_t volume, char *buf,
			    size_t room)
{
	if (volume >= s->g->n)
		snprintf(buf, room, "the disk");
	else
		qf_guest_title(s->g, volume, buf, room);
	return buf;
}

/* Where a stretch of a piece lies: a word if that is no place in the file. */
static const char *place_word(const struct qf_disk_extent *e)
{
	if (e->bad)
		return "damaged";
	if (e->kind == QF_DISK_COMPRESSED)
		return "compressed";
	return e->data && !e->zero ? NULL : "zeros";
}

static bool add_extent(void *ctx, const struct qf_disk_extent *e)
{
	struct showing *s = ctx;
	const char *word = place_word(e);
	json_t *o = json_object();

	qf_json_int(o, "start", e->start);
	qf_json_int(o, "length", e->bytes);
	qf_json_text(o, "kind", word ? word : "data");
	qf_json_int(o, "depth", e->depth);
	if (!word && e->host_off != QF_NOWHERE)
		qf_json_int(o, "host-offset", e->host_off);
	json_array_append_new(s->extents, o);
	return true;
}

static json_t *json_piece(struct showing *s, const struct qf_guest_piece *p)
{
	json_t *o = json_object();

	qf_json_int(o, "start", p->start);
	qf_json_int(o, "length", p->bytes);
	if (p->file_off != QF_NOWHERE)
		qf_json_int(o, "file-offset", p->file_off);
	if (s->places) {
		s->extents = json_array();
		qf_map_run(s->disk, p->start, p->bytes, add_extent, s, NULL);
		json_object_set_new(o, "extents", s->extents);
	}
	return o;
}

static json_t *json_file(const struct showing *s, const struct qf_guest_file *f)
{
	json_t *o = json_object();
	char title[600];

	if (f->path)
		qf_json_text(o, "path", f->path);
	qf_json_text(o, "kind", kinds[f->kind]);
	qf_json_text(o, "volume", title_of(s, f->volume, title, sizeof(title)));
	if (f->kind != QF_GUEST_METADATA) {
		qf_json_int(o, "id", f->id);
		qf_json_int(o, "size", f->bytes);
	}
	qf_guesttext_json_time(o, "modified", f->modified);
	if (f->deleted)
		qf_json_bool(o, "deleted", 1);
	qf_json_int(o, "hit", f->hit);
	json_object_set_new(o, "pieces", json_array());
	return o;
}

static int show_json(struct showing *s)
{
	json_t *o = json_object(), *list = json_array();
	const struct qf_guest_names *n = s->names;
	size_t i;

	for (i = 0; i < n->n; i++)
		json_array_append_new(list, json_file(s, &n->file[i]));
	for (i = 0; i < n->pieces; i++)
		json_array_append_new(
			json_object_get(json_array_get(list, n->piece[i].file),
					"pieces"),
			json_piece(s, &n->piece[i]));
	qf_json_text(o, "filename", s->a->arg[0]);
	json_object_set_new(o, "files", list);
	if (!s->places) {
		qf_json_int(o, "free-bytes", s->no_file[QF_GUEST_FREE]);
		qf_json_int(o, "unknown-bytes", s->no_file[QF_GUEST_UNKNOWN]);
	}
	qf_json_bool(o, "cut", n->cut);
	return qf_args_print(o);
}

static bool print_extent(void *ctx, const struct qf_disk_extent *e)
{
	const char *word = place_word(e);

	(void)ctx;
	printf("  0x%-14" PRIx64 "0x%-14" PRIx64, e->start, e->bytes);
	if (word)
		puts(word);
	else if (e->depth)
		printf("0x%" PRIx64 " of backing file number %" PRIu32 "\n",
		       e->host_off, e->depth);
	else
		printf("0x%" PRIx64 "\n", e->host_off);
	return true;
}

static void print_file(const struct showing *s, const struct qf_guest_file *f)
{
	char path[1200], title[600], hit[32], size[32];

	qf_text_safe(f->path ? f->path : "(no name)", path, sizeof(path));
	if (f->kind == QF_GUEST_METADATA)
		printf("%s of %s: %s\n",
		       qf_text_bytes(f->hit, hit, sizeof(hit)),
		       title_of(s, f->volume, title, sizeof(title)), path);
	else
		printf("%s of %s: %s%s (inode %" PRIu64 ", %s)\n",
		       qf_text_bytes(f->hit, hit, sizeof(hit)),
		       title_of(s, f->volume, title, sizeof(title)), path,
		       f->deleted ? " (deleted)" : "", f->id,
		       qf_text_bytes(f->bytes, size, sizeof(size)));
}

static int show_human(struct showing *s)
{
	const struct qf_guest_names *n = s->names;
	char size[32];
	size_t i;

	for (i = 0; i < n->n; i++)
		print_file(s, &n->file[i]);
	if (s->places && n->pieces) {
		printf("  %-16s%-16s%s\n", "On the disk", "Length",
		       "In the image");
		for (i = 0; i < n->pieces; i++)
			qf_map_run(s->disk, n->piece[i].start,
				   n->piece[i].bytes, print_extent, s, NULL);
	}
	if (s->no_file[QF_GUEST_FREE])
		printf("%s free\n", qf_text_bytes(s->no_file[QF_GUEST_FREE],
						  size, sizeof(size)));
	if (s->no_file[QF_GUEST_UNKNOWN])
		printf("%s not known\n",
		       qf_text_bytes(s->no_file[QF_GUEST_UNKNOWN], size,
				     sizeof(size)));
	if (n->cut)
		printf("There are more than are listed.\n");
	return qf_args_flush();
}

/* A reader that broke off is told; what it told before stands. */
static void tell_troubles(const struct qf_guest *g)
{
	char title[600];
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (*g->volume[i].trouble)
			fprintf(stderr, "qfsck: not all of %s is known: %s\n",
				qf_guest_title(g, i, title, sizeof(title)),
				g->volume[i].trouble);
}

static int show(struct showing *s)
{
	tell_troubles(s->g);
	return s->a->json ? show_json(s) : show_human(s);
}

int qf_guestfiles_of_ranges(struct qf_guest *g, struct qf_disk *disk,
			    const struct qf_args *a, const char *ranges)
{
	struct qf_guest_range *r = qf_mem_zalloc(MAX_RANGES, sizeof(*r));
	struct qf_guest_names names = { 0 };
	struct qf_guest_runs runs = { 0 };
	struct showing s = { .g = g, .disk = disk, .a = a, .names = &names };
	struct qf_why why = { .text = "no memory" };
	enum qf_err err = r ? QF_OK : QF_ERR_NOMEM;
	size_t n = r ? parse_ranges(ranges, r) : 0, i;
	int code;

	if (!err && !n) {
		free(r);
		return qf_args_wrong("guest", "not a range", ranges);
	}
	if (!err)
		err = qf_guest_names(g, r, n, &names, &why);
	if (!err)
		err = qf_guest_use(g, r, n, &runs, &why);
	for (i = 0; !err && i < runs.n; i++)
		s.no_file[runs.at[i].use] += runs.at[i].bytes;
	code = err ? qf_args_failed(a->arg[0], &why) : show(&s);
	qf_guest_names_free(&names);
	qf_guest_runs_free(&runs);
	free(r);
	return code;
}

int qf_guestfiles_of_path(struct qf_guest *g, struct qf_disk *disk,
			  const struct qf_args *a, const char *path)
{
	struct qf_guest_names names = { 0 };
	struct showing s = {
		.g = g, .disk = disk, .a = a, .names = &names, .places = true
	};
	struct qf_why why = { 0 };
	uint32_t i;
	int code;

	for (i = 0; i < g->n && !names.n; i++)
		if (qf_guest_path(g, i, path, &names, &why))
			return qf_args_failed(a->arg[0], &why);
	if (names.n) {
		code = show(&s);
	} else {
		tell_troubles(g);
		qf_err_set(&why, QF_ERR_USAGE, 0, QF_NOWHERE,
			   "no file system on the disk has this file");
		code = qf_args_failed(a->arg[0], &why);
	}
	qf_guest_names_free(&names);
	return code;
}
