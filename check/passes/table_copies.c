// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/passes/table_copies.h"
#include "lib/base/mem.h"
#include "lib/walk/owners.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many clusters are looked at, and so many owners of each. */
#define MAX_CLUSTERS 256u
#define MAX_OWNERS 8192u
/* So many pairs of tables are compared. */
#define MAX_COMPARED 4096u

bool qf_table_copies_alike(const struct qf_image *img, uint64_t a_off,
			   uint64_t b_off)
{
	const struct qf_geometry *g = &img->geo;
	unsigned char *a = qf_mem_zalloc(2, g->cluster_bytes), *b;
	bool same = false;
	uint64_t i;

	if (!a)
		return false;
	b = a + g->cluster_bytes;
	if (!qf_io_read_pad(img->io, a, g->cluster_bytes, a_off, NULL) &&
	    !qf_io_read_pad(img->io, b, g->cluster_bytes, b_off, NULL)) {
		/* COPIED is put right where QEMU finds it wrong */
		for (i = 0; i < g->cluster_bytes; i += g->l2_entry_bytes) {
			a[i] &= 0x7f;
			b[i] &= 0x7f;
		}
		same = !memcmp(a, b, g->cluster_bytes);
	}
	free(a);
	return same;
}

/* Of the clusters that are looked at, the owners; and what was compared. */
struct search {
	struct qf_pass_ctx *c;
	uint64_t cluster[MAX_CLUSTERS];
	struct qf_owner_list *list;
	size_t n;
	unsigned int compared;
	uint64_t a, b; /* the last two tables that were alike */
};

static uint64_t table_of(const struct search *s, const struct qf_owner *o)
{
	return o->pointer_off & ~(s->c->img->geo.cluster_bytes - 1);
}

static uint32_t l1_index_of(const struct search *s, const struct qf_owner *o)
{
	const struct qf_geometry *g = &s->c->img->geo;

	return (uint32_t)(o->guest_off >> (g->l2_bits + g->cluster_bits));
}

static struct qf_detail_owner detail_of(const struct search *s,
					const struct qf_owner *o)
{
	const struct qf_geometry *g = &s->c->img->geo;
	uint64_t guest = o->guest_off >> g->cluster_bits;

	return (struct qf_detail_owner){
		.kind = o->kind,
		.holder = o->holder,
		.holders = 1,
		.l1_index = l1_index_of(s, o),
		.l2_index = (uint32_t)(guest & (g->l2_entries - 1ull)),
		.guest_off = o->guest_off,
		.pointer_off = o->pointer_off,
		.entry = o->pointer,
		.table_off = table_of(s, o),
		.active = o->holder == QF_HOLDER_ACTIVE,
	};
}

/* How many entries of the table at OFF are in use. */
static uint64_t in_use(const struct qf_image *img, uint64_t off)
{
	const struct qf_geometry *g = &img->geo;
	struct qf_be64 *buf = qf_mem_zalloc(1, g->cluster_bytes);
	uint64_t n = 0, i;

	if (buf && !qf_io_read_pad(img->io, buf, g->cluster_bytes, off, NULL))
		for (i = 0; i < g->l2_entries; i++)
			n += qf_be_get64(buf[i * (g->l2_entry_bytes / 8)]) != 0;
	free(buf);
	return n;
}

static bool is_reported(const struct search *s, uint64_t a, uint64_t b)
{
	const struct qf_finding *f = s->c->out->at;
	size_t i;

	if (a == s->a && b == s->b)
		return true;
	for (i = 0; i < s->c->out->n; i++, f++)
		if (f->problem == QF_P_L2_COPY && f->host_off == b)
			return true;
	return false;
}

static void report(struct search *s, const struct qf_owner *x,
		   const struct qf_owner *y)
{
	const struct qf_geometry *g = &s->c->img->geo;
	struct qf_detail_owner a = detail_of(s, x), b = detail_of(s, y);
	uint64_t span = g->cluster_bytes << g->l2_bits;
	struct qf_finding *f;
	char text[700];

	s->a = a.table_off;
	s->b = b.table_off;
	f = qf_pass_at(s->c, QF_P_L2_COPY, b.table_off, g->cluster_bytes);
	f->guest_off = a.l1_index * span;
	f->count = in_use(s->c->img, b.table_off);
	qf_finding_unseen(f);
	qf_finding_owner(f, "%s",
			 qf_detail_describe(s->c->img, &a, text, sizeof(text)));
	qf_finding_other(f, "%s",
			 qf_detail_describe(s->c->img, &b, text, sizeof(text)));
	qf_finding_say(f,
		       "the L2 tables at 0x%" PRIx64 " and 0x%" PRIx64
		       " hold the same entries",
		       a.table_off, b.table_off);
	qf_lost_for_table(s->c, a.l1_index, a.table_off, a.l1_index * span,
			  span);
	qf_lost_for_table(s->c, b.l1_index, b.table_off, b.l1_index * span,
			  span);
}

/* True if the two are one entry at the same place of two tables, for two
 * places of one disk: no writer hands out packed bytes twice. */
static bool are_one_entry(const struct search *s, const struct qf_owner *x,
			  const struct qf_owner *y)
{
	uint64_t span = (uint64_t)s->c->img->geo.cluster_bytes
			<< s->c->img->geo.l2_bits;

	return x->kind == QF_REF_COMPRESSED && y->kind == QF_REF_COMPRESSED &&
	       x->host_off == y->host_off && x->holder == y->holder &&
	       x->guest_off != y->guest_off &&
	       x->guest_off % span == y->guest_off % span &&
	       table_of(s, x) != table_of(s, y);
}

static int by_place(const void *pa, const void *pb)
{
	const struct qf_owner *a = pa, *b = pb;

	if (a->host_off != b->host_off)
		return a->host_off < b->host_off ? -1 : 1;
	if (a->holder != b->holder)
		return a->holder < b->holder ? -1 : 1;
	return a->guest_off < b->guest_off ? -1 : a->guest_off > b->guest_off;
}

static void look(struct search *s, struct qf_owner_list *l)
{
	const struct qf_owner *x, *y;
	size_t i;

	if (l->total != l->n || !l->n)
		return;
	qsort(l->at, l->n, sizeof(*l->at), by_place);
	for (i = 0; i + 1 < l->n; i++) {
		x = &l->at[i];
		y = x + 1;
		if (!are_one_entry(s, x, y) ||
		    is_reported(s, table_of(s, x), table_of(s, y)) ||
		    s->compared++ >= MAX_COMPARED)
			continue;
		if (qf_table_copies_alike(s->c->img, table_of(s, x),
					  table_of(s, y)))
			report(s, x, y);
	}
}

static void take_clusters(struct search *s)
{
	const struct qf_trouble *tr = s->c->recount.trouble;
	size_t i;

	for (i = 0; i < s->c->recount.n_troubles && s->n < MAX_CLUSTERS;
	     i++, tr++)
		if (tr->stated < tr->counted &&
		    !(tr->why & (QF_TROUBLE_DOUBLE | QF_TROUBLE_UNKNOWN)))
			s->cluster[s->n++] = tr->first;
}

enum qf_err qf_table_copies_packed(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct search s = { .c = c, .a = QF_NOWHERE, .b = QF_NOWHERE };
	enum qf_err err;
	size_t i;

	if (!c->recount.fig.compressed && !c->img->snapshots.n)
		return QF_OK;
	take_clusters(&s);
	if (!s.n)
		return QF_OK;
	s.list = qf_mem_zalloc(s.n, sizeof(*s.list));
	if (!s.list)
		return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to compare tables");
	err = qf_owners_find_all(&c->walk, c->recount.jobs, s.cluster, s.n,
				 MAX_OWNERS, s.list, why);
	for (i = 0; !err && i < s.n; i++)
		look(&s, &s.list[i]);
	for (i = 0; i < s.n; i++)
		qf_owners_list_free(&s.list[i]);
	free(s.list);
	return err;
}
