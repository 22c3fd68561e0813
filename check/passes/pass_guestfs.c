// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether what the image shows is what the guest's own file systems say
 * should be there (--guest): the damage that sound tables hide, as when two
 * entries have changed places. Each state of the disk, or the one that was
 * named, is looked into by lib/guest, which does all that reads the guest's
 * bytes in a child: what that cannot tell is a note.
 */
#include "check/passes/guest_swap.h"
#include "check/passes/guest_words.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/base/text.h"
#include "lib/model/disk.h"
#include "lib/walk/describe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks that are asked where they belong, and bytes read of each. */
#define MAX_LOOSE 512u
#define LOOSE_BYTES 65536u

/* One state of the disk while it is looked into. */
struct looking {
	struct qf_pass_ctx *c;
	struct qf_chain chain;
	uint32_t holder;
	char who[400];
	struct qf_disk *disk;
	struct qf_guest *guest;
	struct qf_guest_faults faults;
	struct qf_guest_names names;
	enum qf_err err;
	struct qf_why *why;
};

/* --- where what stands there belongs --- */

/* The faults whose bytes are asked. */
struct loose {
	struct qf_guest_fault *fault[MAX_LOOSE];
	struct qf_guest_loose piece[MAX_LOOSE];
	unsigned char *bytes; /* owned */
	size_t n;
};

/* What is kept twice is told for both places: one that is its own says that
 * nothing has moved. */
static bool see_place(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct loose *l = ctx;
	struct qf_guest_fault *f = l->fault[b->start >> 32];

	if ((uint32_t)b->start || volume != f->volume)
		return true;
	if (b->says == f->start)
		f->belongs = f->start;
	else if (f->belongs == QF_NOWHERE)
		f->belongs = b->says;
	return true;
}

static uint32_t loose_bytes(const struct looking *l,
			    const struct qf_guest_fault *f)
{
	uint64_t n = qf_disk_bytes(l->disk) - f->start;

	n = n < LOOSE_BYTES ? n & ~511ull : LOOSE_BYTES;
	return (uint32_t)n;
}

static void take_loose(struct looking *l, struct loose *to)
{
	struct qf_guest_fault *f;
	unsigned char *p;
	uint32_t n;
	size_t i;

	for (i = 0; i < l->faults.n && to->n < MAX_LOOSE; i++) {
		f = &l->faults.at[i];
		n = loose_bytes(l, f);
		if (f->free || f->volume == QF_GUEST_NO_VOLUME || !n)
			continue;
		p = to->bytes + to->n * LOOSE_BYTES;
		if (qf_disk_read(l->disk, p, n, f->start, NULL, NULL, NULL))
			continue;
		to->fault[to->n] = f;
		to->piece[to->n++] = (struct qf_guest_loose){ p, n };
	}
}

/* No harm if it does not come to anything. */
static void ask_places(struct looking *l)
{
	struct loose *to = qf_mem_zalloc(1, sizeof(*to));
	struct qf_why why = { 0 };
	size_t i;

	if (to)
		to->bytes = qf_mem_zalloc(MAX_LOOSE, LOOSE_BYTES);
	if (to && to->bytes) {
		take_loose(l, to);
		qf_guest_places(l->guest, to->piece, to->n, see_place, to,
				&why);
		for (i = 0; i < to->n; i++)
			if (to->fault[i]->belongs == to->fault[i]->start)
				to->fault[i]->belongs = QF_NOWHERE;
		free(to->bytes);
	}
	free(to);
}

/* --- findings --- */

/* A cut-off writer, or one that goes on meanwhile, leaves such contradictions
 * behind: they only say something of what was closed in order. */
static enum qf_problem problem_of(const struct looking *l, uint32_t volume)
{
	bool shared = l->c->opts->shared;

	if (volume == QF_GUEST_NO_VOLUME)
		return shared ? QF_P_GUEST_UNCLEAN : QF_P_GUEST_TABLE;
	return l->guest->volume[volume].fs.clean == QF_GUEST_CLEAN && !shared
		       ? QF_P_GUEST_METADATA
		       : QF_P_GUEST_UNCLEAN;
}

/* The place in this image's own file; QF_NOWHERE: it has none. */
static uint64_t host_of(struct looking *l, uint64_t guest)
{
	struct qf_disk_extent e;

	if (qf_disk_at(l->disk, guest, 1, &e, NULL) || e.depth ||
	    e.kind == QF_DISK_COMPRESSED)
		return QF_NOWHERE;
	return e.host_off;
}

/* Where exchanging two entries would explain it; "": nothing. */
static const char *swap_words(const struct looking *l,
			      const struct qf_guest_stretch *s, char *buf,
			      size_t room)
{
	const struct qf_question *q =
		qf_guest_swap_of(l->c->more, l->holder, s->start, s->end);

	*buf = '\0';
	if (q)
		snprintf(buf, room,
			 "; two L%u entries seem to have changed places,"
			 " those for guest offset 0x%" PRIx64 " and 0x%" PRIx64
			 ": exchanged, all agrees "
			 "(\"check --guest --why\", "
			 "\"repair --guest --guess\")",
			 q->kind == QF_QUESTION_L1_SWAP ? 1u : 2u, q->guest_off,
			 q->other_off);
	return buf;
}

static void tell_stretch(struct looking *l, const struct qf_guest_stretch *s)
{
	uint32_t volume = s->at->volume;
	char title[600] = "the disk", kinds[400], names[1400], moved[300];
	char swap[300];
	/* what is torn does not agree when two entries are exchanged */
	bool swapped =
		qf_guest_swap_of(l->c->more, l->holder, s->start, s->end) &&
		!l->c->opts->shared;
	struct qf_finding *f = qf_pass_at(
		l->c, swapped ? QF_P_GUEST_METADATA : problem_of(l, volume),
		host_of(l, s->start), s->end - s->start);

	qf_finding_unseen(f);
	f->guest_off = s->start;
	f->count = s->n;
	if (volume != QF_GUEST_NO_VOLUME)
		qf_guest_title(l->guest, volume, title, sizeof(title));
	qf_guest_words_names(s, &l->names, names, sizeof(names));
	if (s->at->free)
		qf_finding_say(f,
			       "%s: in use, though the allocation map calls "
			       "it free, from guest offset 0x%" PRIx64
			       " to 0x%" PRIx64 ": %s",
			       title, s->start, s->end,
			       *names ? names : s->at->what);
	else
		qf_finding_say(f,
			       "%s: from guest offset 0x%" PRIx64
			       " to 0x%" PRIx64 ": %s%s%s%s%s",
			       title, s->start, s->end,
			       qf_guest_words_kinds(s, kinds, sizeof(kinds)),
			       *names ? "; there lies " : "", names,
			       qf_guest_words_moved(s, &l->faults, moved,
						    sizeof(moved)),
			       swap_words(l, s, swap, sizeof(swap)));
	qf_finding_owner(f, "%s", l->who);
}

/* The faults from I on whose clusters touch. */
static struct qf_guest_stretch stretch_from(const struct looking *l, size_t i)
{
	const uint64_t cluster = l->c->img->geo.cluster_bytes;
	const struct qf_guest_fault *f = &l->faults.at[i];
	struct qf_guest_stretch s = { .at = f, .start = f->start };

	s.end = f->start + f->bytes;
	for (s.n = 1; i + s.n < l->faults.n; s.n++) {
		f = &l->faults.at[i + s.n];
		if (f->volume != s.at->volume || f->free != s.at->free ||
		    f->start >= qf_mem_round_up(s.end, cluster) + 1)
			break;
		if (f->start + f->bytes > s.end)
			s.end = f->start + f->bytes;
	}
	return s;
}

static enum qf_err ask_names(struct looking *l)
{
	struct qf_guest_range *asked;
	struct qf_guest_stretch s;
	enum qf_err err;
	size_t i, n = 0;

	asked = qf_mem_zalloc(l->faults.n, sizeof(*asked));
	if (!asked)
		return qf_err_set(l->why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory for the names of the guest's "
				  "files");
	for (i = 0; i < l->faults.n; i += s.n) {
		s = stretch_from(l, i);
		asked[n++] =
			(struct qf_guest_range){ s.start, s.end - s.start };
	}
	err = qf_guest_names(l->guest, asked, n, &l->names, l->why);
	free(asked);
	return err;
}

static void note(struct looking *l, const char *what, const char *reason)
{
	struct qf_finding *f = qf_finding_add(l->c->out, QF_P_GUEST_UNKNOWN);
	char safe[400];

	qf_finding_say(f, "%s: %s", what,
		       qf_text_safe(reason, safe, sizeof(safe)));
	qf_finding_owner(f, "%s", l->who);
}

/* What could not be looked at, or not to its end. */
static void tell_limits(struct looking *l)
{
	const struct qf_guest_volume *v;
	char title[600];
	uint32_t i;

	for (i = 0; i < l->guest->n; i++) {
		v = &l->guest->volume[i];
		if (!*v->trouble && !v->fs.opaque)
			continue;
		qf_guest_title(l->guest, i, title, sizeof(title));
		note(l, title,
		     *v->trouble   ? v->trouble
		     : *v->fs.note ? v->fs.note
				   : "it is not looked into");
	}
	if (!l->guest->n && *l->guest->note)
		note(l, "the disk", l->guest->note);
	if (l->faults.cut)
		note(l, "the disk",
		     "there is more that contradicts itself than is told");
}

static enum qf_err ask_swaps(struct looking *l)
{
	const struct qf_guest_moved m = { .img = l->c->img,
					  .walk = &l->c->walk,
					  .holder = l->holder,
					  .disk = l->disk,
					  .guest = l->guest,
					  .faults = &l->faults,
					  .data = l->c->opts->data,
					  .questions = l->c->more };
	enum qf_err err = qf_guest_swaps_ask(&m);

	if (!err)
		qf_question_judge(l->c->more);
	return err ? qf_err_set(l->why, err, 0, QF_NOWHERE,
				"no memory for what has changed places")
		   : QF_OK;
}

/* --- each state --- */

/* So that nothing is believed that is read where a table was lost. */
static enum qf_err lose(const struct looking *l)
{
	const struct qf_lost_list *lost = l->c->lost_ranges;
	struct qf_ranges ranges = { 0 };
	size_t i;

	for (i = 0; i < lost->n; i++)
		if (lost->at[i].holder == l->holder && !lost->at[i].id[0] &&
		    !qf_ranges_add(&ranges, lost->at[i].guest_off,
				   lost->at[i].bytes)) {
			qf_ranges_free(&ranges);
			return QF_ERR_NOMEM;
		}
	qf_disk_lose(l->disk, 0, &ranges);
	return QF_OK;
}

/* A disk on which nothing is known, but for two entries that have changed
 * places. */
static enum qf_err find_head(struct looking *l)
{
	const struct qf_question *q;
	struct qf_finding *f;
	enum qf_err err = ask_swaps(l);

	q = err ? NULL : qf_guest_swap_of(l->c->more, l->holder, 0, 1);
	if (!q)
		return err;
	f = qf_pass_at(l->c,
		       l->c->opts->shared ? QF_P_GUEST_UNCLEAN
					  : QF_P_GUEST_METADATA,
		       q->place_off, 8);
	qf_finding_unseen(f);
	f->guest_off = q->guest_off;
	qf_finding_say(f,
		       "no file system is found on the disk, and with two L1 "
		       "entries exchanged there is one, and all of it agrees: "
		       "those for guest offset 0x%" PRIx64 " and 0x%" PRIx64
		       " (\"check --guest --why\", \"repair --guest "
		       "--guess\")",
		       q->guest_off, q->other_off);
	qf_finding_owner(f, "%s", l->who);
	return QF_OK;
}

static enum qf_err find_faults(struct looking *l)
{
	struct qf_guest_stretch s;
	enum qf_err err;
	size_t i;

	err = qf_guest_faults_find(l->guest, qf_disk_bytes(l->disk), &l->faults,
				   l->why);
	if (err)
		return err;
	tell_limits(l);
	if (!l->faults.n)
		return qf_guest_is_headless(l->guest) ? find_head(l) : QF_OK;
	ask_places(l);
	err = ask_swaps(l);
	if (!err)
		err = ask_names(l);
	for (i = 0; !err && i < l->faults.n; i += s.n) {
		s = stretch_from(l, i);
		tell_stretch(l, &s);
	}
	return err;
}

static enum qf_err look_into(struct looking *l)
{
	struct qf_why why = { 0 };
	enum qf_err err;

	qf_describe_holder(l->c->img, l->holder, l->who, sizeof(l->who));
	err = qf_disk_open(&l->chain, l->holder, &l->disk, &why);
	if (err == QF_ERR_FORMAT) { /* its table is lost, which is told */
		note(l, "the disk", why.text);
		return QF_OK;
	}
	if (err) {
		*l->why = why;
		return err;
	}
	err = lose(l);
	if (!err)
		err = qf_guest_open(l->disk, false, &l->guest, l->why);
	if (!err) {
		l->guest->metadata_only = !l->c->opts->data;
		l->guest->faults_only = true;
		err = find_faults(l);
	}
	qf_guest_names_free(&l->names);
	qf_guest_faults_free(&l->faults);
	qf_guest_close(l->guest);
	qf_disk_close(l->disk);
	l->guest = NULL;
	l->disk = NULL;
	return err;
}

/* Whether HOLDER is the state that is called NAME, by its id or its name. */
static bool is_called(const struct qf_image *img, uint32_t holder,
		      const char *name, bool by_id)
{
	const struct qf_snapshot *s;

	if (holder == QF_HOLDER_ACTIVE)
		return !strcmp(name, "active");
	s = &img->snapshots.snap[holder - 1];
	return !strcmp(by_id ? s->id : s->name, name);
}

/* The state that was named; QF_HOLDER_IMAGE: there is none. */
static uint32_t named_state(const struct qf_image *img, const char *name)
{
	uint32_t h;
	int by_id;

	for (by_id = 1; by_id >= 0; by_id--)
		for (h = 0; h <= img->snapshots.n; h++)
			if (is_called(img, h, name, by_id))
				return h;
	return QF_HOLDER_IMAGE;
}

static enum qf_err each_state(struct looking *l)
{
	const char *name = l->c->opts->guest_state;
	uint32_t first = 0, last = l->c->img->snapshots.n;

	if (name) {
		first = last = named_state(l->c->img, name);
		if (first == QF_HOLDER_IMAGE)
			return qf_err_set(l->why, QF_ERR_USAGE, 0, QF_NOWHERE,
					  "there is no snapshot \"%.60s\"",
					  name);
	}
	l->err = qf_chain_open(l->c->img, true, &l->chain, l->why);
	for (l->holder = first; !l->err && l->holder <= last; l->holder++)
		l->err = look_into(l);
	qf_chain_close(&l->chain);
	return l->err;
}

/* The images of a batch in turn: there are children. */
static void alone(void *ctx)
{
	struct looking *l = ctx;

	l->err = each_state(l);
}

enum qf_err qf_pass_guestfs(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct looking l = { .c = c, .why = why };

	if (!c->opts->guest)
		return QF_OK;
	if (c->img->hdr.crypt_method) {
		strcpy(l.who, "the image");
		note(&l, "the disk", "the image is encrypted");
		return QF_OK;
	}
	qf_pool_alone(alone, &l);
	return l.err;
}
