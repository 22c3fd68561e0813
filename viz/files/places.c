// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/places.h"
#include "viz/show/unowned.h"
#include "lib/format/entry.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for the owners");
}

static bool add_place(struct qf_places *p, uint64_t cluster)
{
	if (!qf_mem_grow((void **)&p->place, p->n_places, &p->room,
			 sizeof(*p->place)))
		return false;
	memset(&p->place[p->n_places], 0, sizeof(*p->place));
	p->place[p->n_places++].cluster = cluster;
	return true;
}

static int by_cluster(const void *pa, const void *pb)
{
	const struct qf_place *a = pa, *b = pb;

	return a->cluster < b->cluster ? -1 : a->cluster > b->cluster;
}

/* In order, and each cluster once. */
static void sort_places(struct qf_places *p)
{
	size_t i, n = 0;

	qsort(p->place, p->n_places, sizeof(*p->place), by_cluster);
	for (i = 0; i < p->n_places; i++)
		if (!n || p->place[n - 1].cluster != p->place[i].cluster)
			p->place[n++] = p->place[i];
	p->n_places = n;
}

/* Finds the owners of all places in one walk. */
static enum qf_err find_owners(struct qf_walk *w, unsigned int jobs,
			       struct qf_places *p, struct qf_why *why)
{
	struct qf_owner_list *list;
	enum qf_err err = QF_ERR_NOMEM;
	uint64_t *cluster;
	size_t i;

	list = qf_mem_zalloc(p->n_places, sizeof(*list));
	cluster = qf_mem_zalloc(p->n_places, sizeof(*cluster));
	for (i = 0; cluster && i < p->n_places; i++)
		cluster[i] = p->place[i].cluster;
	if (list && cluster)
		err = qf_owners_find_all(w, jobs, cluster, p->n_places,
					 QF_PLACES_OWNERS / p->n_places + 64,
					 list, why);
	else
		no_memory(why);
	for (i = 0; !err && i < p->n_places; i++)
		p->place[i].owners = list[i];
	free(list);
	free(cluster);
	return err;
}

static bool is_unowned(const struct qf_place *p)
{
	return !p->outside && !p->owners.n && p->refcount_known && p->refcount;
}

/* Whether those without an owner may be lost data. */
static enum qf_err judge_unowned(struct qf_image *img, bool shared,
				 unsigned int jobs, struct qf_places *p,
				 struct qf_why *why)
{
	bool may_be_lost = false;
	enum qf_err err = QF_OK;
	size_t i;

	for (i = 0; i < p->n_places && !is_unowned(&p->place[i]); i++)
		;
	if (i < p->n_places)
		err = qf_unowned_by_check(img, shared, jobs, &may_be_lost, why);
	for (; !err && i < p->n_places; i++)
		p->place[i].may_be_lost = may_be_lost &&
					  is_unowned(&p->place[i]);
	return err;
}

static enum qf_err look_up(struct qf_image *img, bool shared, unsigned int jobs,
			   struct qf_places *p, struct qf_why *why)
{
	struct qf_walk w = { 0 };
	struct qf_place *place;
	enum qf_err err;
	size_t i;

	if (!p->n_places)
		return QF_OK;
	sort_places(p);
	for (i = 0; i < p->n_places; i++) {
		place = &p->place[i];
		place->outside = place->cluster >= qf_image_clusters(img);
		place->refcount_known = !qf_image_refcount(
			img, place->cluster, &place->refcount, NULL);
	}
	err = qf_walk_gather(img, &w, why);
	if (!err)
		err = find_owners(&w, jobs, p, why);
	qf_walk_free(&w);
	return err ? err : judge_unowned(img, shared, jobs, p, why);
}

enum qf_err qf_places_at(struct qf_image *img, uint64_t cluster, bool shared,
			 unsigned int jobs, struct qf_places *p,
			 struct qf_why *why)
{
	memset(p, 0, sizeof(*p));
	p->guest_off = QF_NOWHERE;
	/* no cluster can lie there: the answer is the same for all of them */
	if (cluster > UINT64_MAX >> img->geo.cluster_bits)
		return qf_err_set(why, QF_ERR_OUTSIDE, 0, QF_NOWHERE,
				  "cluster %" PRIu64
				  " is past the end of any file",
				  cluster);
	return add_place(p, cluster) ? look_up(img, shared, jobs, p, why)
				     : no_memory(why);
}

/* The clusters of this file that a view's bytes lie in. */
static bool add_view_places(const struct qf_image *img, struct qf_places *p,
			    const struct qf_view *v)
{
	const struct qf_geometry *g = &img->geo;
	uint64_t off = v->e.host_off, bytes = 1, c;

	if (v->beyond || v->e.depth || g->data_file)
		return true;
	if (v->e.kind == QF_DISK_COMPRESSED)
		qf_entry_compressed(g, v->e.entry, &off, &bytes);
	if (off == QF_NOWHERE)
		return true;
	for (c = off >> g->cluster_bits;
	     c <= (off + bytes - 1) >> g->cluster_bits; c++)
		if (!add_place(p, c))
			return false;
	return true;
}

static enum qf_err view_of(const struct qf_chain *chain, uint64_t guest_off,
			   struct qf_view *v, struct qf_why *why)
{
	struct qf_disk *g = NULL;
	enum qf_err err = qf_disk_open(chain, v->holder, &g, why);

	v->e.host_off = v->e.pointer_off = QF_NOWHERE;
	if (err == QF_ERR_FORMAT) {
		v->e.kind = QF_DISK_BAD;
		v->e.bad = "the L1 table cannot be used";
		return QF_OK;
	}
	v->beyond = !err && guest_off >= qf_disk_bytes(g);
	if (!err && !v->beyond)
		err = qf_disk_at(g, guest_off, 1, &v->e, why);
	qf_disk_close(g);
	return err;
}

static enum qf_err view_all(struct qf_image *img, const struct qf_chain *chain,
			    uint32_t holder, struct qf_places *p,
			    struct qf_why *why)
{
	uint32_t h, n = qf_image_holders(img);
	enum qf_err err = QF_OK;
	bool any = false;
	struct qf_view *v;

	p->view = qf_mem_zalloc(n, sizeof(*p->view));
	if (!p->view)
		return no_memory(why);
	for (h = 0; !err && h < n; h++) {
		if (holder != QF_HOLDER_IMAGE && holder != h)
			continue;
		v = &p->view[p->n_views++];
		v->holder = h;
		err = view_of(chain, p->guest_off, v, why);
		any = any || !v->beyond;
		if (!err && !add_view_places(img, p, v))
			err = no_memory(why);
	}
	if (!err && !any)
		err = qf_err_set(why, QF_ERR_OUTSIDE, 0, QF_NOWHERE,
				 "the disk ends before offset 0x%" PRIx64,
				 p->guest_off);
	return err;
}

enum qf_err qf_places_of(struct qf_image *img, uint64_t guest_off,
			 uint32_t holder, bool shared, unsigned int jobs,
			 struct qf_places *p, struct qf_why *why)
{
	struct qf_chain chain;
	enum qf_err err;

	memset(p, 0, sizeof(*p));
	p->guest_off = guest_off;
	err = qf_chain_open(img, true, &chain, why);
	if (!err)
		err = view_all(img, &chain, holder, p, why);
	qf_chain_close(&chain);
	return err ? err : look_up(img, shared, jobs, p, why);
}

void qf_places_free(struct qf_places *p)
{
	size_t i;

	for (i = 0; i < p->n_places; i++)
		qf_owners_list_free(&p->place[i].owners);
	free(p->place);
	free(p->view);
	memset(p, 0, sizeof(*p));
}

const char *qf_places_state(const struct qf_place *p)
{
	if (p->outside)
		return "outside the file";
	if (p->owners.n)
		return "in use";
	if (!is_unowned(p))
		return "free";
	return p->may_be_lost ? QF_UNOWNED_WORDS : "leaked";
}

const char *qf_places_kind(const struct qf_view *v)
{
	static const char *const words[] = {
		[QF_DISK_NONE] = "unmapped",
		[QF_DISK_NONE_ALLOC] = "unmapped",
		[QF_DISK_ZERO] = "zero",
		[QF_DISK_ZERO_ALLOC] = "zero",
		[QF_DISK_DATA] = "data",
		[QF_DISK_COMPRESSED] = "compressed",
		[QF_DISK_BAD] = "damaged",
	};

	return v->beyond ? "beyond the disk" : words[v->e.kind];
}
