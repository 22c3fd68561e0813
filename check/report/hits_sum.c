// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/hits.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name of an area without the group that it is of. */
static void kind_of(const char *path, char *buf, size_t room)
{
	static const char *const tails[] = { " of group ", " in group " };
	const char *end = NULL;
	size_t i;

	for (i = 0; i < 2 && path && !end; i++)
		end = strstr(path, tails[i]);
	snprintf(buf, room, "%.*s",
		 end ? (int)(end - path) : (int)strlen(path ? path : ""),
		 path ? path : "");
}

static bool add_area(struct qf_hit_sum *out, const struct qf_guest_file *f,
		     uint64_t bytes)
{
	struct qf_hit_area *a;
	char name[48];
	size_t i;

	kind_of(f->path, name, sizeof(name));
	for (i = 0; i < out->n_areas; i++)
		if (!strcmp(out->area[i].name, name))
			break;
	if (i == out->n_areas) {
		if (!qf_mem_grow((void **)&out->area, i, &out->area_room,
				 sizeof(*out->area)))
			return false;
		out->area[i] = (struct qf_hit_area){ 0 };
		memcpy(out->area[i].name, name, sizeof(name));
		out->n_areas++;
	}
	a = &out->area[i];
	a->bytes += bytes;
	a->places++;
	return true;
}

static bool add_file(struct qf_hit_sum *out, const struct qf_guest_file *f,
		     uint64_t bytes)
{
	if (f->kind == QF_GUEST_METADATA)
		return add_area(out, f, bytes);
	if (!qf_mem_grow((void **)&out->file, out->n, &out->file_room,
			 sizeof(*out->file)))
		return false;
	out->file[out->n++] = (struct qf_hit_file){ f, bytes };
	return true;
}

static int by_bytes(const void *pa, const void *pb)
{
	const struct qf_hit_file *a = pa, *b = pb;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (!a->file->path || !b->file->path)
		return (a->file->path == NULL) - (b->file->path == NULL);
	return strcmp(a->file->path, b->file->path);
}

static int by_area_bytes(const void *pa, const void *pb)
{
	const struct qf_hit_area *a = pa, *b = pb;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return strcmp(a->name, b->name);
}

/* Bytes of files, in the order of the files once they are sorted. */
struct shares {
	struct share {
		uint32_t file;
		uint64_t bytes;
	} * at; /* owned */
	size_t n, room;
};

static int by_file(const void *pa, const void *pb)
{
	const struct share *a = pa, *b = pb;

	return a->file < b->file ? -1 : a->file > b->file;
}

/* Adds what the pieces of HIT are. */
static bool add_pieces(const struct qf_hit_state *s, const struct qf_hit *hit,
		       struct shares *l, struct qf_hit_sum *out)
{
	const struct qf_guest_piece *p;
	const struct qf_guest_file *f;
	uint64_t seen = 0, end, from; /* files' bytes up to SEEN are counted */
	size_t i;

	for (i = hit->piece; i < hit->piece + hit->n_pieces; i++) {
		p = &s->names.piece[i];
		f = &s->names.file[p->file];
		if (f->volume != hit->volume && f->volume != QF_GUEST_NO_VOLUME)
			continue;
		if (!qf_mem_grow((void **)&l->at, l->n, &l->room,
				 sizeof(*l->at)))
			return false;
		l->at[l->n++] = (struct share){ p->file, p->bytes };
		end = p->start + p->bytes;
		from = p->start > seen ? p->start : seen;
		if (f->kind == QF_GUEST_METADATA || from >= end)
			continue;
		out->file_bytes += end - from;
		seen = end;
	}
	return true;
}

static bool add_shares(const struct qf_hit_state *s, struct shares *l,
		       struct qf_hit_sum *out)
{
	uint64_t bytes = 0;
	size_t i;

	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), by_file);
	for (i = 0; i < l->n; i++) {
		bytes += l->at[i].bytes;
		if (i + 1 < l->n && l->at[i + 1].file == l->at[i].file)
			continue;
		if (!add_file(out, &s->names.file[l->at[i].file], bytes))
			return false;
		bytes = 0;
	}
	return true;
}

bool qf_hits_sum(const struct qf_hits *h, size_t first, size_t n,
		 uint32_t volume, struct qf_hit_sum *out)
{
	const struct qf_hit *hit = h->at + first;
	const struct qf_hit_state *s = &h->state[hit->state];
	struct shares l = { 0 };
	bool good = true;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; good && i < n; i++, hit++) {
		if (hit->volume != volume)
			continue;
		good = add_pieces(s, hit, &l, out);
		out->free_bytes += hit->free_bytes;
		out->unknown += hit->unknown;
		out->unnamed += hit->unnamed;
	}
	good = good && add_shares(s, &l, out);
	free(l.at);
	if (out->n)
		qsort(out->file, out->n, sizeof(*out->file), by_bytes);
	if (out->n_areas)
		qsort(out->area, out->n_areas, sizeof(*out->area),
		      by_area_bytes);
	return good;
}

void qf_hits_sum_free(struct qf_hit_sum *s)
{
	free(s->file);
	free(s->area);
	memset(s, 0, sizeof(*s));
}
