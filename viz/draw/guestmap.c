// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/guestmap.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/base/text.h"
#include "lib/format/entry.h"
#include "lib/walk/owners.h"
#include "viz/show/map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many runs are kept; of a disk that has more, two clusters are one. */
#define MAX_RUNS (1u << 21)

struct building {
	struct qf_guestmap *g;
	const struct qf_model *m;
};

static void add(struct qf_scene *s, uint64_t from, uint64_t to,
		enum qf_kind kind)
{
	if (s->n >= MAX_RUNS)
		qf_scene_coarsen(s);
	qf_scene_add_bytes(s, from, to, kind, QF_KIND_UNMAPPED);
}

/* Data that the image itself has, by whose the clusters of the file are. */
static void add_own(struct building *b, const struct qf_disk_extent *e)
{
	const struct qf_scene *file = &b->m->scene;
	uint64_t at = e->start, stop = e->start + e->bytes, cluster, end, n;
	uint32_t set;
	enum qf_kind kind, seen;
	const struct qf_scene_range *w;

	for (; at < stop; at += n) {
		uint64_t host = e->host_off + (at - e->start);

		cluster = host >> file->cluster_bits;
		seen = qf_scene_at(file, cluster, &set);
		end = cluster + 1;
		w = qf_scene_wrong_from(file, cluster);
		/* far stretches are alike, if nothing is wrong there */
		if (cluster < file->clusters && (!w || w->first > cluster)) {
			end = qf_scene_end(file, qf_scene_find(file, cluster));
			end = w && w->first < end ? w->first : end;
		}
		n = (end << file->cluster_bits) - host;
		n = n < stop - at ? n : stop - at;
		kind = seen == QF_KIND_DOUBTFUL ? QF_KIND_DOUBTFUL
		       : set < file->n_sets && file->set[set].size > 1
			       ? QF_KIND_SHARED
			       : QF_KIND_OWN;
		add(&b->g->scene, at, at + n, kind);
	}
}

/* Compressed clusters that are claimed by two are doubtful as others are. */
static enum qf_kind compressed_kind(const struct building *b,
				    const struct qf_disk_extent *e)
{
	const struct qf_image *img = b->m->img;
	uint64_t off, bytes;
	uint32_t set;

	if (e->depth)
		return QF_KIND_COMPRESSED;
	qf_entry_compressed(&img->geo, e->entry, &off, &bytes);
	return qf_scene_at(&b->m->scene, off >> img->geo.cluster_bits, &set) ==
			       QF_KIND_DOUBTFUL
		       ? QF_KIND_DOUBTFUL
		       : QF_KIND_COMPRESSED;
}

static enum qf_kind kind_of(const struct building *b,
			    const struct qf_disk_extent *e)
{
	static const enum qf_kind base[] = { QF_KIND_BASE, QF_KIND_BASE2,
					     QF_KIND_BASE3 };

	if (e->lost)
		return QF_KIND_LOST;
	switch (e->kind) {
	case QF_DISK_BAD:
		return QF_KIND_DAMAGED;
	case QF_DISK_NONE:
	case QF_DISK_NONE_ALLOC:
		return QF_KIND_UNMAPPED;
	case QF_DISK_ZERO:
	case QF_DISK_ZERO_ALLOC:
		return QF_KIND_ZERO;
	case QF_DISK_COMPRESSED:
		if (!e->depth)
			return compressed_kind(b, e);
		break;
	case QF_DISK_DATA:
		if (!e->depth)
			return QF_KIND_OWN;
		break;
	}
	return base[e->depth < 3 ? e->depth - 1 : 2];
}

static bool add_extent(void *ctx, const struct qf_disk_extent *e)
{
	struct building *b = ctx;
	enum qf_kind kind = kind_of(b, e);

	if (kind == QF_KIND_OWN && e->host_off != QF_NOWHERE &&
	    !b->m->img->geo.data_file)
		add_own(b, e);
	else
		add(&b->g->scene, e->start, e->start + e->bytes, kind);
	return !b->g->scene.failed && !qf_pool_halted();
}

/* The bits of the smallest stretch that one of the chain's files maps. */
static uint32_t unit_bits(const struct qf_chain *c)
{
	uint32_t bits = 63, i;

	for (i = 0; i < c->n; i++) {
		const struct qf_image *img = c->node[i].img;
		uint32_t own = !img		? 16
			       : img->geo.extl2 ? img->geo.cluster_bits - 5
						: img->geo.cluster_bits;

		bits = own < bits ? own : bits;
	}
	return bits;
}

/* The end of the disk, or of what is lost behind it. */
static uint64_t end_of(const struct qf_guestmap *g, const struct qf_model *m)
{
	const struct qf_lost_list *l = &m->report.lost;
	uint64_t end = g->disk_bytes, to;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].holder == g->holder && !l->at[i].id[0] &&
		    qf_mem_add(l->at[i].guest_off, l->at[i].bytes, &to) &&
		    to > end)
			end = to;
	return end;
}

/* What is lost behind the end that the image states for the disk; without a
 * disk that can be read, all that is lost. */
static void add_behind(struct qf_guestmap *g, const struct qf_model *m,
		       uint64_t from)
{
	const struct qf_lost_list *l = &m->report.lost;
	uint64_t start, to;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->at[i].holder != g->holder || l->at[i].id[0] ||
		    !qf_mem_add(l->at[i].guest_off, l->at[i].bytes, &to) ||
		    to <= from)
			continue;
		start = l->at[i].guest_off > from ? l->at[i].guest_off : from;
		add(&g->scene, start, to, QF_KIND_LOST);
	}
}

static enum qf_err map_disk(struct qf_guestmap *g, const struct qf_model *m,
			    struct qf_why *why)
{
	struct building b = { g, m };
	enum qf_err err = QF_OK;

	qf_scene_init(&g->scene, end_of(g, m), unit_bits(&g->chain), 0);
	if (g->disk)
		err = qf_map_run(g->disk, 0, UINT64_MAX, add_extent, &b, why);
	else
		add(&g->scene, 0, g->disk_bytes, QF_KIND_DAMAGED);
	add_behind(g, m, g->disk ? g->disk_bytes : 0);
	qf_scene_finish(&g->scene, QF_KIND_UNMAPPED);
	g->scene.whole = true;
	if (!err && g->scene.failed)
		err = QF_ERR_NOMEM;
	if (err == QF_ERR_NOMEM)
		qf_err_set(why, err, 0, QF_NOWHERE,
			   "no memory for the guest's disk");
	return err;
}

/* Opens the disk twice, once for each who reads, with what is lost. */
static enum qf_err open_disks(struct qf_guestmap *g, const struct qf_model *m,
			      bool shared, struct qf_why *why)
{
	struct qf_loss loss = { .shared = shared };
	enum qf_err err;

	err = qf_disk_open(&g->chain, g->holder, &g->disk, &g->trouble);
	if (err == QF_ERR_FORMAT)
		return QF_OK; /* there is a trouble, and no disk */
	if (!err)
		err = qf_disk_open(&g->chain, g->holder, &g->read, why);
	if (!err)
		err = qf_loss_know(&loss, m->img, &m->report.lost, why);
	if (!err)
		err = qf_loss_tell(&loss, &g->chain, g->holder, g->disk, why);
	if (!err)
		err = qf_loss_tell(&loss, &g->chain, g->holder, g->read, why);
	qf_loss_free(&loss);
	if (!err)
		g->disk_bytes = qf_disk_bytes(g->disk);
	return err;
}

enum qf_err qf_guestmap_make(const struct qf_model *m, uint32_t holder,
			     bool shared, struct qf_guestmap **out,
			     struct qf_why *why)
{
	struct qf_guestmap *g = qf_mem_zalloc(1, sizeof(*g));
	enum qf_err err = QF_ERR_NOMEM;

	*out = NULL;
	if (!g)
		return qf_err_set(why, err, 0, QF_NOWHERE,
				  "no memory for the guest's disk");
	g->holder = holder;
	g->cluster_bytes = m->img->geo.cluster_bytes;
	g->disk_bytes = m->scene.holder[holder].disk_bytes;
	err = qf_chain_open(m->img, true, &g->chain, why);
	if (!err)
		err = open_disks(g, m, shared, why);
	if (!err)
		err = map_disk(g, m, why);
	if (!err && g->read && !m->img->hdr.crypt_method)
		qf_guest_open(g->read, false, &g->guest, &g->trouble);
	if (qf_pool_halted())
		err = QF_ERR_STOPPED;
	if (err) {
		qf_guestmap_free(g);
		return err;
	}
	*out = g;
	return QF_OK;
}

void qf_guestmap_free(struct qf_guestmap *g)
{
	if (!g)
		return;
	qf_guest_close(g->guest);
	qf_disk_close(g->disk);
	qf_disk_close(g->read);
	qf_chain_close(&g->chain);
	qf_scene_free(&g->scene);
	free(g);
}

uint32_t qf_guestmap_volume(const struct qf_guestmap *g, uint64_t off)
{
	uint32_t found = QF_GUEST_NO_VOLUME, i, k;

	for (i = 0; g->guest && i < g->guest->n; i++) {
		const struct qf_guest_volume *v = &g->guest->volume[i];

		for (k = 0; k < v->segments; k++) {
			const struct qf_guest_segment *s =
				&g->guest->segment[v->segment + k];

			if (s->at == QF_NOWHERE || off < s->at ||
			    off - s->at >= s->bytes / s->columns)
				continue;
			if (found == QF_GUEST_NO_VOLUME ||
			    v->level >= g->guest->volume[found].level)
				found = i;
		}
	}
	return found;
}

/* In which file the bytes of E lie, and where. */
static void describe_place(const struct qf_guestmap *g,
			   const struct qf_disk_extent *e, uint64_t *host,
			   char *buf, size_t room)
{
	const struct qf_chain_node *node = &g->chain.node[e->depth];
	const struct qf_io *io = node->data ? node->data : node->io;
	uint64_t off = e->host_off, bytes;
	char name[160];
	const char *slash;

	buf[0] = '\0';
	if (e->kind == QF_DISK_COMPRESSED && node->img)
		qf_entry_compressed(&node->img->geo, e->entry, &off, &bytes);
	if (off == QF_NOWHERE)
		return;
	if (!e->depth && io == node->io) {
		*host = off;
		snprintf(buf, room, " at 0x%" PRIx64 " of the file", off);
		return;
	}
	slash = strrchr(io->name, '/');
	qf_text_safe(slash ? slash + 1 : io->name, name, sizeof(name));
	snprintf(buf, room, " at 0x%" PRIx64 " of %s", off, name);
}

char *qf_guestmap_describe(const struct qf_guestmap *g, uint64_t off,
			   uint64_t *host, uint64_t *entry, char *buf,
			   size_t room)
{
	const struct qf_kind_look *look;
	struct qf_disk_extent e = { .host_off = QF_NOWHERE };
	uint32_t set;
	char place[220] = "";

	*host = *entry = QF_NOWHERE;
	look = qf_palette_kind(
		qf_scene_at(&g->scene, off >> g->scene.cluster_bits, &set));
	if (!g->disk || off >= g->disk_bytes ||
	    qf_disk_at(g->disk, off, 1, &e, NULL)) {
		snprintf(buf, room, "%s%s", look->title,
			 off >= g->disk_bytes ? " behind the disk's end" : "");
		return buf;
	}
	if (!e.depth)
		*entry = e.pointer_off;
	if (e.data)
		describe_place(g, &e, host, place, sizeof(place));
	snprintf(buf, room, "%s%s%s%s", look->title, place, e.bad ? ": " : "",
		 e.bad ? e.bad : "");
	return buf;
}

static int by_hit(const void *a, const void *b)
{
	const struct qf_guest_file *x = a, *y = b;

	/* files before what only the file system has there */
	if ((x->kind == QF_GUEST_METADATA) != (y->kind == QF_GUEST_METADATA))
		return x->kind == QF_GUEST_METADATA ? 1 : -1;
	return x->hit < y->hit ? 1 : x->hit > y->hit ? -1 : 0;
}

static void name_files(struct qf_guest_names *n, uint64_t at, char *buf,
		       size_t room)
{
	size_t i;

	const struct qf_guest_file *f;
	char name[180], more[40] = "";

	/* the pieces are not looked at after this */
	for (i = 0; at != QF_NOWHERE && i < n->pieces; i++)
		if (at >= n->piece[i].start &&
		    at - n->piece[i].start < n->piece[i].bytes)
			n->file[n->piece[i].file].hit = UINT64_MAX;
	qsort(n->file, n->n, sizeof(*n->file), by_hit);
	f = &n->file[0];
	if (f->path)
		qf_text_safe(f->path, name, sizeof(name));
	else
		snprintf(name, sizeof(name), "inode %" PRIu64, f->id);
	if (n->n > 1 || n->cut)
		snprintf(more, sizeof(more), " and %zu%s more", n->n - 1,
			 n->cut ? " or" : "");
	snprintf(buf, room, "%s%s%s%s", name, f->deleted ? " (deleted)" : "",
		 f->kind == QF_GUEST_DIRECTORY ? " (directory)" : "", more);
}

/* What the file systems say of bytes that no file has. */
static const char *use_of(struct qf_guest *g, const struct qf_guest_range *r)
{
	struct qf_guest_runs runs;
	bool is_free = false, used = false;
	size_t i;

	if (qf_guest_use(g, r, 1, &runs, NULL))
		return "";
	for (i = 0; i < runs.n; i++) {
		is_free |= runs.at[i].use == QF_GUEST_FREE;
		used |= runs.at[i].use == QF_GUEST_USED;
	}
	qf_guest_runs_free(&runs);
	return used	 ? "in use by no file that is known"
	       : is_free ? "free there"
			 : "no file system that is read";
}

char *qf_guestmap_files(struct qf_guestmap *g, uint64_t at, uint64_t from,
			uint64_t to, char *buf, size_t room)
{
	struct qf_guest_names names = { 0 };
	struct qf_guest_range r = { from, 0 };

	buf[0] = '\0';
	to = to < g->disk_bytes ? to : g->disk_bytes;
	if (!g->guest || from >= to)
		return buf;
	r.bytes = to - from;
	if (qf_guest_names(g->guest, &r, 1, &names, NULL))
		return buf;
	if (names.n)
		name_files(&names, at == from ? QF_NOWHERE : at, buf, room);
	else
		snprintf(buf, room, "%s", use_of(g->guest, &r));
	qf_guest_names_free(&names);
	return buf;
}

/* The offset on the disk of the file's first byte that has one. */
static uint64_t first_piece(const struct qf_guest_names *n)
{
	const struct qf_guest_piece *best = NULL;
	size_t i;

	for (i = 0; i < n->pieces; i++)
		if (!best || n->piece[i].file_off < best->file_off)
			best = &n->piece[i];
	return best ? best->start : QF_NOWHERE;
}

uint64_t qf_guestmap_path(struct qf_guestmap *g, const char *path, char *buf,
			  size_t room)
{
	struct qf_guest_names names;
	uint64_t at = QF_NOWHERE;
	uint32_t i;

	snprintf(buf, room,
		 g->guest && g->guest->n
			 ? "no file system of this disk has \"%s\""
			 : "no file system is known on this disk: \"%s\"",
		 path);
	for (i = 0; g->guest && i < g->guest->n && at == QF_NOWHERE; i++) {
		memset(&names, 0, sizeof(names));
		if (!*g->guest->volume[i].fs.kind ||
		    qf_guest_path(g->guest, i, path, &names, NULL))
			continue;
		at = first_piece(&names);
		if (names.n && at == QF_NOWHERE)
			snprintf(buf, room,
				 "\"%s\" has no bytes on the disk of its own",
				 path);
		qf_guest_names_free(&names);
	}
	return at;
}
