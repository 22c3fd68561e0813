// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the script tells of a map's cells: a text for each, as numbers in a
 * list of texts, in runs; on the guest's disk also whose files lie there. Of
 * bounded size: what has no room is left out, the worst cells last.
 */
#include "viz/page/page.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (40u << 10) /* of texts with holders' names */
#define NAME_BYTES (50u << 10) /* of files' names */
#define MOST_SPANS 6	       /* of holders, named in a text */
#define VOLUMES 64

/* Texts, each once. */
struct texts {
	json_t *list, *number; /* number: text -> its place in the list */
	size_t bytes;
	bool failed;
};

static bool start(struct texts *t)
{
	t->list = json_array();
	t->number = json_object();
	return t->list && t->number;
}

static void end(struct texts *t)
{
	json_decref(t->list);
	json_decref(t->number);
}

static bool has(const struct texts *t, const char *text)
{
	return json_object_get(t->number, text) != NULL;
}

static uint32_t take(struct texts *t, const char *text)
{
	size_t n = json_array_size(t->list);
	json_t *old = json_object_get(t->number, text);

	if (old)
		return (uint32_t)json_integer_value(old);
	if (json_array_append_new(t->list, qf_json_string(text)) ||
	    json_object_set_new_nocheck(t->number, text,
					json_integer((json_int_t)n)))
		t->failed = true;
	t->bytes += strlen(text) + 3;
	return (uint32_t)n;
}

/* What stands in a cell. */
struct content {
	const struct qf_scene *s;
	uint32_t kinds; /* a bit each */
	uint32_t *seen; /* by holder: the number of the cell, from 1 on */
	uint32_t cell;
};

static void look_at(struct content *c, uint64_t first, uint64_t stop)
{
	const struct qf_scene *s = c->s;
	const struct qf_scene_range *w = qf_scene_wrong_from(s, first);
	const struct qf_scene_set *set;
	uint32_t k, h;
	size_t r;

	c->kinds = 0;
	c->cell++;
	for (; w && w < s->wrong + s->n_wrong && w->first < stop; w++)
		c->kinds |= 1u << w->kind;
	for (r = qf_scene_find(s, first); r < s->n && s->run[r].first < stop;
	     r++) {
		c->kinds |= 1u << s->run[r].kind;
		set = &s->set[s->run[r].set];
		for (k = 0; c->seen && k < set->n; k++)
			for (h = 0; h < s->span[set->first + k].n; h++)
				c->seen[s->span[set->first + k].first + h] =
					c->cell;
	}
}

/* "active disk, 1 to 3, 7"; with MANY only how many. */
static void name_holders(const struct content *c, bool many, char *buf,
			 size_t room)
{
	uint32_t n = c->seen ? c->s->n_holders : 0, i, k, all = 0, spans = 0;
	char text[600] = "", first[40], last[40];
	size_t used = 0;

	for (i = 1; i < n; i = k + 1) {
		for (k = i; k < n && c->seen[k] == c->cell; k++)
			;
		if (k == i)
			continue;
		all += k - i;
		if (++spans > MOST_SPANS)
			continue;
		qf_text_safe(c->s->holder[i].id, first, sizeof(first));
		qf_text_safe(c->s->holder[k - 1].id, last, sizeof(last));
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s%s%s%s", spans > 1 ? ", " : "",
					 first, k > i + 1 ? " to " : "",
					 k > i + 1 ? last : "");
	}
	*buf = '\0';
	if (n && c->seen[0] == c->cell)
		snprintf(buf, room, " (active disk%s", all ? ", " : ")");
	else if (all)
		snprintf(buf, room, " (");
	if (all && (many || spans > MOST_SPANS))
		snprintf(buf + strlen(buf), room - strlen(buf),
			 "%" PRIu32 " of %" PRIu32 " snapshots)", all, n - 1);
	else if (all)
		snprintf(buf + strlen(buf), room - strlen(buf),
			 "snapshot%s %s)", all > 1 ? "s" : "", text);
}

/* The kinds, worst first, and the holders. */
static void name_content(const struct content *c, bool many, char *buf,
			 size_t room)
{
	size_t used = 0;
	int k;

	*buf = '\0';
	for (k = QF_KINDS - 1; k >= 0 && used < room - 700; k--)
		if (c->kinds >> k & 1)
			used += (size_t)snprintf(
				buf + used, room - used, "%s%s",
				used ? ", " : "",
				qf_palette_kind((enum qf_kind)k)->title);
	name_holders(c, many, buf + used, room - used);
}

static void put_runs(struct qf_outbuf *o, const char *key, const uint32_t *at,
		     uint64_t n)
{
	uint64_t i, k;

	qf_outbuf_printf(o, ",\"%s\":[", key);
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && at[k] == at[i]; k++)
			;
		qf_outbuf_printf(o, "%s%" PRIu64 ",%" PRIu32, i ? "," : "",
				 k - i, at[i]);
	}
	qf_outbuf_printf(o, "]");
}

/* J as it may stand in a script's element. */
static void put_json(struct qf_outbuf *o, const char *key, const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY), *at, *next;

	qf_outbuf_printf(o, ",\"%s\":", key);
	if (!text)
		o->failed = true;
	for (at = text; at && *at; at = next) {
		next = at + strcspn(at, "<&");
		qf_outbuf_add(o, at, (size_t)(next - at));
		if (*next)
			qf_outbuf_printf(o, "\\u%04x", (unsigned char)*next++);
	}
	free(text);
}

static void put_contents(const struct qf_sheet_map *s, struct qf_outbuf *o)
{
	const struct qf_scene *sc = s->scene;
	uint32_t *number = qf_mem_zalloc(s->cells + 1, sizeof(*number));
	struct content c = { .s = sc };
	struct texts t = { 0 };
	uint64_t i, first, stop;
	char text[1600];

	if (sc->n_holders && sc->n_holders <= 4096)
		c.seen = qf_mem_zalloc(sc->n_holders, sizeof(*c.seen));
	o->failed |= !start(&t) || !number;
	for (i = 0; i < s->cells && !o->failed; i++) {
		first = i * s->per_cell;
		stop = sc->clusters - first < s->per_cell ? sc->clusters
							  : first + s->per_cell;
		look_at(&c, first, stop);
		name_content(&c, false, text, sizeof(text));
		if (t.bytes > TEXT_BYTES && !has(&t, text))
			name_content(&c, true, text, sizeof(text));
		number[i] = take(&t, text);
	}
	put_json(o, "text", t.list);
	if (!o->failed)
		put_runs(o, "runs", number, s->cells);
	o->failed |= t.failed;
	end(&t);
	free(number);
	free(c.seen);
}

/* Of a cell of the guest's disk: files before folders and metadata, then what
 * has the most bytes there. */
struct owner {
	uint32_t file[2]; /* from 1 on; 0: none */
	uint64_t weight[2];
	uint32_t more; /* pieces of others */
};

static void weigh(struct owner *w, uint32_t file, uint64_t weight)
{
	int at = w->file[0] == file ? 0 : 1;

	if (w->file[at] && w->file[at] != file)
		w->more++;
	if (w->file[at] == file)
		weight += w->weight[at];
	else if (weight <= w->weight[at])
		return;
	w->file[at] = file;
	w->weight[at] = weight;
	if (w->weight[1] <= w->weight[0])
		return;
	w->file[1] = w->file[0];
	w->weight[1] = w->weight[0];
	w->file[0] = file;
	w->weight[0] = weight;
}

/* Takes a piece of NAMES into the cells that it touches. */
static void spread_piece(const struct qf_sheet_map *s, struct owner *at,
			 const struct qf_guest_names *names,
			 const struct qf_guest_piece *p)
{
	uint64_t unit = s->per_cell << s->scene->cluster_bits;
	uint64_t i = p->start / unit, from = p->start, stop, n;
	enum qf_guest_kind kind = names->file[p->file].kind;
	uint64_t rank = kind == QF_GUEST_METADATA ? 0
			: kind == QF_GUEST_FILE	  ? 2
						  : 1;

	for (; from < p->start + p->bytes && i < s->cells; i++, from = stop) {
		stop = (i + 1) * unit;
		n = stop < p->start + p->bytes ? stop - from
					       : p->start + p->bytes - from;
		weigh(&at[i], p->file + 1, n + rank * unit);
	}
}

static void name_file(const struct qf_guest_file *f, char *buf, size_t room)
{
	char name[100];

	if (f->path)
		qf_text_safe(f->path, name, sizeof(name));
	else
		snprintf(name, sizeof(name), "inode %" PRIu64, f->id);
	snprintf(buf, room, "%s%s", name, f->deleted ? " (deleted)" : "");
}

static void name_owner(const struct qf_guest_names *names,
		       const struct owner *w, char *buf, size_t room)
{
	size_t used;

	name_file(&names->file[w->file[0] - 1], buf, room);
	used = strlen(buf);
	if (w->file[1] && used + 4 < room) {
		buf[used++] = ',';
		buf[used++] = ' ';
		name_file(&names->file[w->file[1] - 1], buf + used,
			  room - used);
	}
	used = strlen(buf);
	if (w->more)
		snprintf(buf + used, room - used, " and others");
}

/* The numbers of the cells' texts: of what is wrong first, while there is
 * room. */
static void number_owners(const struct qf_sheet_map *s,
			  const struct qf_guest_names *names,
			  const struct owner *at, struct texts *t,
			  uint32_t *number)
{
	struct qf_scene_cell cell;
	char text[260];
	uint64_t i;
	int pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < s->cells; i++) {
			if (!at[i].file[0] || number[i])
				continue;
			qf_scene_cell(s->scene, i * s->per_cell,
				      (i + 1) * s->per_cell, &cell);
			if (!pass && cell.kind < QF_KIND_LEAKED)
				continue;
			name_owner(names, &at[i], text, sizeof(text));
			if (t->bytes < NAME_BYTES || has(t, text))
				number[i] = take(t, text);
			else
				number[i] = take(t, "files");
		}
}

static void put_owners(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_sheet_map *s = &p->sheet->guest;
	struct owner *at = qf_mem_zalloc(s->cells + 1, sizeof(*at));
	uint32_t *number = qf_mem_zalloc(s->cells + 1, sizeof(*number));
	struct qf_guest_names names = { 0 };
	struct texts t = { 0 };
	size_t i;

	o->failed |= !at || !number || !start(&t);
	if (!o->failed && p->disk->guest &&
	    !qf_guest_list(p->disk->guest, &names, NULL)) {
		take(&t, "");
		for (i = 0; i < names.pieces; i++)
			spread_piece(s, at, &names, &names.piece[i]);
		number_owners(s, &names, at, &t, number);
		put_json(o, "names", t.list);
		put_runs(o, "files", number, s->cells);
	}
	o->failed |= t.failed;
	qf_guest_names_free(&names);
	end(&t);
	free(at);
	free(number);
}

/* The file's cell in which the cell from FIRST to STOP of the disk has its first
 * data; -1: none in the image itself. */
static int64_t file_cell(const struct qf_page *p, uint64_t first, uint64_t stop)
{
	const struct qf_sheet_map *file = &p->sheet->file;
	const struct qf_scene *s = p->sheet->guest.scene;
	size_t r = qf_scene_find(s, first);
	uint64_t at, host, entry;
	char text[300];

	for (; r < s->n && s->run[r].first < stop; r++) {
		if (s->run[r].kind != QF_KIND_OWN &&
		    s->run[r].kind != QF_KIND_SHARED &&
		    s->run[r].kind != QF_KIND_COMPRESSED &&
		    s->run[r].kind != QF_KIND_DOUBTFUL)
			continue;
		at = s->run[r].first > first ? s->run[r].first : first;
		qf_guestmap_describe(p->disk, at << s->cluster_bits, &host,
				     &entry, text, sizeof(text));
		if (host != QF_NOWHERE && host < file->scene->file_bytes)
			return (int64_t)((host >> file->scene->cluster_bits) /
					 file->per_cell);
	}
	return -1;
}

/* Where the cells' data lie in the file: runs of cells whose numbers there are
 * as far from their own; -1 in a run's beginning: nowhere. */
static void put_hosts(const struct qf_page *p, struct qf_outbuf *o)
{
	const struct qf_sheet_map *m = &p->sheet->guest;
	uint64_t i, n = 0, begin = 0;
	int64_t cell, want = -2, from = -2;

	qf_outbuf_printf(o, ",\"hosts\":[");
	for (i = 0; i <= m->cells; i++) {
		cell = i < m->cells ? file_cell(p, i * m->per_cell,
						(i + 1) * m->per_cell)
				    : -3;
		if (i && cell == want) {
			want += want >= 0;
			continue;
		}
		if (i)
			qf_outbuf_printf(o, "%s%" PRIu64 ",%" PRId64,
					 n++ ? "," : "", i - begin, from);
		begin = i;
		from = cell;
		want = cell + (cell >= 0);
	}
	qf_outbuf_printf(o, "]");
}

static void put_volumes(const struct qf_guest *g, struct qf_outbuf *o)
{
	json_t *list = json_array();
	char title[200];
	uint32_t i;

	for (i = 0; g && i < g->n && i < VOLUMES; i++)
		json_array_append_new(
			list,
			json_pack("[I, I, o]", (json_int_t)g->volume[i].start,
				  (json_int_t)g->volume[i].bytes,
				  qf_json_string(qf_guest_title(
					  g, i, title, sizeof(title)))));
	put_json(o, "vols", list);
	json_decref(list);
}

/* Which cell stands where. */
static void put_order(const struct qf_sheet_map *s, struct qf_outbuf *o)
{
	struct qf_order order = { 0 };
	uint64_t i;

	if (!s->hilbert)
		return;
	o->failed |= !qf_order_make(&order, s->cols, s->rows, true);
	qf_outbuf_printf(o, ",\"place\":[");
	for (i = 0; i < s->cells && !o->failed; i++)
		qf_outbuf_printf(o, "%s%" PRIu32, i ? "," : "", order.place[i]);
	qf_outbuf_printf(o, "]");
	qf_order_free(&order);
}

void qf_pagecells_put(const struct qf_page *p, const char *m,
		      struct qf_outbuf *o)
{
	bool guest = !strcmp(m, "guest");
	const struct qf_sheet_map *s = guest ? &p->sheet->guest
					     : &p->sheet->file;

	qf_outbuf_printf(o,
			 "<script type='application/json' id='%s-data'>"
			 "{\"name\":\"%s\",\"label\":\"map of %s; the arrow "
			 "keys go from cell to cell\",\"cols\":%d,\"rows\":%d,"
			 "\"unit\":%" PRIu64 ",\"end\":%" PRIu64,
			 m, guest ? "Disk" : "File",
			 guest ? "the guest's disk" : "the file", s->cols,
			 s->rows, s->per_cell << s->scene->cluster_bits,
			 s->scene->file_bytes);
	put_contents(s, o);
	if (guest) {
		put_volumes(p->disk->guest, o);
		put_owners(p, o);
		put_hosts(p, o);
	}
	put_order(s, o);
	qf_outbuf_printf(o, "}</script>\n");
}
