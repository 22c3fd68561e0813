// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/draw/model_parts.h"
#include "viz/show/unowned.h"
#include "lib/model/open.h"
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *safe_copy(const char *s)
{
	size_t room = strlen(s) * 4 + 8;
	char *out = malloc(room);

	return out ? qf_text_safe(s, out, room) : NULL;
}

static void name_holders(struct qf_scene *s, const struct qf_image *img)
{
	const struct qf_snapshot *snap;
	struct qf_scene_holder *h;
	uint32_t i;

	for (i = 0; i < s->n_holders; i++) {
		h = &s->holder[i];
		snap = i ? &img->snapshots.snap[i - 1] : NULL;
		h->id = safe_copy(!snap	      ? "active"
				  : *snap->id ? snap->id
					      : "?");
		h->name = safe_copy(snap ? snap->name : "");
		h->disk_bytes = snap ? snap->disk_bytes : img->hdr.disk_bytes;
		h->vm_state_bytes = snap ? snap->vm_state_bytes : 0;
		h->date_sec = snap ? snap->date_sec : 0;
		s->failed |= !h->id || !h->name;
	}
}

static struct qf_model *new_model(struct qf_image *img)
{
	struct qf_model *m = qf_mem_zalloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->img = img;
	qf_scene_init(&m->scene, img->io->size, img->geo.cluster_bits,
		      qf_image_holders(img));
	if (!m->scene.failed)
		name_holders(&m->scene, img);
	return m;
}

void qf_model_free(struct qf_model *m)
{
	if (!m)
		return;
	qf_scene_free(&m->scene);
	qf_du_free(&m->du);
	qf_owners_free(m->owners);
	qf_walk_free(&m->walk);
	qf_check_free(&m->report);
	free(m);
}

/* A piece of metadata that the header leads to. */
struct piece {
	uint64_t first, n;
	enum qf_kind kind;
	uint32_t set;
};

struct pieces {
	const struct qf_image *img;
	struct piece *at;
	size_t n, room;
	bool failed;
};

static void add_piece(struct pieces *p, uint64_t off, uint64_t bytes,
		      enum qf_kind kind, uint32_t set)
{
	uint32_t bits = p->img->geo.cluster_bits;
	uint64_t end;

	if (!bytes || off >= p->img->io->size || !qf_mem_add(off, bytes, &end))
		return;
	if (!qf_mem_grow((void **)&p->at, p->n, &p->room, sizeof(*p->at))) {
		p->failed = true;
		return;
	}
	p->at[p->n++] = (struct piece){ off >> bits,
					((end - 1) >> bits) - (off >> bits) + 1,
					kind, set };
}

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static void gather_pieces(struct pieces *p, struct qf_scene *s)
{
	const struct qf_image *img = p->img;
	struct qf_scene_span one = { 0, 1 };
	uint32_t entries;
	uint64_t i, off;

	add_piece(p, 0, img->geo.cluster_bytes, QF_KIND_HEADER, 0);
	for (one.first = 0; one.first < s->n_holders; one.first++)
		if (qf_image_l1(img, one.first, &off, &entries))
			add_piece(p, off, (uint64_t)entries * 8, QF_KIND_L1,
				  qf_scene_add_set(s, &one, 1));
	add_piece(p, img->hdr.reftable_off,
		  (uint64_t)img->hdr.reftable_clusters << img->geo.cluster_bits,
		  QF_KIND_REFTABLE, 0);
	for (i = 0; i < img->reftable_entries; i++) {
		off = qf_image_refblock(img, i);
		if (off)
			add_piece(p, off, img->geo.cluster_bytes,
				  QF_KIND_REFBLOCK, 0);
	}
	add_piece(p, img->snapshots.off, img->snapshots.bytes,
		  QF_KIND_SNAPTABLE, 0);
	add_piece(p, img->bitmaps.off, img->bitmaps.bytes, QF_KIND_BITMAP, 0);
	if (img->ext.has_crypto)
		add_piece(p, img->ext.crypto_off, img->ext.crypto_bytes,
			  QF_KIND_CRYPTO, 0);
}

struct qf_model *qf_model_first(struct qf_image *img)
{
	struct qf_model *m = new_model(img);
	struct pieces p = { .img = img };
	size_t i;

	if (!m)
		return NULL;
	gather_pieces(&p, &m->scene);
	if (p.n)
		qsort(p.at, p.n, sizeof(*p.at), by_place);
	for (i = 0; i < p.n; i++)
		qf_scene_add_run(&m->scene, p.at[i].first, p.at[i].n,
				 p.at[i].kind, p.at[i].set, QF_KIND_UNKNOWN);
	m->scene.failed |= p.failed;
	qf_scene_finish(&m->scene, QF_KIND_UNKNOWN);
	free(p.at);
	if (m->scene.failed) {
		qf_model_free(m);
		return NULL;
	}
	return m;
}

/* The kind of data that these holders have. */
static enum qf_kind data_kind(const struct qf_spanset *sets, uint32_t set)
{
	if (!qf_spanset_has(sets, set, QF_HOLDER_ACTIVE))
		return QF_KIND_SNAPSHOT;
	return qf_spanset_size(sets, set) > 1 ? QF_KIND_SHARED : QF_KIND_ACTIVE;
}

static enum qf_kind class_kind(const struct qf_spanset *sets,
			       const struct qf_owners_class *c)
{
	switch (qf_owners_kind(c)) {
	case QF_REF_HEADER:
		return QF_KIND_HEADER;
	case QF_REF_L1:
		return QF_KIND_L1;
	case QF_REF_L2:
		return QF_KIND_L2;
	case QF_REF_DATA:
		return data_kind(sets, c->set);
	case QF_REF_COMPRESSED:
		return QF_KIND_COMPRESSED;
	case QF_REF_REFTABLE:
		return QF_KIND_REFTABLE;
	case QF_REF_REFBLOCK:
		return QF_KIND_REFBLOCK;
	case QF_REF_SNAPSHOT_TABLE:
		return QF_KIND_SNAPTABLE;
	case QF_REF_BITMAP_DIR:
	case QF_REF_BITMAP_TABLE:
	case QF_REF_BITMAP_DATA:
		return QF_KIND_BITMAP;
	case QF_REF_CRYPTO:
		return QF_KIND_CRYPTO;
	case QF_REF_KINDS:
		break;
	}
	/* not leaked before the check says so: qf_model_take_report */
	return c->flags & QF_OWNERS_LEAKED ? QF_KIND_UNOWNED : QF_KIND_FREE;
}

/* The scene's sets have the numbers of the owners' sets. */
static bool copy_sets(struct qf_scene *s, const struct qf_spanset *sets)
{
	struct qf_scene_span *own = NULL;
	const struct qf_span *span;
	size_t room = 0;
	uint32_t id, n, i;

	for (id = 1; id < qf_spanset_count(sets) && !s->failed; id++) {
		span = qf_spanset_get(sets, id, &n);
		for (i = 0; i < n; i++) {
			if (!qf_mem_grow((void **)&own, i, &room,
					 sizeof(*own))) {
				s->failed = true;
				break;
			}
			own[i] = (struct qf_scene_span){ span[i].first,
							 span[i].n };
		}
		if (!s->failed)
			qf_scene_add_set(s, own, n);
	}
	free(own);
	return !s->failed;
}

static void copy_owners(struct qf_scene *s, const struct qf_owners *o)
{
	const struct qf_spanset *sets = qf_owners_sets(o);
	const struct qf_owners_class *c;
	uint64_t at, end;

	if (!copy_sets(s, sets))
		return;
	for (at = 0; at < s->clusters && !s->failed; at = end) {
		c = qf_owners_class(o, qf_owners_at(o, at, s->clusters, &end));
		qf_scene_add_run(s, at, end - at, class_kind(sets, c), c->set,
				 QF_KIND_FREE);
		if (c->flags & QF_OWNERS_TWICE)
			qf_scene_add_wrong(s, at, end - at, QF_KIND_DOUBTFUL);
	}
}

enum qf_err qf_model_scene(struct qf_image *img, struct qf_model **out,
			   struct qf_why *why)
{
	struct qf_model *m = new_model(img);
	enum qf_err err = QF_ERR_NOMEM;

	if (m)
		err = qf_walk_gather(img, &m->walk, why);
	if (!err)
		err = qf_owners_make(&m->walk, &m->owners, why);
	if (!err)
		err = qf_du_make(m->owners, img, &m->du, why);
	if (!err) {
		copy_owners(&m->scene, m->owners);
		qf_scene_finish(&m->scene, QF_KIND_FREE);
		m->scene.whole = true;
	}
	if (!m || m->scene.failed)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the map");
	if (err) {
		qf_model_free(m);
		m = NULL;
	}
	*out = m;
	return err;
}

uint64_t qf_model_mark(struct qf_model *m)
{
	uint64_t alone = qf_scene_mark(&m->scene);
	const struct qf_scene *s = &m->scene;
	uint32_t *member, set = QF_SPANSET_FAILED, i, n = 0;
	struct qf_du_freed freed;

	if (!m->owners || !s->n_holders || s->holder[QF_HOLDER_ACTIVE].marked)
		return alone;
	member = qf_mem_zalloc(s->n_holders, sizeof(*member));
	for (i = 1; member && i < s->n_holders; i++)
		if (s->holder[i].marked)
			member[n++] = i;
	if (n)
		set = qf_spanset_put_members(qf_owners_sets(m->owners), member,
					     n);
	free(member);
	if (set == QF_SPANSET_FAILED)
		return alone;
	qf_du_if_deleted(&m->du, set, &freed);
	return freed.total > 0 ? (uint64_t)freed.total : 0;
}

/* What a cluster is that a finding of that problem names. */
static enum qf_kind kind_of(enum qf_problem p)
{
	switch (p) {
	case QF_P_DOUBLE_DATA:
	case QF_P_DOUBLE_META:
	case QF_P_DOUBLE_TABLES:
	case QF_P_DOUBLE_L2:
	case QF_P_REFBLOCK_SHARED:
		return QF_KIND_DOUBTFUL;
	/* what is said here of a cluster that two claim follows from that */
	case QF_P_REFCOUNT_ZERO:
	case QF_P_REFCOUNT_LOW:
	case QF_P_REFCOUNT_OVERFLOW:
		return QF_KINDS;
	default:
		return QF_KIND_DAMAGED;
	}
}

/* The clusters from FIRST to LAST are named by a finding of that problem. */
static void mark_wrong(struct qf_model *m, enum qf_problem p, uint64_t first,
		       uint64_t last)
{
	enum qf_kind kind = kind_of(p);
	const struct qf_owners_class *c;
	uint64_t at, end = first;

	if (kind != QF_KINDS)
		qf_scene_add_wrong(&m->scene, first, last - first + 1, kind);
	for (at = first; kind == QF_KINDS && at <= last; at = end) {
		c = qf_owners_class(m->owners, qf_owners_at(m->owners, at,
							    last + 1, &end));
		if (!(c->flags & QF_OWNERS_TWICE))
			qf_scene_add_wrong(&m->scene, at, end - at,
					   QF_KIND_DAMAGED);
	}
}

bool qf_model_take_report(struct qf_model *m, struct qf_report *rep)
{
	uint32_t bits = m->img->geo.cluster_bits;
	const struct qf_finding *f;
	uint64_t last;
	size_t i;

	m->report = *rep;
	memset(rep, 0, sizeof(*rep));
	m->checked = true;
	for (i = 0; i < m->report.findings.n; i++) {
		f = &m->report.findings.at[i];
		if (qf_problem_get(f->problem)->severity < QF_SEV_UNREAD ||
		    f->host_off >= m->img->io->size)
			continue;
		/* put together, it says where they begin and end: not that
		 * all between them is damaged */
		if (f->collated > 1 || !f->length ||
		    !qf_mem_add(f->host_off, f->length - 1, &last))
			last = f->host_off;
		mark_wrong(m, f->problem, f->host_off >> bits, last >> bits);
	}
	if (!qf_unowned_by_report(m->img, &m->report))
		qf_scene_rename(&m->scene, QF_KIND_UNOWNED, QF_KIND_LEAKED);
	if (!m->scene.failed)
		qf_scene_refinish(&m->scene);
	return !m->scene.failed;
}

enum qf_err qf_model_check(struct qf_image *img, bool shared,
			   struct qf_report *rep, struct qf_why *why)
{
	const struct qf_check_opts opts = { .shared = shared,
					    .format = qf_open_format(img) };
	struct qf_image *own = NULL;
	enum qf_err err;

	if (!shared)
		return qf_check_run(img, &opts, rep, why);
	/* what looks wrong while it is written is looked at again */
	err = qf_check_shared(img->io->name, &opts, &own, rep, why);
	if (!err)
		qf_image_close(own);
	return err;
}

enum qf_err qf_model_whole(struct qf_image *img, bool shared,
			   struct qf_model **out, struct qf_why *why)
{
	struct qf_report rep = { 0 };
	enum qf_err err = qf_model_scene(img, out, why);

	if (err)
		return err;
	err = qf_model_check(img, shared, &rep, why);
	if (!err && !qf_model_take_report(*out, &rep))
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the map");
	qf_check_free(&rep);
	if (err) {
		qf_model_free(*out);
		*out = NULL;
	}
	return err;
}

uint64_t qf_model_l2_guest(const struct qf_model *m, uint64_t off)
{
	const struct qf_geometry *g = &m->img->geo;
	const struct qf_group *grp = m->walk.group;
	uint64_t i, guest;
	uint32_t k;

	for (i = 0; i < m->walk.n_groups; i++)
		for (k = 0; k < grp[i].n; k++) {
			if (m->walk.table[grp[i].first + k].off != off)
				continue;
			return qf_mem_mul(grp[i].l1_index,
					  (uint64_t)g->l2_entries
						  << g->cluster_bits,
					  &guest)
				       ? guest
				       : QF_NOWHERE;
		}
	return QF_NOWHERE;
}
