// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/packed_twice.h"
#include "lib/base/mem.h"
#include "lib/walk/describe.h"
#include "lib/walk/owners.h"

#include <inttypes.h>
#include <stdlib.h>

/* So many host clusters are looked at, and owners of each. */
#define MAX_CLUSTERS 1024u
#define MAX_OWNERS 4096u

/* True if a finding tells of the owner's table that it is another's copy. */
static bool is_told(const struct qf_pass_ctx *c, const struct qf_owner *o)
{
	const struct qf_finding *f = c->out->at;
	uint64_t table = o->pointer_off & ~(c->img->geo.cluster_bytes - 1);
	size_t i;

	for (i = 0; i < c->out->n; i++, f++)
		if (f->problem == QF_P_L2_COPY && f->host_off == table)
			return true;
	return false;
}

static void lose(struct qf_pass_ctx *c, const struct qf_owner *o)
{
	const struct qf_geometry *g = &c->img->geo;

	qf_lost_for_table(
		c, (uint32_t)(o->guest_off >> (g->l2_bits + g->cluster_bits)),
		o->pointer_off & ~(g->cluster_bytes - 1), o->guest_off,
		g->cluster_bytes);
}

static void describe(const struct qf_pass_ctx *c, const struct qf_owner *o,
		     char *out, size_t room)
{
	char who[400];

	snprintf(out, room,
		 "guest data of %s at guest offset 0x%" PRIx64
		 "; doubtful: the bytes may be the other owner's",
		 qf_describe_holder(c->img, o->holder, who, sizeof(who)),
		 o->guest_off);
}

static void report(struct qf_pass_ctx *c, const struct qf_owner *a,
		   const struct qf_owner *b)
{
	struct qf_finding *f;
	char who[500];

	f = qf_pass_at(c, QF_P_PACKED_TWICE, a->host_off, a->bytes);
	qf_finding_unseen(f);
	f->guest_off = a->guest_off;
	qf_finding_say(f, "%" PRIu64 " bytes at 0x%" PRIx64, a->bytes,
		       a->host_off);
	describe(c, a, who, sizeof(who));
	qf_finding_owner(f, "%s", who);
	describe(c, b, who, sizeof(who));
	qf_finding_other(f, "%s", who);
	lose(c, a);
	lose(c, b);
}

/* True if the stream begins in the cluster: it may go on into the next. */
static bool begins(const struct qf_pass_ctx *c, const struct qf_owner *o,
		   uint64_t cluster)
{
	return o->kind == QF_REF_COMPRESSED && o->pointer_off != QF_NOWHERE &&
	       o->host_off >> c->img->geo.cluster_bits == cluster;
}

static int by_stream(const void *pa, const void *pb)
{
	const struct qf_owner *a = pa, *b = pb;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->pointer != b->pointer)
		return a->pointer < b->pointer ? -1 : 1;
	if (a->guest_off != b->guest_off)
		return a->guest_off < b->guest_off ? -1 : 1;
	return a->pointer_off < b->pointer_off
		       ? -1
		       : a->pointer_off > b->pointer_off;
}

/* Each guest cluster that names a stream, beside the first that does; those of
 * one guest cluster are versions of it, of which the first speaks. */
static void one_cluster(struct qf_pass_ctx *c, struct qf_owner_list *l,
			uint64_t cluster)
{
	const struct qf_owner *first = NULL, *o;
	size_t i;

	qsort(l->at, l->n, sizeof(*l->at), by_stream);
	for (i = 0; i < l->n; i++) {
		o = &l->at[i];
		if (!begins(c, o, cluster))
			continue;
		if (!first || first->pointer != o->pointer)
			first = o;
		else if (o->guest_off != first->guest_off &&
			 o->guest_off != o[-1].guest_off &&
			 !is_told(c, first) && !is_told(c, o))
			report(c, first, o);
	}
}

/* The clusters with too low a refcount where compressed data lie. */
static size_t collect(const struct qf_pass_ctx *c, uint64_t *cluster)
{
	const struct qf_trouble *tr = c->recount.trouble;
	const struct qf_detail_owner *o;
	uint64_t cl;
	size_t i, n = 0, owners, k;

	for (i = 0; i < c->recount.n_troubles; i++, tr++) {
		if (tr->stated >= tr->counted || tr->why & QF_TROUBLE_UNKNOWN)
			continue;
		o = qf_detail_owners(&c->detail, tr->first, &owners);
		for (k = 0; k < owners && o[k].kind != QF_REF_COMPRESSED; k++)
			;
		for (cl = tr->first;
		     k < owners && cl < tr->first + tr->n && n < MAX_CLUSTERS;
		     cl++)
			cluster[n++] = cl;
	}
	return n;
}

enum qf_err qf_packed_twice(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct qf_owner_list *list;
	uint64_t *cluster;
	enum qf_err err = QF_OK;
	size_t n = 0, i;

	if (!c->recount.fig.compressed || !c->recount.too_low)
		return QF_OK;
	cluster = qf_mem_zalloc(MAX_CLUSTERS, sizeof(*cluster));
	list = qf_mem_zalloc(MAX_CLUSTERS, sizeof(*list));
	if (!cluster || !list)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the owners");
	else
		n = collect(c, cluster);
	if (n)
		err = qf_owners_find_all(&c->walk, c->opts->jobs, cluster, n,
					 MAX_OWNERS, list, why);
	for (i = 0; i < n; i++) {
		if (!err && list[i].n && list[i].total == list[i].n)
			one_cluster(c, &list[i], cluster[i]);
		qf_owners_list_free(&list[i]);
	}
	free(list);
	free(cluster);
	return err;
}
