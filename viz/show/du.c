// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/show/du.h"
#include "lib/base/mem.h"
#include "viz/show/map.h"

#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to sum up");
}

static void sum_classes(struct qf_du *du)
{
	const struct qf_owners_class *c;
	enum qf_ref_kind kind;
	uint64_t at, end;
	uint32_t cls;

	for (at = 0; at < du->clusters; at = end) {
		cls = qf_owners_at(du->owners, at, UINT64_MAX, &end);
		c = qf_owners_class(du->owners, cls);
		du->of_class[cls] += end - at;
		kind = qf_owners_kind(c);
		if (kind < QF_REF_KINDS)
			du->kind[kind] += end - at;
		else if (c->flags & QF_OWNERS_LEAKED)
			du->unowned += end - at;
		else
			du->free += end - at;
		if (c->flags & QF_OWNERS_TWICE)
			du->twice += end - at;
	}
}

/*
 * What each holder references: noted at the ends of the spans, so that a set
 * of many holders costs no more than one of few.
 */
static bool sum_holders(struct qf_du *du)
{
	const struct qf_spanset *sets = qf_owners_sets(du->owners);
	uint32_t n = qf_image_holders(du->img), spans, i, k;
	uint64_t *delta = qf_mem_zalloc((size_t)n + 1, sizeof(*delta)), sum = 0;
	const struct qf_span *span;
	uint64_t clusters;

	if (!delta)
		return false;
	for (i = 0; i < qf_owners_classes(du->owners); i++) {
		const struct qf_owners_class *c =
			qf_owners_class(du->owners, i);

		clusters = du->of_class[i];
		span = qf_spanset_get(sets, c->set, &spans);
		for (k = 0; k < spans; k++) {
			delta[span[k].first] += clusters;
			delta[span[k].first + span[k].n] -= clusters;
		}
		if (qf_spanset_size(sets, c->set) == 1)
			du->holder[span[0].first].exclusive += clusters;
	}
	for (i = 0; i < n; i++) {
		sum += delta[i];
		du->holder[i].referenced = sum;
	}
	free(delta);
	return true;
}

enum qf_err qf_du_make(const struct qf_owners *owners,
		       const struct qf_image *img, struct qf_du *du,
		       struct qf_why *why)
{
	memset(du, 0, sizeof(*du));
	du->owners = owners;
	du->img = img;
	du->clusters = qf_owners_clusters(owners);
	du->holder = qf_mem_zalloc(qf_image_holders(img), sizeof(*du->holder));
	du->of_class =
		qf_mem_zalloc(qf_owners_classes(owners), sizeof(*du->of_class));
	if (!du->holder || !du->of_class)
		return no_memory(why);
	sum_classes(du);
	return sum_holders(du) ? QF_OK : no_memory(why);
}

void qf_du_free(struct qf_du *du)
{
	free(du->holder);
	free(du->of_class);
	memset(du, 0, sizeof(*du));
}

uint64_t qf_du_data(const struct qf_du *du)
{
	return du->kind[QF_REF_DATA] + du->kind[QF_REF_COMPRESSED];
}

bool qf_du_is_freed(const struct qf_du *du, uint32_t deleted, uint32_t cls)
{
	const unsigned int of_disks = 1u << QF_REF_DATA |
				      1u << QF_REF_COMPRESSED |
				      1u << QF_REF_L1 | 1u << QF_REF_L2;
	const struct qf_owners_class *c = qf_owners_class(du->owners, cls);

	return c->set != QF_SPANSET_EMPTY && !(c->kinds & ~of_disks) &&
	       qf_spanset_within(qf_owners_sets(du->owners), c->set, deleted);
}

/*
 * Clusters of the snapshot table that QEMU writes without the deleted ones:
 * entries on multiples of 8 bytes, with at least the extra data it knows.
 */
static uint64_t table_after(const struct qf_du *du, uint32_t deleted)
{
	const uint64_t fixed = sizeof(struct qf_wire_snapshot);
	const uint64_t extra = sizeof(struct qf_wire_snapshot_extra);
	const struct qf_snapshot *s;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < du->img->snapshots.n; i++) {
		if (qf_spanset_has(qf_owners_sets(du->owners), deleted,
				   QF_HOLDER_SNAPSHOT(i)))
			continue;
		s = &du->img->snapshots.snap[i];
		bytes = qf_mem_round_up(bytes, 8) + fixed + strlen(s->id) +
			strlen(s->name);
		bytes += s->extra_bytes > extra ? s->extra_bytes : extra;
	}
	return qf_mem_div_up(bytes, du->img->geo.cluster_bytes);
}

void qf_du_if_deleted(const struct qf_du *du, uint32_t deleted,
		      struct qf_du_freed *freed)
{
	uint32_t i;

	memset(freed, 0, sizeof(*freed));
	for (i = 0; i < qf_owners_classes(du->owners); i++) {
		uint64_t n = du->of_class[i];

		if (!n || !qf_du_is_freed(du, deleted, i))
			continue;
		switch (qf_owners_kind(qf_owners_class(du->owners, i))) {
		case QF_REF_L1:
			freed->l1 += n;
			break;
		case QF_REF_L2:
			freed->l2 += n;
			break;
		default:
			freed->data += n;
			break;
		}
	}
	if (qf_spanset_size(qf_owners_sets(du->owners), deleted))
		freed->snapshot_table =
			(int64_t)du->kind[QF_REF_SNAPSHOT_TABLE] -
			(int64_t)table_after(du, deleted);
	freed->total = (int64_t)(freed->data + freed->l1 + freed->l2) +
		       freed->snapshot_table;
}

/* Adds the snapshot NAME to the members. */
static enum qf_err parse_one(const struct qf_du *du, const char *name,
			     uint32_t *member, uint32_t *n, struct qf_why *why)
{
	uint32_t holder, i;
	enum qf_err err = qf_map_holder(du->img, name, &holder, why);

	if (err)
		return err;
	if (holder == QF_HOLDER_ACTIVE)
		return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
				  "the active disk cannot be deleted");
	for (i = 0; i < *n; i++)
		if (member[i] == holder)
			return QF_OK;
	member[(*n)++] = holder;
	return QF_OK;
}

enum qf_err qf_du_parse(const struct qf_du *du, const char *list,
			uint32_t *deleted, struct qf_why *why)
{
	uint32_t *member, n = 0;
	enum qf_err err = QF_OK;
	char *copy, *name, *rest;

	member = qf_mem_zalloc(qf_image_holders(du->img), sizeof(*member));
	copy = strdup(list);
	if (!member || !copy)
		err = no_memory(why);
	if (!err && qf_snapshot_find(&du->img->snapshots, list) >= 0) {
		err = parse_one(du, list, member, &n, why);
	} else if (!err) {
		rest = copy;
		while (!err && (name = strsep(&rest, ",")))
			err = parse_one(du, name, member, &n, why);
	}
	if (!err) {
		*deleted = qf_spanset_put_members(qf_owners_sets(du->owners),
						  member, n);
		if (*deleted == QF_SPANSET_FAILED)
			err = no_memory(why);
	}
	free(member);
	free(copy);
	return err;
}
