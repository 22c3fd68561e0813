// SPDX-License-Identifier: GPL-2.0-or-later
/* What was hit, in words and as JSON. */
#include "check/report/report_hits.h"
#include "lib/walk/describe.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <string.h>

/* Files that are named before "... and N more". */
#define SHOWN 10

/* --- for people --- */

static const char *bytes_of(uint64_t bytes, char *buf, size_t room)
{
	return qf_text_bytes(bytes, buf, room);
}

static void print_file(FILE *out, const struct qf_hit_file *f)
{
	char path[1200], hit[32], size[32];

	if (f->file->path)
		qf_text_safe(f->file->path, path, sizeof(path));
	else
		snprintf(path, sizeof(path),
			 "inode %" PRIu64 ", without a name", f->file->id);
	if (f->bytes < f->file->bytes)
		bytes_of(f->bytes, hit, sizeof(hit));
	else
		snprintf(hit, sizeof(hit), "all");
	fprintf(out, "      %s%s%s (%s of %s)\n", path,
		f->file->kind == QF_GUEST_DIRECTORY ? ", a directory" : "",
		f->file->deleted ? ", deleted" : "", hit,
		bytes_of(f->file->bytes, size, sizeof(size)));
}

static void print_files(FILE *out, const struct qf_hit_sum *s, bool all)
{
	size_t i, shown = all || s->n <= SHOWN ? s->n : SHOWN;

	for (i = 0; i < shown; i++)
		print_file(out, &s->file[i]);
	if (s->n > shown)
		fprintf(out, "      ... and %zu more; --all lists them\n",
			s->n - shown);
}

static bool takes_plural(const struct qf_hit_area *a)
{
	size_t n = strlen(a->name);

	return a->places > 1 && n && a->name[n - 1] != 's' &&
	       !strstr(a->name, " of ");
}

static void print_areas(FILE *out, const struct qf_hit_sum *s)
{
	char bytes[32], name[200];
	size_t i;

	for (i = 0; i < s->n_areas; i++)
		fprintf(out, "%s%s of %s%s", i ? ", " : "    ",
			bytes_of(s->area[i].bytes, bytes, sizeof(bytes)),
			qf_text_safe(s->area[i].name, name, sizeof(name)),
			takes_plural(&s->area[i]) ? "s" : "");
	if (s->n_areas)
		fputc('\n', out);
}

static void print_rest(FILE *out, const struct qf_hit_sum *s)
{
	const struct {
		uint64_t bytes;
		const char *words;
	} rows[] = { { s->unnamed, "there were in use, nobody knows by what" },
		     { s->free_bytes, "there were free" },
		     { s->unknown, "there are not known" } };
	char bytes[32];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].bytes)
			fprintf(out, "    %s %s\n",
				bytes_of(rows[i].bytes, bytes, sizeof(bytes)),
				rows[i].words);
}

static void print_volume(FILE *out, const struct qf_hits *h,
			 const struct qf_hit_state *st, uint32_t volume,
			 bool all)
{
	const struct qf_guest *g = st->guest;
	struct qf_hit_sum s;
	char bytes[32], title[600], why[400];

	if (!qf_hits_sum(h, st->first, st->n, volume, &s)) {
		fprintf(out, "    not known: no memory\n");
	} else if (volume == QF_GUEST_NO_VOLUME) {
		print_areas(out, &s);
	} else {
		qf_guest_title(g, volume, title, sizeof(title));
		if (s.n)
			fprintf(out, "    %s in %zu file%s of %s:\n",
				bytes_of(s.file_bytes, bytes, sizeof(bytes)),
				s.n, s.n == 1 ? "" : "s", title);
		else
			fprintf(out, "    %s:\n", title);
		print_files(out, &s, all);
		print_areas(out, &s);
		print_rest(out, &s);
		if (*g->volume[volume].trouble)
			fprintf(out, "    not all of it is known: %s\n",
				qf_text_safe(g->volume[volume].trouble, why,
					     sizeof(why)));
	}
	qf_hits_sum_free(&s);
}

/* Whether there is a hit in VOLUME that something is known of. */
static bool is_hit(const struct qf_hits *h, const struct qf_hit_state *st,
		   uint32_t volume)
{
	const struct qf_hit *hit = h->at + st->first;
	size_t i;

	for (i = 0; i < st->n; i++, hit++)
		if (hit->volume == volume &&
		    (volume != QF_GUEST_NO_VOLUME || hit->n_pieces))
			return true;
	return false;
}

/* A state of which nothing is known; TEXT is why. */
static void print_trouble(FILE *out, const char *who, const char *text)
{
	char safe[400];

	fprintf(out, "\n  Which files of %s are hit is not known: %s\n", who,
		qf_text_safe(text, safe, sizeof(safe)));
}

static void print_state(FILE *out, const struct qf_image *img,
			const struct qf_hits *h, const struct qf_hit_state *st,
			bool all)
{
	const struct qf_guest *g = st->guest;
	char who[400];
	bool told = false;
	uint32_t i;

	qf_describe_holder(img, st->holder, who, sizeof(who));
	if (*st->trouble || g->encrypted) {
		print_trouble(out, who, *st->trouble ? st->trouble : g->note);
		return;
	}
	for (i = 0; i <= g->n; i++) {
		uint32_t volume = i < g->n ? i : QF_GUEST_NO_VOLUME;

		if (!is_hit(h, st, volume))
			continue;
		if (!told)
			fprintf(out, "\n  What was there, on %s:\n", who);
		told = true;
		print_volume(out, h, st, volume, all);
	}
	if (st->names.cut && told)
		fprintf(out,
			"    (there are more files than are known here)\n");
	if (!told && !g->n && *g->note)
		print_trouble(out, who, g->note);
}

void qf_report_hits(FILE *out, const struct qf_image *img,
		    const struct qf_hits *h, bool all)
{
	uint32_t i;

	for (i = 0; h && i < h->n_states; i++)
		print_state(out, img, h, &h->state[i], all);
	if (h && h->left_out)
		fprintf(out,
			"\n  What was hit in %" PRIu32 " more snapshot%s is "
			"not looked at.\n",
			h->left_out, h->left_out == 1 ? "" : "s");
}

/* --- JSON --- */

static json_t *json_files(const struct qf_hit_sum *s)
{
	static const char *const kinds[] = { "file", "directory", "other" };
	json_t *list = json_array(), *o;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const struct qf_guest_file *f = s->file[i].file;

		o = json_object();
		qf_json_text(o, "path", f->path);
		qf_json_text(o, "kind", kinds[f->kind]);
		qf_json_int(o, "id", f->id);
		qf_json_int(o, "size", f->bytes);
		qf_json_int(o, "hit", s->file[i].bytes);
		if (f->deleted)
			qf_json_bool(o, "deleted", 1);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_areas(const struct qf_hit_sum *s)
{
	json_t *list = json_array(), *o;
	size_t i;

	for (i = 0; i < s->n_areas; i++) {
		o = json_object();
		qf_json_text(o, "name", s->area[i].name);
		qf_json_int(o, "hit", s->area[i].bytes);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *json_fs(const struct qf_guest_fs *fs)
{
	json_t *o = json_object();

	qf_json_text(o, "kind", fs->kind);
	if (*fs->label)
		qf_json_text(o, "label", fs->label);
	if (*fs->uuid)
		qf_json_text(o, "uuid", fs->uuid);
	return o;
}

void qf_report_hit_json(json_t *o, const struct qf_hits *h, size_t i)
{
	const struct qf_hit *hit = &h->at[i];
	const struct qf_hit_state *st = &h->state[hit->state];
	const struct qf_guest_volume *v;
	struct qf_hit_sum s;
	char title[340];

	if (hit->volume == QF_GUEST_NO_VOLUME)
		return;
	v = &st->guest->volume[hit->volume];
	qf_json_text(o, "partition",
		     qf_guest_name(st->guest, hit->volume, title,
				   sizeof(title)));
	if (*v->fs.kind)
		json_object_set_new(o, "file-system", json_fs(&v->fs));
	if (qf_hits_sum(h, i, 1, hit->volume, &s)) {
		json_object_set_new(o, "files", json_files(&s));
		json_object_set_new(o, "metadata", json_areas(&s));
		qf_json_int(o, "free-bytes", s.free_bytes);
		qf_json_int(o, "unnamed-bytes", s.unnamed);
		qf_json_int(o, "unknown-bytes", s.unknown);
	}
	qf_hits_sum_free(&s);
	if (*v->trouble)
		qf_json_text(o, "trouble", v->trouble);
}
