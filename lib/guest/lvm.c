// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * LVM2: labels of physical volumes, and the text metadata behind them
 * (lvm2, lib/format_text). Linear and striped volumes are followed; of
 * others there are the name and the kind.
 */
#include "lib/guest/le.h"
#include "lib/guest/partitions.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SECTOR 512u
#define CRC_START 0xf597a6cfu
#define MAX_TEXT (4u << 20)
#define MAX_PVS 64
#define MAX_COLUMNS 128
#define MAX_DEPTH 8
#define MAX_NAME 130

/* A physical volume of this disk. */
struct pv {
	char id[33];	/* its UUID, without the dashes */
	uint64_t start; /* on the disk */
	uint64_t mda, mda_bytes;
};

/* What the text says of the physical volumes of its group. */
struct named_pv {
	char name[MAX_NAME];
	uint64_t pe_start;   /* in bytes */
	const struct pv *pv; /* NULL: not on this disk */
};

struct piece {
	uint64_t first, extents, stripe_bytes;
	uint64_t columns;
	struct {
		uint32_t pv; /* its place among the named; MAX_PVS: none */
		uint64_t first;
	} column[MAX_COLUMNS];
	uint32_t n;
	char type[32];
};

struct group {
	struct qf_partitions *p;
	const struct pv *pv;
	uint32_t n_pv;
	char name[MAX_NAME];
	uint64_t extent_bytes;
	struct named_pv named[MAX_PVS];
	uint32_t n_named;
	/* where the parser stands */
	char path[MAX_DEPTH][MAX_NAME];
	int depth;
	/* the logical volume that is being read */
	struct qf_guest_volume *lv;
	bool visible;
	uint64_t lv_extents;
	struct piece piece;
};

static uint32_t crc(const void *buf, size_t n)
{
	return ~(uint32_t)crc32(~CRC_START, buf, (uInt)n);
}

/* --- labels --- */

static bool parse_label(const unsigned char *s, uint64_t sector, struct pv *pv)
{
	uint32_t at = qf_le_get32(s, 20);
	int list;

	if (memcmp(s, "LABELONE", 8) || memcmp(s + 24, "LVM2 001", 8) ||
	    qf_le_get64(s, 8) != sector ||
	    crc(s + 20, SECTOR - 20) != qf_le_get32(s, 16) || at > SECTOR - 56)
		return false;
	memcpy(pv->id, s + at, 32);
	/* two lists of places, each ended by zeros: data, metadata */
	for (list = 0, at += 40; at <= SECTOR - 16; at += 16) {
		if (!qf_le_get64(s, at)) {
			if (list++)
				return false;
		} else if (list) {
			pv->mda = qf_le_get64(s, at);
			pv->mda_bytes = qf_le_get64(s, at + 8);
			return true;
		}
	}
	return false;
}

static bool find_label(struct qf_partitions *p, uint64_t start, struct pv *pv)
{
	unsigned char s[4 * SECTOR];
	uint64_t i;

	qf_volume_read(&p->j->vol, s, sizeof(s), start);
	memset(pv, 0, sizeof(*pv));
	pv->start = start;
	for (i = 0; i < 4; i++)
		if (parse_label(s + i * SECTOR, i, pv))
			return true;
	return false;
}

/* The present text of the ring; owned by the caller. NULL: none is whole. */
static char *read_text(struct qf_partitions *p, const struct pv *pv)
{
	unsigned char h[SECTOR];
	uint64_t at, n, head;
	char *text;

	if (pv->mda_bytes <= SECTOR || pv->mda > p->j->vol.bytes ||
	    !qf_volume_read(&p->j->vol, h, SECTOR, pv->start + pv->mda) ||
	    crc(h + 4, SECTOR - 4) != qf_le_get32(h, 0) ||
	    memcmp(h + 4, " LVM2 x[5A%r0N*>", 16))
		return NULL;
	at = qf_le_get64(h, 40);
	n = qf_le_get64(h, 48);
	if (at < SECTOR || at >= pv->mda_bytes || n > MAX_TEXT ||
	    n > pv->mda_bytes - SECTOR)
		return NULL;
	text = qf_mem_zalloc(1, n + 1);
	if (!text)
		return NULL;
	head = n > pv->mda_bytes - at ? pv->mda_bytes - at : n;
	if (qf_volume_read(&p->j->vol, text, head, pv->start + pv->mda + at) &&
	    qf_volume_read(&p->j->vol, text + head, n - head,
			   pv->start + pv->mda + SECTOR) &&
	    crc(text, n) == qf_le_get32(h, 56))
		return text;
	free(text);
	return NULL;
}

/* --- the text --- */

static bool in(const struct group *g, int depth, const char *name)
{
	return g->depth == depth && !strcmp(g->path[1], name);
}

static void begin_section(struct group *g)
{
	struct qf_guest_volume *v;
	struct named_pv *pv;

	if (in(g, 3, "physical_volumes") && g->n_named < MAX_PVS) {
		pv = &g->named[g->n_named++];
		memset(pv, 0, sizeof(*pv));
		snprintf(pv->name, sizeof(pv->name), "%s", g->path[2]);
	} else if (in(g, 3, "logical_volumes")) {
		v = qf_partitions_add(g->p);
		g->lv = v;
		g->visible = false;
		g->lv_extents = 0;
		if (!v)
			return;
		v->level = QF_GUEST_LOGICAL;
		snprintf(v->name, sizeof(v->name), "%s/%s", g->name,
			 g->path[2]);
		snprintf(v->type, sizeof(v->type), "linear");
	} else if (in(g, 4, "logical_volumes")) {
		memset(&g->piece, 0, sizeof(g->piece));
	}
}

/* The columns of a striped piece become segments. */
static void add_piece(struct group *g)
{
	struct piece *x = &g->piece;
	struct qf_guest_segment s = { .columns = (uint32_t)x->columns,
				      .stripe_bytes = x->stripe_bytes };
	const struct named_pv *pv;
	uint64_t at;

	if (!qf_mem_mul(x->first, g->extent_bytes, &s.start) ||
	    !qf_mem_mul(x->extents, g->extent_bytes, &s.bytes))
		return;
	for (; s.column < s.columns; s.column++) {
		pv = &g->named[x->column[s.column].pv];
		s.at = QF_NOWHERE;
		if (pv->pv &&
		    qf_mem_mul(x->column[s.column].first, g->extent_bytes,
			       &at) &&
		    at < INT64_MAX && pv->pe_start < INT64_MAX)
			s.at = pv->pv->start + pv->pe_start + at;
		qf_partitions_segment(g->p, &s);
		if (!g->lv->start)
			g->lv->start = s.at;
	}
}

static void end_piece(struct group *g)
{
	struct piece *x = &g->piece;
	bool whole = x->n == x->columns && x->columns;
	uint32_t i;

	if (!g->lv)
		return;
	if (x->columns > 1)
		snprintf(g->lv->type, sizeof(g->lv->type), "striped");
	for (i = 0; i < x->n; i++)
		whole = whole && x->column[i].pv < g->n_named;
	if (strcmp(x->type, "striped"))
		snprintf(g->lv->type, sizeof(g->lv->type), "%s", x->type);
	else if (whole && x->extents && x->first == g->lv_extents &&
		 (x->columns == 1 || (x->stripe_bytes >= SECTOR &&
				      g->extent_bytes % x->stripe_bytes == 0 &&
				      x->extents % x->columns == 0)))
		add_piece(g);
	else
		snprintf(g->lv->note, sizeof(g->lv->note),
			 "a part of it cannot be followed");
	if (!qf_mem_add(x->first, x->extents, &g->lv_extents))
		g->lv_extents = 0;
}

static void end_section(struct group *g)
{
	if (in(g, 4, "logical_volumes")) {
		end_piece(g);
	} else if (in(g, 3, "logical_volumes") && g->lv) {
		if (!qf_mem_mul(g->lv_extents, g->extent_bytes, &g->lv->bytes))
			g->lv->bytes = 0;
		if (!g->lv->segments)
			snprintf(g->lv->note, sizeof(g->lv->note),
				 "volumes of this type are not followed");
		if (!g->visible) { /* a part of another one */
			g->p->segments = g->lv->segment;
			g->p->n--;
		}
		g->lv = NULL;
	}
}

static void set_pv(struct group *g, const char *key, const char *text,
		   uint64_t number)
{
	struct named_pv *pv = &g->named[g->n_named - 1];
	char id[33];
	uint32_t i;
	size_t n = 0;

	if (!strcmp(key, "pe_start") && number < INT64_MAX / SECTOR)
		pv->pe_start = number * SECTOR;
	if (strcmp(key, "id"))
		return;
	for (; *text && n < 32; text++)
		if (*text != '-')
			id[n++] = *text;
	id[n] = '\0';
	for (i = 0; i < g->n_pv; i++)
		if (!strcmp(g->pv[i].id, id))
			pv->pv = &g->pv[i];
}

static void set_piece(struct group *g, const char *key, const char *text,
		      uint64_t number)
{
	struct piece *x = &g->piece;

	if (!strcmp(key, "start_extent"))
		x->first = number;
	else if (!strcmp(key, "extent_count"))
		x->extents = number;
	else if (!strcmp(key, "stripe_count"))
		x->columns = number <= MAX_COLUMNS ? number : 0;
	else if (!strcmp(key, "stripe_size") && number <= UINT32_MAX)
		x->stripe_bytes = number * SECTOR;
	else if (!strcmp(key, "type"))
		snprintf(x->type, sizeof(x->type), "%s", text);
}

/* KEY = value; a number has no TEXT, of a list this is called for each. */
static void set(struct group *g, const char *key, const char *text,
		uint64_t number, int nth)
{
	struct piece *x = &g->piece;
	uint32_t i;

	if (g->depth == 1 && !strcmp(key, "extent_size") &&
	    number <= UINT32_MAX) {
		g->extent_bytes = number * SECTOR;
	} else if (in(g, 3, "physical_volumes") && g->n_named) {
		set_pv(g, key, text, number);
	} else if (in(g, 3, "logical_volumes")) {
		if (!strcmp(key, "status") && !strcmp(text, "VISIBLE"))
			g->visible = true;
	} else if (in(g, 4, "logical_volumes")) {
		if (strcmp(key, "stripes")) {
			set_piece(g, key, text, number);
		} else if (!(nth % 2) && x->n < MAX_COLUMNS) {
			for (i = 0; i < g->n_named; i++)
				if (!strcmp(g->named[i].name, text))
					break;
			x->column[x->n++].pv = i;
		} else if (x->n) {
			x->column[x->n - 1].first = number;
		}
	}
}

/* Skips space and comments. */
static const char *skip(const char *s)
{
	for (;;) {
		s += strspn(s, " \t\r\n,");
		if (*s != '#')
			return s;
		s += strcspn(s, "\n");
	}
}

/* One value at S; what is behind it. */
static const char *read_value(struct group *g, const char *key, const char *s,
			      int nth)
{
	char text[MAX_NAME] = "";
	size_t n;
	char *end;
	uint64_t number;

	if (*s == '"') {
		n = strcspn(++s, "\"");
		snprintf(text, sizeof(text), "%.*s", (int)n, s);
		set(g, key, text, 0, nth);
		return s + n + (s[n] == '"');
	}
	number = strtoull(s, &end, 10);
	set(g, key, text, number, nth);
	return end > s ? end : s + 1;
}

static const char *read_values(struct group *g, const char *key, const char *s)
{
	int nth;

	if (*s != '[')
		return read_value(g, key, s, 0);
	s = skip(s + 1);
	for (nth = 0; *s && *s != ']'; nth++)
		s = skip(read_value(g, key, s, nth));
	return s + (*s == ']');
}

/* False if the text is not of the kind that is known. */
static bool parse_text(struct group *g, const char *s)
{
	char key[MAX_NAME];
	size_t n;

	for (s = skip(s); *s; s = skip(s)) {
		if (*s == '}') {
			if (!g->depth)
				return false;
			end_section(g);
			g->depth--;
			s++;
			continue;
		}
		n = strcspn(s, " \t\r\n={}");
		if (!n)
			return false;
		snprintf(key, sizeof(key), "%.*s", (int)n, s);
		s = skip(s + n);
		if (*s == '=') {
			s = read_values(g, key, skip(s + 1));
		} else if (*s == '{' && g->depth < MAX_DEPTH) {
			if (!g->depth)
				snprintf(g->name, sizeof(g->name), "%s", key);
			snprintf(g->path[g->depth++], MAX_NAME, "%s", key);
			begin_section(g);
			s++;
		} else {
			return false;
		}
	}
	return !g->depth;
}

void qf_lvm_find(struct qf_partitions *p)
{
	struct group *g = qf_mem_zalloc(1, sizeof(*g));
	struct pv *pv = qf_mem_zalloc(MAX_PVS, sizeof(*pv));
	char done[MAX_PVS][MAX_NAME];
	uint32_t i, k, volumes = p->n, n = 0, n_done = 0;
	char *text;

	for (i = 0; g && pv && i < volumes && n < MAX_PVS; i++)
		if (find_label(p, p->volume[i].start, &pv[n]))
			n++;
	for (i = 0; i < n; i++) {
		text = read_text(p, &pv[i]);
		for (k = 0; text && k < n_done; k++)
			if (!strncmp(done[k], text, strcspn(text, " {")))
				break;
		if (!text ||
		    k < n_done) { /* none, or of a group that is done */
			free(text);
			continue;
		}
		memset(g, 0, sizeof(*g));
		g->p = p;
		g->pv = pv;
		g->n_pv = n;
		parse_text(g, text);
		memcpy(done[n_done++], g->name, MAX_NAME);
		free(text);
	}
	p->no_memory |= !g || !pv;
	free(g);
	free(pv);
}
