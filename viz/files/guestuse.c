// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/guestuse.h"
#include "viz/show/map.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of a cell: the three of use, and damaged. */
#define DAMAGED 3

struct adding {
	struct qf_guestuse *out;
	size_t run;	    /* the first that can hold what comes */
	uint64_t done, all; /* bytes */
	uint64_t cell[QF_GUESTUSE_CELLS][4];
};

/* BYTES more of the volume that are of KIND. */
static void fill_cells(struct adding *a, uint64_t bytes, int kind)
{
	uint64_t a_cell = qf_mem_div_up(a->all, QF_GUESTUSE_CELLS), n, i;

	for (; bytes; bytes -= n, a->done += n) {
		i = a->done / a_cell;
		n = (i + 1) * a_cell - a->done;
		if (n > bytes)
			n = bytes;
		if (i < QF_GUESTUSE_CELLS)
			a->cell[i][kind] += n;
	}
}

/* A stretch of the mapping, piece by piece of one use. */
static bool add(void *ctx, const struct qf_disk_extent *e)
{
	struct adding *a = ctx;
	const struct qf_guest_run *r;
	uint64_t at = e->start, end = e->start + e->bytes, n;

	for (; at < end && a->run < a->out->runs.n; at += n) {
		r = &a->out->runs.at[a->run];
		if (r->start + r->bytes <= at) {
			a->run++;
			n = 0;
			continue;
		}
		n = r->start + r->bytes - at;
		if (n > end - at)
			n = end - at;
		a->out->bytes[r->use] += n;
		if (e->kind == QF_DISK_BAD)
			a->out->damaged[r->use] += n;
		else if (e->data && !e->zero)
			a->out->mapped[r->use] += n;
		fill_cells(a, n,
			   e->kind == QF_DISK_BAD ? DAMAGED : (int)r->use);
	}
	return true;
}

static void draw_bar(const struct adding *a)
{
	static const char look[] = "?.#!";
	int i, k, most;

	for (i = 0; i < QF_GUESTUSE_CELLS; i++) {
		for (k = most = 0; k < 4; k++)
			if (a->cell[i][k] > a->cell[i][most])
				most = k;
		/* damage is seen wherever it is */
		if (a->cell[i][DAMAGED])
			most = DAMAGED;
		a->out->bar[i] = look[most];
	}
}

/* Appends the runs of RANGE. */
static enum qf_err ask_range(struct qf_guest *g, struct qf_guest_runs *all,
			     const struct qf_guest_range *range,
			     struct qf_why *why)
{
	struct qf_guest_runs runs;
	enum qf_err err = qf_guest_use(g, range, 1, &runs, why);
	size_t i;

	for (i = 0; !err && i < runs.n; i++) {
		if (qf_mem_grow((void **)&all->at, all->n, &all->room,
				sizeof(*all->at)))
			all->at[all->n++] = runs.at[i];
		else
			err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
					 "no memory for the use of the disk");
	}
	if (runs.at)
		qf_guest_runs_free(&runs);
	return err;
}

static enum qf_err add_range(struct adding *a, struct qf_guest *g,
			     struct qf_disk *disk,
			     const struct qf_guest_range *range,
			     struct qf_why *why)
{
	enum qf_err err;

	a->run = a->out->runs.n;
	err = ask_range(g, &a->out->runs, range, why);
	return err ? err
		   : qf_map_run(disk, range->start, range->bytes, add, a, why);
}

void qf_guestuse_free(struct qf_guestuse *u)
{
	qf_guest_runs_free(&u->runs);
}

enum qf_err qf_guestuse_of(struct qf_guest *g, struct qf_disk *disk,
			   uint32_t volume, struct qf_guestuse *out,
			   struct qf_why *why)
{
	const struct qf_guest_volume *v = &g->volume[volume];
	const struct qf_guest_segment *s;
	struct adding a = { .out = out, .all = v->bytes };
	enum qf_err err = QF_OK;
	struct qf_guest_range r;
	uint32_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; !err && i < v->segments; i++) {
		s = &g->segment[v->segment + i];
		r = (struct qf_guest_range){ s->at, s->bytes / s->columns };
		if (s->at != QF_NOWHERE)
			err = add_range(&a, g, disk, &r, why);
	}
	if (v->bytes > a.done)
		out->bytes[QF_GUEST_UNKNOWN] += v->bytes - a.done;
	if (v->bytes)
		draw_bar(&a);
	return err;
}
