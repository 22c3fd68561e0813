// SPDX-License-Identifier: GPL-2.0-or-later
#include "viz/files/diff_files.h"
#include "lib/base/mem.h"

#include <stdlib.h>
#include <string.h>

static enum qf_err no_memory(struct qf_why *why)
{
	return qf_err_set(why, QF_ERR_NOMEM, 0, QF_NOWHERE,
			  "no memory to compare the files");
}

bool qf_difffiles_add(void *ctx, uint64_t start, uint64_t bytes, bool unknown)
{
	struct qf_difffiles *d = ctx;

	d->unsure |= unknown;
	if (!qf_mem_grow((void **)&d->range, d->n, &d->room, sizeof(*d->range)))
		return false;
	d->range[d->n++] = (struct qf_difffiles_range){ start, bytes, unknown,
							QF_GUEST_UNKNOWN };
	return true;
}

/* --- what differs of each file --- */

/* The first range that ends behind OFF. */
static size_t range_at(const struct qf_difffiles *d, uint64_t off)
{
	size_t lo = 0, hi = d->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (d->range[mid].start + d->range[mid].bytes <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 33;
}

static void count_piece(const struct qf_difffiles *d,
			struct qf_difffiles_side *s,
			const struct qf_guest_piece *p)
{
	uint64_t end = p->start + p->bytes, from, to;
	size_t i;

	s->layout[p->file] += mix(p->start ^ mix(p->file_off ^ mix(p->bytes)));
	for (i = range_at(d, p->start); i < d->n && d->range[i].start < end;
	     i++) {
		from = d->range[i].start > p->start ? d->range[i].start
						    : p->start;
		to = d->range[i].start + d->range[i].bytes;
		to = to < end ? to : end;
		if (d->range[i].unknown)
			s->unknown[p->file] += to - from;
		else
			s->hit[p->file] += to - from;
	}
}

/* The volume of FROM that has the same name as each of TO's. */
static bool match_volumes(struct qf_difffiles *d)
{
	const struct qf_guest *a = d->from.guest, *b = d->to.guest;
	char one[300], other[300];
	uint32_t i, k;

	d->from.volume = qf_mem_zalloc(a->n + 1, sizeof(*d->from.volume));
	d->to.volume = qf_mem_zalloc(b->n + 1, sizeof(*d->to.volume));
	if (!d->from.volume || !d->to.volume)
		return false;
	for (i = 0; i < a->n; i++)
		d->from.volume[i] = i;
	for (i = 0; i < b->n; i++) {
		qf_guest_name(b, i, one, sizeof(one));
		for (k = 0; k < a->n; k++)
			if (!strcmp(one,
				    qf_guest_name(a, k, other, sizeof(other))))
				break;
		d->to.volume[i] = k < a->n ? k : a->n + i;
	}
	return true;
}

static enum qf_err look(struct qf_difffiles *d, struct qf_difffiles_side *s,
			struct qf_disk *disk, struct qf_why *why)
{
	enum qf_err err = qf_guest_open(disk, false, &s->guest, why);
	size_t i;

	if (!err)
		err = qf_guest_list(s->guest, &s->list, why);
	if (err)
		return err;
	s->hit = qf_mem_zalloc(s->list.n + 1, sizeof(*s->hit));
	s->unknown = qf_mem_zalloc(s->list.n + 1, sizeof(*s->unknown));
	s->layout = qf_mem_zalloc(s->list.n + 1, sizeof(*s->layout));
	if (!s->hit || !s->unknown || !s->layout)
		return no_memory(why);
	for (i = 0; i < s->list.pieces; i++)
		count_piece(d, s, &s->list.piece[i]);
	return QF_OK;
}

/* --- which changed --- */

/* A file of one side, in the order of volumes and paths. */
struct entry {
	const struct qf_guest_file *file;
	size_t number;
	uint32_t volume;
};

static int by_path(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;

	if (a->volume != b->volume)
		return a->volume < b->volume ? -1 : 1;
	if (!a->file->path || !b->file->path) {
		if (a->file->path || b->file->path)
			return a->file->path ? 1 : -1;
		return a->file->id < b->file->id ? -1
						 : a->file->id > b->file->id;
	}
	return strcmp(a->file->path, b->file->path);
}

/* The files, but for metadata, in order; owned by the caller. */
static struct entry *sorted(const struct qf_difffiles_side *s, size_t *n)
{
	struct entry *e = qf_mem_zalloc(s->list.n + 1, sizeof(*e));
	const struct qf_guest_file *f;
	size_t i;

	*n = 0;
	for (i = 0; e && i < s->list.n; i++) {
		f = &s->list.file[i];
		if (f->kind != QF_GUEST_METADATA && !f->deleted)
			e[(*n)++] =
				(struct entry){ f, i, s->volume[f->volume] };
	}
	if (e && *n)
		qsort(e, *n, sizeof(*e), by_path);
	return e;
}

static bool is_changed(const struct qf_difffiles *d, const struct entry *a,
		       const struct entry *b)
{
	/* a directory changes with each of its entries */
	if (a->file->kind == QF_GUEST_DIRECTORY &&
	    b->file->kind == QF_GUEST_DIRECTORY)
		return false;
	return d->from.hit[a->number] || d->to.hit[b->number] ||
	       d->from.unknown[a->number] || d->to.unknown[b->number] ||
	       d->from.layout[a->number] != d->to.layout[b->number] ||
	       a->file->bytes != b->file->bytes || a->file->id != b->file->id ||
	       a->file->kind != b->file->kind ||
	       a->file->modified != b->file->modified;
}

static bool add_change(struct qf_difffiles *d, enum qf_difffiles_kind kind,
		       const struct entry *from, const struct entry *to)
{
	if (!qf_mem_grow((void **)&d->change, d->n_changes, &d->change_room,
			 sizeof(*d->change)))
		return false;
	d->change[d->n_changes++] = (struct qf_difffiles_change){
		kind, from ? from->number : SIZE_MAX, to ? to->number : SIZE_MAX
	};
	return true;
}

/* Whether a volume's reader broke off on one side: a file that is not listed
 * may be there. */
static bool is_partly_known(const struct qf_difffiles *d, uint32_t volume)
{
	const struct qf_difffiles_side *side[2] = { &d->from, &d->to };
	uint32_t i;
	int k;

	for (k = 0; k < 2; k++) {
		if (!side[k]->guest->n && *side[k]->guest->note)
			return true;
		for (i = 0; i < side[k]->guest->n; i++)
			if (side[k]->volume[i] == volume &&
			    *side[k]->guest->volume[i].trouble)
				return true;
	}
	return false;
}

/* Both lists side by side. */
static bool merge(struct qf_difffiles *d, const struct entry *a, size_t na,
		  const struct entry *b, size_t nb)
{
	bool good = true;
	int order;

	while (good && (na || nb)) {
		order = !na ? 1 : !nb ? -1 : by_path(a, b);
		if (order &&
		    is_partly_known(d, order < 0 ? a->volume : b->volume))
			;
		else if (order < 0)
			good = add_change(d, QF_DIFFFILES_WENT, a, NULL);
		else if (order > 0)
			good = add_change(d, QF_DIFFFILES_CAME, NULL, b);
		else if (is_changed(d, a, b))
			good = add_change(d, QF_DIFFFILES_CHANGED, a, b);
		if (order <= 0)
			a++, na--;
		if (order >= 0)
			b++, nb--;
	}
	return good;
}

/* --- what has another name now --- */

/* A change, by the inode that it is about. */
struct inode {
	uint32_t volume;
	uint64_t id;
	size_t change;
};

static int by_inode(const void *pa, const void *pb)
{
	const struct inode *a = pa, *b = pb;

	if (a->volume != b->volume)
		return a->volume < b->volume ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return a->change < b->change ? -1 : a->change > b->change;
}

/* Whether the files are one: a number can be another file's later. */
static bool is_one(const struct qf_difffiles *d, size_t from, size_t to)
{
	const struct qf_guest_file *a = &d->from.list.file[from];
	const struct qf_guest_file *b = &d->to.list.file[to];

	return a->kind == b->kind && a->path && b->path &&
	       (a->kind == QF_GUEST_DIRECTORY ||
		(a->bytes == b->bytes && a->modified == b->modified)) &&
	       d->from.layout[from] == d->to.layout[to];
}

/* Makes one change of two if the first file went and the second came. */
static void join(struct qf_difffiles *d, const struct inode *a,
		 const struct inode *b)
{
	struct qf_difffiles_change *x = &d->change[a->change];
	struct qf_difffiles_change *y = &d->change[b->change], *t;

	if (a->volume != b->volume || a->id != b->id)
		return;
	if (x->kind == QF_DIFFFILES_CAME) {
		t = x;
		x = y;
		y = t;
	}
	if (x->kind != QF_DIFFFILES_WENT || y->kind != QF_DIFFFILES_CAME ||
	    !is_one(d, x->from, y->to))
		return;
	y->kind = QF_DIFFFILES_RENAMED;
	y->from = x->from;
	x->kind = QF_DIFFFILES_KINDS; /* none any more */
}

static bool join_renamed(struct qf_difffiles *d)
{
	struct inode *in = qf_mem_zalloc(d->n_changes + 1, sizeof(*in));
	const struct qf_difffiles_change *c;
	const struct qf_guest_file *f;
	size_t i, n = 0;
	bool came;

	for (i = 0; in && i < d->n_changes; i++) {
		c = &d->change[i];
		came = c->kind == QF_DIFFFILES_CAME;
		if (!came && c->kind != QF_DIFFFILES_WENT)
			continue;
		f = came ? &d->to.list.file[c->to]
			 : &d->from.list.file[c->from];
		in[n++] = (struct inode){ (came ? d->to.volume
						: d->from.volume)[f->volume],
					  f->id, i };
	}
	if (n)
		qsort(in, n, sizeof(*in), by_inode);
	for (i = 1; i < n; i++)
		join(d, &in[i - 1], &in[i]);
	free(in);
	for (i = n = 0; in && i < d->n_changes; i++)
		if (d->change[i].kind != QF_DIFFFILES_KINDS)
			d->change[n++] = d->change[i];
	if (in)
		d->n_changes = n;
	return in;
}

static bool compare(struct qf_difffiles *d)
{
	size_t na, nb;
	struct entry *a = sorted(&d->from, &na), *b = sorted(&d->to, &nb);
	bool good = a && b && merge(d, a, na, b, nb);

	free(a);
	free(b);
	return good && join_renamed(d);
}

/* --- what belongs to none --- */

/* The pieces of a side, as they are passed. */
struct passing {
	const struct qf_guest_names *list;
	size_t i;
	uint64_t to, meta_to; /* all up to here has a name, or is metadata */
};

/* Goes on to AT; *END becomes where something may change. */
static void pass(struct passing *p, uint64_t at, uint64_t *end)
{
	const struct qf_guest_piece *x;
	uint64_t stop;

	for (; p->i < p->list->pieces; p->i++) {
		x = &p->list->piece[p->i];
		if (x->start > at)
			break;
		stop = x->start + x->bytes;
		if (p->list->file[x->file].kind == QF_GUEST_METADATA ||
		    p->list->file[x->file].kind == QF_GUEST_DIRECTORY) {
			if (stop > p->meta_to)
				p->meta_to = stop;
		} else if (stop > p->to) {
			p->to = stop;
		}
	}
	if (p->i < p->list->pieces && p->list->piece[p->i].start < *end)
		*end = p->list->piece[p->i].start;
	if (p->to > at && p->to < *end)
		*end = p->to;
	if (p->meta_to > at && p->meta_to < *end)
		*end = p->meta_to;
}

static bool add_none(struct qf_difffiles *d, uint64_t start, uint64_t end,
		     bool unknown)
{
	struct qf_difffiles_range *last = d->n_none ? &d->none[d->n_none - 1]
						    : NULL;

	if (last && last->start + last->bytes == start &&
	    last->unknown == unknown) {
		last->bytes += end - start;
		return true;
	}
	if (!qf_mem_grow((void **)&d->none, d->n_none, &d->none_room,
			 sizeof(*d->none)))
		return false;
	d->none[d->n_none++] = (struct qf_difffiles_range){ start, end - start,
							    unknown,
							    QF_GUEST_UNKNOWN };
	return true;
}

static bool find_none(struct qf_difffiles *d)
{
	struct passing a = { .list = &d->from.list },
		       b = { .list = &d->to.list };
	const struct qf_difffiles_range *r;
	uint64_t at, end, next;
	size_t i;

	for (i = 0; i < d->n; i++) {
		r = &d->range[i];
		end = r->start + r->bytes;
		for (at = r->start; at < end; at = next) {
			next = end;
			pass(&a, at, &next);
			pass(&b, at, &next);
			if (a.to > at || b.to > at)
				continue;
			if (a.meta_to > at || b.meta_to > at)
				d->metadata += next - at;
			else if (!add_none(d, at, next, r->unknown))
				return false;
		}
	}
	return true;
}

/* Cuts what belongs to none where its use in the new state changes. */
static enum qf_err cut_by_use(struct qf_difffiles *d, struct qf_why *why)
{
	struct qf_guest_range *asked =
		qf_mem_zalloc(d->n_none + 1, sizeof(*asked));
	struct qf_difffiles_range *old = d->none, part;
	struct qf_guest_runs runs = { 0 };
	size_t n = d->n_none, i, k = 0;
	uint64_t at, end;
	enum qf_err err;

	if (!asked)
		return no_memory(why);
	for (i = 0; i < n; i++)
		asked[i] =
			(struct qf_guest_range){ old[i].start, old[i].bytes };
	err = qf_guest_use(d->to.guest, asked, n, &runs, why);
	free(asked);
	if (err)
		return err;
	d->none = NULL;
	d->n_none = d->none_room = 0;
	for (i = 0; !err && i < n; i++)
		for (at = old[i].start;
		     !err && at < old[i].start + old[i].bytes; at = end) {
			while (k + 1 < runs.n &&
			       runs.at[k].start + runs.at[k].bytes <= at)
				k++;
			end = runs.at[k].start + runs.at[k].bytes;
			if (end > old[i].start + old[i].bytes)
				end = old[i].start + old[i].bytes;
			part = old[i];
			part.start = at;
			part.bytes = end - at;
			part.use = runs.at[k].use;
			if (qf_mem_grow((void **)&d->none, d->n_none,
					&d->none_room, sizeof(*d->none)))
				d->none[d->n_none++] = part;
			else
				err = no_memory(why);
		}
	free(old);
	qf_guest_runs_free(&runs);
	return err;
}

enum qf_err qf_difffiles_find(struct qf_difffiles *d, struct qf_disk *from,
			      struct qf_disk *to, struct qf_why *why)
{
	enum qf_err err = look(d, &d->from, from, why);

	if (!err)
		err = look(d, &d->to, to, why);
	if (!err && (!match_volumes(d) || !compare(d) || !find_none(d)))
		err = no_memory(why);
	return err || !d->n_none ? err : cut_by_use(d, why);
}

static void free_side(struct qf_difffiles_side *s)
{
	qf_guest_close(s->guest);
	qf_guest_names_free(&s->list);
	free(s->hit);
	free(s->unknown);
	free(s->layout);
	free(s->volume);
}

void qf_difffiles_free(struct qf_difffiles *d)
{
	free_side(&d->from);
	free_side(&d->to);
	free(d->range);
	free(d->change);
	free(d->none);
	memset(d, 0, sizeof(*d));
}
