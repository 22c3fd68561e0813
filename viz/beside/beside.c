// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/beside/beside.h"
#include "lib/walk/describe.h"
#include "lib/base/mem.h"
#include "lib/walk/owners.h"
#include "lib/base/pool.h"
#include "viz/draw/model_parts.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Owners that are listed of one cluster. */
#define MAX_OWNERS 10000

struct qf_beside {
	struct qf_pool_task *task;
	struct qf_beside_result res;
};

static atomic_uint_fast64_t items_done, items;

static void tick(uint64_t done, uint64_t n)
{
	atomic_store(&items, n);
	atomic_store(&items_done, done);
}

double qf_beside_part(void)
{
	uint64_t n = atomic_load(&items), done = atomic_load(&items_done);

	return n && done < n ? (double)done / (double)n : 0;
}

static void describe_owner(const struct qf_image *img, const struct qf_owner *o,
			   struct qf_model_owner *out)
{
	char who[128], place[48] = "";
	bool bitmap = o->kind == QF_REF_BITMAP_DIR ||
		      o->kind == QF_REF_BITMAP_TABLE ||
		      o->kind == QF_REF_BITMAP_DATA;

	out->holder = bitmap ? QF_HOLDER_IMAGE : o->holder;
	out->host_off = o->host_off;
	out->bytes = o->bytes;
	out->pointer_off = o->pointer_off;
	out->guest_off = o->guest_off;
	if (o->guest_off != QF_NOWHERE)
		snprintf(place, sizeof(place), ", guest offset 0x%" PRIx64,
			 o->guest_off);
	if (bitmap)
		snprintf(who, sizeof(who), "bitmap %u", o->holder);
	else
		qf_describe_holder(img, o->holder, who, sizeof(who));
	snprintf(out->text, sizeof(out->text), "%s: %s%s", who,
		 qf_describe_kind(o->kind), place);
}

static enum qf_err find_owners(struct qf_beside *j)
{
	struct qf_owner_list list = { 0 };
	struct qf_beside_result *r = &j->res;
	enum qf_err err = qf_owners_find(&r->order.model->walk, 0,
					 r->order.cluster, MAX_OWNERS, &list,
					 &r->why);
	size_t i;

	if (!err) {
		r->owner = qf_mem_zalloc(list.n, sizeof(*r->owner));
		if (!r->owner)
			err = QF_ERR_NOMEM;
	}
	for (i = 0; !err && i < list.n; i++)
		describe_owner(r->order.img, &list.at[i], &r->owner[i]);
	if (!err) {
		r->n_owners = list.n;
		r->total_owners = list.total;
	}
	qf_owners_list_free(&list);
	return err;
}

static void work(void *ctx)
{
	struct qf_beside *j = ctx;
	struct qf_beside_result *r = &j->res;
	struct qf_beside_order *o = &r->order;

	switch (o->kind) {
	case QF_BESIDE_SCENE:
		r->err = qf_model_scene(o->img, &r->model, &r->why);
		break;
	case QF_BESIDE_CHECK:
		r->err = qf_model_check(o->img, o->shared, &r->report, &r->why);
		break;
	case QF_BESIDE_OWNERS:
		r->err = find_owners(j);
		break;
	case QF_BESIDE_GUEST:
		r->err = qf_guestmap_make(o->model, o->holder, o->shared,
					  &r->guest, &r->why);
		break;
	case QF_BESIDE_FILES:
	case QF_BESIDE_WHOSE:
		qf_guestmap_files(o->map, o->at, o->from, o->to, r->text,
				  sizeof(r->text));
		break;
	case QF_BESIDE_PATH:
		r->at = qf_guestmap_path(o->map, o->path, r->text,
					 sizeof(r->text));
		break;
	}
}

struct qf_beside *qf_beside_start(const struct qf_beside_order *order)
{
	struct qf_beside *j = qf_mem_zalloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->res.order = *order;
	tick(0, 0);
	qf_pool_watch(tick);
	if (qf_pool_start(&j->task, work, j))
		return j;
	qf_pool_watch(NULL);
	free(j);
	return NULL;
}

enum qf_beside_kind qf_beside_kind(const struct qf_beside *j)
{
	return j->res.order.kind;
}

bool qf_beside_done(const struct qf_beside *j)
{
	return qf_pool_done(j->task);
}

void qf_beside_take(struct qf_beside *j, struct qf_beside_result *res)
{
	qf_pool_wait(j->task);
	qf_pool_watch(NULL);
	*res = j->res;
	free(j);
}

void qf_beside_drop(struct qf_beside *j)
{
	struct qf_beside_result res;

	if (!j)
		return;
	qf_pool_halt(true);
	qf_beside_take(j, &res);
	qf_pool_halt(false);
	qf_model_free(res.model);
	qf_check_free(&res.report);
	qf_guestmap_free(res.guest);
	free(res.owner);
}
