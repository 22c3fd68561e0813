// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is lost while two parts of the file stand in each other's place: what
 * the disks read otherwise with both put back.
 */
#include "check/judge/mixup.h"
#include "check/lost/lost.h"
#include "check/passes/pass.h"
#include "lib/walk/owners.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many of those who have one of the two are named. */
#define MAX_OWNERS 8192u

struct mixup {
	struct qf_pass_ctx *c;	 /* of the image as it is */
	struct qf_pass_ctx then; /* as it would be */
	const struct qf_mixup *m;
};

/* The holder that is H of the image as it would be; QF_HOLDER_IMAGE: the
 * image does not list it now. */
static uint32_t now(const struct mixup *x, uint32_t h)
{
	const struct qf_snapshot_table *s = &x->c->img->snapshots;
	const char *id;
	uint32_t i;

	if (h == QF_HOLDER_ACTIVE)
		return h;
	id = x->then.img->snapshots.snap[h - 1].id;
	for (i = 0; i < s->n; i++)
		if (!strcmp(s->snap[i].id, id))
			return QF_HOLDER_SNAPSHOT(i);
	return QF_HOLDER_IMAGE;
}

static bool touches(const struct mixup *x, uint64_t off)
{
	return x->m->kind == QF_HYPO_VALUE &&
	       (off == x->m->a || off == x->m->b);
}

static uint64_t table_of(struct qf_pass_ctx *c, struct qf_lost_l1 *l1,
			 uint32_t i)
{
	uint64_t e = 0;

	if (!qf_lost_l1_at(c->img, l1, i, &e))
		return 0;
	e &= QF_ENTRY_OFFSET_MASK;
	return e & (c->img->geo.cluster_bytes - 1) ? 0 : e;
}

/* What the two tables map of the disk of H: all of it, where the image is read
 * in other units now. */
static void lose_tables(struct mixup *x, uint32_t h, uint32_t k)
{
	struct qf_lost_l1 was, is;
	uint64_t a, b;
	uint32_t i, n;

	qf_lost_l1_open(x->then.img, h, &was);
	qf_lost_l1_open(x->c->img, k, &is);
	n = was.entries > is.entries ? was.entries : is.entries;
	for (i = 0; i < n; i++) {
		a = table_of(&x->then, &was, i);
		b = table_of(x->c, &is, i);
		if (a == b && !touches(x, a))
			continue;
		if (a)
			qf_lost_table(&x->then, k, i, a);
		if (b && b < x->c->img->io->size)
			qf_lost_table(x->c, k, i, b);
	}
}

/* True if the header says otherwise how the disk is to be read. */
static bool is_misread(const struct mixup *x)
{
	const struct qf_image *a = x->then.img, *b = x->c->img;
	struct qf_geometry g = b->geo;

	g.l1_needed = a->geo.l1_needed;
	return memcmp(&a->geo, &g, sizeof(g)) ||
	       a->hdr.crypt_method != b->hdr.crypt_method ||
	       a->hdr.compression != b->hdr.compression ||
	       a->hdr.version != b->hdr.version ||
	       !a->backing_name != !b->backing_name ||
	       (a->backing_name && strcmp(a->backing_name, b->backing_name));
}

static void lose_disk(struct mixup *x, uint32_t h)
{
	const struct qf_image *img = x->then.img;
	uint32_t k = now(x, h);
	uint64_t disk = h == QF_HOLDER_ACTIVE
				? img->hdr.disk_bytes
				: img->snapshots.snap[h - 1].disk_bytes;

	if (k == QF_HOLDER_IMAGE)
		qf_lost_add_id(x->c->lost_ranges, img->snapshots.snap[h - 1].id,
			       disk);
	else if (is_misread(x))
		qf_lost_add_beyond(x->c->lost_ranges, k, 0, disk);
	else
		lose_tables(x, h, k);
}

static bool is_of_clusters(const struct mixup *x)
{
	return !(x->m->a & (x->c->img->geo.cluster_bytes - 1));
}

/* Guest data that stand in the other one's place. */
static enum qf_err lose_data(struct mixup *x)
{
	const uint64_t cluster[2] = { x->m->a >> x->then.img->geo.cluster_bits,
				      x->m->b >>
					      x->then.img->geo.cluster_bits };
	struct qf_owner_list list[2] = { { 0 } };
	const struct qf_owner *o;
	uint32_t k;
	size_t i, n;
	enum qf_err err;

	if (!is_of_clusters(x))
		return QF_OK;
	err = qf_owners_find_all(&x->then.walk, 1, cluster, 2, MAX_OWNERS, list,
				 NULL);

	for (n = 0; !err && n < 2; n++)
		for (i = 0; i < list[n].n; i++) {
			o = &list[n].at[i];
			if (o->kind != QF_REF_DATA &&
			    o->kind != QF_REF_COMPRESSED)
				continue;
			k = now(x, o->holder);
			if (k != QF_HOLDER_IMAGE)
				qf_lost_add(x->then.img, x->c->lost_ranges, k,
					    o->guest_off,
					    x->then.img->geo.cluster_bytes);
		}
	qf_owners_list_free(&list[0]);
	qf_owners_list_free(&list[1]);
	return err;
}

static void report(struct mixup *x, enum qf_grade grade)
{
	const struct qf_mixup *m = x->m;
	struct qf_finding *f = qf_pass_at(
		x->c, QF_P_MIXUP, m->a,
		is_of_clusters(x) ? x->c->img->geo.cluster_bytes : 4);

	qf_finding_unseen(f);
	if (m->kind == QF_HYPO_VALUE)
		qf_finding_say(f,
			       "what stands at 0x%" PRIx64
			       " belongs to 0x%" PRIx64
			       ", and what stands there, here: %s",
			       m->a, m->b, qf_question_grade_name(grade));
	else
		qf_finding_say(f,
			       "the header's fields from 0x%" PRIx64
			       " on stand one place too %s: %s",
			       m->a, m->kind == QF_HYPO_UP ? "high" : "low",
			       qf_question_grade_name(grade));
}

static enum qf_err one(struct qf_pass_ctx *c, const struct qf_question *q,
		       const struct qf_hypothesis *h)
{
	const struct qf_mixup m = qf_mixup_of(h);
	struct mixup x = { .c = c, .m = &m };
	struct qf_mended w;
	enum qf_err err;
	uint32_t i;

	err = qf_mended_open(c->img, &m, c->opts->jobs, UINT64_MAX, &w);
	if (!err && w.wrong != UINT64_MAX) {
		x.then = (struct qf_pass_ctx){ .img = w.img,
					       .opts = c->opts,
					       .walk = w.walk,
					       .lost_ranges = c->lost_ranges,
					       .out = c->out };
		report(&x, q->grade);
		/* what was listed is of the tables as they are */
		c->lost_runs.known = false;
		for (i = 0; i < qf_image_holders(w.img); i++)
			lose_disk(&x, i);
		err = lose_data(&x);
		free(x.then.lost_runs.at);
	}
	qf_mended_close(&w);
	return err;
}

enum qf_err qf_lost_mixups(struct qf_pass_ctx *c)
{
	const struct qf_question *q = c->questions->at;
	enum qf_err err = QF_OK;
	unsigned int k;
	size_t i;

	for (i = 0; !err && i < c->questions->n; i++, q++)
		for (k = 1; !err && q->kind == QF_QUESTION_MIXUP && k < q->n;
		     k++)
			err = one(c, q, &q->h[k]);
	return err;
}
