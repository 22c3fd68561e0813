// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/ownernames.h"
#include "check/check.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Files of a cluster that a person is told. */
#define SHOWN 4

/* --- asking --- */

static struct qf_ownernames_state *state_of(struct qf_ownernames *o,
					    uint32_t holder)
{
	uint32_t i;

	for (i = 0; i < o->n; i++)
		if (o->state[i].holder == holder)
			return &o->state[i];
	if (o->n == QF_OWNERNAMES_STATES) {
		o->cut = true;
		return NULL;
	}
	o->state[o->n].holder = holder;
	return &o->state[o->n++];
}

static void add(struct qf_ownernames *o, uint32_t holder, uint64_t off)
{
	struct qf_ownernames_state *s = state_of(o, holder);
	struct qf_guest_range r = { off & ~(o->cluster_bytes - 1),
				    o->cluster_bytes };

	if (!s || (s->n && s->asked[s->n - 1].start == r.start))
		return;
	if (qf_mem_grow((void **)&s->asked, s->n, &s->room, sizeof(*s->asked)))
		s->asked[s->n++] = r;
	else
		o->failed = true;
}

static bool has_guest_data(const struct qf_owner *w)
{
	return (w->kind == QF_REF_DATA || w->kind == QF_REF_COMPRESSED) &&
	       w->guest_off != QF_NOWHERE;
}

static void gather(const struct qf_places *p, struct qf_ownernames *o)
{
	const struct qf_owner *w;
	size_t i, k;

	for (i = 0; i < p->n_views; i++)
		if (!p->view[i].beyond)
			add(o, p->view[i].holder, p->guest_off);
	for (i = 0; i < p->n_places; i++)
		for (k = 0; k < p->place[i].owners.n; k++) {
			w = &p->place[i].owners.at[k];
			if (has_guest_data(w))
				add(o, w->holder, w->guest_off);
		}
}

/* Cuts what was asked to the disk: a VM's state lies behind it. */
static void cut_to(struct qf_ownernames_state *s, uint64_t disk)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		if (s->asked[i].start >= disk)
			continue;
		s->asked[n] = s->asked[i];
		if (s->asked[n].bytes > disk - s->asked[n].start)
			s->asked[n].bytes = disk - s->asked[n].start;
		n++;
	}
	s->n = n;
}

static bool any_fs(const struct qf_guest *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (*g->volume[i].fs.kind)
			return true;
	return g->n_areas;
}

/* How far the pieces up to each reach, so that one can be looked up. */
static bool measure(struct qf_ownernames_state *s)
{
	const struct qf_guest_piece *p = s->names.piece;
	uint64_t end = 0;
	size_t i;

	s->reach = qf_mem_zalloc(s->names.pieces + 1, sizeof(*s->reach));
	for (i = 0; s->reach && i < s->names.pieces; i++) {
		if (p[i].start + p[i].bytes > end)
			end = p[i].start + p[i].bytes;
		s->reach[i] = end;
	}
	return s->reach;
}

static void ask(const struct qf_chain *chain, struct qf_ownernames_state *s)
{
	struct qf_disk *disk = NULL;

	if (qf_disk_open(chain, s->holder, &disk, NULL))
		return;
	cut_to(s, qf_disk_bytes(disk));
	if (s->n && !qf_guest_open(disk, false, &s->guest, NULL) &&
	    any_fs(s->guest) &&
	    !qf_guest_names(s->guest, s->asked, s->n, &s->names, NULL) &&
	    !measure(s))
		qf_guest_names_free(&s->names);
	qf_disk_close(disk);
}

void qf_ownernames_find(struct qf_image *img, const struct qf_places *p,
			struct qf_ownernames *out)
{
	struct qf_chain chain = { 0 };
	uint32_t i;

	memset(out, 0, sizeof(*out));
	out->cluster_bytes = img->geo.cluster_bytes;
	if (img->hdr.crypt_method)
		return;
	gather(p, out);
	if (out->n && !qf_chain_open(img, true, &chain, NULL))
		for (i = 0; i < out->n; i++)
			ask(&chain, &out->state[i]);
	qf_chain_close(&chain);
}

void qf_ownernames_free(struct qf_ownernames *o)
{
	uint32_t i;

	for (i = 0; i < o->n; i++) {
		qf_guest_close(o->state[i].guest);
		qf_guest_names_free(&o->state[i].names);
		free(o->state[i].asked);
		free(o->state[i].reach);
	}
	memset(o, 0, sizeof(*o));
}

/* --- telling --- */

/* A walk over the files in one cluster, each once. */
struct cluster {
	const struct qf_ownernames_state *s; /* NULL: nothing is known */
	uint64_t start, end;
	size_t first, piece;
};

static struct cluster begin(const struct qf_ownernames *n, uint32_t holder,
			    uint64_t off)
{
	struct cluster c = { .start = off & ~(n->cluster_bytes - 1) };
	size_t hi, mid;
	uint32_t i;

	c.end = c.start + n->cluster_bytes;
	for (i = 0; i < n->n && n->state[i].holder != holder; i++)
		;
	if (i == n->n)
		return c;
	c.s = &n->state[i];
	for (hi = c.s->names.pieces; c.first < hi;) {
		mid = c.first + (hi - c.first) / 2;
		if (c.s->reach[mid] <= c.start)
			c.first = mid + 1;
		else
			hi = mid;
	}
	c.piece = c.first;
	return c;
}

static bool reaches(const struct cluster *c, const struct qf_guest_piece *p)
{
	return p->start < c->end && p->start + p->bytes > c->start;
}

/* The same file; or two areas that bear one name. */
static bool is_same(const struct qf_guest_names *n, uint32_t a, uint32_t b)
{
	const struct qf_guest_file *x = &n->file[a], *y = &n->file[b];

	return a == b || (x->kind == QF_GUEST_METADATA && y->kind == x->kind &&
			  x->volume == y->volume && x->path && y->path &&
			  !strcmp(x->path, y->path));
}

/* The next file; NULL: there are no more. */
static const struct qf_guest_file *next_file(struct cluster *c)
{
	const struct qf_guest_piece *p = c->s ? c->s->names.piece : NULL;
	size_t i, k;

	while (p && c->piece < c->s->names.pieces &&
	       p[c->piece].start < c->end) {
		i = c->piece++;
		if (!reaches(c, &p[i]))
			continue;
		for (k = c->first; k < i; k++)
			if (reaches(c, &p[k]) &&
			    is_same(&c->s->names, p[k].file, p[i].file))
				break;
		if (k == i)
			return &c->s->names.file[p[i].file];
	}
	return NULL;
}

static const char *title_of(const struct qf_guest *g, uint32_t volume,
			    char *buf, size_t room)
{
	if (volume >= g->n)
		snprintf(buf, room, "the disk");
	else
		qf_guest_title(g, volume, buf, room);
	return buf;
}

static void print_file(const struct qf_guest *g, const struct qf_guest_file *f)
{
	char path[1200], title[600];

	title_of(g, f->volume, title, sizeof(title));
	if (f->path)
		printf("%s of %s\n", qf_text_safe(f->path, path, sizeof(path)),
		       title);
	else
		printf("inode %" PRIu64 ", without a name, of %s\n", f->id,
		       title);
}

void qf_ownernames_print(const struct qf_ownernames *n, uint32_t holder,
			 uint64_t off, const char *lead)
{
	struct cluster c = begin(n, holder, off);
	const struct qf_guest_file *f;
	size_t told = 0;

	while ((f = next_file(&c))) {
		if (told++ < SHOWN) {
			printf("%s", lead);
			print_file(c.s->guest, f);
		}
	}
	if (told > SHOWN)
		printf("%s... and %zu more\n", lead, told - SHOWN);
}

void qf_ownernames_json(const struct qf_ownernames *n, uint32_t holder,
			uint64_t off, json_t *o)
{
	static const char *const kinds[] = { "file", "directory", "other",
					     "metadata" };
	struct cluster c = begin(n, holder, off);
	const struct qf_guest_file *f;
	json_t *list, *one;
	char title[600];

	if (!c.s || !c.s->guest || !any_fs(c.s->guest))
		return;
	list = json_array();
	while ((f = next_file(&c))) {
		one = json_object();
		qf_json_text(one, "path", f->path);
		qf_json_text(one, "kind", kinds[f->kind]);
		qf_json_text(one, "volume",
			     title_of(c.s->guest, f->volume, title,
				      sizeof(title)));
		if (f->kind != QF_GUEST_METADATA)
			qf_json_int(one, "id", f->id);
		json_array_append_new(list, one);
	}
	json_object_set_new(o, "files", list);
}

void qf_ownernames_troubles(const struct qf_ownernames *n)
{
	const struct qf_guest *g;
	char title[600], why[400];
	uint32_t i, k;

	for (i = 0; i < n->n; i++) {
		g = n->state[i].guest;
		if (g && !g->n && *g->note)
			fprintf(stderr, "qfsck: %s\n",
				qf_text_safe(g->note, why, sizeof(why)));
		for (k = 0; g && k < g->n; k++)
			if (*g->volume[k].trouble)
				fprintf(stderr,
					"qfsck: not all of %s is known: %s\n",
					qf_guest_title(g, k, title,
						       sizeof(title)),
					qf_text_safe(g->volume[k].trouble, why,
						     sizeof(why)));
	}
	if (n->cut)
		fprintf(stderr,
			"qfsck: the files of %u states are named, not those of "
			"all\n",
			QF_OWNERNAMES_STATES);
	if (n->failed)
		fprintf(stderr, "qfsck: no memory to name every file\n");
}
