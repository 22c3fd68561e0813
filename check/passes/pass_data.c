// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is in the compressed clusters (--data): each must inflate to exactly
 * one cluster. The walk finds them; they are inflated in batches, in the
 * order in which they lie in the file, by all workers at once, so that even
 * an image with a single L2 table keeps every processor busy. What is
 * damaged is put together by L2 table.
 */
#include "check/lost/data_loss.h"
#include "check/passes/pass.h"
#include "check/report/progress.h"
#include "lib/format/codec.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/io/readahead.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 16384u
#define BATCH_MIN 256u
#define BATCH_BYTES (64u << 20) /* inflated */
#define MEMBERS_MAX (1u << 20)	/* words of all its items, if not BATCH_MIN's */
#define RANGES 4u		/* of guest offsets that a finding names */

/* One compressed cluster, and what became of it. */
struct item {
	const struct qf_group *grp;
	uint64_t off, bytes; /* host range of the compressed data */
	uint32_t table;	     /* of the group */
	uint32_t index;	     /* in the L2 table */
	uint32_t twin;	     /* of the batch: the first with these bytes */
	enum qf_codec_state state;
	int sys; /* errno: not readable */
};

enum fault { DAMAGED, LENGTH, UNREAD, FAULTS };

/* What is wrong behind one L2 table, one kind of fault. */
struct damage {
	struct item first;
	enum fault fault;
	uint64_t n;
	struct {
		uint32_t from, n; /* L2 indices */
	} range[RANGES];
	unsigned int ranges;
	bool more; /* damage behind the last range */
};

struct worker {
	struct qf_codec *codec;
	unsigned char *in, *out;
};

struct data {
	struct qf_pass_ctx *c;
	struct worker *worker;
	struct qf_readahead ra; /* of the batch */
	struct item *item;	/* the batch, in the order of the walk */
	uint32_t *by_off;	/* its numbers, in the order of the file */
	uint64_t *members;	/* WORDS an item: the tables that say so */
	uint32_t n, room, words;
	struct damage *damage;
	size_t n_damages, damage_room;
	size_t *slot; /* by table of a group and fault: where in damage */
	struct qf_data_loss loss;
	uint64_t done;
	qf_pool_tick *tick;
	bool no_memory;
};

static bool start_worker(struct data *d, struct worker *w)
{
	const struct qf_image *img = d->c->img;

	if (w->codec)
		return true;
	w->in = qf_mem_zalloc(2, (size_t)img->geo.cluster_bytes);
	w->out = qf_mem_zalloc(1, (size_t)img->geo.cluster_bytes);
	return w->in && w->out &&
	       !qf_codec_new(img->hdr.compression, &w->codec, NULL);
}

static bool inflate_one(void *ctx, uint64_t i, unsigned int me)
{
	struct data *d = ctx;
	struct worker *w = &d->worker[me];
	struct item *it = &d->item[d->by_off[i]];
	size_t cluster = (size_t)d->c->img->geo.cluster_bytes;
	struct qf_codec_result r;
	struct qf_why why;

	if (!start_worker(d, w))
		return false;
	if (qf_readahead_read(&d->ra, i, w->in, it->bytes, it->off, &why)) {
		it->sys = why.sys ? why.sys : EIO;
		return true;
	}
	qf_codec_inflate(w->codec, w->in, (size_t)it->bytes, w->out, cluster,
			 &r);
	it->state = r.state;
	return true;
}

static int by_off(const void *a, const void *b, void *ctx)
{
	const struct item *item = ctx;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

	if (item[i].off != item[j].off)
		return item[i].off < item[j].off ? -1 : 1;
	if (item[i].bytes != item[j].bytes)
		return item[i].bytes < item[j].bytes ? -1 : 1;
	return i < j ? -1 : i > j;
}

static enum fault fault_of(const struct data *d, const struct item *it)
{
	if (it->sys)
		return UNREAD;
	/* QEMU reads a zlib stream that is too long, but no such zstd frame */
	if (it->state == QF_CODEC_LONG &&
	    d->c->img->hdr.compression == QF_COMPRESSION_ZLIB)
		return LENGTH;
	return DAMAGED;
}

static struct damage *damage_of(struct data *d, const struct item *it)
{
	enum fault fault = fault_of(d, it);
	size_t *slot = &d->slot[(size_t)it->table * FAULTS + fault];
	struct damage *dm;

	if (*slot < d->n_damages && !d->c->opts->all) {
		dm = &d->damage[*slot]; /* or of another group's table */
		if (dm->first.grp == it->grp && dm->first.table == it->table &&
		    dm->fault == fault)
			return dm;
	}
	if (!qf_mem_grow((void **)&d->damage, d->n_damages, &d->damage_room,
			 sizeof(*dm)))
		return NULL;
	*slot = d->n_damages++;
	dm = &d->damage[*slot];
	memset(dm, 0, sizeof(*dm));
	dm->first = *it;
	dm->fault = fault;
	return dm;
}

/* Item I of the batch is not as it should be. */
static bool note(struct data *d, uint32_t i)
{
	const struct item *it = &d->item[i];
	struct damage *dm = damage_of(d, it);

	if (!dm)
		return false;
	/* what cannot be read may come back; what is too long reads, but as a
	 * stream whose end was overwritten does: its bytes are in doubt */
	if (dm->fault != UNREAD)
		qf_data_loss_add(&d->loss, it->grp,
				 &d->members[(size_t)i * d->words], it->index);
	dm->n++;
	if (dm->ranges &&
	    dm->range[dm->ranges - 1].from + dm->range[dm->ranges - 1].n ==
		    it->index) {
		dm->range[dm->ranges - 1].n++;
	} else if (dm->ranges < RANGES) {
		dm->range[dm->ranges].from = it->index;
		dm->range[dm->ranges++].n = 1;
	} else {
		dm->more = true;
	}
	return true;
}

/*
 * Sorts the batch by place in the file. Entries that name the same bytes are
 * inflated once, so that a hostile table with a million of them costs no
 * more than one. Returns how many there are to inflate.
 */
static uint32_t sort_batch(struct data *d)
{
	uint32_t i, n = 0, twin;

	for (i = 0; i < d->n; i++)
		d->by_off[i] = i;
	qsort_r(d->by_off, d->n, sizeof(*d->by_off), by_off, d->item);
	for (i = 0; i < d->n; i++) {
		struct item *it = &d->item[d->by_off[i]];

		twin = n ? d->by_off[n - 1] : d->by_off[i];
		if (d->item[twin].off != it->off ||
		    d->item[twin].bytes != it->bytes)
			twin = d->by_off[i];
		it->twin = twin;
		if (twin == d->by_off[i])
			d->by_off[n++] = twin;
	}
	return n;
}

static void hint_one(void *ctx, uint64_t i)
{
	const struct data *d = ctx;
	const struct item *it = &d->item[d->by_off[i]];

	qf_io_hint(d->c->img->io, it->off, it->bytes);
}

/* Inflates the batch and empties it. */
static bool run_batch(struct data *d)
{
	const uint64_t all = d->c->recount.fig.compressed;
	uint32_t i, n = sort_batch(d);

	d->ra = (struct qf_readahead){
		.io = d->c->img->io, .n = n, .hint = hint_one, .ctx = d
	};
	if (!qf_pool_for(d->c->opts->jobs, n, 4, inflate_one, d))
		d->no_memory = true;
	for (i = 0; i < d->n; i++) {
		d->item[i].state = d->item[d->item[i].twin].state;
		d->item[i].sys = d->item[d->item[i].twin].sys;
	}
	for (i = 0; i < d->n && !d->no_memory; i++)
		if (d->item[i].sys || d->item[i].state != QF_CODEC_WHOLE)
			d->no_memory = !note(d, i);
	d->done += d->n;
	d->n = 0;
	if (d->tick) /* shared with snapshots, some are not in the figure */
		d->tick(d->done, all > d->done ? all : d->done);
	return !d->no_memory;
}

static uint32_t first_member(const struct qf_run *r)
{
	uint32_t v = 0;

	if (!r->members)
		return 0;
	while (!r->members[v / 64])
		v += 64;
	return v + (uint32_t)__builtin_ctzll(r->members[v / 64]);
}

/* Keeps which of the N tables of the group name item I. */
static void keep_members(struct data *d, uint32_t i, uint32_t n,
			 const struct qf_run *r)
{
	uint64_t *to = &d->members[(size_t)i * d->words];
	uint32_t w, words = (n + 63) / 64;

	for (w = 0; w < words; w++)
		to[w] = r->members ? r->members[w] : UINT64_MAX;
	if (!r->members && n % 64)
		to[words - 1] = (1ull << n % 64) - 1;
}

static bool see_runs(void *ctx, unsigned int worker, const struct qf_group *grp,
		     const struct qf_run *run, size_t n)
{
	struct data *d = ctx;
	struct item *it;
	size_t i;

	(void)worker;
	for (i = 0; i < n; i++) {
		if (run[i].kind != QF_ENTRY_KIND_COMPRESSED || run[i].again ||
		    run[i].odd &
			    (QF_ODD_PAST_END | QF_ODD_COMPRESSED_DATA_FILE))
			continue;
		if (d->n == d->room && !run_batch(d))
			return false;
		it = &d->item[d->n++];
		memset(it, 0, sizeof(*it));
		it->grp = grp;
		keep_members(d, d->n - 1, grp->n, &run[i]);
		it->table = first_member(&run[i]);
		it->index = run[i].index;
		qf_entry_compressed(&d->c->img->geo, run[i].entry, &it->off,
				    &it->bytes);
	}
	return true;
}

/* "0x0-0xffff, 0x50000-0x7ffff and more" */
static void list_ranges(const struct data *d, const struct damage *dm,
			char *buf, size_t room)
{
	const struct qf_image *img = d->c->img;
	uint64_t from;
	unsigned int i;
	size_t n = 0;

	buf[0] = '\0';
	for (i = 0; i < dm->ranges && n < room; i++) {
		from = qf_pass_guest(img, dm->first.grp->l1_index,
				     dm->range[i].from);
		n += (size_t)snprintf(buf + n, room - n,
				      "%s0x%" PRIx64 "-0x%" PRIx64,
				      i ? ", " : "", from,
				      from +
					      (((uint64_t)dm->range[i].n)
					       << img->geo.cluster_bits) -
					      1);
	}
	if (dm->more && n < room)
		snprintf(buf + n, room - n, " and more");
}

static void report(struct data *d, const struct damage *dm)
{
	static const enum qf_problem problems[FAULTS] = {
		[DAMAGED] = QF_P_COMPRESSED_DAMAGED,
		[LENGTH] = QF_P_COMPRESSED_LENGTH,
		[UNREAD] = QF_P_COMPRESSED_UNREADABLE,
	};
	const struct item *it = &dm->first;
	const struct qf_l2_table *t =
		&d->c->walk.table[it->grp->first + it->table];
	struct qf_finding *f =
		qf_pass_at(d->c, problems[dm->fault], it->off, it->bytes);
	char ranges[256];

	f->count = dm->n;
	f->errors = dm->fault == UNREAD ? dm->n : 0;
	f->corruptions = dm->fault == UNREAD ? 0 : dm->n;
	qf_finding_unseen(f);
	f->guest_off = qf_pass_guest(d->c->img, it->grp->l1_index, it->index);
	list_ranges(d, dm, ranges, sizeof(ranges));
	qf_finding_say(f,
		       "%" PRIu64 " of the L2 table at 0x%" PRIx64
		       ", guest offset%s %s; the first, %" PRIu64
		       " bytes at 0x%" PRIx64 ": %s",
		       dm->n, t->off, dm->n > 1 ? "s" : "", ranges, it->bytes,
		       it->off,
		       it->sys ? strerror(it->sys) : qf_codec_state(it->state));
	qf_pass_own_table(d->c, f, it->grp->l1_index, t);
}

static bool make_room(struct data *d)
{
	const struct qf_walk *w = &d->c->walk;
	uint64_t room = BATCH_BYTES / d->c->img->geo.cluster_bytes;
	uint32_t i, most = 1;

	for (i = 0; i < w->n_groups; i++)
		if (w->group[i].n > most)
			most = w->group[i].n;
	d->words = (most + 63) / 64;
	if (room > MEMBERS_MAX / d->words)
		room = MEMBERS_MAX / d->words;
	d->room = room > BATCH_MAX   ? BATCH_MAX
		  : room < BATCH_MIN ? BATCH_MIN
				     : (uint32_t)room;
	d->worker = qf_mem_zalloc(qf_pool_jobs(d->c->opts->jobs),
				  sizeof(*d->worker));
	d->item = qf_mem_zalloc(d->room, sizeof(*d->item));
	d->by_off = qf_mem_zalloc(d->room, sizeof(*d->by_off));
	d->slot = qf_mem_zalloc((size_t)most * FAULTS, sizeof(*d->slot));
	d->members =
		qf_mem_zalloc((size_t)d->room * d->words, sizeof(*d->members));
	return d->worker && d->item && d->by_off && d->slot && d->members &&
	       qf_data_loss_start(&d->loss, d->c);
}

static void free_data(struct data *d)
{
	unsigned int i, n = qf_pool_jobs(d->c->opts->jobs);

	for (i = 0; d->worker && i < n; i++) {
		qf_codec_free(d->worker[i].codec);
		free(d->worker[i].in);
		free(d->worker[i].out);
	}
	free(d->worker);
	free(d->item);
	free(d->by_off);
	free(d->slot);
	free(d->members);
	qf_data_loss_free(&d->loss);
	free(d->damage);
}

enum qf_err qf_pass_data(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct data d = { .c = c };
	struct qf_visitor v = { .ctx = &d, .runs = see_runs };
	enum qf_err err = QF_OK;
	size_t i;

	if (!c->opts->data)
		return QF_OK;
	d.no_memory = !make_room(&d);
	/* the loop that takes the time is the one within */
	d.tick = qf_pool_watch(NULL);
	qf_progress_unit("clusters");
	if (!d.no_memory)
		err = qf_walk_run(&c->walk, 1, &v, why);
	if (!err && !d.no_memory)
		run_batch(&d);
	qf_pool_watch(d.tick);
	qf_progress_unit("tables");
	if (d.no_memory)
		err = qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				 "no memory for the compressed clusters");
	for (i = 0; !err && i < d.n_damages; i++)
		report(&d, &d.damage[i]);
	if (!err)
		qf_data_loss_end(&d.loss);
	free_data(&d);
	return err;
}
