// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guest/guest.h"
#include "lib/guest/ask.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for what is on the guest's disk");
}

/* --- the bytes --- */

static bool note_lost(void *ctx, uint64_t start, uint64_t bytes,
		      const char *reason)
{
	struct qf_source_page *p = ctx;
	uint64_t i, first = start % QF_SOURCE_PAGE / 512;

	(void)reason;
	for (i = first;
	     i < first + qf_mem_div_up(bytes, 512) && i < QF_SOURCE_SECTORS;
	     i++)
		p->lost[i / 64] |= 1ull << (i % 64);
	return true;
}

/* Bytes that are lost or in doubt are not there. */
static void blank_lost(struct qf_source_page *p)
{
	unsigned int i;

	for (i = 0; i < QF_SOURCE_SECTORS; i++)
		if (p->lost[i / 64] >> (i % 64) & 1)
			memset(p->bytes + i * 512, 0, 512);
}

/* The page at OFF has the bytes of the patches, which are known. */
static void lay_over(const struct qf_guest *g, uint64_t off,
		     struct qf_source_page *p)
{
	const struct qf_guest_patch *q = g->patch;
	uint64_t from, to, i;
	size_t k;

	for (k = 0; k < g->n_patches; k++, q++) {
		from = q->start > off ? q->start : off;
		to = q->start + q->bytes < off + QF_SOURCE_PAGE
			     ? q->start + q->bytes
			     : off + QF_SOURCE_PAGE;
		if (from >= to)
			continue;
		memcpy(p->bytes + (from - off), q->data + (from - q->start),
		       to - from);
		for (i = (from - off) / 512; i < (to - off) / 512; i++)
			p->lost[i / 64] &= ~(1ull << (i % 64));
	}
}

static bool fetch(void *ctx, uint64_t off, struct qf_source_page *p)
{
	struct qf_guest *g = ctx;
	uint64_t n = qf_disk_bytes(g->disk) - off;
	enum qf_err err;

	memset(p, 0, sizeof(*p));
	if (n > QF_SOURCE_PAGE)
		n = QF_SOURCE_PAGE;
	qf_disk_tell_doubts(g->disk, note_lost, p);
	err = qf_disk_read(g->disk, p->bytes, n, off, note_lost, p, NULL);
	qf_disk_tell_doubts(g->disk, NULL, NULL);
	if (err == QF_ERR_UNSUPPORTED) { /* encrypted, and without a key */
		memset(p->bytes, 0, sizeof(p->bytes));
		memset(p->lost, 0xff, sizeof(p->lost));
		g->encrypted = true;
		return true;
	}
	blank_lost(p);
	lay_over(g, off, p);
	return !err;
}

/* --- one question --- */

struct qf_volume qf_ask_volume(const struct qf_guest *g, uint32_t volume)
{
	const struct qf_guest_volume *v = &g->volume[volume];

	return (struct qf_volume){ .seg = g->segment + v->segment,
				   .n_seg = v->segments,
				   .bytes = v->bytes };
}

enum qf_err qf_ask(struct qf_guest *g, struct qf_job *j, qf_ask_take *take,
		   void *ctx, struct qf_why *why)
{
	const struct qf_sandbox s = {
		.work = qf_job_work,
		.work_ctx = j,
		.disk_bytes = qf_disk_bytes(g->disk),
		.fetch = fetch,
		.fetch_ctx = g,
		.take = take,
		.take_ctx = ctx,
		.uncaged = g->uncaged,
	};

	return qf_sandbox_run(&s, why);
}

/* --- the volumes --- */

/* What a child tells is no more to be trusted than the guest is. */
#define END_TEXT(t) ((t)[sizeof(t) - 1] = '\0')

struct listing {
	struct qf_guest *g;
	bool no_memory;
};

static bool take_table(struct qf_guest *g, const struct qf_record_table *t)
{
	memcpy(g->table, t->table, sizeof(g->table));
	memcpy(g->note, t->note, sizeof(g->note));
	END_TEXT(g->table);
	END_TEXT(g->note);
	g->cut = t->cut;
	return true;
}

static bool take_volume(struct listing *l, const struct qf_guest_volume *told)
{
	struct qf_guest *g = l->g;
	struct qf_guest_volume *v;

	if (g->n == QF_PARTITIONS_MAX)
		return false;
	if (!qf_mem_grow((void **)&g->volume, g->n, &g->room,
			 sizeof(*g->volume))) {
		l->no_memory = true;
		return false;
	}
	v = &g->volume[g->n++];
	*v = (struct qf_guest_volume){ .level = told->level,
				       .number = told->number,
				       .start = told->start,
				       .bytes = told->bytes,
				       .segment = g->n_segments,
				       .reader = QF_GUEST_NO_READER };
	memcpy(v->name, told->name, sizeof(v->name));
	memcpy(v->type, told->type, sizeof(v->type));
	memcpy(v->note, told->note, sizeof(v->note));
	END_TEXT(v->name);
	END_TEXT(v->type);
	END_TEXT(v->note);
	return v->level <= QF_GUEST_LOGICAL;
}

/* A piece within the disk and behind the last one. */
static bool segment_fits(const struct qf_guest *g,
			 const struct qf_guest_segment *s)
{
	uint64_t disk = qf_disk_bytes(g->disk), own;
	const struct qf_guest_volume *v = &g->volume[g->n - 1];
	const struct qf_guest_segment *last =
		v->segments ? &g->segment[g->n_segments - 1] : NULL;

	if (!s->bytes || s->start > INT64_MAX - s->bytes || !s->columns ||
	    s->column >= s->columns || s->columns > 1024 ||
	    s->bytes % s->columns || (s->columns > 1 && !s->stripe_bytes))
		return false;
	own = s->bytes / s->columns;
	if (s->at != QF_NOWHERE && (s->at > disk || own > disk - s->at))
		return false;
	if (!last)
		return !s->column && !s->start;
	if (s->column)
		return s->column == last->column + 1 &&
		       s->columns == last->columns && s->start == last->start &&
		       s->bytes == last->bytes &&
		       s->stripe_bytes == last->stripe_bytes;
	return last->column + 1 == last->columns &&
	       s->start == last->start + last->bytes;
}

static bool take_segment(struct listing *l, const struct qf_guest_segment *s)
{
	struct qf_guest *g = l->g;

	if (!g->n || g->n_segments == QF_PARTITIONS_SEGMENTS)
		return false;
	if (!segment_fits(g, s)) {
		snprintf(g->volume[g->n - 1].note, sizeof(g->volume->note),
			 "it reaches past the end of the disk");
		return true;
	}
	if (!qf_mem_grow((void **)&g->segment, g->n_segments, &g->segment_room,
			 sizeof(*g->segment))) {
		l->no_memory = true;
		return false;
	}
	g->segment[g->n_segments++] = *s;
	g->volume[g->n - 1].segments++;
	return true;
}

static bool take_area(struct listing *l, const struct qf_guest_area *told)
{
	struct qf_guest *g = l->g;
	struct qf_guest_area *a;
	uint64_t disk = qf_disk_bytes(g->disk);

	if (g->n_areas == QF_PARTITIONS_MAX * 2 || told->start > disk ||
	    told->bytes > disk - told->start)
		return false;
	if (!qf_mem_grow((void **)&g->area, g->n_areas, &g->area_room,
			 sizeof(*g->area))) {
		l->no_memory = true;
		return false;
	}
	a = &g->area[g->n_areas++];
	*a = *told;
	END_TEXT(a->name);
	return true;
}

static bool take_table_block(struct listing *l,
			     const struct qf_guest_block *told)
{
	struct qf_guest *g = l->g;
	uint64_t disk = qf_disk_bytes(g->disk);
	struct qf_guest_block *b;

	if (g->n_blocks == 4 || told->start > disk ||
	    told->bytes > disk - told->start ||
	    told->bond > QF_GUEST_BY_PARENT || told->state > QF_GUEST_UNREAD)
		return false;
	if (!qf_mem_grow((void **)&g->block, g->n_blocks, &g->block_room,
			 sizeof(*g->block))) {
		l->no_memory = true;
		return false;
	}
	b = &g->block[g->n_blocks++];
	*b = *told;
	END_TEXT(b->what);
	return true;
}

static bool take_listing(void *ctx, uint32_t type, const void *record,
			 uint32_t n)
{
	struct listing *l = ctx;

	if (type == QF_RECORD_TABLE && n == sizeof(struct qf_record_table))
		return take_table(l->g, record);
	if (type == QF_RECORD_VOLUME && n == sizeof(struct qf_guest_volume))
		return take_volume(l, record);
	if (type == QF_RECORD_SEGMENT && n == sizeof(struct qf_guest_segment))
		return take_segment(l, record);
	if (type == QF_RECORD_BLOCK && n == sizeof(struct qf_guest_block))
		return take_table_block(l, record);
	return type == QF_RECORD_AREA && n == sizeof(struct qf_guest_area) &&
	       take_area(l, record);
}

/* A volume's end may be told and not be there: the last columns of a piece
 * that is not whole are no use. */
static void trim_segments(struct qf_guest *g)
{
	const struct qf_guest_segment *last;
	struct qf_guest_volume *v;
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		v = &g->volume[i];
		while (v->segments) {
			last = &g->segment[v->segment + v->segments - 1];
			if (last->column + 1 == last->columns)
				break;
			v->segments--;
		}
	}
}

static bool take_fs(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	struct qf_guest_volume *v = ctx;
	const struct qf_record_fs *r = record;

	if (type != QF_RECORD_FS || n != sizeof(*r) ||
	    r->reader >= qf_reader_count)
		return false;
	v->fs = r->fs;
	v->reader = r->reader;
	END_TEXT(v->fs.kind);
	END_TEXT(v->fs.label);
	END_TEXT(v->fs.uuid);
	END_TEXT(v->fs.note);
	return true;
}

void qf_ask_outcome(struct qf_guest *g, uint32_t volume, enum qf_err err,
		    const struct qf_why *why)
{
	struct qf_guest_volume *v = &g->volume[volume];

	if (err && err != QF_ERR_STOPPED)
		snprintf(v->trouble, sizeof(v->trouble), "%.150s", why->text);
}

static enum qf_err list_volumes(struct qf_guest *g, struct qf_why *why)
{
	const struct qf_guest_segment whole = { .bytes = qf_disk_bytes(g->disk),
						.columns = 1 };
	struct qf_job j = {
		.op = QF_JOB_VOLUMES,
		.vol = { .seg = &whole, .n_seg = 1, .bytes = whole.bytes }
	};
	struct listing l = { .g = g };
	struct qf_why reason = { 0 };
	enum qf_err err;

	err = qf_ask(g, &j, take_listing, &l, &reason);
	if (l.no_memory)
		return no_memory(why);
	if (err)
		snprintf(g->note, sizeof(g->note),
			 "the volumes are not known: %.120s", reason.text);
	trim_segments(g);
	return QF_OK;
}

static void probe_volumes(struct qf_guest *g)
{
	struct qf_why why = { 0 };
	struct qf_job j;
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		if (!g->volume[i].segments)
			continue;
		j = (struct qf_job){ .op = QF_JOB_PROBE,
				     .vol = qf_ask_volume(g, i) };
		qf_ask_outcome(g, i,
			       qf_ask(g, &j, take_fs, &g->volume[i], &why),
			       &why);
	}
}

bool qf_ask_table(const struct qf_guest *g, const struct qf_guest_range *asked,
		  size_t n, qf_guest_see *see, void *ctx)
{
	const struct qf_guest_block *b;
	uint32_t i;
	size_t k;

	for (i = 0; i < g->n_blocks; i++) {
		b = &g->block[i];
		for (k = 0; k < n; k++)
			if (b->start < asked[k].start + asked[k].bytes &&
			    asked[k].start < b->start + b->bytes)
				break;
		if (k < n && !see(ctx, QF_GUEST_NO_VOLUME, b))
			return false;
	}
	return true;
}

static enum qf_err open_guest(struct qf_disk *disk, bool uncaged,
			      const struct qf_guest_patch *patch, size_t n,
			      struct qf_guest **out, struct qf_why *why)
{
	struct qf_guest *g = qf_mem_zalloc(1, sizeof(*g));
	enum qf_err err;

	if (!g)
		return no_memory(why);
	g->disk = disk;
	g->uncaged = uncaged;
	qf_guest_lay(g, patch, n);
	err = list_volumes(g, why);
	if (err) {
		qf_guest_close(g);
		return err;
	}
	probe_volumes(g);
	if (g->encrypted)
		snprintf(g->note, sizeof(g->note),
			 "the image is encrypted: what is on the disk cannot "
			 "be known");
	*out = g;
	return QF_OK;
}

enum qf_err qf_guest_open(struct qf_disk *disk, bool uncaged,
			  struct qf_guest **out, struct qf_why *why)
{
	return open_guest(disk, uncaged, NULL, 0, out, why);
}

enum qf_err qf_guest_open_laid(struct qf_disk *disk,
			       const struct qf_guest_patch *patch, size_t n,
			       struct qf_guest **out, struct qf_why *why)
{
	return open_guest(disk, false, patch, n, out, why);
}

void qf_guest_close(struct qf_guest *g)
{
	if (!g)
		return;
	free(g->volume);
	free(g->segment);
	free(g->area);
	free(g->block);
	free(g);
}

void qf_guest_lay(struct qf_guest *g, const struct qf_guest_patch *patch,
		  size_t n)
{
	g->patch = patch;
	g->n_patches = n;
}

char *qf_guest_name(const struct qf_guest *g, uint32_t volume, char *buf,
		    size_t room)
{
	const struct qf_guest_volume *v = &g->volume[volume];

	if (v->level == QF_GUEST_WHOLE)
		snprintf(buf, room, "the whole disk");
	else if (v->level == QF_GUEST_PARTITION)
		snprintf(buf, room, "partition %u", (unsigned int)v->number);
	else
		qf_text_safe(v->name, buf, room);
	return buf;
}

char *qf_guest_title(const struct qf_guest *g, uint32_t volume, char *buf,
		     size_t room)
{
	const struct qf_guest_volume *v = &g->volume[volume];
	char name[300], what[120], label[160];

	qf_guest_name(g, volume, name, sizeof(name));
	snprintf(what, sizeof(what), "%s",
		 *v->fs.kind ? v->fs.kind : "nothing that is known");
	if (*v->fs.label)
		snprintf(buf, room, "%s (%s \"%s\")", name, what,
			 qf_text_safe(v->fs.label, label, sizeof(label)));
	else
		snprintf(buf, room, "%s (%s)", name, what);
	return buf;
}
