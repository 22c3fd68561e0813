// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether the image was made on the base that stands behind it (rebase -u onto
 * another one, a base that was written to). The qcow2 tables cannot tell; the
 * guest's file systems can: what they hold in the base is compared with what
 * they say through the overlay.
 *
 * A block of metadata that the base has must be right through the overlay,
 * too: who changes what vouches for it changes the block as well, and it is
 * the overlay's then. An overlay that made the file
 * system anew has all of its blocks; one with clusters that are lost shows
 * old ones in their place, so that nothing is said where anything is wrong
 * with the tables. A file system that was not closed in order may be behind
 * itself: of that, only what is made once and for all counts.
 */
#include "check/passes/guest_words.h"
#include "check/passes/pass.h"
#include "lib/base/mem.h"
#include "lib/base/pool.h"
#include "lib/base/text.h"
#include "lib/model/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The disk through the overlay, and the base's alone. */
enum { OVER, BELOW, SIDES };

struct comparing {
	struct qf_pass_ctx *c;
	struct qf_chain chain;
	struct qf_disk *disk[SIDES];
	struct qf_guest *guest[SIDES];
	struct qf_guest_faults faults; /* through the overlay */
	struct qf_guest_range *asked;  /* owned; where they are */
	bool *also_below; /* owned; of each fault: the base has it, too */
	struct qf_guest_names names[SIDES];
	bool asked_names, listed; /* every file is in both */
	enum qf_err err;
	struct qf_why *why;
};

/* --- the two disks --- */

/* The chain without its first file. */
static struct qf_chain chain_below(const struct qf_chain *c)
{
	struct qf_chain below = *c;

	below.node = c->node + 1;
	below.n = c->n - 1;
	return below;
}

static enum qf_err open_side(struct comparing *p, int side,
			     const struct qf_chain *chain)
{
	enum qf_err err =
		qf_disk_open(chain, QF_HOLDER_ACTIVE, &p->disk[side], p->why);

	if (!err)
		err = qf_guest_open(p->disk[side], false, &p->guest[side],
				    p->why);
	if (!err)
		p->guest[side]->metadata_only = true;
	return err;
}

/* --- whose volume it is --- */

/* The base's volume in the place of V; NULL: none. */
static const struct qf_guest_volume *twin_of(const struct comparing *p,
					     const struct qf_guest_volume *v)
{
	const struct qf_guest *g = p->guest[BELOW];
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (g->volume[i].start == v->start &&
		    g->volume[i].level == v->level &&
		    !strcmp(g->volume[i].name, v->name))
			return &g->volume[i];
	return NULL;
}

static bool knows_made(const struct qf_guest_volume *v,
		       const struct qf_guest_volume *below)
{
	return below && !strcmp(v->fs.kind, below->fs.kind) &&
	       v->fs.made != QF_GUEST_NO_TIME &&
	       below->fs.made != QF_GUEST_NO_TIME;
}

/* A UUID can be given anew; the time when it was made stays then. */
static bool is_other(const struct qf_guest_volume *v,
		     const struct qf_guest_volume *below)
{
	if (!below || strcmp(v->fs.kind, below->fs.kind) ||
	    v->fs.block_bytes != below->fs.block_bytes)
		return true;
	return strcmp(v->fs.uuid, below->fs.uuid) &&
	       (!knows_made(v, below) || v->fs.made != below->fs.made);
}

/*
 * NTFS keeps its serial number in the boot sector, which is written once, and
 * the time at which it was made in a record that is written often: the same
 * number with another time means two volumes.
 */
static bool is_mixed(const struct qf_guest_volume *v,
		     const struct qf_guest_volume *below)
{
	return knows_made(v, below) && !strcmp(v->fs.kind, "NTFS") &&
	       !is_other(v, below) && v->fs.made != below->fs.made;
}

/* --- what the base holds --- */

static bool is_from_base(struct comparing *p, const struct qf_guest_fault *f)
{
	const uint64_t last = f->start + (f->bytes ? f->bytes - 1 : 0);
	struct qf_disk_extent e;

	if (!qf_disk_at(p->disk[OVER], f->start, 1, &e, NULL) && e.depth)
		return true;
	return !qf_disk_at(p->disk[OVER], last, 1, &e, NULL) && e.depth;
}

/* What touches B is wrong in the base as well. */
static void mark(struct comparing *p, const struct qf_guest_block *b,
		 bool is_free)
{
	const struct qf_guest_fault *f;
	size_t i;

	for (i = 0; i < p->faults.n; i++) {
		f = &p->faults.at[i];
		if (f->free == is_free && f->start < b->start + b->bytes &&
		    b->start < f->start + f->bytes)
			p->also_below[i] = true;
	}
}

static bool see_below(void *ctx, uint32_t volume,
		      const struct qf_guest_block *b)
{
	struct comparing *p = ctx;

	(void)volume;
	if (b->state != QF_GUEST_HOLDS)
		mark(p, b, false);
	return true;
}

static bool see_free_below(void *ctx, uint32_t volume,
			   const struct qf_guest_block *b)
{
	struct comparing *p = ctx;

	(void)volume;
	mark(p, b, true);
	return true;
}

/* So many faults are held against the base: each costs a look at all. */
#define MAX_HELD 4096u

/* Leaves out what is no fault between the two files. */
static void keep_shared(struct comparing *p)
{
	struct qf_guest_faults *l = &p->faults;
	size_t i, kept = 0;

	for (i = 0; i < l->n && kept < MAX_HELD; i++)
		if (l->at[i].volume != QF_GUEST_NO_VOLUME &&
		    (l->at[i].free || is_from_base(p, &l->at[i])))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

static enum qf_err ask_base(struct comparing *p)
{
	const uint64_t end = qf_disk_bytes(p->disk[BELOW]);
	const struct qf_guest_fault *f;
	enum qf_err err = QF_OK;
	size_t i, n = 0;

	p->asked = qf_mem_zalloc(p->faults.n, sizeof(*p->asked));
	p->also_below = qf_mem_zalloc(p->faults.n, sizeof(bool));
	if (!p->asked || !p->also_below)
		return qf_err_set(p->why, QF_ERR_NOMEM, 0, QF_NOWHERE,
				  "no memory to compare with the base");
	for (i = 0; i < p->faults.n; i++) {
		f = &p->faults.at[i];
		if (f->bytes && f->start < end && f->bytes <= end - f->start)
			p->asked[n++] =
				(struct qf_guest_range){ f->start, f->bytes };
	}
	if (n)
		err = qf_guest_blocks(p->guest[BELOW], p->asked, n, see_below,
				      p, p->why);
	if (n && !err)
		err = qf_guest_agree(p->guest[BELOW], p->asked, n,
				     see_free_below, p, p->why);
	return err;
}

/* --- files --- */

/*
 * Whether most files of a volume begin outside the overlay, though the file system
 * was made at another time than the base's. One that was made anew in the
 * overlay has written its files there. (What was only reserved for a file is
 * not written to, but hardly a file is without its beginning.)
 */
static bool begins_below(struct comparing *p, uint32_t volume,
			 const struct qf_guest_names *names)
{
	uint64_t all = 0, below = 0;
	const struct qf_guest_file *f;
	struct qf_disk_extent e;
	size_t i;

	for (i = 0; i < names->pieces; i++) {
		f = &names->file[names->piece[i].file];
		if (names->piece[i].file_off || f->deleted || !f->path ||
		    f->kind != QF_GUEST_FILE || f->volume != volume ||
		    qf_disk_at(p->disk[OVER], names->piece[i].start, 1, &e,
			       NULL))
			continue;
		all++;
		below += e.depth > 0;
	}
	return below && below * 2 >= all;
}

/* So many files without a name are looked for in the base. */
#define MAX_UNNAMED 256u

/* Files and folders of the volume that the base knows by name, and that no
 * folder names through the overlay. */
static uint64_t count_unnamed(const struct qf_guest_names *over,
			      uint32_t volume,
			      const struct qf_guest_names *below,
			      uint32_t volume_below)
{
	const struct qf_guest_file *f, *end = below->file + below->n, *g;
	uint64_t n = 0, looked = 0;
	size_t i;

	for (i = 0; i < over->n && looked < MAX_UNNAMED; i++) {
		f = &over->file[i];
		if (f->path || f->deleted || f->volume != volume ||
		    f->kind > QF_GUEST_DIRECTORY)
			continue;
		looked++;
		for (g = below->file; g < end; g++)
			if (g->volume == volume_below && g->id == f->id &&
			    g->kind == f->kind && g->path && !g->deleted)
				break;
		n += g < end;
	}
	return n;
}

/* Whether blocks of two files may be one, copied when it is written to. */
static bool may_share(const struct qf_guest_volume *v)
{
	return strncmp(v->fs.kind, "ext", 3) && strcmp(v->fs.kind, "NTFS") &&
	       strncmp(v->fs.kind, "FAT", 3) && strcmp(v->fs.kind, "exFAT");
}

/* Pieces that belong to a second file as well. Those of what belongs to a
 * file besides its data may be shared. */
static uint64_t count_doubles(const struct qf_guest_names *names,
			      uint32_t volume)
{
	const struct qf_guest_piece *piece, *last = NULL;
	const struct qf_guest_file *f;
	uint64_t n = 0, end = 0;
	size_t i;

	for (i = 0; i < names->pieces; i++) {
		piece = &names->piece[i];
		f = &names->file[piece->file];
		if (piece->file_off == QF_NOWHERE || f->deleted ||
		    f->kind > QF_GUEST_DIRECTORY || f->volume != volume)
			continue;
		n += last && piece->start < end && piece->file != last->file;
		if (piece->start + piece->bytes > end) {
			end = piece->start + piece->bytes;
			last = piece;
		}
	}
	return n;
}

/* Whether there are lists of all files of both sides. */
static bool list_files(struct comparing *p)
{
	int side;

	for (side = 0; side < SIDES && !p->asked_names; side++)
		if (qf_guest_list(p->guest[side], &p->names[side], p->why))
			return false;
	p->asked_names = true;
	p->listed = !p->names[OVER].cut && !p->names[BELOW].cut;
	return p->listed;
}

/* What the files say where no block does; NULL: nothing. */
static const char *ask_files(struct comparing *p, uint32_t volume,
			     const struct qf_guest_volume *below)
{
	const struct qf_guest_volume *v = &p->guest[OVER]->volume[volume];
	bool other = is_other(v, below);
	uint32_t its;

	if (!below || (other && !knows_made(v, below)) ||
	    (!other && v->fs.clean != QF_GUEST_CLEAN) || !list_files(p))
		return NULL;
	its = (uint32_t)(below - p->guest[BELOW]->volume);
	if (other)
		return begins_below(p, volume, &p->names[OVER])
			       ? "and yet its files are not in this image"
			       : NULL;
	if (!may_share(v) && count_doubles(&p->names[OVER], volume) &&
	    !count_doubles(&p->names[BELOW], its))
		return "two files have the same blocks, and not in the base";
	return count_unnamed(&p->names[OVER], volume, &p->names[BELOW], its)
		       ? "files that the base has are in no folder any more, "
			 "and were not deleted"
		       : NULL;
}

/* --- the verdict --- */

/* What mkfs writes, and nobody later: not even a journal holds it back. */
static bool is_for_ever(const char *what)
{
	static const char *const kinds[] = { "superblock", "free space header",
					     "inode header" };
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(what, kinds[i]))
			return true;
	return false;
}

/* Whether the fault I says that V is not the base's. */
static bool speaks(const struct comparing *p, size_t i,
		   const struct qf_guest_volume *v, bool other)
{
	const struct qf_guest_fault *f = &p->faults.at[i];

	if (v->fs.clean == QF_GUEST_CLEAN)
		return other || !p->also_below[i];
	return other && !f->free && is_for_ever(f->what);
}

static void say_whose(const struct qf_guest_volume *v,
		      const struct qf_guest_volume *below, bool mixed,
		      char *out, size_t room)
{
	char kind[64], mine[160], its[160];

	*out = '\0';
	if (mixed)
		snprintf(out, room,
			 ": its own record of the volume is of one that was "
			 "made at another time than the base's");
	else if (below && (strcmp(v->fs.kind, below->fs.kind) ||
			   strcmp(v->fs.uuid, below->fs.uuid)))
		snprintf(out, room, ": it is %s %s, the base's is %s %s",
			 qf_text_safe(v->fs.kind, kind, sizeof(kind)),
			 qf_text_safe(v->fs.uuid, mine, sizeof(mine)),
			 *below->fs.kind ? below->fs.kind : "unknown",
			 qf_text_safe(below->fs.uuid, its, sizeof(its)));
}

static void tell(struct comparing *p, uint32_t volume,
		 const struct qf_guest_stretch *s, const char *whose,
		 const char *files)
{
	struct qf_finding *f = qf_pass_at(p->c, QF_P_GUEST_BASE, QF_NOWHERE, 0);
	char title[600], kinds[400];

	qf_finding_unseen(f);
	qf_guest_title(p->guest[OVER], volume, title, sizeof(title));
	f->guest_off = p->guest[OVER]->volume[volume].start;
	if (!s->n) {
		qf_finding_say(f, "%s%s%s%s", title, whose, files ? "; " : "",
			       files ? files : "");
	} else {
		f->count = s->n;
		f->guest_off = s->start;
		f->length = s->end - s->start;
		qf_finding_say(f,
			       "%s%s; from guest offset 0x%" PRIx64
			       " on, what the base has does not go with what "
			       "this image has: %s",
			       title, whose, s->start,
			       qf_guest_words_kinds(s, kinds, sizeof(kinds)));
	}
	qf_finding_owner(f, "the active disk");
}

/* The faults that speak, put before the others of their volume. */
static struct qf_guest_stretch gather(struct comparing *p, uint32_t volume,
				      bool other)
{
	const struct qf_guest_volume *v = &p->guest[OVER]->volume[volume];
	struct qf_guest_fault *at = p->faults.at;
	struct qf_guest_stretch s = { 0 };
	size_t i, first = 0;

	for (i = 0; i < p->faults.n; i++) {
		if (at[i].volume != volume || !speaks(p, i, v, other))
			continue;
		if (!s.n) {
			first = i;
			s.start = at[i].start;
		}
		at[first + s.n++] = at[i];
		if (at[i].start + at[i].bytes > s.end)
			s.end = at[i].start + at[i].bytes;
	}
	s.at = at + first;
	return s;
}

static void judge_volume(struct comparing *p, uint32_t volume)
{
	const struct qf_guest_volume *v = &p->guest[OVER]->volume[volume];
	const struct qf_guest_volume *below = twin_of(p, v);
	bool mixed = is_mixed(v, below);
	struct qf_guest_stretch s = gather(p, volume, is_other(v, below));
	const char *files = NULL;
	char whose[600];

	if (!s.n && !mixed)
		files = ask_files(p, volume, below);
	if (!s.n && !mixed && !files)
		return;
	say_whose(v, below, mixed, whose, sizeof(whose));
	tell(p, volume, &s, whose, files);
}

static enum qf_err compare(struct comparing *p)
{
	struct qf_guest *g = p->guest[OVER];
	enum qf_err err;
	uint32_t i;

	g->faults_only = true;
	err = qf_guest_faults_find(g, qf_disk_bytes(p->disk[OVER]), &p->faults,
				   p->why);
	if (err)
		return err;
	keep_shared(p);
	if (p->faults.n)
		err = ask_base(p);
	for (i = 0; !err && i < g->n; i++)
		judge_volume(p, i);
	return err;
}

static enum qf_err look(struct comparing *p)
{
	struct qf_chain below;
	enum qf_err err = qf_chain_open(p->c->img, true, &p->chain, p->why);

	if (err || p->chain.n < 2 || p->chain.end != QF_CHAIN_WHOLE)
		return err;
	below = chain_below(&p->chain);
	err = open_side(p, OVER, &p->chain);
	if (!err && p->guest[OVER]->n)
		err = open_side(p, BELOW, &below);
	if (!err && p->guest[BELOW])
		err = compare(p);
	/* a disk that cannot be followed is told by others */
	return err == QF_ERR_NOMEM ? err : QF_OK;
}

/* The images of a batch in turn: there are children. */
static void alone(void *ctx)
{
	struct comparing *p = ctx;
	int side;

	p->err = look(p);
	for (side = 0; side < SIDES; side++) {
		qf_guest_names_free(&p->names[side]);
		qf_guest_close(p->guest[side]);
		qf_disk_close(p->disk[side]);
	}
	qf_guest_faults_free(&p->faults);
	free(p->asked);
	free(p->also_below);
	qf_chain_close(&p->chain);
}

/* Whether the image's own tables can be believed. */
static bool is_sound(const struct qf_pass_ctx *c)
{
	enum qf_severity sev;
	size_t i;

	for (i = 0; i < c->out->n; i++) {
		sev = qf_problem_get(c->out->at[i].problem)->severity;
		if (sev >= QF_SEV_UNREAD &&
		    !qf_problem_of_guest(c->out->at[i].problem))
			return false;
	}
	return !c->lost_ranges->n && !c->withhold;
}

/* Asked for, or there is reason to ask: the base was written to later. */
static bool is_wanted(const struct qf_pass_ctx *c)
{
	bool newer = false;
	size_t i;

	for (i = 0; i < c->out->n; i++)
		newer |= c->out->at[i].problem == QF_P_CHAIN_NEWER;
	return (c->opts->against_base || newer) && !c->opts->no_guest;
}

enum qf_err qf_pass_base(struct qf_pass_ctx *c, struct qf_why *why)
{
	struct qf_why own = { 0 };
	struct comparing p = { .c = c, .why = &own };

	if (!c->img->backing_name || !is_wanted(c) || c->opts->shared ||
	    c->img->hdr.crypt_method || !c->recount.fig.allocated ||
	    !is_sound(c))
		return QF_OK;
	qf_pool_alone(alone, &p);
	if (p.err)
		*why = own;
	return p.err;
}
