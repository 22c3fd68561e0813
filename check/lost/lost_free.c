// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Of what is lost, the room that was free: the guest's file systems say so, by
 * allocation maps that are not lost themselves. Only of those that were left
 * in order: the maps of others are behind what was written.
 */
#include "check/lost/lost_guest.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdlib.h>

/* So many states are asked about, so many ranges of each, and so many parts
 * are made. */
#define MAX_STATES 4u
#define MAX_ASKED 4096u
#define MAX_PARTS (1u << 16)

/* The ranges of one holder. */
struct parting {
	struct qf_image *img;
	const struct qf_lost_range *r;
	size_t n;
	struct qf_lost_list *out;
	struct qf_guest_range *asked; /* owned */
	size_t n_asked;
	bool failed; /* no memory */
};

static bool add(struct parting *p, const struct qf_lost_range *r, uint64_t from,
		uint64_t to, bool is_free)
{
	struct qf_lost_range *new;

	if (from >= to)
		return true;
	if (!qf_mem_grow((void **)&p->out->at, p->out->n, &p->out->room,
			 sizeof(*new)))
		return false;
	new = &p->out->at[p->out->n++];
	*new = *r;
	new->guest_off = from;
	new->bytes = to - from;
	new->free = is_free;
	return true;
}

/* Parts R by the runs of its use, which begin at *K. */
static bool part(struct parting *p, const struct qf_lost_range *r,
		 const struct qf_guest *g, const struct qf_guest_runs *runs,
		 size_t *k)
{
	const uint64_t cluster = p->img->geo.cluster_bytes;
	uint64_t end = r->guest_off + r->bytes, at = r->guest_off, from, to;
	struct qf_guest_range room;
	const struct qf_guest_run *run;

	for (; *k < runs->n && runs->at[*k].start < end; ++*k) {
		run = &runs->at[*k];
		from = run->start > at ? run->start : at;
		to = run->start + run->bytes;
		if (to > end)
			to = end;
		from = qf_mem_round_up(from, cluster);
		/* the last cluster of the disk may be a part of one */
		if (to != end)
			to -= to % cluster;
		room = (struct qf_guest_range){ from, to - from };
		if (run->use == QF_GUEST_FREE && from < to &&
		    p->out->n < MAX_PARTS && qf_lost_all_clean(g, &room)) {
			if (!add(p, r, at, from, false) ||
			    !add(p, r, from, to, true))
				return false;
			at = to;
		}
		if (run->start + run->bytes > end)
			break;
	}
	return add(p, r, at, end, false);
}

static bool part_all(struct parting *p, const struct qf_guest *g,
		     const struct qf_guest_runs *runs)
{
	size_t i, k = 0;

	for (i = 0; i < p->n; i++)
		if (!part(p, &p->r[i], g, runs, &k))
			return false;
	return true;
}

/* What is asked: what lies on the disk. */
static enum qf_err collect(struct parting *p, struct qf_disk *disk)
{
	uint64_t end = qf_disk_bytes(disk);
	struct qf_ranges lost = { 0 };
	const struct qf_lost_range *r;
	size_t i;

	p->asked = qf_mem_zalloc(MAX_ASKED, sizeof(*p->asked));
	if (!p->asked)
		return QF_ERR_NOMEM;
	for (i = 0; i < p->n; i++) {
		r = &p->r[i];
		if (!qf_ranges_add(&lost, r->guest_off, r->bytes)) {
			qf_ranges_free(&lost);
			return QF_ERR_NOMEM;
		}
		if (r->guest_off < end && p->n_asked < MAX_ASKED)
			p->asked[p->n_asked++] = (struct qf_guest_range){
				r->guest_off, r->bytes < end - r->guest_off
						      ? r->bytes
						      : end - r->guest_off
			};
	}
	/* nothing is believed that is read there */
	qf_disk_lose(disk, 0, &lost);
	return QF_OK;
}

static enum qf_err look(struct parting *p, struct qf_chain *chain,
			struct qf_disk **disk, struct qf_guest **guest,
			struct qf_guest_runs *runs)
{
	struct qf_why why;
	enum qf_err err = qf_chain_open(p->img, true, chain, &why);

	if (!err)
		err = qf_disk_open(chain, p->r->holder, disk, &why);
	if (!err)
		err = collect(p, *disk);
	if (!err)
		err = qf_guest_open(*disk, false, guest, &why);
	if (!err)
		err = qf_guest_use(*guest, p->asked, p->n_asked, runs, &why);
	return err;
}

static void one_state(void *ctx)
{
	struct parting *p = ctx;
	struct qf_chain chain = { 0 };
	struct qf_disk *disk = NULL;
	struct qf_guest *guest = NULL;
	struct qf_guest_runs runs = { 0 };
	enum qf_err err = look(p, &chain, &disk, &guest, &runs);

	p->failed = err == QF_ERR_NOMEM;
	if (err) /* nothing is known */
		runs.n = 0;
	if (!p->failed)
		p->failed = !part_all(p, guest, &runs);
	qf_guest_runs_free(&runs);
	qf_guest_close(guest);
	qf_disk_close(disk);
	qf_chain_close(&chain);
	free(p->asked);
}

/* The N ranges from I on, which one holder has lost, go to OUT. */
static bool part_state(struct qf_image *img, const struct qf_lost_range *r,
		       size_t n, bool ask, struct qf_lost_list *out)
{
	struct parting p = { .img = img, .r = r, .n = n, .out = out };
	const struct qf_guest_runs none = { 0 };

	if (!ask || r->id[0] || r->holder == QF_HOLDER_IMAGE)
		return part_all(&p, NULL, &none);
	/* there are children, and libraries are loaded */
	qf_pool_alone(one_state, &p);
	return !p.failed;
}

enum qf_err qf_lost_part_free(struct qf_image *img, struct qf_lost_list *l)
{
	struct qf_lost_list out = { 0 };
	uint32_t states = 0;
	size_t i, n;

	if (img->hdr.crypt_method)
		return QF_OK;
	for (i = 0; i < l->n; i += n) {
		for (n = 1;
		     i + n < l->n && l->at[i + n].holder == l->at[i].holder &&
		     !l->at[i + n].id[0];
		     n++)
			;
		if (!part_state(img, &l->at[i], n, states++ < MAX_STATES,
				&out)) {
			free(out.at);
			return QF_ERR_NOMEM;
		}
	}
	free(l->at);
	l->at = out.at;
	l->n = out.n;
	l->room = out.room;
	return QF_OK;
}
