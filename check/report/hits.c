// SPDX-License-Identifier: GPL-2.0-or-later
#include "check/report/hits.h"
#include "check/report/hits_parts.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One state while it is looked at. */
struct looking {
	struct qf_image *img;
	const struct qf_report *rep;
	struct qf_hits *out;
	struct qf_hit_state *state;
	size_t first, n;	      /* of the report's lost ranges */
	uint64_t disk;		      /* its size */
	struct qf_guest_range *asked; /* owned; the hits */
	struct qf_why why;
};

/* --- which volume --- */

/* The part of a range piece by piece, each in one volume. */
static bool cut_range(struct looking *l, const struct qf_hit_parts *parts,
		      size_t range)
{
	const struct qf_lost_range *r = &l->rep->lost.at[range];
	struct qf_hits *h = l->out;
	uint64_t at = r->guest_off, end = l->disk, n;
	struct qf_hit *hit;

	/* what is lost behind the end of the disk is in no volume */
	if (at < end && r->bytes < end - at)
		end = at + r->bytes;
	for (; at < end; at += n) {
		if (!qf_mem_grow((void **)&h->at, h->n, &h->room,
				 sizeof(*h->at)))
			return false;
		hit = &h->at[h->n++];
		memset(hit, 0, sizeof(*hit));
		hit->range = range;
		hit->state = h->n_states - 1;
		hit->volume = qf_hit_parts_at(parts, at, end - at, &n);
		hit->guest_off = at;
		hit->bytes = n;
	}
	return true;
}

static bool cut_ranges(struct looking *l)
{
	struct qf_hit_parts parts;
	bool good = qf_hit_parts_make(l->state->guest, &parts);
	size_t i;

	for (i = l->first; good && i < l->first + l->n; i++)
		good = cut_range(l, &parts, i);
	qf_hit_parts_free(&parts);
	l->state->n = l->out->n - l->state->first;
	return good;
}

/* --- what is there --- */

/* The pieces of each hit: both lists are in the order of the disk. */
static void share_pieces(struct looking *l)
{
	const struct qf_guest_names *names = &l->state->names;
	size_t i, k = 0;
	struct qf_hit *hit;

	for (i = 0; i < l->state->n; i++) {
		hit = &l->out->at[l->state->first + i];
		while (k < names->pieces &&
		       names->piece[k].start < hit->guest_off)
			k++;
		hit->piece = k;
		while (k < names->pieces &&
		       names->piece[k].start < hit->guest_off + hit->bytes)
			k++;
		hit->n_pieces = k - hit->piece;
	}
}

/* A walk over what is named and how it is used, side by side. */
struct side_by_side {
	const struct qf_guest_names *names;
	size_t piece;
	uint64_t named_to; /* all from the last piece's start to here is */
	const struct qf_guest_runs *runs;
	size_t run;
};

/* Whether AT has a name; *END becomes where that may change. */
static bool is_named(struct side_by_side *s, uint64_t at, uint64_t *end)
{
	const struct qf_guest_piece *p;

	for (; s->piece < s->names->pieces; s->piece++) {
		p = &s->names->piece[s->piece];
		if (p->start > at)
			break;
		if (p->start + p->bytes > s->named_to)
			s->named_to = p->start + p->bytes;
	}
	if (s->named_to > at) {
		*end = s->named_to < *end ? s->named_to : *end;
		return true;
	}
	if (s->piece < s->names->pieces &&
	    s->names->piece[s->piece].start < *end)
		*end = s->names->piece[s->piece].start;
	return false;
}

static enum qf_guest_use use_at(struct side_by_side *s, uint64_t at,
				uint64_t *end)
{
	const struct qf_guest_run *r;

	while (s->run < s->runs->n &&
	       s->runs->at[s->run].start + s->runs->at[s->run].bytes <= at)
		s->run++;
	if (s->run == s->runs->n)
		return QF_GUEST_UNKNOWN;
	r = &s->runs->at[s->run];
	if (r->start > at) {
		*end = r->start < *end ? r->start : *end;
		return QF_GUEST_UNKNOWN;
	}
	if (r->start + r->bytes < *end)
		*end = r->start + r->bytes;
	return r->use;
}

static void count_use(struct looking *l, const struct qf_guest_runs *runs)
{
	struct side_by_side s = { .names = &l->state->names, .runs = runs };
	enum qf_guest_use use;
	struct qf_hit *hit;
	uint64_t at, end, next;
	bool named;
	size_t i;

	for (i = 0; i < l->state->n; i++) {
		hit = &l->out->at[l->state->first + i];
		end = hit->guest_off + hit->bytes;
		for (at = hit->guest_off; at < end; at = next) {
			next = end;
			named = is_named(&s, at, &next);
			use = use_at(&s, at, &next);
			if (named)
				continue;
			if (use == QF_GUEST_FREE)
				hit->free_bytes += next - at;
			else if (use == QF_GUEST_USED)
				hit->unnamed += next - at;
			else
				hit->unknown += next - at;
		}
	}
}

static enum qf_err ask(struct looking *l)
{
	struct qf_guest_runs runs = { 0 };
	const struct qf_hit *hit;
	enum qf_err err;
	size_t i;

	l->asked = qf_mem_zalloc(l->state->n + 1, sizeof(*l->asked));
	if (!l->asked)
		return QF_ERR_NOMEM;
	for (i = 0; i < l->state->n; i++) {
		hit = &l->out->at[l->state->first + i];
		l->asked[i] =
			(struct qf_guest_range){ hit->guest_off, hit->bytes };
	}
	err = qf_guest_names(l->state->guest, l->asked, l->state->n,
			     &l->state->names, &l->why);
	if (!err)
		err = qf_guest_use(l->state->guest, l->asked, l->state->n,
				   &runs, &l->why);
	if (!err) {
		share_pieces(l);
		count_use(l, &runs);
	}
	qf_guest_runs_free(&runs);
	return err;
}

/* --- each state --- */

/* So that nothing is believed that is read there. */
static enum qf_err lose(const struct looking *l, struct qf_disk *disk)
{
	const struct qf_lost_range *r = l->rep->lost.at + l->first;
	struct qf_ranges ranges = { 0 };
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!qf_ranges_add(&ranges, r[i].guest_off, r[i].bytes)) {
			qf_ranges_free(&ranges);
			return QF_ERR_NOMEM;
		}
	qf_disk_lose(disk, 0, &ranges);
	return QF_OK;
}

static enum qf_err look_into(struct looking *l, struct qf_chain *chain,
			     struct qf_disk **disk)
{
	struct qf_hit_state *s = l->state;
	enum qf_err err;

	if (l->img->hdr.crypt_method)
		return qf_err_set(&l->why, QF_ERR_UNSUPPORTED, 0, QF_NOWHERE,
				  "the image is encrypted");
	err = qf_chain_open(l->img, true, chain, &l->why);
	if (!err)
		err = qf_disk_open(chain, s->holder, disk, &l->why);
	if (!err)
		err = lose(l, *disk);
	if (!err)
		err = qf_guest_open(*disk, false, &s->guest, &l->why);
	if (!err) {
		l->disk = qf_disk_bytes(*disk);
		err = cut_ranges(l) ? QF_OK : QF_ERR_NOMEM;
	}
	return err ? err : ask(l);
}

static void one_state(void *ctx)
{
	struct looking *l = ctx;
	struct qf_chain chain = { 0 };
	struct qf_disk *disk = NULL;
	enum qf_err err = look_into(l, &chain, &disk);

	if (err)
		snprintf(l->state->trouble, sizeof(l->state->trouble), "%.150s",
			 err == QF_ERR_NOMEM ? "no memory" : l->why.text);
	if (err) { /* nothing is told by halves */
		l->out->n = l->state->first;
		l->state->n = 0;
	}
	qf_disk_close(disk);
	qf_chain_close(&chain);
	free(l->asked);
}

void qf_hits_find(struct qf_image *img, const struct qf_report *rep,
		  struct qf_hits *out)
{
	const struct qf_lost_range *r = rep->lost.at;
	struct looking l;
	size_t i, k;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < rep->lost.n; i = k) {
		for (k = i + 1; k < rep->lost.n && r[k].holder == r[i].holder &&
				!r[i].id[0];
		     k++)
			;
		/* a snapshot without its entry has no disk to be opened */
		if (r[i].id[0])
			continue;
		if (out->n_states == QF_HITS_STATES) {
			out->left_out++;
			continue;
		}
		l = (struct looking){ .img = img,
				      .rep = rep,
				      .out = out,
				      .state = &out->state[out->n_states++],
				      .first = i,
				      .n = k - i };
		l.state->holder = r[i].holder;
		l.state->first = out->n;
		/* the images of a batch in turn: libraries are loaded, and
		 * there are children */
		qf_pool_alone(one_state, &l);
	}
}

void qf_hits_free(struct qf_hits *h)
{
	uint32_t i;

	for (i = 0; i < h->n_states; i++) {
		qf_guest_close(h->state[i].guest);
		qf_guest_names_free(&h->state[i].names);
	}
	free(h->at);
	memset(h, 0, sizeof(*h));
}
