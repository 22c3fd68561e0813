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

/* Owner I, beside each one before it of another guest cluster; those of one
 * guest cluster are versions of it, of which the first speaks. */
static void one_owner(struct qf_pass_ctx *c, const struct qf_owner_list *l,
		      size_t i)
{
	const struct qf_owner *o = &l->at[i];
	size_t k;

	if (i && l->at[i - 1].kind == o->kind &&
	    l->at[i - 1].guest_off == o->guest_off)
		return;
	for (k = 0; k < i; k++)
		if (l->at[k].kind == o->kind &&
		    l->at[k].pointer == o->pointer &&
		    l->at[k].guest_off != o->guest_off)
			break;
	if (k < i && !is_told(c, &l->at[k]) && !is_told(c, o))
		report(c, &l->at[k], o);
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

static void look(struct qf_pass_ctx *c, const uint64_t *cluster, size_t n,
		 const struct qf_owner_list *list)
{
	size_t i, k;

	for (i = 0; i < n; i++)
		for (k = 0; list[i].total == list[i].n && k < list[i].n; k++)
			if (begins(c, &list[i].at[k], cluster[i]))
				one_owner(c, &list[i], k);
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
	if (!err && n)
		look(c, cluster, n, list);
	for (i = 0; i < n; i++)
		qf_owners_list_free(&list[i]);
	free(list);
	free(cluster);
	return err;
}
