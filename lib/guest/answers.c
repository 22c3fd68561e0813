// SPDX-License-Identifier: LGPL-2.1-or-later
/* Questions to the file systems: what they tell becomes ranges of the disk. */
#include "lib/guest/ask.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A volume that is being asked, and what is made of its answers. */
struct asking {
	struct qf_guest *g;
	uint32_t volume;
	struct qf_job job;
	struct qf_guest_range *asked; /* owned; of the volume */
	size_t n, room;
	bool no_memory;
	/* one of: */
	struct qf_guest_range *use[2]; /* free, used; of the disk; owned */
	size_t n_use[2], use_room[2];
	struct qf_guest_names *names;
	size_t first_file, first_piece; /* of this volume */
	qf_guest_see *see;
	void *see_ctx;
	bool stopped;
};

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory for what the guest's file systems tell");
}

static enum qf_err look_at_asked(const struct qf_guest *g,
				 const struct qf_guest_range *asked, size_t n,
				 struct qf_why *why)
{
	uint64_t disk = qf_disk_bytes(g->disk);
	size_t i;

	for (i = 0; i < n; i++)
		if (asked[i].start > disk ||
		    asked[i].bytes > disk - asked[i].start)
			return qf_err_set(why, QF_ERR_USAGE, 0, QF_NOWHERE,
					  "the range lies past the end of the "
					  "disk");
	return QF_OK;
}

/* What ASKED is in VOLUME. False: nothing, or no memory. */
static bool translate(struct asking *a, uint32_t volume,
		      const struct qf_guest_range *asked, size_t n)
{
	const struct qf_volume v = qf_ask_volume(a->g, volume);
	size_t i;

	a->n = 0;
	for (i = 0; i < n; i++)
		if (asked[i].bytes &&
		    !qf_volume_within(&v, &asked[i], &a->asked, &a->n,
				      &a->room)) {
			a->no_memory = true;
			return false;
		}
	a->n = qf_volume_merge(a->asked, a->n);
	return a->n;
}

/* Puts the question OP to VOLUME about what was translated. */
static void put_question(struct asking *a, uint32_t volume, enum qf_job_op op,
			 qf_ask_take *take)
{
	struct qf_guest_volume *v = &a->g->volume[volume];
	const struct qf_reader *r;
	struct qf_why why = { 0 };
	enum qf_err err = QF_OK;

	if (v->reader == QF_GUEST_NO_READER || v->fs.opaque)
		return;
	r = qf_reader_table[v->reader];
	a->volume = volume;
	a->job.op = op;
	a->job.reader = v->reader;
	a->job.vol = qf_ask_volume(a->g, volume);
	a->job.vol.asked = a->asked;
	a->job.vol.n_asked = a->n;
	a->job.vol.metadata_only = a->g->metadata_only;
	a->job.vol.faults_only = a->g->faults_only;
	if (r->prepare)
		err = r->prepare(&why);
	if (!err)
		err = qf_ask(a->g, &a->job, take, a, &why);
	if (!a->no_memory && !a->stopped)
		qf_ask_outcome(a->g, volume, err, &why);
}

static void ask_all(struct asking *a, const struct qf_guest_range *asked,
		    size_t n, enum qf_job_op op, qf_ask_take *take)
{
	uint32_t i;

	for (i = 0; i < a->g->n && !a->no_memory && !a->stopped; i++)
		if (translate(a, i, asked, n))
			put_question(a, i, op, take);
}

/* A part of what was told, on the disk; IN: so far behind its beginning. */
typedef bool told_part(struct asking *a, const void *record, uint64_t start,
		       uint64_t bytes, uint64_t in);

/* Gives to PART what of the volume's [START, + BYTES) was asked for. */
static bool clip(struct asking *a, uint64_t start, uint64_t bytes,
		 told_part *part, const void *record)
{
	const struct qf_volume *v = &a->job.vol;
	uint64_t end, from, to, at, n;
	size_t lo = 0, hi = a->n, mid;

	if (start >= v->bytes)
		return true;
	end = bytes > v->bytes - start ? v->bytes : start + bytes;
	while (lo < hi) { /* the first that ends behind START */
		mid = lo + (hi - lo) / 2;
		if (a->asked[mid].start + a->asked[mid].bytes <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < a->n && a->asked[lo].start < end; lo++) {
		from = a->asked[lo].start > start ? a->asked[lo].start : start;
		to = a->asked[lo].start + a->asked[lo].bytes;
		to = to < end ? to : end;
		for (; from < to; from += n) {
			at = qf_volume_place(v, from, to - from, &n);
			if (at != QF_NOWHERE &&
			    !part(a, record, at, n, from - start))
				return false;
		}
	}
	return true;
}

/* --- use --- */

static bool add_use(struct asking *a, const void *record, uint64_t start,
		    uint64_t bytes, uint64_t in)
{
	const struct qf_guest_run *r = record;
	int k = r->use == QF_GUEST_USED;

	(void)in;
	if (!qf_mem_grow((void **)&a->use[k], a->n_use[k], &a->use_room[k],
			 sizeof(**a->use))) {
		a->no_memory = true;
		return false;
	}
	a->use[k][a->n_use[k]++] = (struct qf_guest_range){ start, bytes };
	return true;
}

static bool take_run(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	const struct qf_guest_run *r = record;
	struct asking *a = ctx;

	if (type != QF_RECORD_RUN || n != sizeof(*r))
		return false;
	if (r->use != QF_GUEST_FREE && r->use != QF_GUEST_USED)
		return r->use == QF_GUEST_UNKNOWN;
	return clip(a, r->start, r->bytes, add_use, r);
}

/* A place in a list of ranges that are in order. */
struct cursor {
	const struct qf_guest_range *r;
	size_t n, i;
};

/* Whether AT lies in a range; *END becomes where that may change. */
static bool covers(struct cursor *c, uint64_t at, uint64_t *end)
{
	const struct qf_guest_range *r;
	uint64_t edge;
	bool inside;

	while (c->i < c->n && c->r[c->i].start + c->r[c->i].bytes <= at)
		c->i++;
	if (c->i == c->n)
		return false;
	r = &c->r[c->i];
	inside = r->start <= at;
	edge = inside ? r->start + r->bytes : r->start;
	if (edge < *end)
		*end = edge;
	return inside;
}

static bool add_run(struct qf_guest_runs *out, enum qf_guest_use use,
		    uint64_t start, uint64_t bytes)
{
	struct qf_guest_run *last = out->n ? &out->at[out->n - 1] : NULL;

	if (last && last->use == use && last->start + last->bytes == start) {
		last->bytes += bytes;
		return true;
	}
	if (!qf_mem_grow((void **)&out->at, out->n, &out->room,
			 sizeof(*out->at)))
		return false;
	out->at[out->n++] = (struct qf_guest_run){ start, bytes, use };
	return true;
}

/* What is told to be free and in use at once is neither. */
static bool sweep(struct asking *a, const struct qf_guest_range *asked,
		  size_t n, struct qf_guest_runs *out)
{
	struct cursor free_at = { a->use[0], a->n_use[0], 0 };
	struct cursor used_at = { a->use[1], a->n_use[1], 0 };
	uint64_t at, end, to;
	enum qf_guest_use use;
	bool is_free, is_used;
	size_t i;

	for (i = 0; i < n; i++) {
		to = asked[i].start + asked[i].bytes;
		for (at = asked[i].start; at < to; at = end) {
			end = to;
			is_free = covers(&free_at, at, &end);
			is_used = covers(&used_at, at, &end);
			use = is_free == is_used ? QF_GUEST_UNKNOWN
			      : is_free		 ? QF_GUEST_FREE
						 : QF_GUEST_USED;
			if (!add_run(out, use, at, end - at))
				return false;
		}
	}
	return true;
}

/* The ranges in order; owned by the caller. */
static struct qf_guest_range *in_order(const struct qf_guest_range *asked,
				       size_t *n)
{
	struct qf_guest_range *r = qf_mem_zalloc(*n + 1, sizeof(*r));

	if (!r)
		return NULL;
	if (*n)
		memcpy(r, asked, *n * sizeof(*r));
	*n = qf_volume_merge(r, *n);
	return r;
}

enum qf_err qf_guest_use(struct qf_guest *g, const struct qf_guest_range *asked,
			 size_t n, struct qf_guest_runs *out,
			 struct qf_why *why)
{
	const struct qf_guest_run used = { .use = QF_GUEST_USED };
	struct asking a = { .g = g };
	struct qf_guest_range *sorted;
	enum qf_err err;
	uint32_t i;

	memset(out, 0, sizeof(*out));
	err = look_at_asked(g, asked, n, why);
	if (err)
		return err;
	sorted = in_order(asked, &n);
	if (!sorted)
		return no_memory(why);
	ask_all(&a, sorted, n, QF_JOB_USE, take_run);
	for (i = 0; i < g->n_areas && !a.no_memory; i++)
		add_use(&a, &used, g->area[i].start, g->area[i].bytes, 0);
	for (i = 0; i < 2; i++)
		a.n_use[i] = qf_volume_merge(a.use[i], a.n_use[i]);
	if (a.no_memory || !sweep(&a, sorted, n, out)) {
		qf_guest_runs_free(out);
		err = no_memory(why);
	}
	free(sorted);
	free(a.asked);
	free(a.use[0]);
	free(a.use[1]);
	return err;
}

void qf_guest_runs_free(struct qf_guest_runs *r)
{
	free(r->at);
	memset(r, 0, sizeof(*r));
}

/* --- names --- */

static bool add_piece(struct asking *a, const void *record, uint64_t start,
		      uint64_t bytes, uint64_t in)
{
	const struct qf_guest_piece *told = record;
	struct qf_guest_names *out = a->names;

	if (!qf_mem_grow((void **)&out->piece, out->pieces, &out->piece_room,
			 sizeof(*out->piece))) {
		a->no_memory = true;
		return false;
	}
	out->piece[out->pieces++] = (struct qf_guest_piece){
		start, bytes, told->file_off + in,
		told->file < UINT32_MAX - a->first_file
			? told->file + (uint32_t)a->first_file
			: UINT32_MAX
	};
	return true;
}

static bool add_file(struct asking *a, const struct qf_record_file *r,
		     uint32_t n)
{
	struct qf_guest_names *out = a->names;
	struct qf_guest_file *f;

	if (n < offsetof(struct qf_record_file, path) ||
	    r->path_bytes != n - offsetof(struct qf_record_file, path) ||
	    r->path_bytes > sizeof(r->path) ||
	    r->inode.kind > QF_GUEST_METADATA || out->n == UINT32_MAX)
		return false;
	if (!qf_mem_grow((void **)&out->file, out->n, &out->file_room,
			 sizeof(*out->file))) {
		a->no_memory = true;
		return false;
	}
	f = &out->file[out->n];
	*f = (struct qf_guest_file){ .id = r->inode.id,
				     .bytes = r->inode.bytes,
				     .modified = r->inode.modified,
				     .volume = a->volume,
				     .kind = r->inode.kind,
				     .deleted = r->inode.deleted };
	if (r->path_bytes) {
		f->path = qf_mem_zalloc(1, r->path_bytes + 1);
		if (!f->path) {
			a->no_memory = true;
			return false;
		}
		memcpy(f->path, r->path, r->path_bytes);
	}
	out->n++;
	return true;
}

static bool take_name(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	const struct qf_guest_piece *p = record;
	struct asking *a = ctx;

	if (type == QF_RECORD_PIECE && n == sizeof(*p))
		return clip(a, p->start, p->bytes, add_piece, p);
	return type == QF_RECORD_FILE && add_file(a, record, n);
}

/* Drops the pieces of files that were not told, because the child died. */
static void finish_volume(struct asking *a)
{
	struct qf_guest_names *out = a->names;
	struct qf_guest_piece *p;
	size_t i, kept = a->first_piece;

	for (i = a->first_piece; i < out->pieces; i++) {
		p = &out->piece[i];
		if (p->file >= out->n)
			continue;
		out->file[p->file].hit += p->bytes;
		out->piece[kept++] = *p;
	}
	out->cut |= kept < out->pieces;
	out->pieces = kept;
}

static int by_place(const void *a, const void *b)
{
	const struct qf_guest_piece *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

static bool add_areas(struct asking *a, const struct qf_guest_range *asked,
		      size_t n)
{
	const struct qf_guest *g = a->g;
	struct qf_record_file r = { .inode = { .kind = QF_GUEST_METADATA,
					       .modified = QF_GUEST_NO_TIME } };
	struct qf_guest_piece p = { 0 };
	uint64_t from, to;
	uint32_t i;
	size_t k;

	a->volume = QF_GUEST_NO_VOLUME;
	for (i = 0; i < g->n_areas; i++)
		for (k = 0; k < n; k++) {
			from = g->area[i].start;
			to = from + g->area[i].bytes;
			if (from < asked[k].start)
				from = asked[k].start;
			if (to > asked[k].start + asked[k].bytes)
				to = asked[k].start + asked[k].bytes;
			if (from >= to)
				continue;
			a->first_file = a->names->n;
			a->first_piece = a->names->pieces;
			r.path_bytes = (uint32_t)strlen(g->area[i].name);
			memcpy(r.path, g->area[i].name, r.path_bytes);
			r.inode.bytes = g->area[i].bytes;
			p.file_off = from - g->area[i].start;
			if (!add_piece(a, &p, from, to - from, 0) ||
			    !add_file(a, &r,
				      (uint32_t)offsetof(struct qf_record_file,
							 path) +
					      r.path_bytes))
				return false;
			finish_volume(a);
		}
	return true;
}

static void ask_names(struct asking *a, const struct qf_guest_range *asked,
		      size_t n, enum qf_job_op op)
{
	uint32_t i;

	for (i = 0; i < a->g->n && !a->no_memory; i++) {
		if (!translate(a, i, asked, n))
			continue;
		a->first_file = a->names->n;
		a->first_piece = a->names->pieces;
		put_question(a, i, op, take_name);
		finish_volume(a);
	}
}

static enum qf_err finish_names(struct asking *a, struct qf_why *why)
{
	struct qf_guest_names *out = a->names;

	free(a->asked);
	if (a->no_memory) {
		qf_guest_names_free(out);
		return no_memory(why);
	}
	if (out->pieces)
		qsort(out->piece, out->pieces, sizeof(*out->piece), by_place);
	return QF_OK;
}

static enum qf_err names(struct qf_guest *g, const struct qf_guest_range *asked,
			 size_t n, enum qf_job_op op,
			 struct qf_guest_names *out, struct qf_why *why)
{
	struct asking a = { .g = g, .names = out };
	struct qf_guest_range *sorted;
	enum qf_err err;

	memset(out, 0, sizeof(*out));
	err = look_at_asked(g, asked, n, why);
	if (err)
		return err;
	sorted = in_order(asked, &n);
	if (!sorted)
		return no_memory(why);
	ask_names(&a, sorted, n, op);
	if (!a.no_memory)
		add_areas(&a, sorted, n);
	free(sorted);
	return finish_names(&a, why);
}

enum qf_err qf_guest_names(struct qf_guest *g,
			   const struct qf_guest_range *asked, size_t n,
			   struct qf_guest_names *out, struct qf_why *why)
{
	return names(g, asked, n, QF_JOB_NAMES, out, why);
}

enum qf_err qf_guest_list(struct qf_guest *g, struct qf_guest_names *out,
			  struct qf_why *why)
{
	const struct qf_guest_range all = { 0, qf_disk_bytes(g->disk) };

	return names(g, &all, 1, QF_JOB_LIST, out, why);
}

enum qf_err qf_guest_path(struct qf_guest *g, uint32_t volume, const char *path,
			  struct qf_guest_names *out, struct qf_why *why)
{
	const struct qf_guest_range all = { 0, qf_disk_bytes(g->disk) };
	struct asking a = { .g = g, .names = out, .job.path = path };

	memset(out, 0, sizeof(*out));
	if (translate(&a, volume, &all, 1)) {
		put_question(&a, volume, QF_JOB_PATH, take_name);
		finish_volume(&a);
	}
	return finish_names(&a, why);
}

void qf_guest_names_free(struct qf_guest_names *n)
{
	size_t i;

	for (i = 0; i < n->n; i++)
		free(n->file[i].path);
	free(n->file);
	free(n->piece);
	memset(n, 0, sizeof(*n));
}

/* --- blocks --- */

/* A place of the volume as one of the disk. */
static uint64_t on_disk(const struct asking *a, uint64_t off)
{
	uint64_t n;

	return off < a->job.vol.bytes ? qf_volume_place(&a->job.vol, off, 1, &n)
				      : QF_NOWHERE;
}

static bool take_block(void *ctx, uint32_t type, const void *record, uint32_t n)
{
	struct asking *a = ctx;
	struct qf_guest_block b;

	if (type != QF_RECORD_BLOCK || n != sizeof(b))
		return false;
	memcpy(&b, record, n);
	b.what[sizeof(b.what) - 1] = '\0';
	if (b.bond > QF_GUEST_BY_PARENT || b.state > QF_GUEST_UNREAD ||
	    b.bytes > UINT32_MAX ||
	    (a->job.op == QF_JOB_PLACES && b.start >> 32 >= a->job.n_loose))
		return false;
	if (a->job.op != QF_JOB_PLACES)
		b.start = on_disk(a, b.start);
	b.says = on_disk(a, b.says);
	b.parent = on_disk(a, b.parent);
	if (b.start != QF_NOWHERE)
		a->stopped = !a->see(a->see_ctx, a->volume, &b);
	return !a->stopped;
}

static enum qf_err finish_blocks(struct asking *a, struct qf_why *why)
{
	free(a->asked);
	return a->no_memory ? no_memory(why)
	       : a->stopped ? QF_ERR_STOPPED
			    : QF_OK;
}

static enum qf_err ask_blocks(struct qf_guest *g, enum qf_job_op op,
			      const struct qf_guest_range *asked, size_t n,
			      qf_guest_see *see, void *ctx, struct qf_why *why)
{
	struct asking a = { .g = g, .see = see, .see_ctx = ctx };
	enum qf_err err = look_at_asked(g, asked, n, why);

	if (err)
		return err;
	if (op == QF_JOB_BLOCKS)
		a.stopped = !qf_ask_table(g, asked, n, see, ctx);
	ask_all(&a, asked, n, op, take_block);
	return finish_blocks(&a, why);
}

enum qf_err qf_guest_blocks(struct qf_guest *g,
			    const struct qf_guest_range *asked, size_t n,
			    qf_guest_see *see, void *ctx, struct qf_why *why)
{
	return ask_blocks(g, QF_JOB_BLOCKS, asked, n, see, ctx, why);
}

enum qf_err qf_guest_agree(struct qf_guest *g,
			   const struct qf_guest_range *asked, size_t n,
			   qf_guest_see *see, void *ctx, struct qf_why *why)
{
	return ask_blocks(g, QF_JOB_AGREE, asked, n, see, ctx, why);
}

enum qf_err qf_guest_places(struct qf_guest *g,
			    const struct qf_guest_loose *piece, size_t n,
			    qf_guest_see *see, void *ctx, struct qf_why *why)
{
	struct asking a = { .g = g, .see = see, .see_ctx = ctx };
	uint32_t i;

	a.job.loose = piece;
	a.job.n_loose = n;
	for (i = 0; i < g->n && !a.stopped; i++)
		put_question(&a, i, QF_JOB_PLACES, take_block);
	return finish_blocks(&a, why);
}
